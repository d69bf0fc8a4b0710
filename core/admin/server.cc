#include "core/admin/server.h"

#include <httplib.h>

#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

namespace waypost {
namespace {

constexpr std::size_t kThreads = 8;
constexpr std::chrono::seconds kReadTimeout{5};
constexpr std::chrono::seconds kWriteTimeout{10};
constexpr std::size_t kRequestsPerConnection = 100;
constexpr time_t kKeepAliveSeconds = 2;  // an idle connection holds one of the threads
constexpr milliseconds kStartPoll{1};

// What the HTTP layer refuses by itself.
const char* Title(int status) {
  switch (status) {
    case 400: return "Bad request";
    case 404: return "Not found";
    case 413: return "Content too large";
    case 414: return "URI too long";
    case 416: return "Range not satisfiable";
    default: return "Error";
  }
}

}  // namespace

class AdminServer::Listener {
 public:
  explicit Listener(AdminSources sources) : api_(std::move(sources)) {
    server_.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };  // NOLINT: httplib owns it
    server_.set_read_timeout(kReadTimeout);
    server_.set_write_timeout(kWriteTimeout);
    server_.set_keep_alive_max_count(kRequestsPerConnection);
    server_.set_keep_alive_timeout(kKeepAliveSeconds);
    server_.set_payload_max_length(kMaxAdminBodyBytes);
    // Its default is SO_REUSEPORT, which would share the port with another Waypost instead of
    // failing.
    server_.set_socket_options([](socket_t socket) {
      const int yes = 1;
      setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    const auto answer = [this](const httplib::Request& request, httplib::Response& response) {
      Send(api_.Handle({request.method, request.path, request.body, {request.params.begin(), request.params.end()}}), response);
    };
    server_.Get(".*", answer).Post(".*", answer).Put(".*", answer).Patch(".*", answer);
    server_.Delete(".*", answer).Options(".*", answer);
    server_.set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (response.body.empty())
        Send(AdminApi::Problem(response.status, Title(response.status), "The request was not understood, or is too large."),
             response);
    });
    server_.set_exception_handler([](const httplib::Request&, httplib::Response& response, const std::exception_ptr&) {
      Send(AdminApi::Problem(500, "Internal error", "A bug in Waypost; please report it."), response);
    });
    server_.set_logger([this](const httplib::Request& request, const httplib::Response& response) {
      api_.Count(request.method, request.path, response.status);
    });
  }
  ~Listener() { Stop(); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  Result<std::uint16_t> Start(const std::string& address, std::uint16_t port) {
    errno = 0;
    const int bound = port == 0 ? server_.bind_to_any_port(address) : (server_.bind_to_port(address, port) ? port : -1);
    if (bound <= 0)
      return Error{"admin: cannot listen on " + address + ":" + std::to_string(port) + ": " +
                   std::strerror(errno != 0 ? errno : EADDRNOTAVAIL)};
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::sleep_for(kStartPoll);  // Stop() is lost on it before
    return static_cast<std::uint16_t>(bound);
  }

  void Stop() {
    if (!thread_.joinable()) return;
    server_.stop();
    thread_.join();
  }

 private:
  static void Send(const AdminResponse& from, httplib::Response& to) {
    to.status = from.status;
    to.set_content(from.body, from.content_type);
    to.set_header("Cache-Control", "no-store");
    to.set_header("X-Content-Type-Options", "nosniff");
    if (!from.allow.empty()) to.set_header("Allow", from.allow);
  }

  AdminApi api_;
  httplib::Server server_;
  std::thread thread_;
};

AdminServer::AdminServer(AdminSources sources) : listener_(std::make_unique<Listener>(std::move(sources))) {}
AdminServer::~AdminServer() = default;
Result<std::uint16_t> AdminServer::Start(const std::string& address, std::uint16_t port) {
  return listener_->Start(address, port);
}
void AdminServer::Stop() { listener_->Stop(); }

}  // namespace waypost
