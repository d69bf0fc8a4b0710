#include "tests/consistency/workload.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <thread>

namespace consistency {
namespace {

using std::to_string;

// Each server of the test's cluster is started with an extra_float_digits of its own, so that the
// length of this value says who answered, without a function that a balancer would send to the
// primary. See servers.py.
constexpr std::string_view kWhere = ", 2.0::float8 / 3";
constexpr std::size_t kDigitsOfPrimary = 18;

Server Where(std::string_view text) {
  return text.size() <= kDigitsOfPrimary && text.size() > kDigitsOfPrimary - kUnknownServer
             ? static_cast<Server>(kDigitsOfPrimary - text.size())
             : kUnknownServer;
}

Protocol ProtocolNamed(const std::string& kind) {
  if (kind == "extended") return Protocol::kExtended;
  return kind == "prepared" ? Protocol::kPrepared : Protocol::kSimple;
}

// The table that gets column `n`: a new one now and then, as PostgreSQL takes 1600 columns at most.
constexpr std::int64_t kColumns = 200;
std::string Wide(std::int64_t n) { return "wide_" + to_string((n - 1) / kColumns); }

std::string Select(const std::string& from) { return "SELECT v" + std::string(kWhere) + " FROM " + from + " WHERE k = $1"; }

std::string Filled(std::string sql, std::size_t key) { return sql.replace(sql.find("$1"), 2, to_string(key)); }

}  // namespace

std::vector<std::string> ReadKinds() {
  return {"simple",   "extended", "prepared", "view",    "function",  "trigger",    "double", "large",
          "connect",  "execute",  "cursor",   "session", "committed", "repeatable", "block",  "tied",
          "pipeline", "copy",     "list",     "sum",     "sums",      "ddl"};
}

std::vector<std::string> WriteKinds() {
  return {"simple", "extended", "prepared", "cte",      "block",  "multi",  "pipeline",
          "async",  "local",    "function", "twophase", "notify", "append", "transfer"};
}

// What one thread has: a session through each door, and its dice.
class Run::Sessions {
 public:
  Sessions(const std::vector<Door>& doors, unsigned seed) : dice_(seed) {
    for (const Door& door : doors) clients_.emplace_back(door.name, door.conninfo);
  }
  Client& Any() { return clients_[Roll(clients_.size())]; }
  // Any but that one, if there is another.
  Client& Other(const Client& one) {
    Client* other = &Any();
    while (clients_.size() > 1 && other->name() == one.name()) other = &Any();
    return *other;
  }
  Client& Direct() { return clients_.back(); }
  std::size_t Roll(std::size_t sides) { return std::uniform_int_distribution<std::size_t>(0, sides - 1)(dice_); }
  bool Chance(double probability) { return std::bernoulli_distribution(probability)(dice_); }
  const std::string& Choose(const std::vector<std::string>& from) { return from[Roll(from.size())]; }
  Protocol AnyProtocol() { return static_cast<Protocol>(Roll(3)); }

