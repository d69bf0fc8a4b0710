// Tables of the configuration -> Config: every key, its limits, and what must not stand beside it.
#include "core/config/load.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "core/config/keys.h"
#include "core/config/rules.h"
#include "parser/wire/scram.h"

namespace waypost {
namespace {

constexpr std::size_t kMaxServers = 64;  // as metrics/labels.h
constexpr unsigned kMaxWorkers = 64;  // as core/env/crew.h
constexpr unsigned kMaxConnections = 100'000;
constexpr unsigned kMaxClients = 1'000'000;
constexpr unsigned kMaxWeight = 1'000;
constexpr unsigned kMaxDigests = 100'000;

constexpr std::array<Choice<Pins>, 2> kPins = {{{"allow", Pins::kAllow}, {"refuse", Pins::kRefuse}}};
constexpr std::array<Choice<PoolMode>, 3> kPoolMode = {
    {{"transaction", PoolMode::kTransaction}, {"session", PoolMode::kSession}, {"statement", PoolMode::kStatement}}};
constexpr std::array<Choice<LogLevel>, 5> kLogLevel = {{{"trace", LogLevel::kTrace},
                                                        {"debug", LogLevel::kDebug},
                                                        {"info", LogLevel::kInfo},
                                                        {"warn", LogLevel::kWarn},
                                                        {"error", LogLevel::kError}}};

constexpr std::array<Choice<ListenTls>, 3> kListenTls = {
    {{"disable", ListenTls::kDisable}, {"allow", ListenTls::kAllow}, {"require", ListenTls::kRequire}}};
constexpr std::array<Choice<ServerTls>, 5> kServerTls = {{{"disable", ServerTls::kDisable},
                                                          {"prefer", ServerTls::kPrefer},
                                                          {"require", ServerTls::kRequire},
                                                          {"verify-ca", ServerTls::kVerifyCa},
                                                          {"verify-full", ServerTls::kVerifyFull}}};
// For a query_user that may read pg_authid: docs/security.md has one for a role that may not.
constexpr std::string_view kAuthQuery =
    "SELECT rolname, CASE WHEN rolvaliduntil OPERATOR(pg_catalog.<) pg_catalog.now() THEN NULL ELSE rolpassword END"
    " FROM pg_catalog.pg_authid WHERE rolname OPERATOR(pg_catalog.=) $1 AND rolcanlogin";
constexpr std::array<Choice<bool>, 2> kTlsClientVerify = {{{"require", false}, {"optional", true}}};
constexpr std::array<Choice<bool>, 2> kTlsMin = {{{"1.2", false}, {"1.3", true}}};
constexpr std::size_t kMaxPathBytes = 4096;
constexpr std::size_t kMaxUrlBytes = 2048;
constexpr std::size_t kMaxPatroniUrls = 64;
constexpr std::array<Choice<DiscoverySource>, 3> kDiscovery = {
    {{"probe", DiscoverySource::kProbe}, {"patroni", DiscoverySource::kPatroni}, {"repmgr", DiscoverySource::kRepmgr}}};
constexpr std::array<Choice<LogFormat>, 2> kLogFormat = {{{"text", LogFormat::kText}, {"json", LogFormat::kJson}}};

constexpr std::array<Choice<QueryLogConfig::Which>, 4> kLoggedQueries = {{{"off", QueryLogConfig::Which::kOff},
                                                                          {"slow", QueryLogConfig::Which::kSlow},
                                                                          {"sampled", QueryLogConfig::Which::kSampled},
                                                                          {"all", QueryLogConfig::Which::kAll}}};

bool IsHost(std::string_view host) {
  return std::all_of(host.begin(), host.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.' || c == ':' || c == '%';
  });
}

class ConfigLoad {
 public:
  ConfigLoad(const TomlTable& root, const std::string& path) : faults_(path), root_(&root, "", 0, faults_) {
    config_.path = path;
  }

