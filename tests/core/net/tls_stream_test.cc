#include "core/net/tls_stream.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "tests/support/certificates.h"

namespace waypost {
namespace {

// What a user of a stream hears.
struct Hearer final : StreamUser {
  std::string data, log;
  std::optional<std::string> closed;
  std::function<void(const std::string& what)> then = [](const std::string&) {};
  std::size_t reports = 0;

  void OnConnected() noexcept override { Note("connected"); }
  void OnData(Bytes bytes) noexcept override {
    data += AsText(bytes);
    Note("data");
  }
  void OnDrained() noexcept override { Note("drained"); }
  void OnClosed(const std::string& error) noexcept override {
    closed = error;
    Note("closed");
  }
  void Note(const std::string& what) {
    ++reports;
    if (log.size() < 200 && !(what == "data" && log.ends_with("data "))) log += what + " ";
    then(what);
  }
};

// The stream below, as the test sees it.
struct Wire {
  std::string sent;  // what was written and not taken yet
  StreamUser* user = nullptr;
  bool full = false, finished = false;
  unsigned pauses = 0;
};

class Under final : public Stream {
 public:
  explicit Under(Wire& wire) : wire_(wire) {}
  bool Write(Bytes bytes) override {
    wire_.sent += AsText(bytes);
    return !wire_.full;
  }
  void Pause(PauseReason reason) override { wire_.pauses |= reason; }
  void Resume(PauseReason reason) override { wire_.pauses &= ~static_cast<unsigned>(reason); }
  void Finish() override { wire_.finished = true; }
  [[nodiscard]] unsigned Retransmissions() const override { return 5; }
  void ReportTo(StreamUser& user) override { wire_.user = &user; }
  void Start(StreamUser& user) override { wire_.user = &user; }
  std::unique_ptr<DetachedStream> Detach() override {
    if (wire_.full) return nullptr;
    struct Detached final : DetachedStream {
      explicit Detached(Wire& of) : wire(of) {}
      std::unique_ptr<Stream> Attach(Loop&) override { return std::make_unique<Under>(wire); }
      Wire& wire;
    };
    wire_.user = nullptr;
    return std::make_unique<Detached>(wire_);
  }
  [[nodiscard]] std::string PeerName() const override { return "peer"; }

 private:
  Wire& wire_;
};

class UnderConnector final : public Connector {
 public:
  explicit UnderConnector(Wire& wire) : wire_(wire) {}
  std::unique_ptr<Stream> Connect(const std::string&, std::uint16_t, StreamUser& user) override {
    wire_.user = &user;
    return std::make_unique<Under>(wire_);
  }

 private:
  Wire& wire_;
};

const tls_test::Identity& TheIdentity() {
  static const tls_test::Identity kIdentity;
  return kIdentity;
}

TlsContextRef ServerContext() {
  static const auto kContext = *TlsContext::ForClients({TheIdentity().cert, TheIdentity().key, {}}, {});
  return kContext;
}

TlsContextRef ClientContext() {
  static const auto kContext = *TlsContext::ForServers({{}, {}, TheIdentity().cert});
  return kContext;
}

// A stream that accepts and one that connects, and what is between them.
struct Pair {
  explicit Pair(const std::string& name = "server.test", TlsContextRef client_context = ClientContext(), bool alpn = false) {
    UnderConnector connector(below_client);
    connected = TlsStream::Connect(loop, {std::move(client_context), name, true, "?", false}, connector, "host", 1, client);
    accepted = TlsStream::Accept(loop, ServerContext(), std::make_unique<Under>(below_server), alpn, server);
  }

  // The client's question is answered.
  void Ask() {
    below_client.user->OnConnected();
    CHECK(std::exchange(below_client.sent, {}) == "?");
    Give(below_client, "S");
  }
  static void Give(Wire& to, std::string_view bytes) {
    if (to.user != nullptr && !to.finished) to.user->OnData(AsBytes(bytes));
  }
  // What was written on one side is read on the other, at most `chunk` at a time, until nothing is left.
  void Run(std::size_t chunk = std::string::npos) {
    for (bool any = true; any;)
      any = Move(below_client, below_server, server, chunk) || Move(below_server, below_client, client, chunk);
  }
  static bool Move(Wire& from, Wire& to, const Hearer& hearer, std::size_t chunk) {
    if (from.sent.empty() || hearer.closed) return false;
    const auto piece = from.sent.substr(0, chunk);
    from.sent.erase(0, piece.size());
    Give(to, piece);
    return true;
  }
  void Open(std::size_t chunk = std::string::npos) {
    Ask();
    Run(chunk);
    REQUIRE(client.log == "connected ");
    REQUIRE(server.log == "connected ");
  }

