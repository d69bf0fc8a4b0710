#include "core/console/answers.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <map>
#include <set>
#include <utility>

#include "core/config/server_names.h"
#include "core/console/rows.h"

namespace waypost {
namespace {

using std::chrono::seconds;

constexpr std::string_view kVersion = "PgBouncer 1.25.1 (Waypost " WAYPOST_VERSION ")";

auto Seconds(Duration time) { return std::chrono::duration_cast<seconds>(time).count(); }

std::string_view PoolModeName(PoolMode mode) {
  switch (mode) {
    case PoolMode::kSession: return "session";
    case PoolMode::kTransaction: return "transaction";
    case PoolMode::kStatement: return "statement";
  }
  return "";
}

// As PgBouncer writes it, in UTC.
std::string TimeText(std::chrono::system_clock::time_point time) {
  const auto whole = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  gmtime_r(&whole, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &parts)};
}
std::string TimeText(const ConsoleFactsRef& facts, Duration age) {
  return TimeText(facts->now - std::chrono::duration_cast<std::chrono::system_clock::duration>(age));
}

// "127.0.0.1:5432" in two.
std::pair<std::string, std::string> AddressAndPort(const std::string& name) {
  const auto colon = name.rfind(':');
  if (colon == std::string::npos) return {name, "0"};
  return {name.substr(0, colon), name.substr(colon + 1)};
}

// --- (database, user)

struct CrowdAndPools {
  ClientCrowd crowd;
  std::size_t idle = 0, busy = 0, connecting = 0;
};
using ByDatabaseAndUser = std::map<std::pair<std::string, std::string>, CrowdAndPools>;

ByDatabaseAndUser Pools(const ConsoleFacts& facts) {
  ByDatabaseAndUser all;
  for (const auto& crowd : facts.clients.crowds)
    if (!crowd.database.empty()) all[{crowd.database, crowd.user}].crowd = crowd;
  for (const auto& row : facts.pools.pools) {
    auto& pool = all[{row.database, row.user}];
    pool.idle += row.idle;
    pool.busy += row.busy;
    pool.connecting += row.connecting;
  }
  return all;
}

// Of one database or one user.
struct Connections {
  std::size_t servers = 0, clients = 0;
  void Add(const CrowdAndPools& pool) {
    servers += pool.idle + pool.busy + pool.connecting;
    clients += pool.crowd.total();
  }
};

Table ShowPools(const ConsoleFactsRef& facts) {
  std::vector<Row> rows;
  for (const auto& [key, pool] : Pools(*facts)) {
    const auto wait = Microseconds(pool.crowd.longest_wait);
    constexpr auto kMillion = 1'000'000;
    rows.push_back({key.first, key.second, Text(pool.crowd.total() - pool.crowd.waiting), Text(pool.crowd.waiting), "0", "0",
                    Text(pool.busy), "0", "0", Text(pool.idle), "0", "0", Text(pool.connecting), Text(wait / kMillion),
                    Text(wait % kMillion), std::string(PoolModeName(facts->config->PoolFor(key.second, key.first).mode)),
                    std::nullopt});
  }
  return TableOf(std::move(rows));
}

Table ShowDatabases(const ConsoleFactsRef& facts) {
  std::map<std::string, Connections> databases;
  for (const auto& database : facts->config->databases) databases[database.name];
  for (const auto& [name, gate] : facts->gates) databases[name];
  for (const auto& [key, pool] : Pools(*facts)) databases[key.first].Add(pool);
  const auto* primary = facts->view && facts->view->primary ? &facts->view->servers[*facts->view->primary] : nullptr;
  std::vector<Row> rows;
  for (const auto& [name, counts] : databases) {
    const auto* database = facts->config->FindDatabase(name);
    const auto on_servers = NamesOnServers(*facts->config, name, "").database;
    const auto policy = facts->config->PoolFor("", on_servers);
    const auto found = facts->gates.find(name);
    const auto gate = found == facts->gates.end() ? DatabaseGates::Gate() : found->second;
    rows.push_back({name, primary == nullptr ? Cell() : Cell(primary->host), Text(primary == nullptr ? 0 : primary->port),
                    on_servers, database == nullptr || database->user.empty() ? Cell() : Cell(database->user),
                    Text(policy.max_size), Text(policy.min_size), "0", Text(Seconds(policy.lifetime)),
                    std::string(PoolModeName(policy.mode)), std::nullopt, "0", Text(counts.servers),
                    Text(database == nullptr ? 0 : database->max_clients), Text(counts.clients), Text(gate.held_until ? 1 : 0),
                    Text(gate.disabled ? 1 : 0), "0"});
  }
  return TableOf(std::move(rows));
}

Table ShowUsers(const ConsoleFactsRef& facts) {
  std::map<std::string, Connections> users;
  for (const auto& user : facts->config->users) users[user.name];
  for (const auto& [key, pool] : Pools(*facts)) users[key.second].Add(pool);
  std::vector<Row> rows;
  for (const auto& [name, counts] : users) {
    const auto* user = facts->config->FindUser(name);
    rows.push_back({name, std::nullopt, std::nullopt, std::string(PoolModeName(facts->config->PoolFor(name, "").mode)), "0",
                    Text(counts.servers), Text(user == nullptr ? 0 : user->max_clients), Text(counts.clients)});
  }
  return TableOf(std::move(rows));
}

Table ShowLists(const ConsoleFactsRef& facts) {
  std::size_t clients = 0, logins = 0, idle = 0, used = 0;
  for (const auto& crowd : facts->clients.crowds) {
    clients += crowd.total() - crowd.logging_in;
    logins += crowd.logging_in;
  }
  for (const auto& pool : facts->pools.pools) {
    idle += pool.idle;
    used += pool.busy + pool.connecting;
  }
  std::set<std::string> databases;
  const auto pools = Pools(*facts);
  for (const auto& [key, pool] : pools) databases.insert(key.first);
  for (const auto& database : facts->config->databases) databases.insert(database.name);
  return TableOf({{"databases", Text(databases.size())},
                  {"users", Text(facts->config->users.size())},
                  {"peers", "0"},
                  {"pools", Text(pools.size())},
                  {"peer_pools", "0"},
                  {"free_clients", "0"},
                  {"used_clients", Text(clients)},
                  {"login_clients", Text(logins)},
                  {"free_servers", Text(idle)},
                  {"used_servers", Text(used)},
                  {"dns_names", "0"},
                  {"dns_zones", "0"},
                  {"dns_queries", "0"},
                  {"dns_pending", "0"}});
}

// --- sessions and server connections

Row ClientRow(const ConsoleFactsRef& facts, const SessionRow& session) {
  const auto [address, port] = AddressAndPort(session.client);
  const auto [local, local_port] = AddressAndPort(session.local);
  const bool waits = session.state == SessionState::kWaiting;
  const auto wait = waits ? Microseconds(session.state_age) : 0;
  constexpr auto kMillion = 1'000'000;
  return {"C",
          session.user,
          session.database,
          "none",
          waits ? "waiting" : "active",
          address,
          port,
          local,
          local_port,
          TimeText(facts, session.age),
          TimeText(facts, session.state_age),
          Text(wait / kMillion),
          Text(wait % kMillion),
          "0",
          SessionIdText(session.id),
          session.server.empty() ? "" : session.server + "/" + Text(session.server_pid),
          session.server_pid == 0 ? "0" : Text(session.server_pid),
          "",
          session.application,
          Text(session.prepared),
          Text(session.id.number)};
}

Row ServerRow(const ConsoleFactsRef& facts, const ConnectionRow& connection) {
  const auto [address, port] = AddressAndPort(connection.remote);
  const auto [local, local_port] = AddressAndPort(connection.local);
  const auto state = [&]() -> std::string {
    switch (connection.state) {
      case ConnectionState::kIdle: return "idle";
      case ConnectionState::kBusy: return "active";
      case ConnectionState::kLogin: return "login";
      case ConnectionState::kCancelling: return "being_canceled";
      case ConnectionState::kCount: break;
    }
    return "";
  }();
  return {"S",
          connection.user,
          connection.database,
          "none",
          state,
          address,
          port,
          local,
          local_port,
          TimeText(facts, connection.age),
          TimeText(facts, connection.idle),
          "0",
          "0",
          "0",
          connection.server + "/" + Text(connection.pid),
          connection.session ? SessionIdText(*connection.session) : "",
          Text(connection.pid),
          "",
          connection.server,
          Text(connection.prepared),
          "0"};
}

Table ShowClients(const ConsoleFactsRef& facts) {
  return {facts->sessions.sessions.size(), [facts](std::size_t i) { return ClientRow(facts, facts->sessions.sessions[i]); }};
}
Table ShowServers(const ConsoleFactsRef& facts) {
  return {facts->connections.connections.size(),
          [facts](std::size_t i) { return ServerRow(facts, facts->connections.connections[i]); }};
}
Table ShowSockets(const ConsoleFactsRef& facts) {
  const auto clients = facts->sessions.sessions.size();
  return {clients + facts->connections.connections.size(), [facts, clients](std::size_t i) {
            auto row = i < clients ? ClientRow(facts, facts->sessions.sessions[i])
                                   : ServerRow(facts, facts->connections.connections[i - clients]);
            for (int column = 0; column < 7; ++column) row.emplace_back("0");
            return row;
          }};
}

// --- Waypost itself

Table ShowVersion(const ConsoleFactsRef&) { return TableOf({{std::string(kVersion)}}); }
Table ShowNothing(const ConsoleFactsRef&) { return {}; }
Table ShowState(const ConsoleFactsRef& facts) {
  return TableOf({{"active", YesNo(!facts->paused)}, {"paused", YesNo(facts->paused)}, {"suspended", "no"}});
}

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ",") + name;
  return text;
}

