#include "core/admin/server.h"

#include <microhttpd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "core/admin/acceptor.h"
#include "core/admin/connections.h"
#include "core/admin/hosts.h"
#include "core/admin/lane.h"
#include "core/base/ascii.h"
#include "core/base/log.h"

namespace waypost {
namespace {

constexpr std::size_t kConnectionBytes = 32U << 10U;  // of libmicrohttpd: the head, what it makes of it, the head of the answer
constexpr std::size_t kMaxUriBytes = kMaxAdminHeadBytes;
constexpr std::size_t kThrownAwayBytes = 4U << 20U;  // so long a body is read to its end before it is refused
constexpr std::size_t kClosing = 8;  // connections that were told to end and are still open
constexpr std::size_t kEventsAtOnce = 32;  // made into text for a stream
constexpr std::size_t kStreamBlockBytes = 4096;
constexpr std::chrono::seconds kBeat{15};  // the longest silence of a stream of events
constexpr std::size_t kLanes = 4;  // of the connections, each lane may have one part in so many

// Who is sent events as they happen. Under the mutex of the streams, but for the connection itself.
struct Stream {
  MHD_Connection* connection = nullptr;
  AdminEvents* events = nullptr;
  std::uint64_t sent = 0;  // the id of the newest event that it has been given
  std::string pending;  // text that is not taken yet
  bool suspended = false;
  bool beat = true;  // a comment is due, by which both sides see that the other is there
};

// One request, from its first line to the end of its answer. The HTTP thread only, but for what the lane sets.
struct Exchange {
  enum class Stage { kHead, kBody, kWaiting };
  Stage stage = Stage::kHead;
  std::size_t uri_bytes = 0;
  std::size_t most_body_bytes = 0;
  bool uri_has_nul = false;
  bool is_json = false;  // what the body is said to be
  bool too_large = false;
  bool wants_stream = false;
  std::string last_event;
  AdminRequest request;
  std::shared_ptr<const AdminResponse> answer;  // once `answered`
  std::atomic<bool> answered{false};
};

// What the heads of a request say that concerns the layer itself.
struct Heads {
  unsigned hosts = 0, lengths = 0;
  std::size_t bytes = 0;
  std::string host, length, transfer_encoding, accept, last_event, content_type;
  AdminCredentials credentials;
  bool expects = false;
};

MHD_Result NoteHead(void* to, MHD_ValueKind /*kind*/, const char* key, const char* value) {
  auto& heads = *static_cast<Heads*>(to);
  const std::string text = value != nullptr ? value : "";
  const auto is = [&](const char* name) { return strcasecmp(key, name) == 0; };
  heads.bytes += std::strlen(key) + text.size() + std::strlen(": \r\n");
  if (is("Host")) {
    ++heads.hosts;
    heads.host = text;
  } else if (is("Content-Length")) {
    ++heads.lengths;
    heads.length = text;
  } else if (is("Transfer-Encoding")) {
    heads.transfer_encoding += text.empty() ? "?" : text;
  } else if (is("Authorization")) {
    heads.credentials.authorization = text;
  } else if (is("X-Waypost")) {
    heads.credentials.own_header = true;
  } else if (is("Accept")) {
    heads.accept = text;
  } else if (is("Last-Event-ID")) {
    heads.last_event = text;
  } else if (is("Content-Type")) {
    heads.content_type = text;
  } else if (is("Expect")) {
    heads.expects = true;
  }
  return MHD_YES;
}

MHD_Result NoteArgument(void* to, MHD_ValueKind /*kind*/, const char* key, const char* value) {
  (*static_cast<std::map<std::string, std::string>*>(to))[key] = value != nullptr ? value : "";
  return MHD_YES;
}

// One question, to whoever it is put.
std::string QuestionOf(const AdminRequest& request) {
  if (request.method != "GET" && request.method != "HEAD") return {};
  auto text = request.path + '\0' + request.peer.name.substr(0, request.peer.uid ? std::string::npos : 0) +
              (request.peer.loopback ? '+' : '-') + request.credentials.authorization + '\0' + request.credentials.session;
  for (const auto& [key, value] : request.query) text += '\0' + key + '\0' + value;
  return text;
}

}  // namespace

class AdminServer::Http {
 public:
  Http(AdminSources sources, AdminOptions options)
      : options_(std::move(options)),
        api_(std::move(sources)),
        connections_(options_.connections, [](int socket) { shutdown(socket, SHUT_RDWR); }),
        acceptor_([this](int socket, const sockaddr* from, socklen_t length,
                         AdminPeer peer) { TakeConnection(socket, from, length, std::move(peer)); },
                  [this] { Tick(); }, [this] { return connections_.open() >= connections_.limit() + kClosing; }) {}
  ~Http() { Stop(); }
  Http(const Http&) = delete;
  Http& operator=(const Http&) = delete;

