#include "core/config/config.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <tuple>

namespace waypost {
namespace {

constexpr const char* kWhole = R"(
[listen]
port = 6432
[admin]
port = 8432
[monitor]
user = "postgres"
password = "secret"
[[server]]
name = "pg0"
host = "127.0.0.1"
port = 15432
[[server]]
name = "pg1"
host = "127.0.0.1"
port = 15433
[[user]]
name = "openfire"
password = "openfire"
)";

constexpr const char* kVerifier =
    "SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"
    "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

// What stands in a configuration that is right but for the lines under test, all on the first
// lines.
std::string ErrorOf(const std::string& lines, const std::string& rest) {
  const auto config = ParseConfig(lines + "\n" + rest, "w.toml");
  return config ? "no error" : config.error();
}

std::string ErrorOfTop(const std::string& lines) {
  return ErrorOf(lines, "[monitor]\nuser='m'\n[[server]]\nname='a'\nhost='::1'\n[[user]]\nname='u'\npassword='p'\n");
}

}  // namespace

TEST_CASE("the shortest useful configuration loads, all else by default", "[core][config]") {
  const auto config = ParseConfig(kWhole, "w.toml");
  REQUIRE(config);
  CHECK(config->listeners.at(0).address == "127.0.0.1");
  CHECK(config->listeners.at(0).port == 6432);
  CHECK(config->servers.size() == 2);
  CHECK(config->servers[1].name == "pg1");
  CHECK(config->servers[1].port == 15433);
  CHECK(config->monitor.interval == milliseconds(250));
  CHECK(config->users.at(0).password == "openfire");
  CHECK(config->routing.consistency == Consistency::kStrict);
  CHECK(config->pool.mode == PoolMode::kTransaction);
}

