#include "core/config.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "core/config_reader.h"

namespace waypost {
namespace {

constexpr std::size_t kMaxConfigBytes = 1U << 20U;
constexpr std::size_t kMaxNameBytes =
    63;                                  // NAMEDATALEN - 1, postgres src/include/pg_config_manual.h
constexpr std::size_t kMaxServers = 64;  // as metrics/labels.h
constexpr unsigned kMaxWorkers = 1'024;
constexpr unsigned kMaxConnections = 100'000;
constexpr unsigned kMaxClients = 1'000'000;
constexpr unsigned kMaxWeight = 1'000;
constexpr milliseconds kNone{0};
constexpr milliseconds kTick{1};
constexpr milliseconds kMonth = std::chrono::hours(24 * 30);
constexpr milliseconds kMinute = std::chrono::minutes(1);

constexpr std::array<std::string_view, 2> kTopLevelKeys = {"workers", "drain_timeout"};
constexpr std::array<Choice<ReadFrom>, 3> kReadFrom = {{{"synchronous", ReadFrom::kSynchronous},
                                                        {"streaming", ReadFrom::kStreaming},
                                                        {"none", ReadFrom::kNone}}};
constexpr std::array<Choice<ReadFromPrimary>, 3> kReadFromPrimary = {
    {{"fallback", ReadFromPrimary::kFallback},
     {"always", ReadFromPrimary::kAlways},
     {"never", ReadFromPrimary::kNever}}};
constexpr std::array<Choice<Consistency>, 3> kConsistency = {{{"strict", Consistency::kStrict},
                                                              {"eventual", Consistency::kEventual},
                                                              {"primary", Consistency::kPrimary}}};
constexpr std::array<Choice<bool>, 2> kBegin = {{{"lazy", true}, {"eager", false}}};
constexpr std::array<Choice<PoolMode>, 3> kPoolMode = {{{"transaction", PoolMode::kTransaction},
                                                        {"session", PoolMode::kSession},
                                                        {"statement", PoolMode::kStatement}}};
constexpr std::array<Choice<LogLevel>, 5> kLogLevel = {{{"trace", LogLevel::kTrace},
                                                        {"debug", LogLevel::kDebug},
                                                        {"info", LogLevel::kInfo},
                                                        {"warn", LogLevel::kWarn},
                                                        {"error", LogLevel::kError}}};

template <class E, std::size_t N>
std::span<const Choice<E>> All(const std::array<Choice<E>, N>& choices) {
  return choices;
}

// The number of bytes that `text` is base64 of (padded, standard alphabet); nothing if it is not.
std::optional<std::size_t> Base64Bytes(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && text[text.size() - 1 - padding] == '=') ++padding;
  for (const char c : text.substr(0, text.size() - padding))
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '+' && c != '/')
      return std::nullopt;
  return text.size() / 4 * 3 - padding;
}

// "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>", as in pg_authid.rolpassword.
bool IsScramVerifier(std::string_view text) {
  constexpr std::string_view kPrefix = "SCRAM-SHA-256$";
  constexpr std::size_t kKeyBytes = 32;  // SHA-256
  constexpr unsigned kMaxIterations = 100'000'000;
  if (!text.starts_with(kPrefix)) return false;
  text.remove_prefix(kPrefix.size());
  const auto colon = text.find(':');
  const auto dollar = text.find('$');
  if (colon == std::string_view::npos || dollar == std::string_view::npos || dollar < colon)
    return false;
  const auto keys = text.substr(dollar + 1);
  const auto second = keys.find(':');
  if (second == std::string_view::npos || colon == 0) return false;
  unsigned iterations = 0;
  for (const char c : text.substr(0, colon)) {
    if (c < '0' || c > '9') return false;
    iterations = iterations * 10 + static_cast<unsigned>(c - '0');
    if (iterations > kMaxIterations) return false;
  }
  return iterations > 0 && Base64Bytes(text.substr(colon + 1, dollar - colon - 1)).has_value() &&
         Base64Bytes(keys.substr(0, second)) == kKeyBytes &&
         Base64Bytes(keys.substr(second + 1)) == kKeyBytes;
}

bool IsLabel(std::string_view name) {
  return std::all_of(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.';
  });
}

bool IsHost(std::string_view host) {
  return std::all_of(host.begin(), host.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.' ||
           c == ':' || c == '%';
  });
}