 private:
  std::mt19937 dice_;
  std::deque<Client> clients_;
};

std::string Run::SetUp(const std::string& conninfo) {
  Client primary("primary", conninfo);
  const std::string last = to_string(kRegisters - 1);
  // An earlier run may have been cut short anywhere.
  primary.Run(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'checker' "
      "AND pid <> pg_backend_pid()");
  const Reply left = primary.Run("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()");
  for (int i = 0; i < left.rows(); ++i) primary.Run("ROLLBACK PREPARED '" + std::string(left.Value(i, 0)) + "'");
  for (const std::string& sql :
       {std::string("SET client_min_messages = error"), std::string("SET lock_timeout = '10s'"),
        std::string("DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT ALL ON SCHEMA public "
                    "TO public"),
        "CREATE TABLE reg AS SELECT k, 0::bigint AS v FROM generate_series(0, " + last + ") k",
        std::string("ALTER TABLE reg ADD PRIMARY KEY (k)"),
        std::string("ALTER TABLE reg SET (fillfactor = 50, autovacuum_enabled = off)"),
        std::string("CREATE VIEW reg_view AS SELECT k, v FROM reg"),
        std::string("CREATE FUNCTION reg_function(int) RETURNS TABLE (k int, v bigint) STABLE "
                    "LANGUAGE sql AS "
                    "'SELECT k, v FROM reg WHERE k = $1'"),
        std::string("CREATE TABLE reg_copy AS SELECT * FROM reg"), std::string("ALTER TABLE reg_copy ADD PRIMARY KEY (k)"),
        std::string("CREATE FUNCTION copy_reg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE "
                    "reg_copy SET v = "
                    "NEW.v WHERE k = NEW.k; RETURN NEW; END'"),
        std::string("CREATE TRIGGER copied AFTER UPDATE ON reg FOR EACH ROW EXECUTE FUNCTION copy_reg()"),
        std::string("CREATE FUNCTION set_async(int, bigint) RETURNS void LANGUAGE plpgsql AS "
                    "'BEGIN PERFORM "
                    "set_config(''synchronous_commit'', ''off'', true); UPDATE reg SET v = $2 "
                    "WHERE k = $1; END'"),
        "CREATE TABLE list AS SELECT k, ''::text AS t FROM generate_series(0, " + to_string(kLists - 1) + ") k",
        std::string("ALTER TABLE list ADD PRIMARY KEY (k)"),
        "CREATE TABLE bank AS SELECT k, " + to_string(kBalance) + " AS b FROM generate_series(1, " + to_string(kAccounts) + ") k",
        std::string("ALTER TABLE bank ADD PRIMARY KEY (k)"), std::string("GRANT ALL ON ALL TABLES IN SCHEMA public TO public")}) {
    const Reply reply = primary.Run(sql);
    if (!reply.ok()) return sql + ": " + reply.message();
  }
  return "";
}

void Run::Failed(const Reply& reply, const std::string& what) {
  const std::string kind = what.substr(0, what.find(' '));
  const std::lock_guard lock(mutex_);
  auto& [count, sample] = errors_[kind + " " + reply.sqlstate()];
  if (++count == 1) sample = what + ": " + reply.message();
}

bool Run::Counted(const Reply& reply, const std::string& what, int server_column, Server* server) {
  if (!reply.ok() || reply.rows() == 0) {
    failed_reads_.fetch_add(1);
    Failed(reply, "read-" + what);
    if (reply.sqlstate().starts_with("08")) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return false;
  }
  const Server where = Where(reply.Value(0, server_column));
  reads_on_[where].fetch_add(1);
  reads_.fetch_add(1);
  if (server != nullptr) *server = where;
  return true;
}

// ---- writers

void Run::Write(const std::stop_token& stop, unsigned thread) {
  Sessions sessions(plan_.writers, thread);
  std::vector<std::int64_t> values(kRegisters, 0);
  const auto gap =
      plan_.write_rate > 0
          ? std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(plan_.writer_threads / plan_.write_rate))
          : Clock::duration(0);
  Clock::time_point due = Clock::now();
  while (!stop.stop_requested()) {
    Client& client = sessions.Any();
    const std::string& kind = sessions.Choose(plan_.writes);
    if (kind == "append") {
      Append(sessions, client);
    } else if (kind == "transfer") {
      Transfer(sessions, client);
    } else {
      const std::size_t key = thread + plan_.writer_threads * sessions.Roll(kRegisters / plan_.writer_threads);
      const std::int64_t value = ++values[key];
      if (WriteRegister(sessions, client, key, value, kind)) {
        registers_[key].Acknowledge(value);
        writes_.fetch_add(1);
        if (sessions.Chance(plan_.read_own_write)) {
          Client& other = sessions.Other(client);
          if (&other != &sessions.Direct()) {
            ReadRegister(other, sessions.AnyProtocol(), "reg", key, "after-write through " + other.name());
          }
        }
      }
    }
    due = std::max(due + gap, Clock::now() - std::chrono::seconds(1));
    if (gap.count() > 0) std::this_thread::sleep_until(due);
  }
}