TEST_CASE("a fault says where, what was found and what was expected", "[core][config]") {
  const auto [lines, message] = GENERATE(table<std::string, std::string>({
      {"workers = -1", "w.toml:1:workers: found -1, expected a whole number from 0 to 64"},
      {"workers = 'many'", "w.toml:1:workers: found \"many\", expected a whole number from 0 to 64"},
      {"drain_timeout = '5 parsecs'",
       "w.toml:1:drain_timeout: found \"5 parsecs\", expected a duration from 0 to 30d, as "
       "\"5ms\", \"30s\", "
       "\"10m\", \"1h\", \"2d\" or a number of milliseconds"},
      {"drain_timeout = 99999999999999999",
       "w.toml:1:drain_timeout: found 99999999999999999, expected a duration from 0 to 30d, as "
       "\"5ms\", \"30s\", "
       "\"10m\", \"1h\", \"2d\" or a number of milliseconds"},
      {"drain_timeout = 1.5",
       "w.toml:1:drain_timeout: found 1.5, expected a duration from 0 to 30d, as \"5ms\", "
       "\"30s\", "
       "\"10m\", \"1h\", \"2d\" or a number of milliseconds"},
      {"[listen]\nport = 70000", "w.toml:2:listen.port: found 70000, expected a port, 1 to 65535"},
      {"[listen]\nport = '6432'", "w.toml:2:listen.port: found \"6432\", expected a port, 1 to 65535"},
      {"[listen]\naddress = 'localhost'",
       "w.toml:2:listen.address: found \"localhost\", expected an IP address, as \"127.0.0.1\", "
       "\"0.0.0.0\" or \"::1\""},
      {"[listen]\nprot = 1", "w.toml:2:listen.prot: unknown key; did you mean port?"},
      {"[tracing]\nendpoint = 'localhost:4318'",
       "w.toml:2:tracing.endpoint: found \"localhost:4318\", expected the URL of a collector, as "
       "\"http://127.0.0.1:4318/v1/traces\""},
      {"[auth]\nquery_user = 'a'\nauth_query = 'SELECT 1'",
       "w.toml:3:auth.auth_query: found no $1, expected it where the name of the user is to stand"},
      {"[auth]\nauth_dbname = 'x'", "w.toml:2:auth.auth_dbname: found without query_user, expected the role that asks beside it"},
      {"[auth]\nquery_password = 'x'",
       "w.toml:2:auth.query_password: found without query_user, expected the role that asks beside it"},
      {"[auth]\nquery = 'x'", "w.toml:2:auth.query: unknown key; did you mean auth_query?"},
      {"[admin]\nwebhook = 'alerts.example/secret'",
       "w.toml:2:admin.webhook: found a text (not shown) that is no URL, expected one as \"https://alerts.example/waypost\""},
      {"[admin]\nwebhook_token = 'x'",
       "w.toml:2:admin.webhook_token: found without webhook, expected the URL that it is sent to beside it"},
      {"[admin]\nwebhook = 'http://a'\nwebhook_token = \"x\\r\\ny: z\"",
       "w.toml:3:admin.webhook_token: found a blank, a control character or a letter beyond ASCII in it (not shown), expected "
       "none"},
      {"[cluster]\ndiscovery = 'etcd'",
       "w.toml:2:cluster.discovery: found \"etcd\", expected one of \"probe\", \"patroni\", \"repmgr\""},
      {"[cluster]\ndiscovery = 'patroni'",
       "w.toml:2:cluster.discovery: found \"patroni\" without patroni_urls, expected the URLs of Patroni's REST API beside it"},
      {"[cluster]\ndiscovery = 'patroni'\npatroni_urls = ['10.0.0.1:8008']",
       "w.toml:3:cluster.patroni_urls: found \"10.0.0.1:8008\", expected the URL of Patroni's REST API, as "
       "\"http://10.0.0.10:8008\""},
      {"[cluster]\npatroni_urls = ['http://a:8008']",
       "w.toml:2:cluster.patroni_urls: found where nobody asks Patroni, expected discovery = \"patroni\" beside it"},
      {"[tracing]\nsample = 2", "w.toml:2:tracing.sample: found 2, expected a fraction from 0.0 to 1.0"},
      {"[listen]\nworkers = 2", "w.toml:2:listen.workers: unknown key; it belongs before the first [table] of the file"},
      {"[listne]\nport = 1", "w.toml:1:listne: unknown table; did you mean listen?"},
      {"zzz = 1", "w.toml:1:zzz: unknown key"},
      {"listen = 3", "w.toml:1:listen: found 3, expected a table, [listen], or several, each starting with [[listen]]"},
      {"listen = []", "w.toml:1:listen: found an array, expected a table, [listen], or several, each starting with [[listen]]"},
      {"[[listen]]\nport = 1\n[[listen]]\nport = 1\nname = 'b'",
       "w.toml:4:listen.port: found 127.0.0.1:1 a second time, expected another port"},
      {"[[listen]]\nport = 1\nname = 'a'\n[[listen]]\nport = 2\nname = 'a'",
       "w.toml:6:listen.name: found \"a\" a second time, expected each name once"},
      {"[[listen]]\nport = 1\nmax_clients = 1\n[[listen]]\nport = 2\nmax_clients = 2",
       "w.toml:6:listen.max_clients: found for two listeners, expected it once, in [limits]"},
      {"[routing]\nmax_lag_bytes = '16 MB'",
       "w.toml:2:routing.max_lag_bytes: found \"16 MB\", expected a size, as \"64kB\", \"16MB\", \"1GB\" or a "
       "number of bytes"},
      {"[routing]\nself_check = 1.5", "w.toml:2:routing.self_check: found 1.5, expected a fraction from 0.0 to 1.0"},
      {"[routing]\nself_check = -1", "w.toml:2:routing.self_check: found -1, expected a fraction from 0.0 to 1.0"},
      {"[routing]\nself_check = nan", "w.toml:2:routing.self_check: found nan, expected a fraction from 0.0 to 1.0"},
      {"[routing]\nself_check = 'all'", "w.toml:2:routing.self_check: found \"all\", expected a fraction from 0.0 to 1.0"},
      {"[[application]]\nname = 'x'\npool_mode = 'session'", "w.toml:3:application.pool_mode: unknown key"},
      {"database = 3", "w.toml:1:database: found 3, expected tables, each starting with [[database]]"},
      {"[admin]\nport = 6432", "w.toml:2:admin.port: found 6432 for both [listen] and [admin], expected two different ports"},
      {"[routing]\nconsistency = 'stale'",
       "w.toml:2:routing.consistency: found \"stale\", expected one of \"strict\", \"bounded\", "
       "\"eventual\", \"primary\""},
      {"[routing]\nread_from = 'async'",
       "w.toml:2:routing.read_from: found \"async\", expected one of \"synchronous\", "
       "\"streaming\", \"none\""},
      {"[routing]\nread_from = 'none'\nread_from_primary = 'never'",
       "w.toml:3:routing.read_from_primary: found \"never\" where reads may run only on the "
       "primary, expected "
       "\"fallback\" or \"always\""},
      {"[pool]\nmin_size = 5\nmax_size = 2",
       "w.toml:2:pool.min_size: found min_size 5 and max_size 2, expected min_size to be at most "
       "max_size"},
      {"[limits]\nmax_clients = 0", "w.toml:2:limits.max_clients: found 0, expected a whole number from 1 to 1000000"},
      {"[limits]\nmax_clients_per_address = -1",
       "w.toml:2:limits.max_clients_per_address: found -1, expected a whole number from 0 to 1000000"},
      {"[limits]\nlogins_per_address = '5/s'",
       "w.toml:2:limits.logins_per_address: found \"5/s\", expected a whole number from 0 to 1000000"},
      {"[limits]\nunlimited_addresses = ['10.0.0.0/8', '10.0.0.0/33']",
       "w.toml:2:limits.unlimited_addresses: found \"10.0.0.0/33\", expected an address or a range, as \"192.0.2.0/24\" or "
       "\"2001:db8::/32\", or \"local\""},
      {"[limits]\nunlimited_addresses = ['localhost']",
       "w.toml:2:limits.unlimited_addresses: found \"localhost\", expected an address or a range, as \"192.0.2.0/24\" or "
       "\"2001:db8::/32\", or \"local\""},
      {"[limits]\nfailed_login_delay = '2h'",
       "w.toml:2:limits.failed_login_delay: found \"2h\", expected a duration from 0 to 1m, as \"5ms\", \"30s\", "
       "\"10m\", \"1h\", \"2d\" or a number of milliseconds"},
      {"[[database]]\nname = 'd'\nmax_clients = -1",
       "w.toml:3:database.max_clients: found -1, expected a whole number from 0 to 1000000"},
      {"[limits]\nmax_logins = 0", "w.toml:2:limits.max_logins: found 0, expected a whole number from 1 to 1000000"},
      {"[listen]\nmax_clients = 5\n[limits]\nmax_clients = 5",
       "w.toml:4:limits.max_clients: found here and in [listen], expected it once"},
      {"[log]\nlevel = 'loud'",
       "w.toml:2:log.level: found \"loud\", expected one of \"trace\", \"debug\", \"info\", "
       "\"warn\", \"error\""},
      {"[log]\nqueries = 'some'",
       "w.toml:2:log.queries: found \"some\", expected one of \"off\", \"slow\", \"sampled\", \"all\""},
      {"[log]\nformat = 'xml'", "w.toml:2:log.format: found \"xml\", expected one of \"text\", \"json\""},
      {"[[database]]\nmode = 'session'",
       "w.toml:1:database.name: found nothing, expected a name\n"
       "w.toml:2:database.mode: unknown key; did you mean pool_mode?"},
      {"[[user]", "w.toml:1: not valid TOML: Error while parsing table header: encountered end-of-file"},
  }));
  CAPTURE(lines);
  if (lines == "[[user]") {
    CHECK(ErrorOfTop(lines).starts_with("w.toml:1: not valid TOML: "));
  } else {
    CHECK(ErrorOfTop(lines) == message);
  }
}