class ConfigLoad {
 public:
  ConfigLoad(const TomlTable& root, const std::string& path)
      : faults_(path), root_(&root, "", 0, faults_) {
    config_.path = path;
  }

  Result<Config> Run() {
    root_.Number("workers", config_.workers, 0, kMaxWorkers);
    root_.Span("drain_timeout", config_.drain_timeout, kNone, kMonth);
    ReadListeners();
    ReadMonitor();
    ReadRouting();
    ReadPool();
    ReadLimits();
    ReadLog();
    ReadServers();
    ReadUsers();
    ReadDatabases();
    root_.Finish();
    if (!faults_.empty()) return Error{faults_.Text()};
    return std::move(config_);
  }

 private:
  ConfigSection Section(std::string_view name) {
    unsigned line = 0;
    const TomlTable* table = root_.Table(name, line);
    return {table, std::string(name), line, faults_};
  }

  void ReadListeners() {
    ConfigSection listen = Section("listen");
    listen.Address("address", config_.listen.address);
    listen.Port("port", config_.listen.port);
    listen.Number("max_clients", config_.listen.max_clients, 1, kMaxClients);
    max_clients_in_listen_ = listen.Has("max_clients");
    listen.Finish(kTopLevelKeys);
    ConfigSection admin = Section("admin");
    admin.Address("address", config_.admin.address);
    admin.Port("port", config_.admin.port);
    admin.Finish(kTopLevelKeys);
    if (config_.admin.port == config_.listen.port &&
        config_.admin.address == config_.listen.address)
      (admin.Has("port") ? admin : listen)
          .Fault("port", "found " + std::to_string(config_.admin.port) +
                             " for [listen] and [admin] alike, expected two ports");
  }

  void ReadMonitor() {
    if (!root_.Has("monitor"))
      root_.Fault(
          "monitor",
          "found no [monitor], expected one with the user (and password) that watches the servers");
    ConfigSection monitor = Section("monitor");
    monitor.Text("user", config_.monitor.user, kMaxNameBytes);
    if (root_.Has("monitor") && !monitor.Has("user"))
      monitor.Fault("user", "found nothing, expected the PostgreSQL role that watches the servers");
    monitor.Secret("password", config_.monitor.password);
    monitor.Text("database", config_.monitor.database, kMaxNameBytes);
    monitor.Span("interval", config_.monitor.interval, milliseconds(10), kMinute);
    monitor.Span("timeout", config_.monitor.timeout, milliseconds(10), kMinute);
    monitor.Finish(kTopLevelKeys);
  }

  template <class Routing>
  static void ReadRoutingKeys(ConfigSection& section, Routing& routing) {
    section.OneOf("read_from", routing.read_from, All(kReadFrom));
    section.OneOf("read_from_primary", routing.read_from_primary, All(kReadFromPrimary));
    section.Known("consistency");
    if (section.Found("consistency") == "\"bounded\"")
      section.Fault("consistency",
                    "\"bounded\" is not supported yet, expected one of \"strict\", \"eventual\", "
                    "\"primary\"");
    else
      section.OneOf("consistency", routing.consistency, All(kConsistency));
    section.Span("fence_wait", routing.fence_wait, kNone, kMinute);
    section.OneOf("begin", routing.lazy_begin, All(kBegin));
  }

  template <class Pool>
  static void ReadPoolKeys(ConfigSection& section, Pool& pool) {
    section.Number("min_size", pool.min_size, 0, kMaxConnections);
    section.Number("max_size", pool.max_size, 0, kMaxConnections);
    section.Span("idle_timeout", pool.idle_timeout, kNone, kMonth);
    section.Span("lifetime", pool.lifetime, kNone, kMonth);
    section.Span("query_wait_timeout", pool.query_wait_timeout, kNone, kMonth);
  }

  static void CheckSizes(ConfigSection& section, unsigned min_size, unsigned max_size) {
    if (max_size != 0 && min_size > max_size)
      section.Fault(section.Has("min_size") ? "min_size" : "max_size",
                    "found min_size " + std::to_string(min_size) + " and max_size " +
                        std::to_string(max_size) + ", expected min_size to be the smaller");
  }

  void ReadRouting() {
    ConfigSection routing = Section("routing");
    ReadRoutingKeys(routing, config_.routing);
    if (config_.routing.read_from_primary == ReadFromPrimary::kNever &&
        (config_.routing.read_from == ReadFrom::kNone ||
         config_.routing.consistency == Consistency::kPrimary))
      routing.Fault("read_from_primary",
                    "found \"never\" where nothing but the primary may be read from, expected "
                    "\"fallback\" or \"always\"");
    routing.Finish(kTopLevelKeys);
  }

