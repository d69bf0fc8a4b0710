#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <string>

#include "core/config/config.h"

namespace waypost {
namespace {

// ctest runs the tests in the folder of the sources.
std::string ExamplePath() { return "deploy/waypost.toml"; }

}  // namespace

TEST_CASE("the example configuration loads, and every value in it is the default", "[core][config]") {
  const auto loaded = LoadConfig(ExamplePath());
  if (!loaded) FAIL(loaded.error());
  const Config& config = *loaded;
  const Config defaults;
  CHECK(config.workers == defaults.workers);
  CHECK(config.drain_timeout == defaults.drain_timeout);
  REQUIRE(config.listeners.size() == 1);
  CHECK(config.listeners[0].address == ListenConfig{}.address);
  CHECK(config.listeners[0].port == ListenConfig{}.port);
  CHECK(config.listeners[0].tls == ListenConfig{}.tls);
  CHECK(config.listeners[0].tls13_only == ListenConfig{}.tls13_only);
  CHECK(config.max_clients == defaults.max_clients);
  CHECK(config.max_logins == defaults.max_logins);
  CHECK(config.admin.address == defaults.admin.address);
  CHECK(config.admin.port == defaults.admin.port);
  CHECK(config.monitor.database == defaults.monitor.database);
  CHECK(config.monitor.interval == defaults.monitor.interval);
  CHECK(config.monitor.timeout == defaults.monitor.timeout);
  CHECK(config.cluster.state_file == defaults.cluster.state_file);
  CHECK(config.cluster.discovery.source == defaults.cluster.discovery.source);
  CHECK(config.cluster.discovery.interval == defaults.cluster.discovery.interval);
  CHECK(config.cluster.discovery.repmgr_database == defaults.cluster.discovery.repmgr_database);
  CHECK(config.cluster.failover_hold == defaults.cluster.failover_hold);
  CHECK(config.cluster.max_held == defaults.cluster.max_held);
  CHECK(config.cluster.max_held_bytes == defaults.cluster.max_held_bytes);
  CHECK(config.cluster.max_lost_bytes == defaults.cluster.max_lost_bytes);
  CHECK(config.cluster.strict_commit == defaults.cluster.strict_commit);
  CHECK(config.routing.read_from == defaults.routing.read_from);
  CHECK(config.routing.read_from_primary == defaults.routing.read_from_primary);
  CHECK(config.routing.consistency == defaults.routing.consistency);
  CHECK(config.routing.fence_wait == defaults.routing.fence_wait);
  CHECK(config.routing.lazy_begin == defaults.routing.lazy_begin);
  CHECK(config.routing.max_lag == defaults.routing.max_lag);
  CHECK(config.routing.max_lag_bytes == defaults.routing.max_lag_bytes);
  CHECK(config.routing.self_check == defaults.routing.self_check);
  CHECK(config.comment_hints == defaults.comment_hints);
  CHECK(config.pool.mode == defaults.pool.mode);
  CHECK(config.pool.pins == defaults.pool.pins);
  CHECK(config.pool.min_size == defaults.pool.min_size);
  CHECK(config.pool.max_size == defaults.pool.max_size);
  CHECK(config.pool.idle_timeout == defaults.pool.idle_timeout);
  CHECK(config.pool.lifetime == defaults.pool.lifetime);
  CHECK(config.pool.query_wait_timeout == defaults.pool.query_wait_timeout);
  CHECK(config.pool.sequence_memory == defaults.pool.sequence_memory);
  CHECK(config.limits.login_timeout == defaults.limits.login_timeout);
  CHECK(config.per_address.max_clients == defaults.per_address.max_clients);
  CHECK(config.per_address.logins_per_second == defaults.per_address.logins_per_second);
  CHECK(config.per_address.unlimited.empty());
  CHECK(config.failed_login_delay == defaults.failed_login_delay);
  CHECK(config.limits.client_idle_timeout == defaults.limits.client_idle_timeout);
  CHECK(config.limits.idle_in_transaction_timeout == defaults.limits.idle_in_transaction_timeout);
  CHECK(config.servers.at(0).tls == ServerConfig{}.tls);
  CHECK(config.digests.max == defaults.digests.max);
  CHECK(config.log.level == defaults.log.level);
  CHECK(config.log.format == defaults.log.format);
  CHECK(config.log.file == defaults.log.file);
  CHECK(config.query_log.which == defaults.query_log.which);
  CHECK(config.query_log.slow == defaults.query_log.slow);
  CHECK(config.query_log.sample == defaults.query_log.sample);
  CHECK(config.query_log.literals == defaults.query_log.literals);
  REQUIRE(config.servers.size() == 1);
  const ServerConfig server;
  CHECK(config.servers[0].port == server.port);
  CHECK(config.servers[0].max_connections == server.max_connections);
  CHECK(config.servers[0].weight == server.weight);
  CHECK(config.servers[0].application_name == server.application_name);
  CHECK(config.servers[0].connect_timeout == server.connect_timeout);
  CHECK(config.servers[0].allow_md5 == server.allow_md5);
  CHECK(config.servers[0].allow_cleartext_password == server.allow_cleartext_password);
  REQUIRE(config.users.size() == 1);
  CHECK(config.users[0].max_clients == UserConfig{}.max_clients);
}

TEST_CASE("what the example shows in comments is right as well", "[core][config]") {
  std::ifstream in(ExamplePath());
  std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  // Without the alternatives that exclude each other, and what is prose: lines "# key = value" and
  // "# [[table]]".
  std::string shown;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = text.find('\n', at);
    std::string line = text.substr(at, end - at);
    const bool key = line.starts_with("# ") && line.find(" = ") != std::string::npos && line.find(' ', 2) == line.find(" = ");
    const bool no_such_file =
        line.starts_with("# hba_file") || line.starts_with("# ident_file") || line.starts_with("# webhook_token_file");
    if ((key || line.starts_with("# [[")) && !line.starts_with("# scram") && !no_such_file) line = line.substr(2);
    shown += line + "\n";
    at = end + 1;
  }
  const std::string off = "comment_hints = false";
  shown.replace(shown.find(off), off.size(), "comment_hints = true");  // one of the rules needs them
  const auto config = ParseConfig(shown, "waypost.toml");
  if (!config) FAIL(config.error());
  REQUIRE(config->rules.rules().size() == 2);
  CHECK(config->rules.rules()[0].tables.size() == 2);
  CHECK(config->rules.rules()[1].name == "rule-2");
  CHECK(config->log.file == "/var/log/waypost.log");
  CHECK(config->servers[0].application_name == "pg0");
  CHECK(config->databases.at(0).name == "reports");
  CHECK(config->PoolFor("app", "reports").mode == PoolMode::kSession);
}

}  // namespace waypost
