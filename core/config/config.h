// The configuration: one TOML file. Read by main and on SIGHUP; workers get it as an immutable
// snapshot.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/log.h"
#include "core/base/result.h"
#include "routing/hba.h"
#include "routing/ident_map.h"
#include "routing/ip.h"
#include "routing/policy.h"
#include "routing/rules.h"

namespace waypost {

// Whether clients may, or must, encrypt.
enum class ListenTls : std::uint8_t { kDisable, kAllow, kRequire };

// Where applications connect. Those who come in by it may be given a policy of their own.
struct ListenConfig {
  std::string name;  // default: "ADDRESS:PORT"
  std::string address = "127.0.0.1";
  std::uint16_t port = 6432;
  std::string socket;           // directory of its Unix socket; empty: none
  unsigned socket_mode = 0777;  // of the socket's file
  ListenTls tls = ListenTls::kDisable;  // not of the Unix socket, as all of TLS
  std::string tls_cert, tls_key;  // files; found beside the configuration if relative, as all below
  std::string tls_client_ca;      // empty: clients need no certificate
  std::string tls_crl;            // whose certificates are revoked; empty: none are
  bool tls_client_optional = false;  // a client may come without a certificate: hba says who must have one
  bool tls13_only = false;        // else TLS 1.2 will do
  RoutingOverrides overrides;

  // As PostgreSQL calls it, so that clients find it by the directory and the port.
  [[nodiscard]] std::string socket_path() const { return socket + "/.s.PGSQL." + std::to_string(port); }
};

struct AdminConfig {
  std::string address = "127.0.0.1";
  std::uint16_t port = 8432;
  std::vector<std::string> allowed_hosts;  // besides IP addresses, localhost and the machine's own name
  // Users who have PgBouncer's console in the databases "pgbouncer" and "waypost", and those who may only look.
  std::vector<std::string> console_admins, console_viewers;
  std::string tokens_file;  // who may what, by token; found from the working directory; empty: there are no tokens
  std::string socket;       // path of the Unix socket; empty: none
  std::string webhook;        // the URL that hears of important events; often a secret itself; empty: none
  std::string webhook_token;  // sent to it as Authorization: Bearer; empty: none
};

// Who may log in, beside each [[user]], and from where.
struct AuthConfig {
  std::string query_user, query_password;  // asks the servers for verifiers; no user: nobody does
  std::string query;                       // with $1 for the user's name
  std::string database = "postgres";       // where it is asked

  std::string hba_file;                    // as configured; empty: whoever proves who he is may come from anywhere
  std::optional<Hba> hba;                  // what it says
  std::string ident_file;                  // as configured; empty: none
  IdentMap ident;                          // what it says