  void ReadPool() {
    ConfigSection pool = Section("pool");
    pool.OneOf("mode", config_.pool.mode, All(kPoolMode));
    ReadPoolKeys(pool, config_.pool);
    CheckSizes(pool, config_.pool.min_size, config_.pool.max_size);
    pool.Finish(kTopLevelKeys);
  }

  void ReadLimits() {
    ConfigSection limits = Section("limits");
    if (limits.Has("max_clients") && max_clients_in_listen_)
      limits.Fault("max_clients", "found here and in [listen], expected it once");
    limits.Number("max_clients", config_.listen.max_clients, 1, kMaxClients);
    limits.Span("login_timeout", config_.limits.login_timeout, kNone, kMonth);
    limits.Span("client_idle_timeout", config_.limits.client_idle_timeout, kNone, kMonth);
    limits.Span("idle_in_transaction_timeout", config_.limits.idle_in_transaction_timeout, kNone,
                kMonth);
    limits.Finish(kTopLevelKeys);
  }

  void ReadLog() {
    ConfigSection log = Section("log");
    log.OneOf("level", config_.log_level, All(kLogLevel));
    log.Text("file", config_.log_file, 4096);
    log.Finish(kTopLevelKeys);
  }

  // Reads `name`, which must be there and be the only one of its kind.
  template <class Item>
  void ReadName(ConfigSection& section, const std::vector<Item>& before, std::string& name) {
    section.Text("name", name, kMaxNameBytes);
    if (!section.Has("name")) section.Fault("name", "found nothing, expected a name");
    const bool twice =
        std::any_of(before.begin(), before.end(), [&](const Item& i) { return i.name == name; });
    if (!name.empty() && twice)
      section.Fault("name",
                    "found " + section.Found("name") + " a second time, expected each name once");
  }

  void ReadServers() {
    const auto tables = root_.Tables("server");
    if (tables.empty() && !root_.Has("server"))
      root_.Fault("server", "found no [[server]], expected at least one, with name, host and port");
    if (tables.size() > kMaxServers)
      root_.Fault("server",
                  "found " + std::to_string(tables.size()) + " servers, expected at most 64");
    for (const auto& [table, line] : tables) {
      ConfigSection section(table, "server", line, faults_);
      ServerConfig server;
      ReadName(section, config_.servers, server.name);
      if (!IsLabel(server.name))
        section.Fault("name", "found " + section.Found("name") +
                                  ", expected letters, digits, '_', '-' and '.' only");
      section.Text("host", server.host, 255);
      if (!section.Has("host"))
        section.Fault("host", "found nothing, expected an IP address or a host name");
      else if (!IsHost(server.host))
        section.Fault("host",
                      "found " + section.Found("host") + ", expected an IP address or a host name");
      section.Port("port", server.port);
      section.Number("max_connections", server.max_connections, 1, kMaxConnections);
      section.Number("weight", server.weight, 0, kMaxWeight);
      section.Text("application_name", server.application_name, kMaxNameBytes);
      section.Span("connect_timeout", server.connect_timeout, kTick, std::chrono::hours(1));
      section.Flag("allow_cleartext_password", server.allow_cleartext_password);
      section.Flag("allow_md5", server.allow_md5);
      section.Finish(kTopLevelKeys);
      for (const ServerConfig& other : config_.servers)
        if (!server.host.empty() && other.host == server.host && other.port == server.port)
          section.Fault("port", "found " + server.host + ":" + std::to_string(server.port) +
                                    ", which is server \"" + other.name +
                                    "\", expected another address");
      config_.servers.push_back(std::move(server));
    }
  }

  void ReadOverrides(ConfigSection& section, Overrides& overrides) {
    ReadRoutingKeys(section, overrides);
    section.OneOf("pool_mode", overrides.pool_mode, All(kPoolMode));
    ReadPoolKeys(section, overrides);
    if (overrides.min_size || overrides.max_size)
      CheckSizes(section, overrides.min_size.value_or(config_.pool.min_size),
                 overrides.max_size.value_or(config_.pool.max_size));
  }