TEST_CASE("servers and users are checked, and secrets are never shown", "[core][config]") {
  const std::string monitor = "[monitor]\nuser='m'\n";
  const std::string server = "[[server]]\nname='a'\nhost='::1'\n";
  const std::string user = "[[user]]\nname='u'\npassword='p'\n";
  const auto [text, message] = GENERATE_COPY(table<std::string, std::string>({
      {server + user,
       "w.toml:monitor: found no [monitor], expected one with the user (and password) that watches "
       "the servers"},
      {"[monitor]\npassword='x'\n" + server + user,
       "w.toml:1:monitor.user: found nothing, expected the PostgreSQL role that watches the "
       "servers"},
      {monitor + user, "w.toml:server: found no [[server]], expected at least one, with name, host and port"},
      {monitor + server, "w.toml:user: found no [[user]], expected at least one: nobody could log in"},
      {monitor + server + "[[server]]\nname='a'\nhost='::2'\n" + user,
       "w.toml:7:server.name: found \"a\" a second time, expected each name once"},
      {monitor + server + "[[server]]\nname='b'\nhost='::1'\n" + user,
       "w.toml:6:server.port: found ::1:5432, which is server \"a\", expected another address"},
      {monitor + "[[server]]\nname='a b'\nhost='h'\n" + user,
       "w.toml:4:server.name: found \"a b\", expected only letters, digits, '_', '-' and '.'"},
      {monitor + "[[server]]\nname='a'\n" + user, "w.toml:3:server.host: found nothing, expected an IP address or a host name"},
      {monitor + "[[server]]\nname='a'\nhost='/tmp'\n" + user,
       "w.toml:5:server.host: found \"/tmp\", expected an IP address or a host name"},
      {monitor + server + "[[user]]\nname='u'\n",
       "w.toml:6:user: found no secret, expected one of password, password_env, password_file, "
       "scram"},
      {monitor + server + "[[user]]\nname='u'\npassword='hush'\nscram='" + kVerifier + "'\n",
       "w.toml:9:user.scram: found a password as well, expected one of password, password_env, "
       "password_file, scram"},
      {monitor + server + "[[user]]\nname='u'\npassword='hush'\npassword_env='HUSH'\n",
       "w.toml:8:user.password: found more than one of password, password_env and password_file, "
       "expected one"},
      {monitor + server + "[[user]]\nname='u'\npassword=12345\n",
       "w.toml:8:user.password: found a value that is not a string (not shown), expected a password "
       "in quotes"},
      {monitor + server + "[[user]]\nname='u'\npassword=''\n",
       "w.toml:8:user.password: found a secret of 0 bytes (not shown), expected 1 to 4096 bytes "
       "without NUL"},
      {monitor + server + "[[user]]\nname='u'\nscram='SCRAM-SHA-256$4096:hush'\n",
       "w.toml:8:user.scram: found something else (not shown), expected "
       "\"SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:"
       "<ServerKey>\" as in pg_authid.rolpassword"},
      {monitor + server + "[[user]]\nname='u'\npassword_env='WAYPOST_TEST_UNSET'\n",
       "w.toml:8:user.password_env: found no environment variable \"WAYPOST_TEST_UNSET\", expected "
       "it to hold the password"},
      {monitor + server + "[[user]]\nname='u'\npassword_file='/nonexistent'\n",
       "w.toml:8:user.password_file: cannot read \"/nonexistent\": No such file or directory"},
      {monitor + server + user + "[[user]]\nname='u'\npassword='p'\n",
       "w.toml:10:user.name: found \"u\" a second time, expected each name once"},
      {monitor + server + user + "[[database]]\nname='d'\n[[database]]\nname='d'\n",
       "w.toml:12:database.name: found \"d\" a second time, expected each name once"},
  }));
  CAPTURE(text);
  const auto config = ParseConfig(text, "w.toml");
  REQUIRE_FALSE(config);
  CHECK(config.error() == message);
  CHECK(config.error().find("hush") == std::string::npos);
}

