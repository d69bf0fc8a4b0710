#include "core/cluster/prober.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "core/cluster/control_query.h"
#include "core/cluster/name_lookup.h"
#include "core/cluster/server_places.h"

namespace waypost {
namespace {

// A port on loop-back that is bound; if it does not listen, connecting is refused, else connections
// are never answered.
class Port {
 public:
  explicit Port(bool listening) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    REQUIRE(bind(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
    if (listening) REQUIRE(listen(fd_, 16) == 0);
    REQUIRE(getsockname(fd_, reinterpret_cast<sockaddr*>(&at), &size) == 0);
    number_ = ntohs(at.sin_port);
  }
  ~Port() { close(fd_); }
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;
  [[nodiscard]] std::uint16_t number() const { return number_; }

 private:
  int fd_;
  std::uint16_t number_ = 0;
};

// Collects views, and waits until one is as wanted.
class Views {
 public:
  void operator()(View view) {
    const std::lock_guard lock(mutex_);
    last_ = std::move(view);
    changed_.notify_all();
  }
  View WaitFor(const std::function<bool(const ClusterView&)>& wanted) {
    std::unique_lock lock(mutex_);
    const bool came = changed_.wait_for(lock, seconds(10), [&] { return last_ && wanted(*last_); });
    return came ? last_ : nullptr;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  View last_;
};

ConfigSnapshot MakeConfig(std::initializer_list<std::pair<const char*, std::uint16_t>> servers) {
  auto config = std::make_shared<Config>();
  config->monitor.user = "nobody";
  config->monitor.interval = milliseconds(20);
  config->monitor.timeout = milliseconds(200);
  for (const auto& [name, port] : servers) {
    ServerConfig& server = config->servers.emplace_back();
    server.name = name;
    server.host = "127.0.0.1";
    server.port = port;
  }
  return config;
}

}  // namespace

TEST_CASE("a server that hangs delays none of the others", "[core][prober]") {
  const Port silent(true), closed(false);
  const auto metrics = std::make_unique<WorkerMetrics>();
  Views views;
  Prober prober(MakeConfig({{"silent", silent.number()}, {"closed", closed.number()}}), *metrics, std::ref(views));
  prober.Start();
  const View refused = views.WaitFor([](const ClusterView& view) { return view.servers[1].error == "Connection refused"; });
  REQUIRE(refused);
  CHECK(refused->servers[0].error == kNotAskedYet);  // still within its timeout
  const View timed_out = views.WaitFor([](const ClusterView& view) { return view.servers[0].error == "no connection in time"; });
  REQUIRE(timed_out);
  CHECK_FALSE(timed_out->primary);
  CHECK_FALSE(timed_out->servers[0].up);
  prober.Stop();
  CHECK(metrics->Read(Counter::kProbes, 0, ProbeResult::kTimeout) >= 1);
  CHECK(metrics->Read(Counter::kProbes, 1, ProbeResult::kRefused) > metrics->Read(Counter::kProbes, 0, ProbeResult::kTimeout));
}

TEST_CASE("a name is looked up without holding up anybody", "[core][prober]") {
  const NameLookup known("localhost"), number("127.0.0.1"), unknown("no-such-name.invalid");
  const auto wait = [](const NameLookup& lookup) {
    pollfd polled{lookup.fd(), POLLIN, 0};
    return poll(&polled, 1, 30'000) == 1 && lookup.done();
  };
  REQUIRE(wait(known));
  CHECK_FALSE(known.addresses().empty());
  REQUIRE(wait(number));
  CHECK(number.addresses() == std::vector<std::string>{"127.0.0.1"});
  NameLookup("no-such-name.invalid");  // nobody waits for this one
  REQUIRE(wait(unknown));
  CHECK(unknown.addresses().empty());
  CHECK(unknown.error().starts_with("could not translate host name \"no-such-name.invalid\" to address: "));
}

TEST_CASE("a server with a name is reached at its addresses", "[core][prober]") {
  const Port closed(false);
  auto config = std::make_shared<Config>(*MakeConfig({{"named", closed.number()}}));
  config->servers[0].host = "localhost";
  const auto metrics = std::make_unique<WorkerMetrics>();
  Views views;
  Prober prober(config, *metrics, std::ref(views));
  prober.Start();
  CHECK(views.WaitFor([](const ClusterView& view) { return view.servers[0].error == "Connection refused"; }));
  prober.Stop();
}

TEST_CASE("there is a place for so many names of servers, and none is given away", "[core][prober]") {
  const auto config_of = [](std::size_t first, std::size_t count) {
    Config config;
    for (std::size_t i = first; i < first + count; ++i) config.servers.emplace_back().name = "pg" + std::to_string(i);
    return config;
  };
  ServerPlaces places;
  places.Take(config_of(0, kMaxServers - 1));
  places.Take(config_of(0, 1));
  CHECK(places.names().size() == kMaxServers - 1);
  CHECK(places.Lacking(config_of(kMaxServers - 1, 2)) == "pg" + std::to_string(kMaxServers));
  CHECK(places.Lacking(config_of(kMaxServers - 1, 1)).empty());
  places.Take(config_of(kMaxServers - 1, 1));
  CHECK(places.Lacking(config_of(0, kMaxServers)).empty());
  CHECK(places.Lacking(config_of(1000, 1)) == "pg1000");
  CHECK(places.names().back() == "pg" + std::to_string(kMaxServers - 1));
}

TEST_CASE("server ids stay by name over reloads", "[core][prober]") {
  const Port one(false), two(false), three(false);
  const auto metrics = std::make_unique<WorkerMetrics>();
  Views views;
  Prober prober(MakeConfig({{"a", one.number()}, {"b", two.number()}}), *metrics, std::ref(views));
  prober.Start();
  CHECK(prober.view()->servers.size() == 2);
  prober.Reload(MakeConfig({{"c", three.number()}, {"b", three.number()}}));
  const View view = views.WaitFor([](const ClusterView& v) { return v.servers.size() == 3; });
  REQUIRE(view);
  CHECK(view->servers[0].name == "a");
  CHECK(view->servers[0].removed);
  CHECK(view->servers[1].name == "b");
  CHECK(view->servers[1].port == three.number());
  CHECK(view->servers[2].name == "c");
  prober.Reload(MakeConfig({{"a", one.number()}}));
  const View back = views.WaitFor([](const ClusterView& v) { return !v.servers[0].removed; });
  REQUIRE(back);
  CHECK(back->servers[1].removed);
  CHECK(back->servers.size() == 3);
}

TEST_CASE("starting and stopping twice is harmless", "[core][prober]") {
  const Port closed(false);
  const auto metrics = std::make_unique<WorkerMetrics>();
  Views views;
  Prober prober(MakeConfig({{"a", closed.number()}}), *metrics, std::ref(views));
  prober.Stop();
  prober.Start();
  prober.Start();
  prober.ProbeNow();
  prober.Stop();
  prober.Stop();
}

TEST_CASE("a connection string quotes what it is given", "[core][control_query]") {
  MonitorConfig monitor;
  monitor.user = "o'hara";
  monitor.password = "a\\b' host=evil";
  ServerConfig server;
  server.host = "::1";
  const std::string info = MonitorConninfo(monitor, server, "my db", milliseconds(1500));
  CHECK(info.find("user='o\\'hara'") != std::string::npos);
  CHECK(info.find("password='a\\\\b\\' host=evil'") != std::string::npos);
  CHECK(info.find("hostaddr='::1'") != std::string::npos);
  CHECK(info.find("dbname='my db'") != std::string::npos);
  CHECK(info.find("statement_timeout=1500") != std::string::npos);
  CHECK(FirstLine("FATAL: x\ty\nDETAIL: z") == "FATAL: x y");
}

TEST_CASE("the monitor encrypts as the data connections do, by the files given alone", "[core][control_query]") {
  ServerConfig server;
  server.host = "10.0.0.1";
  SECTION("not at all") { CHECK(MonitorConninfo({}, server, "d", milliseconds(1)).find("sslmode=disable") != std::string::npos); }
  SECTION("without a look at whose certificate it is") {
    server.tls = ServerTls::kRequire;
    const auto info = MonitorConninfo({}, server, "d", milliseconds(1));
    CHECK(info.find("sslmode=require sslrootcert='/dev/null/none' sslcrl='/dev/null/none' sslcert='/dev/null/none'") !=
          std::string::npos);
  }
  SECTION("another name than the address") {
    server.tls = ServerTls::kVerifyFull;
    server.tls_ca = "/etc/it's.crt";
    server.tls_server_name = "pg0.example";
    const auto info = MonitorConninfo({}, server, "d", milliseconds(1));
    CHECK(info.find("host='pg0.example' hostaddr='10.0.0.1'") != std::string::npos);
    CHECK(info.find("sslmode=verify-full sslrootcert='/etc/it\\'s.crt'") != std::string::npos);
    CHECK(AtAddresses(server, {"10.0.0.2", "10.0.0.3"}) == " host='pg0.example,pg0.example' hostaddr='10.0.0.2,10.0.0.3'");
    CHECK(AtAddressesIfNamedOtherwise(server, milliseconds(1)).empty());
    server.host = "localhost";
    CHECK(AtAddressesIfNamedOtherwise(server, milliseconds(10'000)).find("hostaddr=") != std::string::npos);
  }
}

}  // namespace waypost