  Result<std::uint16_t> Start(const std::string& address, std::uint16_t port);
  void Stop();

 private:
  void TakeConnection(int socket, const sockaddr* from, socklen_t length, AdminPeer peer);
  MHD_Result OnRequest(MHD_Connection* connection, const char* url, const char* method, const char* data, std::size_t* bytes,
                       Exchange& exchange);
  MHD_Result OnHead(MHD_Connection* connection, const char* url, const char* method, Exchange& exchange);
  MHD_Result OnWhole(MHD_Connection* connection, Exchange& exchange);
  MHD_Result StartStream(MHD_Connection* connection, const Exchange& exchange);
  ssize_t FillStream(Stream& stream, char* to, std::size_t most);
  void WakeStreams(bool beat);
  void Tick();
  MHD_Result Send(MHD_Connection* connection, const AdminRequest& request, const AdminResponse& answer);
  [[nodiscard]] std::unique_ptr<AdminLane>& LaneOf(AdminWork work) { return lanes_[static_cast<std::size_t>(work)]; }
  void Enter(MHD_Connection* connection, AdminPhase phase);

  const AdminOptions options_;
  AdminApi api_;
  AdminConnections connections_;
  AdminAcceptor acceptor_;
  std::array<std::unique_ptr<AdminLane>, 4> lanes_;  // by AdminWork; none for kAtOnce
  std::mutex streams_mutex_;
  std::list<Stream> streams_;
  bool streams_end_ = false;
  TimePoint next_beat_{};
  MHD_Daemon* daemon_ = nullptr;
};

namespace {

int SocketOf(MHD_Connection* connection) {
  const auto* info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  return info != nullptr ? info->connect_fd : -1;
}

void LogLibrary(void* /*cls*/, const char* format, va_list arguments) {
  std::array<char, 256> text{};
  if (std::vsnprintf(text.data(), text.size(), format, arguments) > 0)
    Log(LogLevel::kDebug, "admin_http", {{"said", std::string_view(text.data())}});
}

AdminResponse Busy() { return AdminApi::Problem(503, "Busy", "Too many requests of this kind wait already; try again."); }

AdminResponse BodyTooLarge(std::size_t most) {
  return AdminApi::Problem(413, "Content too large", "The body has more than " + std::to_string(most) + " bytes.");
}

// "application/json", and what may follow it.
bool IsJson(const std::string& content_type) {
  constexpr const char* kJson = "application/json";
  if (strncasecmp(content_type.c_str(), kJson, std::strlen(kJson)) != 0) return false;
  const auto rest = content_type.substr(std::strlen(kJson));
  const auto next = rest.find_first_not_of(" \t");
  return next == std::string_view::npos || rest[next] == ';';
}

// What is wrong with the head, before anybody asks what it wants; nothing: all is well.
std::optional<AdminResponse> Refuse(const Heads& heads, const Exchange& exchange, const AdminPeer& peer,
                                    const std::vector<std::string>& allowed_hosts) {
  if (exchange.uri_bytes > kMaxUriBytes)
    return AdminApi::Problem(414, "URI too long", "The URI has more than " + std::to_string(kMaxUriBytes) + " bytes.");
  if (exchange.request.method.size() + exchange.uri_bytes + std::strlen("  HTTP/1.1\r\n\r\n") + heads.bytes > kMaxAdminHeadBytes)
    return AdminApi::Problem(431, "Request header fields too large",
                             "The head has more than " + std::to_string(kMaxAdminHeadBytes) + " bytes.");
  if (exchange.uri_has_nul) return AdminApi::Problem(400, "Bad request", "The URI contains %00.");
  if (heads.lengths > 1 || (heads.lengths > 0 && !heads.transfer_encoding.empty()))
    return AdminApi::Problem(400, "Bad request", "The length of the body is given twice.");
  if (!heads.transfer_encoding.empty() && strcasecmp(heads.transfer_encoding.c_str(), "chunked") != 0)
    return AdminApi::Problem(400, "Bad request", "Transfer-Encoding is not chunked.");
  if (heads.hosts > 1) return AdminApi::Problem(400, "Bad request", "Host is given twice.");
  if (heads.hosts == 1 && !peer.uid && !HostAllowed(heads.host, allowed_hosts))
    return AdminApi::Problem(
        421, "Misdirected request",
        "found Host \"" + heads.host + "\", expected an IP address, localhost, or a name of [admin] allowed_hosts");
  if (const auto length = std::strtoull(heads.length.c_str(), nullptr, 10);
      length > kThrownAwayBytes || (heads.expects && length > exchange.most_body_bytes))
    return BodyTooLarge(exchange.most_body_bytes);
  return std::nullopt;
}

}  // namespace

Result<std::uint16_t> AdminServer::Http::Start(const std::string& address, std::uint16_t port) {
  const auto bound = acceptor_.ListenTcp(address, port);
  if (!bound) return bound;
  if (!options_.socket.empty())
    if (const auto listening = acceptor_.ListenUnix(options_.socket); !listening) return Error{listening.error()};
  const auto on_request = [](void* self, MHD_Connection* connection, const char* url, const char* method, const char* /*version*/,
                             const char* data, std::size_t* bytes, void** exchange) -> MHD_Result {
    if (*exchange == nullptr) return MHD_NO;
    return static_cast<Http*>(self)->OnRequest(connection, url, method, data, bytes, *static_cast<Exchange*>(*exchange));
  };
  const auto on_uri = [](void* /*self*/, const char* uri, MHD_Connection* /*connection*/) -> void* {
    auto exchange = std::make_unique<Exchange>();
    const std::string_view text = uri != nullptr ? uri : "";
    exchange->uri_bytes = text.size();
    exchange->uri_has_nul = text.find("%00") != std::string_view::npos;
    return exchange.release();  // for on_done
  };
  const auto on_done = [](void* self, MHD_Connection* connection, void** exchange, MHD_RequestTerminationCode /*how*/) {
    std::unique_ptr<Exchange>(static_cast<Exchange*>(std::exchange(*exchange, nullptr))).reset();
    static_cast<Http*>(self)->Enter(connection, AdminPhase::kIdle);
  };
  const auto on_connection = [](void* self, MHD_Connection* connection, void** /*context*/, MHD_ConnectionNotificationCode what) {
    if (what == MHD_CONNECTION_NOTIFY_CLOSED) static_cast<Http*>(self)->connections_.Close(SocketOf(connection));
  };
  MHD_AccessHandlerCallback request = on_request;
  void* (*uri)(void*, const char*, MHD_Connection*) = on_uri;
  MHD_RequestCompletedCallback done = on_done;
  MHD_NotifyConnectionCallback connection = on_connection;
  daemon_ = MHD_start_daemon(
      MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0,
      nullptr, nullptr, request, this,  //
      MHD_OPTION_EXTERNAL_LOGGER, &LogLibrary, nullptr, MHD_OPTION_URI_LOG_CALLBACK, uri, this,  //
      MHD_OPTION_NOTIFY_COMPLETED, done, this, MHD_OPTION_NOTIFY_CONNECTION, connection, this,  //
      MHD_OPTION_CONNECTION_LIMIT, static_cast<unsigned>(connections_.limit() + 2 * kClosing),  //
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, kConnectionBytes, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
  if (daemon_ == nullptr) return Error{"admin: the HTTP server does not start: " + std::string(std::strerror(errno))};
  const auto handle = [this](const AdminRequest& asked) { return api_.Handle(asked); };
  const auto capacity = connections_.limit() / kLanes;
  LaneOf(AdminWork::kMetrics) = std::make_unique<AdminLane>("waypost-scrape", capacity, handle);
  LaneOf(AdminWork::kLook) = std::make_unique<AdminLane>("waypost-look", capacity, handle);
  LaneOf(AdminWork::kCostly) = std::make_unique<AdminLane>("waypost-costly", capacity, handle);
  if (api_.events() != nullptr) api_.events()->Tell([this] { WakeStreams(false); });
  acceptor_.Start();
  return bound;
}

void AdminServer::Http::Stop() {
  acceptor_.Stop();
  if (api_.events() != nullptr) api_.events()->Tell({});
  {
    const std::scoped_lock lock(streams_mutex_);
    streams_end_ = true;
  }
  WakeStreams(false);
  // Afterwards nobody is suspended: whoever comes finds the lanes closed.
  for (const auto& lane : lanes_)
    if (lane) lane->Stop();
  if (daemon_ != nullptr) MHD_stop_daemon(std::exchange(daemon_, nullptr));
}

void AdminServer::Http::TakeConnection(int socket, const sockaddr* from, socklen_t length, AdminPeer peer) {
  if (!connections_.Open(socket, std::move(peer), Clock::now())) {
    close(socket);
    return;
  }
  // It is the library's from here on, whatever it answers.
  if (MHD_add_connection(daemon_, socket, from, length) == MHD_NO) connections_.Close(socket);
}

void AdminServer::Http::Enter(MHD_Connection* connection, AdminPhase phase) {
  connections_.Enter(SocketOf(connection), phase, Clock::now());
}

MHD_Result AdminServer::Http::OnRequest(MHD_Connection* connection, const char* url, const char* method, const char* data,
                                        std::size_t* bytes, Exchange& exchange) {
  switch (exchange.stage) {
    case Exchange::Stage::kHead: return OnHead(connection, url, method, exchange);
    case Exchange::Stage::kBody:
      if (*bytes == 0) return OnWhole(connection, exchange);
      exchange.too_large = exchange.too_large || exchange.request.body.size() + *bytes > exchange.most_body_bytes;
      if (!exchange.too_large) exchange.request.body.append(data, *bytes);
      *bytes = 0;
      return MHD_YES;
    case Exchange::Stage::kWaiting:
      if (!exchange.answered.load(std::memory_order_acquire)) return MHD_YES;
      return Send(connection, exchange.request, *exchange.answer);
  }
  return MHD_NO;
}

MHD_Result AdminServer::Http::OnHead(MHD_Connection* connection, const char* url, const char* method, Exchange& exchange) {
  exchange.stage = Exchange::Stage::kBody;
  auto& request = exchange.request;
  request.method = method;
  request.path = url;
  MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, &NoteArgument, &request.query);
  Heads heads;
  MHD_get_connection_values(connection, MHD_HEADER_KIND, &NoteHead, &heads);
  request.peer = connections_.PeerOf(SocketOf(connection));
  request.credentials = std::move(heads.credentials);
  if (const char* cookie = MHD_lookup_connection_value(connection, MHD_COOKIE_KIND, kSessionCookie); cookie != nullptr)
    request.credentials.session = cookie;
  exchange.wants_stream = request.method == "GET" && request.path == "/api/v1/events" && api_.events() != nullptr &&
                          heads.accept.find("application/json") == std::string::npos;
  exchange.last_event = heads.last_event;
  exchange.most_body_bytes = AdminApi::MostBodyBytes(request.method, request.path);
  exchange.is_json = IsJson(heads.content_type);
  if (const auto refusal = Refuse(heads, exchange, request.peer, options_.allowed_hosts))
    return Send(connection, request, *refusal);
  Enter(connection, AdminPhase::kBody);
  return MHD_YES;
}

MHD_Result AdminServer::Http::OnWhole(MHD_Connection* connection, Exchange& exchange) {
  auto& request = exchange.request;
  if (exchange.too_large) return Send(connection, request, BodyTooLarge(exchange.most_body_bytes));
  // A foreign page can send a form or plain text from an administrator's browser, but no JSON.
  if (!request.body.empty() && !exchange.is_json)
    return Send(connection, request,
                AdminApi::Problem(415, "Unsupported media type", "The body needs Content-Type: application/json."));
  if (exchange.wants_stream) return StartStream(connection, exchange);
  const auto work = AdminApi::WorkOf(request.method, request.path);
  if (work == AdminWork::kAtOnce) return Send(connection, request, api_.Handle(request));
  exchange.stage = Exchange::Stage::kWaiting;
  Enter(connection, AdminPhase::kServing);
  MHD_suspend_connection(connection);
  // Until it is resumed, the exchange cannot end.
  const auto done = [connection, &exchange](std::shared_ptr<const AdminResponse> answer) {
    exchange.answer = std::move(answer);
    exchange.answered.store(true, std::memory_order_release);
    MHD_resume_connection(connection);
  };
  if (!LaneOf(work)->Take(request, QuestionOf(request), done)) done(std::make_shared<const AdminResponse>(Busy()));
  return MHD_YES;
}

void AdminServer::Http::Tick() {
  const auto now = Clock::now();
  connections_.EndLate(now);
  if (now < next_beat_) return;
  next_beat_ = now + kBeat;
  WakeStreams(true);
}

// Whoever waits for something to be sent is looked at again. Any thread.
void AdminServer::Http::WakeStreams(bool beat) {
  const std::scoped_lock lock(streams_mutex_);
  for (auto& stream : streams_) {
    stream.beat = stream.beat || beat;
    if (std::exchange(stream.suspended, false)) MHD_resume_connection(stream.connection);
  }
}

// Up to `most` bytes of what is to be sent next. Nothing: it rests until it is woken.
ssize_t AdminServer::Http::FillStream(Stream& stream, char* to, std::size_t most) {
  const std::scoped_lock lock(streams_mutex_);
  if (streams_end_) return MHD_CONTENT_READER_END_OF_STREAM;
  if (stream.pending.empty())
    for (const auto& event : stream.events->After(stream.sent, kEventsAtOnce)) {
      stream.pending += EventText(event);
      stream.sent = event.id;
    }
  if (std::exchange(stream.beat, false) && stream.pending.empty()) stream.pending = ":\n\n";
  if (stream.pending.empty()) {
    stream.suspended = true;
    MHD_suspend_connection(stream.connection);
    return 0;
  }
  const auto size = std::min(most, stream.pending.size());
  stream.pending.copy(to, size);
  stream.pending.erase(0, size);
  return static_cast<ssize_t>(size);
}

MHD_Result AdminServer::Http::StartStream(MHD_Connection* connection, const Exchange& exchange) {
  const auto& request = exchange.request;
  // Who may not have the list, or asks for it wrongly, gets no stream.
  if (const auto listed = api_.Handle(request); listed.status != 200) return Send(connection, request, listed);
  Stream* stream = nullptr;
  {
    const std::scoped_lock lock(streams_mutex_);
    if (streams_end_ || streams_.size() >= connections_.limit() / kLanes) return Send(connection, request, Busy());
    stream = &streams_.emplace_back();
    stream->connection = connection;
    stream->events = api_.events();
    // From where it left off, or from now on.
    const auto since =
        exchange.last_event.empty() && request.query.contains("since") ? request.query.at("since") : exchange.last_event;
    const auto last = stream->events->last();
    stream->sent = since.empty() ? last : std::min<std::uint64_t>(last, std::strtoull(since.c_str(), nullptr, 10));
  }
  struct Reader {
    Http* http;
    Stream* stream;
  };
  const auto fill = [](void* reader, std::uint64_t /*position*/, char* to, std::size_t most) -> ssize_t {
    const auto& [http, its] = *static_cast<Reader*>(reader);
    return http->FillStream(*its, to, most);
  };
  const auto end = [](void* reader) {
    const std::unique_ptr<Reader> own(static_cast<Reader*>(reader));
    const std::scoped_lock lock(own->http->streams_mutex_);
    own->http->streams_.remove_if([&](const auto& one) { return &one == own->stream; });
  };
  const std::unique_ptr<MHD_Response, void (*)(MHD_Response*)> response(
      MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, kStreamBlockBytes, fill, new Reader{this, stream}, end),
      &MHD_destroy_response);
  if (!response) return MHD_NO;
  MHD_add_response_header(response.get(), "Content-Type", "text/event-stream");
  MHD_add_response_header(response.get(), "Cache-Control", "no-store");
  MHD_add_response_header(response.get(), "X-Content-Type-Options", "nosniff");
  api_.Count(request.method, request.path, 200);
  Enter(connection, AdminPhase::kStreaming);
  return MHD_queue_response(connection, 200, response.get());
}