TEST_CASE("all faults come in one go, by line", "[core][config]") {
  CHECK(ErrorOf("workers = 'x'\n[pool]\nmode = 'y'\n[zzz]", "") ==
        "w.toml:monitor: found no [monitor], expected one with the user (and password) that "
        "watches the servers\n"
        "w.toml:server: found no [[server]], expected at least one, with name, host and port\n"
        "w.toml:user: found no [[user]], expected at least one: nobody could log in\n"
        "w.toml:1:workers: found \"x\", expected a whole number from 0 to 64\n"
        "w.toml:3:pool.mode: found \"y\", expected one of \"transaction\", \"session\", "
        "\"statement\"\n"
        "w.toml:4:zzz: unknown table");
}

TEST_CASE("durations carry a unit, or are milliseconds", "[core][config]") {
  const auto [text, expected] = GENERATE(table<std::string, milliseconds>({
      {"0", milliseconds(0)},
      {"1500", milliseconds(1500)},
      {"'5ms'", milliseconds(5)},
      {"'30s'", seconds(30)},
      {"'10m'", std::chrono::minutes(10)},
      {"'1h'", std::chrono::hours(1)},
      {"'2d'", std::chrono::hours(48)},
  }));
  const auto config = ParseConfig("drain_timeout = " + text + kWhole, "w.toml");
  REQUIRE(config);
  CHECK(config->drain_timeout == expected);
}