Table ShowConfig(const ConsoleFactsRef& facts) {
  const auto& config = *facts->config;
  const Config standard;
  std::vector<Row> rows;
  const auto add = [&rows](std::string key, std::string value, std::string fallback, bool changeable = true) {
    rows.push_back({std::move(key), std::move(value), std::move(fallback), YesNo(changeable)});
  };
  add("listen_addr", config.listeners.front().address, ListenConfig().address, false);
  add("listen_port", Text(config.listeners.front().port), Text(ListenConfig().port), false);
  add("conffile", config.path, "", false);
  add("admin_users", Joined(config.admin.console_admins), "");
  add("stats_users", Joined(config.admin.console_viewers), "");
  add("pool_mode", std::string(PoolModeName(config.pool.mode)), std::string(PoolModeName(standard.pool.mode)));
  add("max_client_conn", Text(config.max_clients), Text(standard.max_clients));
  add("default_pool_size", Text(config.pool.max_size), Text(standard.pool.max_size));
  add("min_pool_size", Text(config.pool.min_size), Text(standard.pool.min_size));
  add("reserve_pool_size", "0", "0", false);
  add("max_db_connections", "0", "0", false);
  add("max_user_connections", "0", "0", false);
  add("server_lifetime", Text(Seconds(config.pool.lifetime)), Text(Seconds(standard.pool.lifetime)));
  add("server_idle_timeout", Text(Seconds(config.pool.idle_timeout)), Text(Seconds(standard.pool.idle_timeout)));
  add("query_wait_timeout", Text(Seconds(config.pool.query_wait_timeout)), Text(Seconds(standard.pool.query_wait_timeout)));
  add("client_login_timeout", Text(Seconds(config.limits.login_timeout)), Text(Seconds(standard.limits.login_timeout)));
  add("client_idle_timeout", Text(Seconds(config.limits.client_idle_timeout)),
      Text(Seconds(standard.limits.client_idle_timeout)));
  add("idle_transaction_timeout", Text(Seconds(config.limits.idle_in_transaction_timeout)),
      Text(Seconds(standard.limits.idle_in_transaction_timeout)));
  add("stats_period", Text(Seconds(kTrafficPeriod)), Text(Seconds(kTrafficPeriod)), false);
  return TableOf(std::move(rows));
}