  Result<Config> Run() {
    root_.Number("workers", config_.workers, 0, kMaxWorkers);
    root_.Span("drain_timeout", config_.drain_timeout, kNone, kMonth);
    ReadListeners();
    ReadMonitor();
    ReadAuth();
    ReadCluster();
    ReadRouting();
    ReadPool();
    ReadLimits();
    ReadDigests();
    ReadLog();
    ReadTracing();
    ReadServers();
    ReadUsers();
    ReadDatabases();
    ReadApplications();
    CheckConsoleUsers();
    config_.rules = ReadRules(root_, faults_, config_);
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

  // They log in as everybody else.
  void CheckConsoleUsers() {
    ConfigSection admin = Section("admin");
    const auto check = [&](std::string_view key, const std::vector<std::string>& names) {
      for (const auto& name : names)
        if (config_.FindUser(name) == nullptr && !config_.auth.asks())
          admin.Fault(key, "found \"" + name + "\", expected the name of a [[user]]");
    };
    check("console_admins", config_.admin.console_admins);
    check("console_viewers", config_.admin.console_viewers);
  }

  void ReadListeners() {
    ConfigSection admin = Section("admin");
    admin.Address("address", config_.admin.address);
    admin.Port("port", config_.admin.port);
    admin.Texts("allowed_hosts", config_.admin.allowed_hosts, kMaxNameBytes);
    admin.Texts("console_admins", config_.admin.console_admins, kMaxNameBytes);
    admin.Texts("console_viewers", config_.admin.console_viewers, kMaxNameBytes);
    ReadPath(admin, "tokens_file", config_.admin.tokens_file);
    ReadPath(admin, "socket", config_.admin.socket);
    if (config_.admin.socket.size() > kMaxSocketPath)
      admin.Fault("socket", "found a path of " + std::to_string(config_.admin.socket.size()) + " bytes, expected at most " +
                                std::to_string(kMaxSocketPath) + ", as the system takes");
    ReadWebhook(admin);
    admin.Finish(kTopLevelKeys);
    for (const auto& [table, line] : root_.TableOrTables("listen"))
      ReadListener(ConfigSection(table, "listen", line, faults_), admin);
    if (config_.listeners.empty()) ReadListener(ConfigSection(nullptr, "listen", 0, faults_), admin);
  }

  // Neither value is quoted: the path of such a URL is often what lets one in.
  void ReadWebhook(ConfigSection& admin) {
    auto& to = config_.admin;
    admin.Text("webhook", to.webhook, 2048);
    if (!to.webhook.empty() && !to.webhook.starts_with("http://") && !to.webhook.starts_with("https://"))
      admin.Fault("webhook", "found a text (not shown) that is no URL, expected one as \"https://alerts.example/waypost\"");
    if (!admin.Secret("webhook_token", to.webhook_token)) return;
    for (const std::string_view key : {"webhook_token", "webhook_token_env", "webhook_token_file"})
      if (admin.Has(key) && !admin.Has("webhook"))
        admin.Fault(key, "found without webhook, expected the URL that it is sent to beside it");
    if (std::any_of(to.webhook_token.begin(), to.webhook_token.end(), [](char c) { return c <= ' ' || c > '~'; }))
      admin.Fault("webhook_token",
                  "found a blank, a control character or a letter beyond ASCII in it (not shown), expected none");
  }

  void ReadListener(ConfigSection listen, ConfigSection& admin) {
    ListenConfig listener;
    listen.Address("address", listener.address);
    listen.Port("port", listener.port);
    ReadSocket(listen, listener);
    listener.name = listener.address + ":" + std::to_string(listener.port);
    listen.Text("name", listener.name, kMaxNameBytes);
    if (listen.Has("max_clients")) {
      if (max_clients_in_listen_) listen.Fault("max_clients", "found for two listeners, expected it once, in [limits]");
      max_clients_in_listen_ = true;
    }
    listen.Number("max_clients", config_.max_clients, 1, kMaxClients);
    ReadListenTls(listen, listener);
    ReadRoutingKeys(listen, listener.overrides);
    listen.Finish(kTopLevelKeys);
    if (listener.port == config_.admin.port && listener.address == config_.admin.address)
      (admin.Has("port") ? admin : listen)
          .Fault("port",
                 "found " + std::to_string(listener.port) + " for both [listen] and [admin], expected two different ports");
    for (const ListenConfig& other : config_.listeners) {
      if (other.address == listener.address && other.port == listener.port)
        listen.Fault("port",
                     "found " + listener.address + ":" + std::to_string(listener.port) + " a second time, expected another port");
      if (!listener.socket.empty() && other.socket == listener.socket && other.port == listener.port)
        listen.Fault("socket", "found " + listener.socket_path() + " a second time, expected another directory or port");
      if (other.name == listener.name)
        listen.Fault("name", "found \"" + listener.name + "\" a second time, expected each name once");
    }
    config_.listeners.push_back(std::move(listener));
  }

  // The path of a file; relative to the configuration's.
  void ReadPath(ConfigSection& section, std::string_view key, std::string& out) const {
    section.Text(key, out, kMaxPathBytes);
    if (!out.empty()) out = (std::filesystem::path(config_.path).parent_path() / out).string();  // as it is if absolute
  }

  void ReadSocket(ConfigSection& listen, ListenConfig& listener) {
    ReadPath(listen, "socket", listener.socket);
    if (!listener.socket.empty() && listener.socket_path().size() > kMaxSocketPath)
      listen.Fault("socket", "found a directory whose socket has a path of " + std::to_string(listener.socket_path().size()) +
                                 " bytes, expected at most " + std::to_string(kMaxSocketPath) + ", as the system takes");
    std::string mode;
    listen.Text("socket_mode", mode, 8);
    if (mode.empty()) return;
    const auto read = std::from_chars(mode.data(), mode.data() + mode.size(), listener.socket_mode, 8);
    if (read.ec != std::errc() || read.ptr != mode.data() + mode.size() || listener.socket_mode > 0777)
      listen.Fault("socket_mode", "found " + listen.Found("socket_mode") + ", expected an octal mode, as \"0770\"");
    if (!listen.Has("socket"))
      listen.Fault("socket_mode", "found without socket, expected the directory of a Unix socket beside it");
  }

  void ReadListenTls(ConfigSection& listen, ListenConfig& listener) {
    listen.OneOf("tls", listener.tls, All(kListenTls));
    ReadPath(listen, "tls_cert", listener.tls_cert);
    ReadPath(listen, "tls_key", listener.tls_key);
    ReadPath(listen, "tls_client_ca", listener.tls_client_ca);
    ReadPath(listen, "tls_crl", listener.tls_crl);
    listen.OneOf("tls_client_verify", listener.tls_client_optional, All(kTlsClientVerify));
    listen.OneOf("tls_min", listener.tls13_only, All(kTlsMin));
    for (const std::string_view key : {"tls_crl", "tls_client_verify"})
      if (listen.Has(key) && !listen.Has("tls_client_ca"))
        listen.Fault(key, "found without tls_client_ca, expected the file of whoever signs clients' certificates beside it");
    for (const std::string_view key : {"tls_cert", "tls_key", "tls_client_ca"})
      if (listen.Has(key) && !listen.Has("tls"))
        listen.Fault(key, "found without tls, expected tls = \"allow\" or \"require\" beside it");
    if (listener.tls == ListenTls::kDisable) return;
    for (const std::string_view key : {"tls_cert", "tls_key"})
      if (!listen.Has(key)) listen.Fault(key, "found nothing, expected a file in PEM form: tls is on");
    if (!listener.tls_client_ca.empty() && listener.tls != ListenTls::kRequire && !listener.tls_client_optional)
      listen.Fault(
          "tls_client_ca",
          "found beside tls = \"allow\", expected tls = \"require\" (or tls_client_verify = \"optional\"): else a client "
          "without a certificate comes in unencrypted");
  }

  void ReadMonitor() {
    if (!root_.Has("monitor"))
      root_.Fault("monitor", "found no [monitor], expected one with the user (and password) that watches the servers");
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

  void ReadAuth() {
    ConfigSection auth = Section("auth");
    auto& to = config_.auth;
    auth.Text("query_user", to.query_user, kMaxNameBytes);
    auth.Secret("query_password", to.query_password);
    to.query = kAuthQuery;
    auth.Text("auth_query", to.query, kMaxPathBytes);
    if (to.query.find("$1") == std::string::npos)
      auth.Fault("auth_query", "found no $1, expected it where the name of the user is to stand");
    auth.Text("auth_dbname", to.database, kMaxNameBytes);
    for (const std::string_view key :
         {"query_password", "query_password_env", "query_password_file", "auth_query", "auth_dbname"})
      if (auth.Has(key) && !auth.Has("query_user"))
        auth.Fault(key, "found without query_user, expected the role that asks beside it");
    ReadPath(auth, "hba_file", to.hba_file);
    if (!to.hba_file.empty()) to.hba = ReadEntries<Hba>(auth, "hba_file", to.hba_file, "pg_hba.conf");
    ReadPath(auth, "ident_file", to.ident_file);
    if (!to.ident_file.empty())
      to.ident = ReadEntries<IdentMap>(auth, "ident_file", to.ident_file, "pg_ident.conf").value_or(IdentMap());
    auth.Finish(kTopLevelKeys);
  }

  // Of a file like PostgreSQL's `model`; nothing, and the faults are told, if it has any.
  template <class Entries>
  static std::optional<Entries> ReadEntries(ConfigSection& auth, std::string_view key, const std::string& path,
                                            const std::string& model) {
    std::ifstream file(path, std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (!file || std::filesystem::is_directory(path)) {
      auth.Fault(key, "found " + auth.Found(key) + ", which cannot be read, expected a file as " + model);
      return std::nullopt;
    }
    auto entries = Entries::Read(text);
    if (entries) return std::move(*entries);
    std::istringstream faults(entries.error());
    for (std::string line; std::getline(faults, line);) auth.Fault(key, path + ":" + line);
    return std::nullopt;
  }

  void ReadCluster() {
    ConfigSection cluster = Section("cluster");
    cluster.Text("state_file", config_.cluster.state_file, 4096);
    if (!config_.cluster.state_file.empty())
      config_.cluster.state_file =
          (std::filesystem::path(config_.path).parent_path() / config_.cluster.state_file).string();  // as it is if absolute
    cluster.Size("max_lost_bytes", config_.cluster.max_lost_bytes);
    cluster.Flag("strict_commit", config_.cluster.strict_commit);
    cluster.Span("failover_hold", config_.cluster.failover_hold, kNone, kMonth);
    cluster.Number("max_held", config_.cluster.max_held, 1, kMaxClients);
    cluster.Size("max_held_bytes", config_.cluster.max_held_bytes);
    ReadDiscovery(cluster);
    cluster.Finish(kTopLevelKeys);
  }

  void ReadDiscovery(ConfigSection& cluster) {
    auto& to = config_.cluster.discovery;
    cluster.OneOf("discovery", to.source, All(kDiscovery));
    cluster.Span("discovery_interval", to.interval, milliseconds(100), std::chrono::hours(1));
    cluster.Texts("patroni_urls", to.patroni_urls, kMaxUrlBytes);
    ReadPath(cluster, "patroni_ca", to.patroni_ca);
    cluster.Text("repmgr_database", to.repmgr_database, kMaxNameBytes);
    for (const auto& url : to.patroni_urls)
      if (!url.starts_with("http://") && !url.starts_with("https://"))
        cluster.Fault("patroni_urls",
                      "found \"" + url + "\", expected the URL of Patroni's REST API, as \"http://10.0.0.10:8008\"");
    if (to.patroni_urls.size() > kMaxPatroniUrls)
      cluster.Fault("patroni_urls", "found " + std::to_string(to.patroni_urls.size()) + " URLs, expected at most " +
                                        std::to_string(kMaxPatroniUrls));
    const bool patroni = to.source == DiscoverySource::kPatroni;
    if (patroni && !cluster.Has("patroni_urls"))
      cluster.Fault("discovery", "found \"patroni\" without patroni_urls, expected the URLs of Patroni's REST API beside it");
    for (const std::string_view key : {"patroni_urls", "patroni_ca"})
      if (cluster.Has(key) && !patroni)
        cluster.Fault(key, "found where nobody asks Patroni, expected discovery = \"patroni\" beside it");
  }

  template <class Pool>
  static void ReadPoolKeys(ConfigSection& section, Pool& pool) {
    section.OneOf("pins", pool.pins, All(kPins));
    section.Number("min_size", pool.min_size, 0, kMaxConnections);
    section.Number("max_size", pool.max_size, 0, kMaxConnections);
    section.Span("idle_timeout", pool.idle_timeout, kNone, kMonth);
    section.Span("lifetime", pool.lifetime, kNone, kMonth);
    section.Span("query_wait_timeout", pool.query_wait_timeout, kNone, kMonth);
    section.Span("sequence_memory", pool.sequence_memory, kNone, kMonth);
  }

  static void CheckSizes(ConfigSection& section, unsigned min_size, unsigned max_size) {
    if (max_size != 0 && min_size > max_size)
      section.Fault(section.Has("min_size") ? "min_size" : "max_size", "found min_size " + std::to_string(min_size) +
                                                                           " and max_size " + std::to_string(max_size) +
                                                                           ", expected min_size to be at most max_size");
  }

  void ReadRouting() {
    ConfigSection routing = Section("routing");
    ReadRoutingKeys(routing, config_.routing);
    if (config_.routing.read_from_primary == ReadFromPrimary::kNever &&
        (config_.routing.read_from == ReadFrom::kNone || config_.routing.consistency == Consistency::kPrimary))
      routing.Fault("read_from_primary",
                    "found \"never\" where reads may run only on the primary, expected "
                    "\"fallback\" or \"always\"");
    routing.Flag("comment_hints", config_.comment_hints);
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
    limits.Number("max_clients", config_.max_clients, 1, kMaxClients);
    limits.Number("max_logins", config_.max_logins, 1, kMaxClients);
    limits.Number("max_clients_per_address", config_.per_address.max_clients, 0, kMaxClients);
    limits.Number("logins_per_address", config_.per_address.logins_per_second, 0, kMaxClients);
    ReadUnlimited(limits);
    limits.Span("failed_login_delay", config_.failed_login_delay, kNone, kMinute);
    limits.Span("login_timeout", config_.limits.login_timeout, kNone, kMonth);
    limits.Span("client_idle_timeout", config_.limits.client_idle_timeout, kNone, kMonth);
    limits.Span("idle_in_transaction_timeout", config_.limits.idle_in_transaction_timeout, kNone, kMonth);
    limits.Size("session_statements", config_.kept.statements_bytes);
    limits.Number("session_statement_names", config_.kept.statement_names, 1, kMaxClients);
    limits.Size("session_settings", config_.kept.settings_bytes);
    limits.Number("session_savepoints", config_.kept.savepoints, 1, kMaxClients);
    limits.Number("session_portals", config_.kept.portals, 1, kMaxClients);
    limits.Finish(kTopLevelKeys);
  }

  void ReadUnlimited(ConfigSection& limits) {
    std::vector<std::string> ranges;
    limits.Texts("unlimited_addresses", ranges);
    for (const auto& text : ranges) {
      if (text == "local") config_.per_address.unlimited_local = true;
      else if (const auto range = ReadIpRange(text)) config_.per_address.unlimited.push_back(*range);
      else
        limits.Fault(
            "unlimited_addresses",
            "found \"" + text + "\", expected an address or a range, as \"192.0.2.0/24\" or \"2001:db8::/32\", or \"local\"");
    }
  }

  void ReadDigests() {
    ConfigSection digests = Section("digests");
    digests.Number("max", config_.digests.max, 0, kMaxDigests);
    digests.Finish(kTopLevelKeys);
  }

  void ReadLog() {
    ConfigSection log = Section("log");
    log.OneOf("level", config_.log.level, All(kLogLevel));
    log.OneOf("format", config_.log.format, All(kLogFormat));
    log.Text("file", config_.log.file, 4096);
    log.OneOf("queries", config_.query_log.which, All(kLoggedQueries));
    log.Span("slow", config_.query_log.slow, milliseconds(1), kMonth);
    log.Fraction("sample", config_.query_log.sample);
    log.Flag("literals", config_.query_log.literals);
    log.Finish(kTopLevelKeys);
  }

  void ReadTracing() {
    ConfigSection tracing = Section("tracing");
    auto& config = config_.tracing;
    tracing.Text("endpoint", config.endpoint, 2048);
    if (!config.endpoint.empty() && !config.endpoint.starts_with("http://") && !config.endpoint.starts_with("https://"))
      tracing.Fault("endpoint", "found " + tracing.Found("endpoint") +
                                    ", expected the URL of a collector, as \"http://127.0.0.1:4318/v1/traces\"");
    tracing.Fraction("sample", config.sample);
    tracing.Text("service", config.service, 255);
    tracing.Finish(kTopLevelKeys);
  }

  // Reads `name`, which must be there and be the only one of its kind.
  template <class Item>
  void ReadName(ConfigSection& section, const std::vector<Item>& before, std::string& name) {
    section.Text("name", name, kMaxNameBytes);
    if (!section.Has("name")) section.Fault("name", "found nothing, expected a name");
    const bool twice = std::any_of(before.begin(), before.end(), [&](const Item& i) { return i.name == name; });
    if (!name.empty() && twice)
      section.Fault("name", "found " + section.Found("name") + " a second time, expected each name once");
  }

  void ReadServerTls(ConfigSection& section, ServerConfig& server) {
    section.OneOf("tls", server.tls, All(kServerTls));
    ReadPath(section, "tls_ca", server.tls_ca);
    ReadPath(section, "tls_crl", server.tls_crl);
    ReadPath(section, "tls_cert", server.tls_cert);
    ReadPath(section, "tls_key", server.tls_key);
    section.Text("tls_server_name", server.tls_server_name, 255);
    if (!IsHost(server.tls_server_name))
      section.Fault("tls_server_name", "found " + section.Found("tls_server_name") + ", expected an IP address or a host name");
    for (const std::string_view key : {"tls_ca", "tls_crl", "tls_cert", "tls_key", "tls_server_name"})
      if (section.Has(key) && !section.Has("tls"))
        section.Fault(key, "found without tls, expected tls = \"verify-full\" (or less) beside it");
    if (section.Has("tls_cert") != section.Has("tls_key"))
      section.Fault(section.Has("tls_cert") ? "tls_cert" : "tls_key", "found alone, expected both tls_cert and tls_key");
    const bool verifies = server.tls == ServerTls::kVerifyCa || server.tls == ServerTls::kVerifyFull;
    if (verifies && !section.Has("tls_ca"))
      section.Fault("tls_ca", "found nothing, expected the file of whoever signs the server's certificate: it is to be verified");
    if (section.Has("tls_ca") && !verifies && server.tls != ServerTls::kDisable)
      section.Fault("tls_ca", "found where nothing is verified, expected tls = \"verify-ca\" or \"verify-full\"");
    if (section.Has("tls_crl") && !verifies && server.tls != ServerTls::kDisable)
      section.Fault("tls_crl", "found where nothing is verified, expected tls = \"verify-ca\" or \"verify-full\"");
  }

  void ReadServers() {
    const auto tables = root_.Tables("server");
    if (tables.empty() && !root_.Has("server"))
      root_.Fault("server", "found no [[server]], expected at least one, with name, host and port");
    if (tables.size() > kMaxServers)
      root_.Fault("server", "found " + std::to_string(tables.size()) + " servers, expected at most 64");
    for (const auto& [table, line] : tables) {
      ConfigSection section(table, "server", line, faults_);
      ServerConfig server;
      ReadName(section, config_.servers, server.name);
      if (!IsLabel(server.name))
        section.Fault("name", "found " + section.Found("name") + ", expected only letters, digits, '_', '-' and '.'");
      section.Text("host", server.host, 255);
      if (!section.Has("host")) section.Fault("host", "found nothing, expected an IP address or a host name");
      else if (!IsHost(server.host))
        section.Fault("host", "found " + section.Found("host") + ", expected an IP address or a host name");
      section.Port("port", server.port);
      section.Number("max_connections", server.max_connections, 1, kMaxConnections);
      section.Number("weight", server.weight, 0, kMaxWeight);
      section.Text("application_name", server.application_name, kMaxNameBytes);
      section.Span("connect_timeout", server.connect_timeout, kTick, std::chrono::hours(1));
      section.Flag("allow_cleartext_password", server.allow_cleartext_password);
      section.Flag("allow_md5", server.allow_md5);
      ReadServerTls(section, server);
      section.Finish(kTopLevelKeys);
      for (const ServerConfig& other : config_.servers)
        if (!server.host.empty() && other.host == server.host && other.port == server.port)
          section.Fault("port", "found " + server.host + ":" + std::to_string(server.port) + ", which is server \"" + other.name +
                                    "\", expected another address");
      config_.servers.push_back(std::move(server));
    }
  }

  void ReadOverrides(ConfigSection& section, Overrides& overrides) {
    ReadRoutingKeys(section, overrides);
    section.OneOf("pool_mode", overrides.pool_mode, All(kPoolMode));
    ReadPoolKeys(section, overrides);
    if (overrides.min_size || overrides.max_size)
      CheckSizes(section, overrides.min_size.value_or(config_.pool.min_size), overrides.max_size.value_or(config_.pool.max_size));
  }

  void ReadUsers() {
    const auto tables = root_.Tables("user");
    if (tables.empty() && !root_.Has("user") && !config_.auth.asks())
      root_.Fault("user", "found no [[user]], expected at least one: nobody could log in");
    for (const auto& [table, line] : tables) {
      ConfigSection section(table, "user", line, faults_);
      UserConfig user;
      ReadName(section, config_.users, user.name);
      const bool has_password = section.Secret("password", user.password);
      const bool has_scram = section.Has("scram");
      ReadScram(section, user.scram);
      if (has_password == has_scram)
        section.Fault(has_scram ? "scram" : "", std::string(has_scram ? "found a password as well" : "found no secret") +
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
    if (ParseVerifier(verifier)) out = std::move(verifier);
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
      section.Number("max_clients", database.max_clients, 0, kMaxClients);
      ReadOverrides(section, database.overrides);
      ReadOtherNames(section, database);
      section.Finish(kTopLevelKeys);
      config_.databases.push_back(std::move(database));
    }
    for (const auto& database : config_.databases) {
      const auto* other = database.server_name.empty() ? nullptr : config_.FindDatabase(database.server_name);
      if (other != nullptr && !other->server_name.empty())
        root_.Fault("database", "found \"" + database.server_name + "\" as the server_name of \"" + database.name +
                                    "\", which is another name itself, expected what the servers call the database");
    }
  }

  void ReadOtherNames(ConfigSection& section, DatabaseConfig& database) const {
    section.Text("server_name", database.server_name, kMaxNameBytes);
    section.Text("user", database.user, kMaxNameBytes);
    if (database.server_name == database.name) database.server_name.clear();
    if (const auto* user = config_.FindUser(database.user); !database.user.empty() && (user == nullptr || user->password.empty()))
      section.Fault("user", "found \"" + database.user + "\", expected the name of a [[user]] with a password");
    if (!database.server_name.empty())
      section.FaultOthers(
          {"name", "server_name", "user", "max_clients"},
          "found beside server_name, expected it in the [[database]] of that name: both have the same connections");
  }

  void ReadApplications() {
    for (const auto& [table, line] : root_.Tables("application")) {
      ConfigSection section(table, "application", line, faults_);
      ApplicationConfig application;
      ReadName(section, config_.applications, application.name);
      ReadRoutingKeys(section, application.overrides);
      section.Finish(kTopLevelKeys);
      config_.applications.push_back(std::move(application));
    }
  }

  Config config_;
  ConfigFaults faults_;
  ConfigSection root_;
  static constexpr std::size_t kMaxSocketPath = 107;  // sockaddr_un
  bool max_clients_in_listen_ = false;
};

}  // namespace

Result<Config> LoadFrom(const TomlTable& root, const std::string& path) { return ConfigLoad(root, path).Run(); }

}  // namespace waypost