MHD_Result AdminServer::Http::Send(MHD_Connection* connection, const AdminRequest& request, const AdminResponse& answer) {
  api_.Count(request.method, request.path, answer.status);
  Enter(connection, AdminPhase::kWriting);
  const std::unique_ptr<MHD_Response, void (*)(MHD_Response*)> response(
      MHD_create_response_from_buffer(answer.body.size(), const_cast<char*>(answer.body.data()), MHD_RESPMEM_MUST_COPY),
      &MHD_destroy_response);
  if (!response) return MHD_NO;
  const auto add = [&](const char* name, const std::string& value) {
    MHD_add_response_header(response.get(), name, value.c_str());
  };
  if (!answer.content_type.empty()) add("Content-Type", answer.content_type);
  add("Cache-Control", "no-store");
  add("X-Content-Type-Options", "nosniff");
  if (!answer.allow.empty()) add("Allow", answer.allow);
  for (const auto& [name, value] : answer.headers) add(name.c_str(), value);
  return MHD_queue_response(connection, static_cast<unsigned>(answer.status), response.get());
}

AdminServer::AdminServer(AdminSources sources, AdminOptions options)
    : http_(std::make_unique<Http>(std::move(sources), std::move(options))) {}
AdminServer::~AdminServer() = default;
Result<std::uint16_t> AdminServer::Start(const std::string& address, std::uint16_t port) { return http_->Start(address, port); }
void AdminServer::Stop() { http_->Stop(); }

}  // namespace waypost