constexpr std::string_view kSocketColumns =
    "type text, user text, database text, replication text, state text, addr text, port int4, local_addr text, local_port int4, "
    "connect_time text, request_time text, wait int4, wait_us int4, close_needed int4, ptr text, link text, remote_pid int4, tls "
    "text, "
    "application_name text, prepared_statements int4, id int4";

std::vector<Listing> MakeListings() {
  const std::string sockets(kSocketColumns);
  const auto all_sockets =
      sockets +
      ", recv_pos int4, pkt_pos int4, pkt_remain int4, send_pos int4, send_remain int4, pkt_avail int4, send_avail int4";
  const std::string totals =
      "server_assignment_count numeric, xact_count numeric, query_count numeric, bytes_received numeric, bytes_sent numeric, "
      "xact_time numeric, query_time numeric, wait_time numeric, ";
  std::vector<Listing> all;
  const auto add = [&all](std::string name, std::string what, const std::string& columns, unsigned needs, auto rows) {
    all.push_back({std::move(name), std::move(what), ReadColumns(columns), needs, rows});
  };
  add("version", "the version", "version text", kNeedsNothing, ShowVersion);
  add("config", "the configuration, under PgBouncer's names", "key text, value text, default text, changeable text",
      kNeedsNothing, ShowConfig);
  add("databases", "databases, and how many connections each has",
      "name text, host text, port int4, database text, force_user text, pool_size int4, min_pool_size int4, reserve_pool_size "
      "int4, "
      "server_lifetime int4, pool_mode text, load_balance_hosts text, max_connections int4, current_connections int4, "
      "max_client_connections int4, current_client_connections int4, paused int4, disabled int4, reserve_pool int4",
      kNeedsClients | kNeedsPools, ShowDatabases);
  add("pools", "clients and server connections of each user in each database",
      "database text, user text, cl_active int4, cl_waiting int4, cl_active_cancel_req int4, cl_waiting_cancel_req int4, "
      "sv_active int4, "
      "sv_active_cancel int4, sv_being_canceled int4, sv_idle int4, sv_used int4, sv_tested int4, sv_login int4, maxwait int4, "
      "maxwait_us int4, pool_mode text, load_balance_hosts text",
      kNeedsClients | kNeedsPools, ShowPools);
  add("clients", "every client", sockets, kNeedsSessions, ShowClients);
  add("servers", "every server connection", sockets, kNeedsConnections, ShowServers);
  add("sockets", "both", all_sockets, kNeedsSessions | kNeedsConnections, ShowSockets);
  add("active_sockets", "both", all_sockets, kNeedsSessions | kNeedsConnections, ShowSockets);
  add("users", "users, and how many connections each has",
      "name text, pool_size text, reserve_pool_size text, pool_mode text, max_user_connections int4, current_connections int4, "
      "max_user_client_connections int4, current_client_connections int4",
      kNeedsClients | kNeedsPools, ShowUsers);
  add("stats", "traffic of each database: in all, and on average in the last whole minute",
      "database text, total_server_assignment_count numeric, total_xact_count numeric, total_query_count numeric, total_received "
      "numeric, "
      "total_sent numeric, total_xact_time numeric, total_query_time numeric, total_wait_time numeric, total_client_parse_count "
      "numeric, "
      "total_server_parse_count numeric, total_bind_count numeric, avg_server_assignment_count numeric, avg_xact_count numeric, "
      "avg_query_count numeric, avg_recv numeric, avg_sent numeric, avg_xact_time numeric, avg_query_time numeric, avg_wait_time "
      "numeric, "
      "avg_client_parse_count numeric, avg_server_parse_count numeric, avg_bind_count numeric, total_requests numeric",
      kNeedsTraffic, ShowStats);
  add("stats_totals", "the first half of STATS",
      "database text, " + totals + "client_parse_count numeric, server_parse_count numeric, bind_count numeric", kNeedsTraffic,
      ShowStatsTotals);
  add("stats_averages", "the second half of STATS",
      "database text, " + totals + "avg_client_parse_count numeric, avg_server_parse_count numeric, avg_bind_count numeric",
      kNeedsTraffic, ShowStatsAverages);
  add("totals", "traffic of all databases together", "name text, value numeric", kNeedsTraffic, ShowTotals);
  add("lists", "how many there are of what", "list text, items int4", kNeedsClients | kNeedsPools, ShowLists);
  add("mem", "nothing: Waypost has no memory caches of PgBouncer's kind",
      "name text, size int4, used int4, free int4, memtotal int4", kNeedsNothing, ShowNothing);
  add("state", "whether it is paused", "key text, value text", kNeedsNothing, ShowState);
  add("dns_hosts", "nothing", "hostname text, ttl int8, addrs text", kNeedsNothing, ShowNothing);
  add("dns_zones", "nothing", "zonename text, serial int8, count int4", kNeedsNothing, ShowNothing);
  add("peers", "nothing", "peer_id int4, host text, port int4, pool_size int4", kNeedsNothing, ShowNothing);
  add("peer_pools", "nothing",
      "peer_id int4, cl_active_cancel_req int4, cl_waiting_cancel_req int4, sv_active_cancel int4, sv_login int4", kNeedsNothing,
      ShowNothing);
  add("fds", "nothing",
      "fd int4, task text, user text, database text, addr text, port int4, cancel int8, link int4, client_encoding text, "
      "std_strings text, "
      "datestyle text, timezone text, password text, scram_client_key bytea, scram_server_key bytea",
      kNeedsNothing, ShowNothing);
  add("routes", "how many statements went where, and why", "target text, reason text, statements int8", kNeedsNothing,
      ShowRoutes);
  add("pins", "what ties sessions to their server connections", "reason text, sessions int8, pins int8, unpins int8",
      kNeedsNothing, ShowPins);
  add("digests", "the 100 kinds of statements that took longest",
      "database text, user text, calls int8, total_time_us int8, max_time_us int8, rows int8, errors int8, on_primary int8, "
      "on_replica int8, "
      "verdict text, last_reason text, statement text",
      kNeedsDigests, ShowDigests);
  add("fence", "which replicas may be read from, and why not",
      "server text, role text, position text, lag_bytes int8, workers_proving int4, why_not text", kNeedsFence, ShowFence);
  return all;
}

