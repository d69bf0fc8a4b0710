#include "core/cluster/verifiers.h"

#include <libpq-fe.h>

#include <algorithm>
#include <deque>
#include <iterator>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/base/log.h"
#include "core/base/result.h"
#include "core/base/service_thread.h"
#include "core/cluster/control_link.h"
#include "core/cluster/control_query.h"
#include "parser/wire/scram.h"

namespace waypost {
namespace {

constexpr milliseconds kFresh{500};        // what was asked so lately is not asked again
constexpr milliseconds kTimeout{2'000};    // of one question, with all that it takes
constexpr std::size_t kMaxKnown = 10'000;  // names, real and made up
constexpr std::size_t kMaxWaiting = 10'000;  // callers
// A name of PostgreSQL is shorter: what is cut to this is the name of nobody.
constexpr std::size_t kMaxNameBytes = 64;

using Answer = ControlLink::Answer;

// Where to ask: the primary, which knows first; without one, a server that is up.
const ServerView* WhomToAsk(const ClusterView& view) {
  if (view.primary) return &view.servers[*view.primary];
  const auto up = std::find_if(view.servers.begin(), view.servers.end(),
                               [](const ServerView& server) { return server.up && !server.removed; });
  return up == view.servers.end() ? nullptr : &*up;
}

// What an answer says of `name`; the error is for the log, and then nobody logs in by it.
Result<std::string> VerifierIn(PGresult* answer, const std::string& name) {
  if (PQresultStatus(answer) != PGRES_TUPLES_OK) return Error{FirstLine(PQresultErrorMessage(answer))};
  if (PQntuples(answer) == 0) return std::string();
  const int columns = PQnfields(answer);
  if (PQntuples(answer) > 1 || columns < 1 || columns > 2)
    return Error{"found " + std::to_string(PQntuples(answer)) + " rows of " + std::to_string(columns) +
                 " columns, expected one row at most, with the verifier, or with the user's name and the verifier"};
  if (columns == 2 && name != PQgetvalue(answer, 0, 0)) return Error{"the row is of another user"};
  if (PQgetisnull(answer, 0, columns - 1) != 0) return std::string();
  std::string verifier = PQgetvalue(answer, 0, columns - 1);
  if (verifier.empty() || ParseVerifier(verifier)) return verifier;
  return Error{"the user has no SCRAM-SHA-256 verifier; set its password again with password_encryption = 'scram-sha-256'"};
}

// The name itself is what the server cannot read (class 22: data exception): nobody has it.
bool IsOfTheName(const PGresult* answer) {
  const char* sqlstate = PQresultErrorField(answer, PG_DIAG_SQLSTATE);
  return sqlstate != nullptr && std::string_view(sqlstate).starts_with("22");
}

}  // namespace

class Verifiers::Loop {
 public:
  Loop(ConfigSnapshot config, std::function<View()> view, OnFound found)
      : view_(std::move(view)), found_(std::move(found)), config_(std::move(config)) {}
  ~Loop() = default;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void Start() {
    thread_.Start([this](ServiceThread::Lock& lock) { Run(lock); });
  }

  void Stop() { thread_.Stop(); }

  void Reload(ConfigSnapshot config) {
    const auto lock = thread_.guard();
    config_ = std::move(config);
    asked_.clear();
    reconnect_ = true;
  }

  bool Ask(const std::string& name, Done done) {
    const auto user = name.substr(0, kMaxNameBytes);
    auto lock = thread_.guard();
    const auto known = asked_.find(user);
    if (known != asked_.end() && Clock::now() - known->second < kFresh) return true;
    if (callers_ >= kMaxWaiting) {
      lock.unlock();
      done(false);
      return false;
    }
    ++callers_;
    auto& others = waiting_[user];
    if (others.empty()) queue_.push_back(user);
    others.push_back(std::move(done));
    lock.unlock();
    thread_.Wake();
    return false;
  }

 private:
  void Run(ServiceThread::Lock& lock) {
    for (;;) {
      thread_.Sleep(lock, [this] { return !queue_.empty(); });
      if (thread_.stopping()) return;
      const auto user = std::move(queue_.front());
      queue_.pop_front();
      if (std::exchange(reconnect_, false)) link_.Close();
      const auto config = config_;
      // Who asks from now on asks again: this answer may be older.
      auto waiting = TakeWaiting(user);
      lock.unlock();
      const auto asked_at = Clock::now();
      const auto verifier = Verifier(*config, user);
      if (verifier) found_(user, *verifier);
      lock.lock();
      if (verifier) Note(user, asked_at);
      else if (!link_.open()) TakeAllWaiting(waiting);  // no server answers: they need not wait for that one by one
      lock.unlock();
      for (const auto& done : waiting) done(verifier.has_value());
      lock.lock();
    }
  }