TEST_CASE("the state file is beside the configuration, unless its path is absolute", "[core][config]") {
  const auto at = [](const std::string& path) {
    const auto config =
        ParseConfig(std::string(kWhole) + "[cluster]\nstate_file = \"" + path + "\"\n", "/etc/waypost/waypost.toml");
    REQUIRE(config.ok());
    return config->cluster.state_file;
  };
  CHECK(at("waypost.state") == "/etc/waypost/waypost.state");
  CHECK(at("/var/lib/waypost/state") == "/var/lib/waypost/state");
}

TEST_CASE("a listener's Unix socket is named as PostgreSQL names it", "[core][config]") {
  const auto error_of = [](const std::string& lines) { return ErrorOfTop("[listen]\n" + lines); };
  CHECK(
      error_of("socket='/run/waypost'\nsocket_mode='0999'").find("listen.socket_mode: found \"0999\", expected an octal mode") !=
      std::string::npos);
  CHECK(error_of("socket_mode='0770'").find("listen.socket_mode: found without socket, expected") != std::string::npos);
  CHECK(error_of("socket='/" + std::string(100, 'x') + "'").find("listen.socket: found a directory whose socket") !=
        std::string::npos);
  CHECK(ErrorOfTop("[[listen]]\nport=1\nsocket='/s'\n[[listen]]\naddress='::1'\nport=1\nsocket='/s'")
            .find("listen.socket: found /s/.s.PGSQL.1 a second time, expected another directory or port") != std::string::npos);
  const auto config = ParseConfig(std::string("[listen]\nsocket='run'\nsocket_mode='0770'\n[limits]\n"
                                              "unlimited_addresses=['local']\n") +
                                      std::string(kWhole).substr(std::string(kWhole).find("[admin]")),
                                  "/srv/w.toml");
  REQUIRE(config);
  CHECK(config->listeners.at(0).socket_path() == "/srv/run/.s.PGSQL.6432");
  CHECK(config->listeners.at(0).socket_mode == 0770);
  CHECK(config->per_address.unlimited_local);
}