  void ReadUsers() {
    const auto tables = root_.Tables("user");
    if (tables.empty() && !root_.Has("user"))
      root_.Fault("user", "found no [[user]], expected at least one: nobody could log in");
    for (const auto& [table, line] : tables) {
      ConfigSection section(table, "user", line, faults_);
      UserConfig user;
      ReadName(section, config_.users, user.name);
      const bool has_password = section.Secret("password", user.password);
      const bool has_scram = section.Has("scram");
      ReadScram(section, user.scram);
      if (has_password == has_scram)
        section.Fault(has_scram ? "scram" : "",
                      std::string(has_scram ? "found a password as well" : "found no secret") +
                          ", expected one of password, password_env, password_file, scram");
      section.Number("max_clients", user.max_clients, 0, kMaxClients);
      ReadOverrides(section, user.overrides);
      section.Finish(kTopLevelKeys);
      config_.users.push_back(std::move(user));
    }
  }

  static void ReadScram(ConfigSection& section, std::string& out) {
    std::string verifier;
    section.Text("scram", verifier);
    if (verifier.empty()) return;
    if (IsScramVerifier(verifier))
      out = std::move(verifier);
    else
      section.Fault("scram",
                    "found something else (not shown), expected "
                    "\"SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>\" as in "
                    "pg_authid.rolpassword");
  }

  void ReadDatabases() {
    for (const auto& [table, line] : root_.Tables("database")) {
      ConfigSection section(table, "database", line, faults_);
      DatabaseConfig database;
      ReadName(section, config_.databases, database.name);
      ReadOverrides(section, database.overrides);
      section.Finish(kTopLevelKeys);
      config_.databases.push_back(std::move(database));
    }
  }

  Config config_;
  ConfigFaults faults_;
  ConfigSection root_;
  bool max_clients_in_listen_ = false;
};

template <class Item>
const Item* Find(const std::vector<Item>& items, std::string_view name) {
  const auto at =
      std::find_if(items.begin(), items.end(), [&](const Item& i) { return i.name == name; });
  return at == items.end() ? nullptr : &*at;
}

void Apply(const Overrides& overrides, RoutingPolicy& policy) {
  if (overrides.read_from) policy.read_from = *overrides.read_from;
  if (overrides.read_from_primary) policy.read_from_primary = *overrides.read_from_primary;
  if (overrides.consistency) policy.consistency = *overrides.consistency;
  if (overrides.fence_wait) policy.fence_wait = *overrides.fence_wait;
  if (overrides.lazy_begin) policy.lazy_begin = *overrides.lazy_begin;
}

void Apply(const Overrides& overrides, PoolPolicy& policy) {
  if (overrides.pool_mode) policy.mode = *overrides.pool_mode;
  if (overrides.min_size) policy.min_size = *overrides.min_size;
  if (overrides.max_size) policy.max_size = *overrides.max_size;
  if (overrides.idle_timeout) policy.idle_timeout = *overrides.idle_timeout;
  if (overrides.lifetime) policy.lifetime = *overrides.lifetime;
  if (overrides.query_wait_timeout) policy.query_wait_timeout = *overrides.query_wait_timeout;
}

template <class Policy>
Policy Resolved(Policy policy, const Config& config, std::string_view user,
                std::string_view database) {
  if (const auto* found = config.FindDatabase(database)) Apply(found->overrides, policy);
  if (const auto* found = config.FindUser(user)) Apply(found->overrides, policy);
  return policy;
}

}  // namespace

const UserConfig* Config::FindUser(std::string_view name) const {
  return Find(users, name);
}
const DatabaseConfig* Config::FindDatabase(std::string_view name) const {
  return Find(databases, name);
}

RoutingPolicy Config::RoutingFor(std::string_view user, std::string_view database) const {
  return Resolved(routing, *this, user, database);
}

PoolPolicy Config::PoolFor(std::string_view user, std::string_view database) const {
  return Resolved(pool, *this, user, database);
}

Result<Config> ParseConfig(std::string_view text, const std::string& path) {
  auto root = ParseToml(text, path);
  if (!root) return Error{root.error()};
  return ConfigLoad(*root, path).Run();
}

Result<Config> LoadConfig(const std::string& path) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::string text(kMaxConfigBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in && !in.eof())
    return Error{path + ": cannot be read: " + std::strerror(errno != 0 ? errno : EIO)};
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kMaxConfigBytes)
    return Error{path + ": found more than 1 MiB, expected a configuration file"};
  return ParseConfig(text, path);
}

}  // namespace waypost