  std::vector<Done> TakeWaiting(const std::string& user) {
    auto waiting = std::move(waiting_.extract(user).mapped());
    callers_ -= waiting.size();
    return waiting;
  }

  void TakeAllWaiting(std::vector<Done>& to) {
    for (const auto& user : std::exchange(queue_, {})) std::ranges::move(TakeWaiting(user), std::back_inserter(to));
  }

  void Note(const std::string& user, TimePoint asked_at) {
    if (asked_.size() >= kMaxKnown) std::erase_if(asked_, [&](const auto& one) { return asked_at - one.second >= kFresh; });
    if (asked_.size() >= kMaxKnown) asked_.clear();
    asked_[user] = asked_at;
  }

  // Nothing: no server could be asked.
  std::optional<std::string> Verifier(const Config& config, const std::string& user) {
    if (!config.auth.asks()) return std::string();
    // A connection that was idle may be gone: then a new one is tried at once.
    const bool used = link_.open();
    link_.Begin();
    auto answer = AskOnce(config, user);
    if (!answer && used) answer = AskOnce(config, user);
    if (!answer) {
      Log(LogLevel::kWarn, "auth_query_failed", {{"error", answer.error()}});
      return std::nullopt;
    }
    auto verifier = VerifierIn(answer->get(), user);
    if (verifier) return *verifier;
    if (IsOfTheName(answer->get())) return std::string();
    const bool refused = PQresultStatus(answer->get()) != PGRES_TUPLES_OK;
    Log(LogLevel::kWarn, refused ? "auth_query_failed" : "auth_query_unusable", {{"user", user}, {"error", verifier.error()}});
    if (refused) return std::nullopt;
    return std::string();
  }

  Result<Answer> AskOnce(const Config& config, const std::string& user) {
    const auto view = view_();
    const auto* at = view ? WhomToAsk(*view) : nullptr;
    const auto* server = at == nullptr ? nullptr : config.FindServer(at->name);
    if (server == nullptr) return Error{"no server is up"};
    if (!link_.open() || server->name != connected_to_) {
      link_.Close();
      if (const auto connected = link_.Connect(ConninfoOf(config, *server)); !connected) {
        link_.Close();
        return Error{"server \"" + server->name + "\": " + connected.error()};
      }
      connected_to_ = server->name;
    }
    auto answer = link_.Ask(config.auth.query, &user);
    if (!answer) link_.Close();
    return answer;
  }

  static std::string ConninfoOf(const Config& config, const ServerConfig& server) {
    MonitorConfig who;
    who.user = config.auth.query_user;
    who.password = config.auth.query_password;
    return MonitorConninfo(who, server, config.auth.database, kTimeout) + AtAddressesIfNamedOtherwise(server, kTimeout) +
           " application_name='waypost auth'";
  }

  const std::function<View()> view_;
  const OnFound found_;
  // Under its guard.
  bool reconnect_ = false;
  ConfigSnapshot config_;
  std::unordered_map<std::string, TimePoint> asked_;
  std::map<std::string, std::vector<Done>> waiting_;
  std::deque<std::string> queue_;  // the names in waiting_, the first come first
  std::size_t callers_ = 0;        // of all of them
  // The thread's.
  ControlLink link_{kTimeout};
  std::string connected_to_;
  ServiceThread thread_{"waypost-auth"};
};

Verifiers::Verifiers(ConfigSnapshot config, std::function<View()> view, OnFound found)
    : loop_(std::make_unique<Loop>(std::move(config), std::move(view), std::move(found))) {}
Verifiers::~Verifiers() = default;
void Verifiers::Start() { loop_->Start(); }
void Verifiers::Stop() { loop_->Stop(); }
void Verifiers::Reload(ConfigSnapshot config) { loop_->Reload(std::move(config)); }
bool Verifiers::Ask(const std::string& user, Done done) { return loop_->Ask(user, std::move(done)); }

}  // namespace waypost