TEST_CASE("a listener's TLS is whole, or a fault", "[core][config]") {
  const auto error_of = [](const std::string& lines) { return ErrorOfTop("[listen]\n" + lines); };
  CHECK(error_of("tls='require'\ntls_cert='c'\ntls_key='k'\ntls_client_ca='ca'\ntls_min='1.3'") == "no error");
  CHECK(error_of("tls='disable'\ntls_cert='c'\ntls_key='k'") == "no error");
  CHECK(error_of("tls='on'").find("listen.tls: found \"on\", expected") != std::string::npos);
  CHECK(error_of("tls='allow'\ntls_key='k'").find("listen.tls_cert: found nothing, expected a file in PEM form") !=
        std::string::npos);
  CHECK(error_of("tls='allow'\ntls_cert='c'").find("listen.tls_key: found nothing, expected a file in PEM form") !=
        std::string::npos);
  CHECK(error_of("tls_cert='c'\ntls_key='k'").find("listen.tls_cert: found without tls, expected") != std::string::npos);
  CHECK(error_of("tls='allow'\ntls_cert='c'\ntls_key='k'\ntls_client_ca='ca'").find("expected tls = \"require\"") !=
        std::string::npos);
  CHECK(error_of("tls='allow'\ntls_cert='c'\ntls_key='k'\ntls_client_ca='ca'\ntls_client_verify='optional'\ntls_crl='crl'") ==
        "no error");
  CHECK(error_of("tls='require'\ntls_cert='c'\ntls_key='k'\ntls_crl='crl'").find("listen.tls_crl: found without tls_client_ca") !=
        std::string::npos);
  CHECK(error_of("tls='require'\ntls_cert='c'\ntls_key='k'\ntls_client_verify='optional'")
            .find("listen.tls_client_verify: found without tls_client_ca") != std::string::npos);
  CHECK(error_of("tls='allow'\ntls_cert='c'\ntls_key='k'\ntls_min='1.1'").find("listen.tls_min: found \"1.1\"") !=
        std::string::npos);
  const auto config = ParseConfig(std::string("[listen]\ntls='allow'\ntls_cert='/etc/c'\ntls_key='k'\n") +
                                      (std::string(kWhole).substr(std::string(kWhole).find("[admin]"))),
                                  "/srv/w.toml");
  REQUIRE(config);
  CHECK(config->listeners.at(0).tls == ListenTls::kAllow);
  CHECK(config->listeners.at(0).tls_cert == "/etc/c");
  CHECK(config->listeners.at(0).tls_key == "/srv/k");
}

TEST_CASE("TLS to a server verifies all that it says, or is a fault", "[core][config]") {
  const auto error_of = [](const std::string& lines) {
    return ErrorOf("[monitor]\nuser='m'\n[[user]]\nname='u'\npassword='p'\n[[server]]\nname='a'\nhost='::1'", lines);
  };
  CHECK(error_of("tls='verify-full'\ntls_ca='ca'\ntls_cert='c'\ntls_key='k'\ntls_server_name='pg0.example'") == "no error");
  CHECK(error_of("tls='prefer'") == "no error");
  CHECK(error_of("tls='disable'\ntls_ca='ca'") == "no error");
  CHECK(error_of("tls='verify'").find("server.tls: found \"verify\", expected") != std::string::npos);
  CHECK(error_of("tls='verify-ca'").find("server.tls_ca: found nothing") != std::string::npos);
  CHECK(error_of("tls='require'\ntls_ca='ca'").find("server.tls_ca: found where nothing is verified") != std::string::npos);
  CHECK(error_of("tls='require'\ntls_cert='c'").find("server.tls_cert: found alone") != std::string::npos);
  CHECK(error_of("tls_ca='ca'").find("server.tls_ca: found without tls") != std::string::npos);
  CHECK(error_of("tls='verify-full'\ntls_ca='ca'\ntls_server_name='a b'").find("server.tls_server_name: found \"a b\"") !=
        std::string::npos);
}

TEST_CASE("secrets come from the environment or a file", "[core][config]") {
  const auto folder = std::filesystem::temp_directory_path() / ("waypost_config_" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "secret") << "from file\n";
  ::setenv("WAYPOST_TEST_SECRET", "from env", 1);
  const std::string text =
      "[monitor]\nuser='m'\npassword_env='WAYPOST_TEST_SECRET'\n"
      "[[server]]\nname='a'\nhost='::1'\n[[user]]\nname='u'\npassword_file='secret'\n";
  const auto path = (folder / "w.toml").string();
  std::ofstream(path) << text;
  const auto config = LoadConfig(path);
  std::filesystem::remove_all(folder);
  REQUIRE(config);
  CHECK(config->monitor.password == "from env");
  CHECK(config->users[0].password == "from file");
}

TEST_CASE("a user may be known by a verifier alone", "[core][config]") {
  const auto config = ParseConfig(
      "[monitor]\nuser='m'\n[[server]]\nname='a'\nhost='::1'\n[[user]]\nname='u'\nscram='" + std::string(kVerifier) + "'\n",
      "w.toml");
  REQUIRE(config);
  CHECK(config->users[0].scram == kVerifier);
  CHECK(config->users[0].password.empty());
}