bool Run::WriteRegister(Sessions& sessions, Client& client, std::size_t key, std::int64_t value, const std::string& kind) {
  const std::string update = "UPDATE reg SET v = $2 WHERE k = $1";
  const std::vector<std::string> parameters{to_string(key), to_string(value)};
  const std::string filled = "UPDATE reg SET v = " + to_string(value) + " WHERE k = " + to_string(key);
  const auto all = [&](const std::vector<std::string>& statements) {
    for (const std::string& sql : statements) {
      const Reply reply = client.Run(sql);
      if (reply.ok()) continue;
      Failed(reply, "write-" + kind + " through " + client.name());
      client.Reset();
      return false;
    }
    return true;
  };
  if (kind == "block") return all({"BEGIN", filled, "COMMIT"});
  if (kind == "multi") return all({"BEGIN; " + filled + "; COMMIT"});
  if (kind == "local") return all({"BEGIN", "SET LOCAL synchronous_commit = off", filled, "COMMIT"});
  if (kind == "async") return all({"SET synchronous_commit = off", filled, "RESET synchronous_commit"});
  if (kind == "function") return all({"SELECT set_async(" + to_string(key) + ", " + to_string(value) + ")"});
  if (kind == "notify") {
    return all({"BEGIN; " + filled + "; NOTIFY written, '" + to_string(key) + ":" + to_string(value) + "'; COMMIT"});
  }
  if (kind == "twophase") return TwoPhase(sessions, client, key, value);
  if (kind == "pipeline") {
    const std::vector<Reply> replies =
        client.Pipeline({filled, "SELECT v" + std::string(kWhere) + " FROM reg WHERE k = " + to_string(key)});
    if (replies.size() < 2 || !replies[0].ok()) {
      const Reply none(nullptr);
      Failed(replies.empty() ? none : replies[0], "write-pipeline through " + client.name());
      return false;
    }
    Server server = kUnknownServer;
    if (Counted(replies[1], "own-write through " + client.name(), 1, &server) && replies[1].Number(0, 0) < value) {
      findings_.Add(Fault::kStale, "read behind its own write of " + to_string(value) + " in one pipeline through " +
                                       client.name() + " found " + std::string(replies[1].Value(0, 0)) + " on pg" +
                                       to_string(server));
    }
    return true;
  }
  if (kind == "cte") {
    return all({"WITH changed AS (" + filled + " RETURNING v) SELECT v FROM changed"});
  }
  const Reply reply = client.Run(ProtocolNamed(kind), update, parameters);
  if (!reply.ok()) Failed(reply, "write-" + kind + " through " + client.name());
  if (reply.sqlstate().starts_with("08") && !reply.ok()) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  return reply.ok();
}