const std::vector<Listing>& Listings() {
  static const auto kAll = MakeListings();
  return kAll;
}

}  // namespace

const Listing* FindListing(std::string_view name) {
  const auto& all = Listings();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Listing& listing) { return listing.name == name; });
  return found == all.end() ? nullptr : &*found;
}

std::string ConsoleHelp() {
  std::string text = "Console usage\n";
  for (const auto& listing : Listings()) {
    std::string name = listing.name;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c); });
    text += "\tSHOW " + name + ": " + listing.what + "\n";
  }
  return text +
         "\tRELOAD: the configuration file is read again\n"
         "\tPAUSE [database]: what begins is held, what runs ends, server connections close; for an hour at most\n"
         "\tRESUME [database]: what was held goes on\n"
         "\tDISABLE database, ENABLE database: it takes no new clients, or again\n"
         "\tKILL [database]: as PAUSE, and all clients are ended\n"
         "\tKILL_CLIENT id: ends the client of that id in SHOW CLIENTS\n"
         "\tRECONNECT [database]: server connections are closed as soon as no session holds them\n"
         "\tWAIT_CLOSE [database]: returns when those are closed\n"
         "\tSHUTDOWN, SHUTDOWN WAIT_FOR_CLIENTS: Waypost ends, at once or once its clients are between two transactions";
}

}  // namespace waypost
