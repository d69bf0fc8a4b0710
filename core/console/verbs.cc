// What the console's commands do: all but SHOW. Pauses, reloads and ends are those of the HTTP API.
#include <charconv>
#include <utility>

#include "core/console/console.h"
#include "core/env/env.h"
#include "parser/wire/encode.h"

namespace waypost {
namespace {

constexpr std::chrono::hours kPauseLimit{1};  // as the HTTP API's
constexpr std::string_view kTooMany = "too many databases are paused or disabled";

std::string Named(const std::string& database) { return database.empty() ? "all databases" : "database " + database; }

// "0-17" or "17".
std::optional<std::uint64_t> NumberOfSession(const std::string& id) {
  if (const auto whole = ReadSessionId(id)) return whole->number;
  std::uint64_t number = 0;
  const auto* end = id.data() + id.size();
  const auto [at, error] = std::from_chars(id.data(), end, number);
  return error == std::errc() && at == end ? std::optional(number) : std::nullopt;
}

}  // namespace

template <class Answer>
std::function<void(Answer)> Console::WhenDone(std::function<void(const Answer&)> then) {
  Wait(true);
  return [this, post = post_, alive = std::weak_ptr(alive_), turn = ++turn_, then = std::move(then)](const Answer& answer) {
    post([this, alive, turn, then, answer] {
      const auto there = alive.lock();
      if (!there || turn != turn_ || !running_) return;
      then(answer);
      Process();
    });
  };
}

void Console::Do(const ConsoleCommand& command) {
  const auto& subject = command.subject;
  switch (command.verb) {
    case Verb::kNothing: {
      std::string out;
      AppendEmpty(out, 'I');
      Write(out);
      break;
    }
    case Verb::kShow: Notice(ConsoleHelp()); break;
    case Verb::kReload: return Reload();
    case Verb::kPause: return BeginPause(subject);
    case Verb::kResume: return EndPause(subject);
    case Verb::kDisable: return SetDisabled(subject, true);
    case Verb::kEnable: return SetDisabled(subject, false);
    case Verb::kKill: return KillAll(subject);
    case Verb::kKillClient: return Kill(subject);
    case Verb::kWaitClose:
      if (IsConsoleDatabase(subject)) return Fail(kConsoleError, "cannot wait in admin db: " + subject);
      return AwaitServers(subject, false);
    case Verb::kReconnect:
      if (IsConsoleDatabase(subject)) return Fail(kConsoleError, "cannot reconnect admin db: " + subject);
      Audit("server connections of " + Named(subject), "open", "to be closed");
      process_.reconnect(subject);
      break;
    case Verb::kShutdown:
      Audit("Waypost", "running", subject.empty() ? "to end at once" : "to end after its clients");
      process_.shut_down(subject.empty());
      break;
    case Verb::kBegin: in_block_ = true; break;
    case Verb::kEnd: in_block_ = false; break;
    case Verb::kSet:
    case Verb::kUnsupported:
    case Verb::kUnknown: break;
  }
  Complete();
}

void Console::Reload() {
  Audit("configuration", "as loaded before", "read again");
  process_.reload(WhenDone<std::string>([this](const std::string& error) {
    Wait(false);
    if (error.empty()) Complete();
    else Fail("F0000", "RELOAD failed, see logs for additional details", error);
  }));
}

// --- pauses

bool Console::HoldStatements(const std::string& verb, const std::string& database) {
  if (IsConsoleDatabase(database)) return Fail(kConsoleError, "cannot " + verb + " admin db: " + database), false;
  if (env_.shared().pause.At(env_.Now()) != PauseScope::kNone) return Fail(kConsoleError, "already suspended/paused"), false;
  if (database.empty()) process_.pause(kPauseLimit);
  else if (!env_.shared().database_gates.Hold(database, env_.Now() + kPauseLimit)) return Fail("53400", kTooMany), false;
  Audit("pause of " + Named(database), "none", "for at most an hour");
  return true;
}

void Console::LetGo(const std::string& database) {
  if (database.empty()) process_.resume();
  else if (env_.shared().database_gates.LetGo(database)) process_.wake();
  Audit("pause of " + Named(database), "paused", "none");
}

void Console::BeginPause(const std::string& database) {
  if (!HoldStatements("pause", database)) return;
  process_.reconnect(database);
  AwaitServers(database, true);
}

void Console::EndPause(const std::string& database) {
  if (database.empty() && env_.shared().pause.At(env_.Now()) == PauseScope::kNone)
    return Fail(kConsoleError, "pooler is not paused/suspended");
  if (!database.empty() && !env_.shared().database_gates.Held(database, env_.Now()))
    return Fail(kConsoleError, "database " + database + " is not paused");
  LetGo(database);
  Complete();
}

void Console::SetDisabled(const std::string& database, bool disabled) {
  if (IsConsoleDatabase(database))
    return Fail(kConsoleError, std::string("cannot ") + (disabled ? "disable" : "enable") + " admin db: " + database);
  auto& gates = env_.shared().database_gates;
  const bool before = gates.Disabled(database);
  if (!gates.SetDisabled(database, disabled)) return Fail("53400", kTooMany);
  Audit(Named(database), before ? "disabled" : "enabled", disabled ? "disabled" : "enabled");
  Complete();
}

// --- ends

// As PgBouncer's, it leaves a pause behind: clients that come again wait for RESUME.
void Console::KillAll(const std::string& database) {
  if (!HoldStatements("kill", database)) return;
  process_.census->AskToEndAll(database, WhenDone<std::size_t>([this, database](const std::size_t& ended) {
                                 Audit("clients of " + Named(database), std::to_string(ended), "ended");
                                 process_.reconnect(database);
                                 Wait(false);
                                 Complete();
                               }));
}

void Console::Kill(const std::string& id) {
  const auto number = NumberOfSession(id);
  if (!number) return Fail(kConsoleError, "invalid client id '" + id + "': expected the id of a client in SHOW CLIENTS");
  process_.census->AskToEnd(*number, WhenDone<Ended>([this, id](const Ended& ended) {
    Wait(false);
    if (ended != Ended::kDone) return Fail(kConsoleError, "client not found: " + id);
    Audit("session " + id, "connected", "ended");
    Complete();
  }));
}

// --- what is waited for on the servers

void Console::AwaitServers(const std::string& database, bool pauses) {
  awaited_ = Awaited{.database = database, .pauses = pauses};
  waiting_ = true;  // it goes on being read from: see OnData()
  LookAtServers();
}

// Again with the next Sweep(), until nothing is left to wait for.
void Console::LookAtServers() {
  awaited_->asked = true;
  awaited_->since = env_.Now();
  process_.census->AskConnections([this, post = post_, alive = std::weak_ptr(alive_), turn = ++turn_](ConnectionReport report) {
    post([this, alive, turn, report = std::make_shared<ConnectionReport>(std::move(report))] {
      const auto there = alive.lock();
      if (!there || turn != turn_ || !awaited_) return;
      awaited_->asked = false;
      for (const auto& row : report->connections) {
        if (!awaited_->database.empty() && row.database != awaited_->database) continue;
        if (row.closing || (awaited_->pauses && row.state != ConnectionState::kIdle)) return;
      }
      if (awaited_->pauses) Notice("it ends with RESUME, or by itself after an hour");
      awaited_.reset();
      Wait(false);
      Complete();
      Process();
    });
  });
}

bool Console::Cancel() {
  if (!awaited_) return false;
  const auto awaited = *std::exchange(awaited_, std::nullopt);
  ++turn_;
  if (awaited.pauses) LetGo(awaited.database);
  Fail("57014", "canceling statement due to user request", awaited.pauses ? "The pause has ended." : "");
  Wait(false);
  Process();
  return true;
}

}  // namespace waypost