bool Run::TwoPhase(Sessions& sessions, Client& client, std::size_t key, std::int64_t value) {
  // One name space for all databases: a run cut short in another may have left one there.
  const std::string name = "'" + to_string(::getpid()) + "-" + to_string(key) + "-" + to_string(value) + "'";
  for (const std::string& sql : {std::string("BEGIN"), "UPDATE reg SET v = " + to_string(value) + " WHERE k = " + to_string(key),
                                 "PREPARE TRANSACTION " + name, "COMMIT PREPARED " + name}) {
    const Reply reply = client.Run(sql);
    if (reply.ok()) continue;
    Failed(reply, "write-twophase through " + client.name());
    client.Reset();
    // Whatever became of it, it must not hold its lock for ever.
    for (int i = 0; i < 200; ++i) {
      const Reply undone = sessions.Direct().Run("ROLLBACK PREPARED " + name);
      if (undone.ok() || undone.sqlstate() == "42704") break;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return false;
  }
  return true;
}

void Run::Append(Sessions& sessions, Client& client) {
  std::size_t index = list_.load();
  const std::size_t number = lists_[index].Next();
  if (number == 0) {
    if (index + 1 < kLists) list_.compare_exchange_strong(index, index + 1);
    return;
  }
  const Reply reply = client.Run(sessions.AnyProtocol(), "UPDATE list SET t = t || ',' || $2::int WHERE k = $1::int",
                                 std::vector{to_string(index), to_string(number)});
  if (reply.ok()) {
    lists_[index].Acknowledge(number);
    writes_.fetch_add(1);
    return;
  }
  Failed(reply, "write-append through " + client.name());
  const std::string state = reply.sqlstate();
  if (!state.starts_with("08") && !state.starts_with("57")) lists_[index].Fail(number);
}

void Run::Transfer(Sessions& sessions, Client& client) {
  const std::size_t from = 1 + sessions.Roll(kAccounts), to = 1 + (from + sessions.Roll(kAccounts - 1)) % kAccounts;
  const auto low = to_string(std::min(from, to)), high = to_string(std::max(from, to));
  if (from == to) return;
  for (const std::string& sql : {std::string("BEGIN"), "UPDATE bank SET b = b - 1 WHERE k = " + low,
                                 "UPDATE bank SET b = b + 1 WHERE k = " + high, std::string("COMMIT")}) {
    const Reply reply = client.Run(sql);
    if (reply.ok()) continue;
    Failed(reply, "write-transfer through " + client.name());
    return client.Reset();
  }
  writes_.fetch_add(1);
}

// Makes tables and columns, and drops what no reader looks at any more.
void Run::ChangeSchema(const std::stop_token& stop) {
  constexpr std::int64_t kKept = 40;
  Sessions sessions(plan_.writers, 7001);
  for (std::int64_t n = 1; !stop.stop_requested(); ++n) {
    Client& client = sessions.Any();
    if (n % kColumns == 1) client.Run("CREATE TABLE " + Wide(n) + " AS SELECT 1 AS v");
    const std::pair<std::string, std::atomic<std::int64_t>&> steps[] = {
        {"CREATE TABLE made_" + to_string(n) + " AS SELECT 1 AS v", tables_},
        {"ALTER TABLE " + Wide(n) + " ADD COLUMN c" + to_string(n) + " int DEFAULT 1", columns_},
        {"CREATE OR REPLACE FUNCTION answer() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT " + to_string(n) + "'", answers_}};
    for (const auto& [sql, made] : steps) {
      const Reply reply = sessions.Any().Run(sql);
      if (reply.ok()) made.store(n);
      if (!reply.ok()) Failed(reply, "write-ddl through " + client.name());
      // Each of these makes Waypost read the catalogue anew, and meanwhile all reads run on the primary.
      std::this_thread::sleep_for(std::chrono::milliseconds(700));
    }
    if (n > kKept) client.Run("DROP TABLE IF EXISTS made_" + to_string(n - kKept));
  }
}

// Is told of a write by the primary itself, and reads through a balancer.
void Run::Listen(const std::stop_token& stop) {
  Client listener("listener", plan_.writers.back().conninfo);
  listener.set_greeting("LISTEN written");
  Sessions sessions(plan_.readers, 7002);
  while (!stop.stop_requested()) {
    const std::string payload = listener.Notification(100);
    if (payload.empty()) continue;
    const std::size_t key = std::stoul(payload);
    const std::int64_t told = std::stoll(payload.substr(payload.find(':') + 1));
    Client& client = sessions.Any();
    std::int64_t value = told;
    const std::string what = "notified through " + client.name();
    if (ReadRegister(client, sessions.AnyProtocol(), "reg", key, what, &value) && value < told) {
      findings_.Add(Fault::kStale, what + " of " + to_string(told) + " found " + to_string(value));
    }
  }
}

// ---- readers

void Run::Read(const std::stop_token& stop, unsigned thread) {
  Sessions sessions(plan_.readers, 1000 + thread);
  while (!stop.stop_requested()) {
    ReadOne(sessions, sessions.Any(), sessions.Choose(plan_.reads), sessions.Roll(kRegisters));
  }
}

void Run::ReadOne(Sessions& sessions, Client& client, const std::string& kind, std::size_t key) {
  const std::string what = kind + " through " + client.name();
  if (kind == "view" || kind == "function" || kind == "trigger") {
    const std::string from = kind == "view" ? "reg_view" : kind == "trigger" ? "reg_copy" : "reg_function($1)";
    ReadRegister(client, sessions.AnyProtocol(), from, key, what);
  } else if (kind == "double") {
    ReadBySql(client, {"SELECT 1 WHERE false; " + Filled(Select("reg_view"), key)}, key, what);
  } else if (kind == "large") {
    ReadLarge(client, sessions.AnyProtocol(), key, what);
  } else if (kind == "connect") {
    if (!sessions.Chance(0.1)) return;
    Client fresh(client);
    ReadRegister(fresh, sessions.AnyProtocol(), "reg", key, what);
  } else if (kind == "execute") {
    // A session that prepared by SQL may be the primary's from then on: one of its own.
    if (!sessions.Chance(0.1)) return;
    Client fresh(client);
    ReadBySql(fresh, {"EXECUTE by_key(" + to_string(key) + ")"}, key, what);
  } else if (kind == "tied") {
    // LISTEN ties a session to the primary: one of its own.
    if (!sessions.Chance(0.1)) return;
    Client fresh(client);
    if (!fresh.Run("LISTEN nothing").ok()) return;
    for (int i = 0; i < 5; ++i) ReadRegister(fresh, sessions.AnyProtocol(), "reg", sessions.Roll(kRegisters), what);
  } else if (kind == "block") {
    ReadBySql(client, {"BEGIN", Filled(Select("reg"), key), Filled(Select("reg_view"), key), "COMMIT"}, key, what);
  } else if (kind == "cursor") {
    ReadBySql(client, {"BEGIN READ ONLY", "DECLARE c CURSOR FOR " + Filled(Select("reg"), key), "FETCH c", "COMMIT"}, key, what);
  } else if (kind == "session") {
    ReadBySql(client,
              {"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "BEGIN", Filled(Select("reg"), key), "COMMIT",
               "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE"},
              key, what);
  } else if (kind == "copy") {
    ReadCopy(client, key);
  } else if (kind == "committed" || kind == "repeatable") {
    ReadBlock(sessions, client, kind == "repeatable", key);
  } else if (kind == "pipeline") {
    ReadPipeline(client, key);
  } else if (kind == "list") {
    ReadList(client, sessions.AnyProtocol());
  } else if (kind == "sum" || kind == "sums") {
    ReadSum(client, kind == "sums");
  } else if (kind == "ddl") {
    ReadNew(sessions, client);
  } else {
    ReadRegister(client, ProtocolNamed(kind), "reg", key, what);
  }
}

// More rows than a balancer may hold back: all of one run.
void Run::ReadLarge(Client& client, Protocol protocol, std::size_t key, const std::string& what) {
  constexpr int kRows = 4000;
  const Register::Before before = registers_[key].Begin();
  const Reply reply =
      client.Run(protocol, Select("reg CROSS JOIN generate_series(1, " + to_string(kRows) + ")"), std::vector{to_string(key)});
  Server server = kUnknownServer;
  if (!Counted(reply, what, 1, &server)) return;
  for (int row = 0; row < reply.rows(); ++row) {
    if (reply.Value(row, 0) == reply.Value(0, 0) && reply.Value(row, 1) == reply.Value(0, 1)) continue;
    return findings_.Add(Fault::kTorn, what + ": rows of two answers in one");
  }
  if (reply.rows() != kRows) return findings_.Add(Fault::kTorn, what + ": " + to_string(reply.rows()) + " rows");
  registers_[key].End(before, reply.Number(0, 0), server, what, findings_);
}

// Runs the statements; the one that gives a row reads the register.
void Run::ReadBySql(Client& client, const std::vector<std::string>& statements, std::size_t key, const std::string& what) {
  const Register::Before before = registers_[key].Begin();
  for (const std::string& sql : statements) {
    Reply reply = client.Run(sql);
    if (!reply.ok() && reply.sqlstate() == "26000") {
      client.Run("PREPARE by_key(int) AS " + Select("reg"));
      reply = client.Run(sql);
    }
    if (reply.ok() && reply.rows() == 0) continue;
    Server server = kUnknownServer;
    if (!Counted(reply, what, 1, &server)) {
      client.Reset();
      client.Run("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE");
      return;
    }
    registers_[key].End(before, reply.Number(0, 0), server, what, findings_);
  }
}

void Run::ReadCopy(Client& client, std::size_t key) {
  const std::string what = "copy through " + client.name();
  const Register::Before before = registers_[key].Begin();
  std::string text;
  const Reply reply = client.CopyOut("COPY (" + Filled(Select("reg"), key) + ") TO STDOUT", text);
  const std::size_t tab = text.find('\t');
  if (!reply.ok() || tab == std::string::npos) {
    failed_reads_.fetch_add(1);
    return Failed(reply, "read-" + what);
  }
  const Server server = Where(std::string_view(text).substr(tab + 1, text.find('\n') - tab - 1));
  reads_on_[server].fetch_add(1);
  reads_.fetch_add(1);
  registers_[key].End(before, std::stoll(text), server, what, findings_);
}

bool Run::ReadRegister(Client& client, Protocol protocol, const std::string& from, std::size_t key, const std::string& what,
                       std::int64_t* value) {
  const Register::Before before = registers_[key].Begin();
  const Reply reply = client.Run(protocol, Select(from), std::vector{to_string(key)});
  Server server = kUnknownServer;
  if (!Counted(reply, what, 1, &server)) return false;
  registers_[key].End(before, reply.Number(0, 0), server, what, findings_);
  if (value != nullptr) *value = reply.Number(0, 0);
  return true;
}

void Run::ReadBlock(Sessions& sessions, Client& client, bool repeatable, std::size_t key) {
  const std::string what = (repeatable ? "repeatable through " : "committed through ") + client.name();
  const Protocol protocol = sessions.AnyProtocol();
  const Reply begun = client.Run(repeatable ? "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY" : "BEGIN READ ONLY");
  std::int64_t first = 0, again = 0;
  bool good = begun.ok() && ReadRegister(client, protocol, "reg", key, what, &first);
  if (good && repeatable) {
    const Reply reply = client.Run(protocol, Select("reg"), std::vector{to_string(key)});
    good = Counted(reply, what, 1);
    again = reply.Number(0, 0);
    if (good && first != again) {
      findings_.Add(Fault::kUnrepeatable, what + ": " + to_string(first) + ", then " + to_string(again));
    }
  } else if (good) {
    good = ReadRegister(client, protocol, "reg", sessions.Roll(kRegisters), what);
  }
  if (!good || !client.Run("COMMIT").ok()) client.Reset();
}

// Reads of one session, sent at once, see what the one before saw.
void Run::ReadPipeline(Client& client, std::size_t key) {
  const std::string what = "pipeline through " + client.name();
  const std::string sql = "SELECT v" + std::string(kWhere) + " FROM reg WHERE k = " + to_string(key);
  const Register::Before before = registers_[key].Begin();
  const std::vector<Reply> replies = client.Pipeline({sql, sql, sql});
  if (replies.empty()) return Failed(Reply(nullptr), "read-" + what);
  std::int64_t last = 0;
  for (const Reply& reply : replies) {
    Server server = kUnknownServer;
    if (!Counted(reply, what, 1, &server)) return;
    const std::int64_t value = reply.Number(0, 0);
    registers_[key].End(before, value, server, what, findings_);
    if (value < last) {
      findings_.Add(server == kPrimary ? Fault::kUnackedBackward : Fault::kReplicaBackward,
                    what + ": " + to_string(last) + ", then " + to_string(value) + " on pg" + to_string(server));
    }
    last = value;
  }
}

void Run::ReadList(Client& client, Protocol protocol) {
  const std::size_t index = list_.load();
  const std::string what = "list " + to_string(index) + " through " + client.name();
  const List::Before before = lists_[index].Begin();
  const Reply reply =
      client.Run(protocol, "SELECT t" + std::string(kWhere) + " FROM list WHERE k = $1", std::vector{to_string(index)});
  Server server = kUnknownServer;
  if (Counted(reply, what, 1, &server)) lists_[index].End(before, reply.Value(0, 0), server, what, findings_);
}

void Run::ReadSum(Client& client, bool block) {
  const std::string what = (block ? "sums through " : "sum through ") + client.name();
  const std::string sql = "SELECT sum(b)" + std::string(kWhere) + " FROM bank";
  constexpr auto kTotal = static_cast<std::int64_t>(kAccounts * kBalance);
  std::int64_t total = 0;
  if (block) {
    bool good = client.Run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").ok();
    for (const char* half : {" WHERE k % 2 = 0", " WHERE k % 2 = 1"}) {
      if (!good) break;
      const Reply reply = client.Run(sql + half);
      good = Counted(reply, what, 1);
      total += reply.Number(0, 0);
    }
    if (!good || !client.Run("COMMIT").ok()) return client.Reset();
  } else {
    const Reply reply = client.Run(sql);
    if (!Counted(reply, what, 1)) return;
    total = reply.Number(0, 0);
  }
  if (total != kTotal) findings_.Add(Fault::kTorn, what + ": " + to_string(total));
}

void Run::ReadNew(Sessions& sessions, Client& client) {
  const std::string what = "ddl through " + client.name();
  // A name only now known: the prepared way would leave a statement behind for each.
  const Protocol protocol = sessions.Chance(0.5) ? Protocol::kSimple : Protocol::kExtended;
  const std::size_t dice = sessions.Roll(3);
  const std::int64_t n = (dice == 0 ? tables_ : dice == 1 ? columns_ : answers_).load();
  if (n == 0) return;
  const std::string where(kWhere);
  const std::string sql = dice == 0   ? "SELECT v" + where + " FROM made_" + to_string(n)
                          : dice == 1 ? "SELECT c" + to_string(n) + where + " FROM " + Wide(n)
                                      : "SELECT answer()" + where;
  const Reply reply = client.Run(protocol, sql);
  const std::string state = reply.ok() ? "" : reply.sqlstate();
  if (state == "42P01" || state == "42703" || state == "42883") {
    reads_.fetch_add(1);
    findings_.Add(Fault::kMissing, what + ": " + sql + ": " + reply.message());
    return;
  }
  Server server = kUnknownServer;
  if (Counted(reply, what, 1, &server) && dice == 2 && reply.Number(0, 0) < n) {
    findings_.Add(Fault::kStale, what + " on pg" + to_string(server) + ": a function replaced " + to_string(n) +
                                     " times is that of " + std::string(reply.Value(0, 0)));
  }
}

std::string Run::Json(double seconds) const {
  nlohmann::ordered_json out;
  out["seconds"] = seconds;
  out["reads"] = reads_.load();
  out["writes"] = writes_.load();
  out["failed_reads"] = failed_reads_.load();
  std::uint64_t on_replicas = 0;
  for (std::size_t i = 0; i < reads_on_.size(); ++i) {
    const std::uint64_t count = reads_on_[i].load();
    if (i != kPrimary && i != kUnknownServer) on_replicas += count;
    if (count > 0) out["reads_on"][i == kUnknownServer ? "unknown" : "pg" + to_string(i)] = count;
  }
  const std::uint64_t all = std::max<std::uint64_t>(reads_.load(), 1);
  out["replica_share"] = static_cast<double>(on_replicas) / static_cast<double>(all);
  for (std::size_t i = 0; i < static_cast<std::size_t>(Fault::kCount); ++i) {
    out["faults"][std::string(Name(static_cast<Fault>(i)))] = findings_.Count(static_cast<Fault>(i));
  }
  out["samples"] = findings_.Samples();
  const std::lock_guard lock(mutex_);
  out["errors"] = nlohmann::ordered_json::object();
  for (const auto& [kind, error] : errors_) out["errors"][kind] = {{"count", error.first}, {"first", error.second}};
  return out.dump(1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace consistency