  [[nodiscard]] bool asks() const { return !query_user.empty(); }
};

struct DigestConfig {
  unsigned max = 1000;  // entries in each worker; 0: off
};

// Which statements are logged, and how.
struct QueryLogConfig {
  enum class Which : std::uint8_t {
    kOff,
    kSlow,     // those that take `slow` or longer
    kSampled,  // those, and a share of the others
    kAll
  };
  Which which = Which::kOff;
  milliseconds slow{500};
  double sample = 0.01;   // 0 to 1
  bool literals = false;  // texts as they are, not without their literals
};

// Spans of statements for an OpenTelemetry collector.
struct TracingConfig {
  std::string endpoint;  // the collector's URL, "http://127.0.0.1:4318/v1/traces"; empty: off
  double sample = 0;     // 0 to 1: of the statements that no traceparent decides of
  std::string service = "waypost";
};

struct MonitorConfig {
  std::string user, password;
  std::string database = "postgres";
  milliseconds interval{250};
  milliseconds timeout{350};  // of one answer; a server that misses two in a row is down
};

// Who says which servers there are.
enum class DiscoverySource : std::uint8_t {
  kProbe,    // the configuration alone
  kPatroni,  // Patroni's REST API
  kRepmgr    // repmgr's table of nodes
};

struct DiscoveryConfig {
  DiscoverySource source = DiscoverySource::kProbe;
  milliseconds interval{5'000};           // between two looks at the list
  std::vector<std::string> patroni_urls;  // "http://10.0.0.10:8008": of any members; one that answers will do
  std::string patroni_ca;                 // file: who signs their certificates; empty: whom the system trusts
  std::string repmgr_database = "repmgr";
};

struct ClusterConfig {
  DiscoveryConfig discovery;
  std::string state_file;  // what was accepted as primary is kept there; found from the working directory; empty: nowhere
  // WAL that a new primary may lack, in bytes, before it must be accepted by hand; nothing: any.
  std::optional<std::uint64_t> max_lost_bytes;
  bool strict_commit = false;  // a commit whose wait for standbys was cancelled is an error
  milliseconds failover_hold{30'000};  // how long what needs a primary waits for one
  unsigned max_held = 10'000;          // of statements that wait for one, over all workers,
  std::uint64_t max_held_bytes = 256U << 20U;  // and of their texts and parameters together
};

// As PostgreSQL's sslmode, but for what is refused: where kPrefer finds TLS it insists on it.
enum class ServerTls : std::uint8_t { kDisable, kPrefer, kRequire, kVerifyCa, kVerifyFull };

struct ServerConfig {
  std::string name;
  std::string host;  // an IP address or a host name
  std::uint16_t port = 5432;
  unsigned max_connections = 100;  // of all workers, databases and users together
  unsigned weight = 1;             // share of reads; 0: none
  std::string application_name;  // as in the standby's primary_conninfo; empty: asked of the standby
  milliseconds connect_timeout{5'000};
  bool allow_cleartext_password = false;  // towards this server, if it asks for `password`
  bool allow_md5 = true;                  // towards this server, if it asks for `md5`
  ServerTls tls = ServerTls::kDisable;
  std::string tls_ca;             // files, as those of a listener: who signs its certificate; set if that is verified
  std::string tls_crl;            // which certificates are revoked; empty: none are
  std::string tls_cert, tls_key;  // what we show it; empty: nothing
  std::string tls_server_name;    // whom its certificate must be for; empty: `host`
  std::string found_by;           // "patroni", "repmgr": the configuration does not have it; empty: it does

  [[nodiscard]] const std::string& tls_name() const { return tls_server_name.empty() ? host : tls_server_name; }
};

// [routing] and [pool] keys given in [[user]] or [[database]]; what is empty is inherited.
struct Overrides : RoutingOverrides {
  std::optional<PoolMode> pool_mode;
  std::optional<Pins> pins;
  std::optional<unsigned> min_size, max_size;
  std::optional<milliseconds> idle_timeout, lifetime, query_wait_timeout, sequence_memory;
};

struct UserConfig {
  std::string name;
  std::string password;  // from password, password_env or password_file; empty if only a verifier is known
  std::string scram;  // "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>"; empty if a
                      // password is known
  unsigned max_clients = 0;  // logged in as it; 0: no limit of its own
  Overrides overrides;
};

struct DatabaseConfig {
  std::string name;
  // What the servers call it; empty: the same. Else `name` counts until the log-in is done, and from then on only this one.
  std::string server_name;
  std::string user;  // whoever logs in to it is this user from then on; empty: nobody changes
  unsigned max_clients = 0;  // logged in to it; 0: no limit of its own
  Overrides overrides;
};

struct ApplicationConfig {
  std::string name;
  RoutingOverrides overrides;
};

// What Waypost keeps of one client, at most; past it the client gets 53200.
struct KeptLimits {
  std::uint64_t statements_bytes = 64U << 20U;  // the texts of its prepared statements
  unsigned statement_names = 10'000;            // letting more go at once would stop the worker for more than 20 ms
  std::uint64_t settings_bytes = 256U << 10U;
  unsigned savepoints = 10'000;
  unsigned portals = 10'000;  // named ones, of a transaction
};

// Of clients that come from one address; see SourceOf().
struct AddressLimits {
  unsigned max_clients = 0;         // logged in; one more gets 53300; 0: no limit
  unsigned logins_per_second = 0;   // begun; one more gets 53300; 0: no limit
  std::vector<IpRange> unlimited;   // where neither holds
  bool unlimited_local = false;     // nor for those who come by a Unix socket, who else count as one address

  [[nodiscard]] bool HoldFor(const IpAddress& address) const {
    return std::none_of(unlimited.begin(), unlimited.end(), [&](const IpRange& range) { return range.Has(address); });
  }
};

struct Config {
  std::string path;
  std::vector<ListenConfig> listeners;  // at least one
  AdminConfig admin;
  MonitorConfig monitor;
  AuthConfig auth;
  ClusterConfig cluster;
  RoutingPolicy routing;
  PoolPolicy pool;
  SessionLimits limits;
  KeptLimits kept;
  AddressLimits per_address;
  milliseconds failed_login_delay{0};  // so long after a wrong password the client is told
  DigestConfig digests;
  unsigned max_clients = 10'000;  // logged in, over all workers and listeners; one more gets 53300
  unsigned max_logins = 1'000;    // not logged in yet, over all workers; for one more the oldest gets 53300
  bool comment_hints = false;     // what comments say of where a statement goes counts
  milliseconds drain_timeout{30'000};
  unsigned workers = 0;  // 0: one per core
  LogSettings log;
  QueryLogConfig query_log;
  TracingConfig tracing;
  std::vector<ServerConfig> servers;
  std::vector<UserConfig> users;
  std::vector<DatabaseConfig> databases;
  std::vector<ApplicationConfig> applications;
  RuleSet rules;

  // nullptr if there is none of that name.
  [[nodiscard]] const UserConfig* FindUser(std::string_view name) const;
  [[nodiscard]] const ServerConfig* FindServer(std::string_view name) const;
  [[nodiscard]] const DatabaseConfig* FindDatabase(std::string_view name) const;
  // The policies of a session: the global ones, overridden by the database's, then by the user's;
  // routing also by the application's, then by the listener's.
  [[nodiscard]] RoutingPolicy RoutingFor(const Asker& asker) const;
  [[nodiscard]] PoolPolicy PoolFor(std::string_view user, std::string_view database) const;
};

using ConfigSnapshot = std::shared_ptr<const Config>;

// Reads and validates `path`. The error is one line a fault: "FILE:LINE:KEY: what was found, what
// was expected". Unknown keys and tables are errors. password_env and password_file are read here.
[[nodiscard]] Result<Config> LoadConfig(const std::string& path);

// The same for a text already read; `path` stands in the errors, and relative password_file are
// sought beside it.
[[nodiscard]] Result<Config> ParseConfig(std::string_view text, const std::string& path);

}  // namespace waypost