  Loop loop{TimePoint(seconds(1))};
  Hearer client, server;
  Wire below_client, below_server;
  std::unique_ptr<TlsStream> connected, accepted;
};

}  // namespace

TEST_CASE("TLS carries both directions however the bytes are cut", "[core][net][tls]") {
  const auto chunk = GENERATE(as<std::size_t>{}, 1, 2, 5, 6, 100, 1'000, 16'384, 65'536, std::string::npos);
  CAPTURE(chunk);
  Pair pair;
  pair.Open(chunk);
  const std::string long_text(chunk < 100 ? 20'000 : 1'000'000, 'x');
  for (const auto* text : {"a", "hello", ""}) {
    pair.connected->Write(AsBytes(text));
    pair.accepted->Write(AsBytes(std::string("to ") + text));
    pair.Run(chunk);
  }
  pair.accepted->Write(AsBytes(long_text));
  pair.connected->Write(AsBytes(long_text));
  pair.Run(chunk);
  CHECK(pair.server.data == "ahello" + long_text);
  CHECK(pair.client.data == "to ato helloto " + long_text);
  CHECK(pair.below_client.sent.empty());
  CHECK(!pair.connected->PeerEndPoint().empty());
  CHECK(pair.connected->PeerEndPoint() == ServerContext()->end_point());
}

TEST_CASE("what one read holds is delivered in one call", "[core][net][tls]") {
  Pair pair;
  pair.Open();
  pair.connected->Write(AsBytes(std::string(60'000, 'x')));
  REQUIRE(pair.below_client.sent.size() < 65'536);
  // The user pauses at the first call: another would have to wait, and nobody would call it.
  pair.server.then = [&](const std::string&) { pair.accepted->Pause(Stream::kBusy); };
  const auto before = pair.server.reports;
  pair.Run();
  CHECK(pair.server.reports == before + 1);
  CHECK(pair.server.data.size() == 60'000);
  CHECK(pair.below_server.pauses == Stream::kBusy);
}

TEST_CASE("waiting and pausing are those of the stream below", "[core][net][tls]") {
  Pair pair;
  pair.Open();
  pair.below_server.full = true;
  CHECK_FALSE(pair.accepted->Write(AsBytes("x")));
  pair.below_server.full = false;
  pair.below_server.user->OnDrained();
  CHECK(pair.server.log == "connected drained ");
  CHECK(pair.accepted->Write(AsBytes("x")));
  pair.accepted->Pause(Stream::kBusy);
  pair.accepted->Pause(Stream::kPeerSlow);
  CHECK(pair.below_server.pauses == (Stream::kBusy | Stream::kPeerSlow));
  pair.accepted->Resume(Stream::kBusy);
  CHECK(pair.below_server.pauses == Stream::kPeerSlow);
  CHECK(pair.accepted->Retransmissions() == 5);
  CHECK(pair.accepted->PeerName() == "peer");
}

TEST_CASE("a stream moves to another loop with half a record read", "[core][net][tls]") {
  Pair pair;
  CHECK(pair.accepted->Detach() == nullptr);  // in its handshake it stays
  pair.Open();
  CHECK(pair.connected->Detach() == nullptr);
  pair.connected->Write(AsBytes("before"));
  pair.Run();
  pair.connected->Write(AsBytes("across"));
  const auto cut = GENERATE(0, 1, 5, 10);
  const auto flight = std::exchange(pair.below_client.sent, {});
  Pair::Give(pair.below_server, std::string_view(flight).substr(0, static_cast<std::size_t>(cut)));
  pair.below_server.full = true;
  CHECK(pair.accepted->Detach() == nullptr);  // nor while something waits to be sent
  pair.below_server.full = false;
  auto detached = pair.accepted->Detach();
  REQUIRE(detached != nullptr);
  pair.accepted.reset();
  Loop other(TimePoint(seconds(1)));
  Hearer hearer;
  auto stream = detached->Attach(other);
  REQUIRE(stream != nullptr);
  stream->Start(hearer);
  Pair::Give(pair.below_server, std::string_view(flight).substr(static_cast<std::size_t>(cut)));
  CHECK(hearer.data == "across");
  CHECK(pair.server.data == "before");
  stream->Write(AsBytes("answer"));
  pair.Run();
  CHECK(pair.client.data == "answer");
  stream->Finish();
}

TEST_CASE("who finishes says so, behind all that was written", "[core][net][tls]") {
  Pair pair;
  pair.Open();
  pair.accepted->Write(AsBytes("last words"));
  pair.accepted->Finish();
  CHECK(pair.below_server.finished);
  const auto reports = pair.server.reports;
  pair.Run();
  CHECK(pair.client.data == "last words");
  CHECK(pair.client.log == "connected data closed ");
  CHECK(pair.client.closed == "");
  CHECK(pair.server.reports == reports);
  pair.connected->Finish();  // after it has heard of the end
  CHECK(pair.below_client.finished);
}

TEST_CASE("a connection that is cut off is reported", "[core][net][tls]") {
  Pair pair;
  SECTION("in the handshake") {
    pair.Ask();
    pair.below_client.user->OnClosed("");
    CHECK(pair.client.closed == "TLS handshake: it closed the connection");
  }
  SECTION("instead of an answer") {
    pair.below_client.user->OnConnected();
    pair.below_client.user->OnClosed("");
    CHECK(pair.client.closed == "it closed the connection instead of answering SSLRequest");
  }
  SECTION("later, as of a stream without TLS") {
    const std::string why = GENERATE("", "connection reset by peer");
    pair.Open();
    pair.below_client.user->OnClosed(why);
    CHECK(pair.client.closed == why);
  }
  SECTION("before anything") {
    pair.below_client.user->OnClosed("connection refused");
    CHECK(pair.client.closed == "connection refused");
  }
}

TEST_CASE("an answer to SSLRequest is believed only as far as it goes", "[core][net][tls]") {
  const auto [answer, error] = GENERATE(table<std::string, std::string>(
      {{"N", "it does not support TLS, which the configuration requires"},
       {"E", "it answered SSLRequest with an error, or with something that is not the PostgreSQL protocol"},
       {std::string("\0", 1), "it answered SSLRequest with an error, or with something that is not the PostgreSQL protocol"},
       {"SR", "it sent unencrypted data behind its answer to SSLRequest"},
       {"Eplease send your password to mallory", "it sent unencrypted data behind its answer to SSLRequest"},
       {"N\x52", "it sent unencrypted data behind its answer to SSLRequest"}}));
  CAPTURE(answer);
  Pair pair;
  pair.below_client.user->OnConnected();
  pair.below_client.sent.clear();
  Pair::Give(pair.below_client, answer);
  CHECK(pair.client.log == "closed ");
  CHECK(pair.client.closed == error);
  CHECK(pair.below_client.sent.empty());
}

TEST_CASE("where plain will do, a server without TLS is spoken to in plain", "[core][net][tls]") {
  Loop loop(TimePoint(seconds(1)));
  Hearer client;
  Wire wire;
  UnderConnector connector(wire);
  auto stream = TlsStream::Connect(loop, {ClientContext(), "server.test", false, "?", true}, connector, "host", 1, client);
  wire.user->OnConnected();
  CHECK(std::exchange(wire.sent, {}) == "?");
  Pair::Give(wire, "N");
  CHECK(client.log == "connected ");
  stream->Write(AsBytes("plain"));
  CHECK(wire.sent == "plain");
  Pair::Give(wire, "answer");
  CHECK(client.data == "answer");
  CHECK(stream->PeerEndPoint().empty());
  stream->Finish();
  CHECK(wire.sent == "plain");
}

TEST_CASE("before the handshake is done nothing is written", "[core][net][tls]") {
  Pair pair;
  CHECK(pair.accepted->Write(AsBytes("secret")));
  CHECK(pair.below_server.sent.empty());
  pair.accepted->Finish();
  CHECK(pair.below_server.sent.empty());
  CHECK(pair.below_server.finished);
}

TEST_CASE("a server must be the one that was meant", "[core][net][tls]") {
  SECTION("its name") {
    Pair pair("elsewhere.test");
    pair.Ask();
    pair.Run();
    CHECK(pair.client.closed.value_or("").find("hostname mismatch") != std::string::npos);
    CHECK(pair.server.closed.has_value());
  }
  SECTION("an address is not a name") {
    Pair pair("127.0.0.1");
    pair.Ask();
    pair.Run();
    CHECK(pair.client.closed.value_or("").find("IP address mismatch") != std::string::npos);
  }
  SECTION("its authority") {
    const tls_test::Identity other;
    Pair pair("server.test", *TlsContext::ForServers({{}, {}, other.cert}));
    pair.Ask();
    pair.Run();
    CHECK(pair.client.closed.value_or("").find("certificate verify failed") != std::string::npos);
    CHECK(pair.client.log == "closed ");
  }
}

TEST_CASE("a stream may be destroyed inside any report", "[core][net][tls]") {
  const std::string when = GENERATE("connected", "data", "drained", "closed");
  const bool finish = GENERATE(false, true);
  CAPTURE(when, finish);
  Pair pair;
  pair.server.then = [&](const std::string& what) {
    if (what != when) return;
    if (finish) pair.accepted->Finish();
    pair.accepted.reset();
    pair.below_server.user = nullptr;
  };
  pair.Ask();
  pair.connected->Write(AsBytes("early"));
  pair.Run();
  if (pair.accepted) {
    pair.connected->Write(AsBytes("hello"));
    pair.connected->Finish();
    auto* user = pair.below_server.user;
    if (when == "drained") user->OnDrained();
    else pair.Run();
  }
  CHECK(pair.accepted == nullptr);
}

TEST_CASE("bytes that are not the peer's end it", "[core][net][tls]") {
  Pair pair;
  const bool open = GENERATE(false, true);
  pair.Ask();
  if (open) {
    pair.Run();
    pair.connected->Write(AsBytes("hello, this is the text"));
  }
  // One bit of the flight is another one.
  auto flight = std::exchange(pair.below_client.sent, {});
  const auto bit = GENERATE(range(0, 8 * 600, 13));
  const auto at = static_cast<std::size_t>(bit) / 8;
  if (at >= flight.size()) return;
  flight[at] = static_cast<char>(flight[at] ^ (1 << (bit % 8)));
  Pair::Give(pair.below_server, flight);
  pair.below_client.sent.clear();
  pair.Run();
  if (!pair.server.closed && pair.below_server.user != nullptr) pair.below_server.user->OnClosed("");
  CAPTURE(bit, pair.server.log);
  CHECK(pair.server.data.empty());
  CHECK(pair.server.closed.has_value());
  // Nothing more is heard of it.
  const auto reports = pair.server.reports;
  Pair::Give(pair.below_server, flight);
  CHECK(pair.server.reports == reports);
}

TEST_CASE("a key's file is not for others", "[core][net][tls]") {
  const tls_test::Identity identity;
  const auto [mode, good] =
      GENERATE(table<mode_t, bool>({{0600, true}, {0400, true}, {0644, false}, {0606, false}, {0620, false}}));
  CAPTURE(mode);
  chmod(identity.key.c_str(), mode);
  CHECK(WhatIsWrongWithKeyFile(identity.key).empty() == good);
  CHECK(TlsContext::ForClients({identity.cert, identity.key, {}}, {}).ok() == good);
  CHECK(WhatIsWrongWithKeyFile(identity.folder.File("")) == "is not a regular file");
  CHECK(WhatIsWrongWithKeyFile(identity.folder.File("nowhere")).find("No such file") != std::string::npos);
}

TEST_CASE("another key than the certificate's is named as such", "[core][net][tls]") {
  const tls_test::Identity one, other;
  const auto made = TlsContext::ForClients({one.cert, other.key, {}}, {});
  REQUIRE(!made);
  CHECK(made.error() ==
        other.key + ": found another key than that of " + one.cert + ", expected the private key of the certificate");
}

}  // namespace waypost