TEST_CASE("the user's policy overrides the database's, and that the general one", "[core][config]") {
  const auto config = ParseConfig(std::string("[routing]\nfence_wait = '7ms'\n[[database]]\nname='d'\n"
                                              "consistency='eventual'\nread_from='streaming'\npool_mode='session'\n"
                                              "[[user]]\nname='v'\npassword='p'\nconsistency='primary'\nmax_size=3\n") +
                                      kWhole,
                                  "w.toml");
  REQUIRE(config);
  CHECK(config->RoutingFor({.user = "openfire", .database = "d"}).consistency == Consistency::kEventual);
  CHECK(config->RoutingFor({.user = "v", .database = "d"}).consistency == Consistency::kPrimary);
  CHECK(config->RoutingFor({.user = "v", .database = "d"}).read_from == ReadFrom::kStreaming);
  CHECK(config->RoutingFor({.user = "v", .database = "d"}).fence_wait == milliseconds(7));
  CHECK(config->RoutingFor({.user = "v", .database = "other"}).read_from == ReadFrom::kSynchronous);
  CHECK(config->PoolFor("v", "d").mode == PoolMode::kSession);
  CHECK(config->PoolFor("v", "d").max_size == 3);
  CHECK(config->PoolFor("nobody", "other").mode == PoolMode::kTransaction);
}

TEST_CASE("of all who may say how a session reads, the listener has the last word", "[core][config]") {
  const auto config = ParseConfig(
      "[[listen]]\nport = 1\n[[listen]]\nname = 'reports'\nport = 2\nmax_lag_bytes = '16MB'\n"
      "consistency = 'bounded'\n[[application]]\nname = 'nightly'\nconsistency = 'eventual'\nmax_lag = '3s'\nself_check = 1\n"
      "[monitor]\nuser='m'\n[[server]]\nname='a'\nhost='::1'\n"
      "[[user]]\nname='u'\npassword='p'\nconsistency='primary'\n",
      "w.toml");
  if (!config) FAIL(config.error());
  CHECK(config->listeners.at(0).name == "127.0.0.1:1");
  const auto consistency = [&](const Asker& asker) { return config->RoutingFor(asker).consistency; };
  CHECK(consistency({.user = "v"}) == Consistency::kStrict);
  CHECK(consistency({.user = "u"}) == Consistency::kPrimary);
  CHECK(consistency({.user = "u", .application = "nightly"}) == Consistency::kEventual);
  const Asker last{.user = "u", .application = "nightly", .listener = "reports"};
  CHECK(consistency(last) == Consistency::kBounded);
  CHECK(config->RoutingFor(last).max_lag == seconds(3));
  CHECK(config->RoutingFor(last).max_lag_bytes == 16 << 20);
  CHECK(config->RoutingFor(last).self_check == 1.0);
  CHECK(config->RoutingFor({.user = "u"}).self_check == 0.0);
}

TEST_CASE("rules are read in order", "[core][config]") {
  const auto config = ParseConfig(
      "[routing]\ncomment_hints = true\n[[rule]]\nuser = 'a'\n[[rule]]\nname = 'slow'\ntable = ['x', 's.y*']\n"
      "fingerprint = '50FDE20626009ABA'\nhint = 'h'\ntimeout = '2s'\nconsistency = 'bounded'\nmax_lag = '3s'\n"
      "[[rule]]\nroute = 'deny'\nmessage = 'no'\n[monitor]\nuser='m'\n[[server]]\nname='a'\nhost='::1'\n"
      "[[user]]\nname='u'\npassword='p'\n",
      "w.toml");
  if (!config) FAIL(config.error());
  const auto& rules = config->rules.rules();
  REQUIRE(rules.size() == 3);
  CHECK(rules[0].name == "rule-1");
  CHECK(rules[1].name == "slow");
  CHECK(rules[1].tables == std::vector<std::string>{"x", "s.y*"});
  CHECK(rules[1].fingerprints == std::vector<std::uint64_t>{0x50fde20626009aba});
  CHECK(rules[1].timeout == seconds(2));
  CHECK(rules[1].overrides.consistency == Consistency::kBounded);
  CHECK(rules[1].overrides.max_lag == seconds(3));
  CHECK(rules[2].route == RuleRoute::kDeny);
  CHECK(rules[2].message == "no");
}

TEST_CASE("a rule that cannot be meant is refused", "[core][config]") {
  const auto [lines, message] = GENERATE(table<std::string, std::string>({
      {"[[rule]]\ntabel = 'x'", "w.toml:2:rule.tabel: unknown key; did you mean table?"},
      {"[[rule]]\ndatabase = 'app'\nroute = 'primary'\n[[database]]\nname = 'app'\nserver_name = 'openfire'",
       "w.toml:2:rule.database: found \"app\", which is another name of \"openfire\", expected that one"},
      {"[[rule]]\ntable = 3", "w.toml:2:rule.table: found 3, expected a string of 1 to 127 bytes, or an array of 1 to 1000 such"},
      {"[[rule]]\ntable = []",
       "w.toml:2:rule.table: found an array, expected a string of 1 to 127 bytes, or an array of 1 to 1000 such"},
      {"[[rule]]\ntable = 'd.s.t'", "w.toml:2:rule.table: found \"d.s.t\", expected \"name\" or \"schema.name\""},
      {"[[rule]]\nfingerprint = 'xyz'", "w.toml:2:rule.fingerprint: found \"xyz\", expected 16 hexadecimal digits"},
      {"[[rule]]\nhint = 'x'",
       "w.toml:2:rule.hint: found \"x\" while comment hints are off, expected [routing] comment_hints = true"},
      {"[[rule]]\nlistener = 'x'", "w.toml:2:rule.listener: found \"x\", expected the name of a [listen]"},
      {"[[rule]]\nroute = 'away'", "w.toml:2:rule.route: found \"away\", expected one of \"primary\", \"replica\", \"deny\""},
      {"[[rule]]\nmessage = 'x'",
       "w.toml:2:rule.message: found a message that no client would get, expected it only with route = \"deny\""},
      {"[[rule]]\nroute = 'deny'\ntimeout = 5",
       "w.toml:3:rule.timeout: found together with route = \"deny\", expected it not to be there: a denied statement does not "
       "run"},
      {"[[rule]]\nroute = 'replica'\nconsistency = 'primary'",
       "w.toml:3:rule.consistency: found \"primary\" together with route = \"replica\", expected only one of the two"},
      {"[[rule]]\nname = 'x'\n[[rule]]\nname = 'x'", "w.toml:4:rule.name: found \"x\" a second time, expected each name once"},
      {"[[rule]]\nname = 'a b'", "w.toml:2:rule.name: found \"a b\", expected only letters, digits, '_', '-' and '.'"},
      {"rule = 1", "w.toml:1:rule: found 1, expected tables, each starting with [[rule]]"},
  }));
  CAPTURE(lines);
  CHECK(ErrorOfTop(lines) == message);
  std::string many;
  for (std::size_t i = 0; i <= kMaxRules; ++i) many += "[[rule]]\n";
  CHECK(ErrorOfTop(many).starts_with("w.toml:1:rule: found 65 rules, expected at most 64"));
}

TEST_CASE("a file that cannot be read is a fault of its own", "[core][config]") {
  CHECK(LoadConfig("/nonexistent/w.toml").error() == "/nonexistent/w.toml: cannot be read: No such file or directory");
  CHECK(LoadConfig("/tmp").error() == "/tmp: cannot be read: Is a directory");
}

TEST_CASE("garbage is refused and never crashes", "[core][config]") {
  const auto text = GENERATE(as<std::string>{}, std::string("\0\0\0", 3), "\xff\xfe", "a = ", "[[[[", "a.b.c = 1\na = 2",
                             "x = [[[[[[1]]]]]]", "\"\" = 1", "[server]\nname = 'a'", "server = [1, 2]");
  CAPTURE(text);
  CHECK_FALSE(ParseConfig(text, "w.toml"));
}

}  // namespace waypost
