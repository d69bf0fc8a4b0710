// PgBouncer's administration console: what a client hears that has logged in to the database "pgbouncer" or "waypost" and is named in
// [admin] console_admins or console_viewers. Simple and extended protocol. Reports are gathered from the workers while it waits, and
// rows are made and sent some at a time, so that long listings hold nobody up. Worker thread only; belongs to its session.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/time.h"
#include "core/console/answers.h"
#include "core/console/command.h"
#include "core/console/table.h"
#include "parser/wire/frame.h"

namespace waypost {

class Env;

enum class ConsoleRole : std::uint8_t { kNone, kViewer, kAdmin };
// What `user` may do in the console; kNone: there is no console for it.
[[nodiscard]] ConsoleRole ConsoleRoleOf(const Config& config, std::string_view user);
[[nodiscard]] bool IsConsoleDatabase(std::string_view database);
inline constexpr std::string_view kConsoleError = "08P01";  // PgBouncer has this SQLSTATE for whatever a console cannot do
// ParameterStatus, as PgBouncer's console has them.
void AppendConsoleParameters(std::string& out);

struct ConsoleUser {
  std::string name, from;  // as whom; "ADDRESS:PORT"
};

// The process, as the consoles of all workers see it. Thread-safe.
struct ConsoleProcess {
  const Census* census = nullptr;
  std::vector<const WorkerMetrics*> threads;
  // The configuration file is read again; `done` is told what is wrong with it ("": nothing), in another thread.
  std::function<void(std::function<void(const std::string& error)> done)> reload;
  std::function<void(bool at_once)> shut_down;
  std::function<void(const std::string& database)> reconnect;  // "": all
  std::function<void(std::chrono::seconds limit)> pause;  // everything
  std::function<void()> resume;  // ends that
  std::function<void()> wake;  // statements that were held look whether they still are
  // Says in the log and as an event who has changed what.
  std::function<void(const ConsoleUser& who, const std::string& what, const std::string& before, const std::string& after)> audit;
};

// Whose console it is: a session.
class ConsoleClient {
 public:
  virtual void WriteToConsole(Bytes bytes) = 0;
  // It does not take what it is sent: GoOn() is called when it does again.
  [[nodiscard]] virtual bool ConsoleFull() const = 0;
  // What it says is not read for the time being, or is again.
  virtual void PauseConsole(bool pause) = 0;
  // FATAL `message`, or nothing; then the connection ends.
  virtual void EndConsole(const std::string& message) = 0;

 protected:
  ~ConsoleClient() = default;
};

class Console {
 public:
  // `post` runs a task in this thread, later. `process` is null in a process without consoles.
  Console(Env& env, const ConsoleProcess& process, ConsoleClient& client, ConsoleUser user,
          std::function<void(std::function<void()>)> post);
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  void OnData(Bytes data);
  void GoOn();
  // Ends the wait for a worker that does not answer; looks again at what a command waits for.
  void Sweep(TimePoint now);
  // The client's cancel request. False: nothing waits.
  bool Cancel();
  // Something is under way.
  [[nodiscard]] bool busy() const { return waiting_ || running_ != nullptr; }

 private:
  // One statement and what is to be sent of it.
  struct Portal {
    ConsoleCommand command;
    const Listing* listing = nullptr;
    Formats formats;
    std::shared_ptr<ConsoleFacts> facts;  // gathered so far
    unsigned missing = 0;  // what of them is not there yet
    std::optional<Table> table;
    std::size_t sent = 0;  // rows
  };
  struct Run {
    std::shared_ptr<Portal> portal;
    bool simple = false;
    std::size_t until = 0;  // rows; more of them make it a PortalSuspended
  };

  // What on the servers a command waits for.
  struct Awaited {
    std::string database;  // "": all
    bool pauses = false;  // PAUSE, for what is under way; else WAIT_CLOSE, for connections that are to close
    bool asked = false;  // the workers have not answered yet
    TimePoint since{};  // when they were asked
  };

  void Process();
  void OnMessage(char type, Bytes body);
  void OnQuery(Bytes body);
  void OnParse(Bytes body);
  void OnBind(Bytes body);
  void OnDescribe(Bytes body);
  void OnExecute(Bytes body);
  void OnClose(Bytes body);

  [[nodiscard]] std::shared_ptr<Portal> Prepare(ConsoleCommand command);
  [[nodiscard]] std::string WhyNot(const ConsoleCommand& command) const;
  void Execute(std::shared_ptr<Portal> portal, bool simple, std::size_t limit);
  // verbs.cc
  void Do(const ConsoleCommand& command);
  void Reload();
  void BeginPause(const std::string& database);
  void EndPause(const std::string& database);
  void SetDisabled(const std::string& database, bool disabled);
  void KillAll(const std::string& database);
  void Kill(const std::string& id);
  // Holds what begins in `database` (""; in all), unless it cannot: then the client is told, and the answer is false.
  bool HoldStatements(const std::string& verb, const std::string& database);
  void LetGo(const std::string& database);
  void AwaitServers(const std::string& database, bool pauses);
  void LookAtServers();
  void Audit(const std::string& what, const std::string& before, const std::string& after) {
    process_.audit(user_, what, before, after);
  }
  // Runs `then` in this thread if the command is still the one at hand; it is called with what `done` is called with.
  template <class Answer>
  [[nodiscard]] std::function<void(Answer)> WhenDone(std::function<void(const Answer&)> then);

  void Gather();
  template <class Report>
  [[nodiscard]] std::function<void(Report)> Into(Report ConsoleFacts::* place);
  void Begin();
  void SendRows();
  void Complete();
  void Fail(std::string_view sqlstate, std::string_view message, std::string_view detail = {});
  void Notice(std::string_view message);
  void Misbehaved(std::string_view message);
  void Ready();
  void Write(const std::string& bytes);
  void Wait(bool waits);

  // Runs `task` in this thread, unless the console is gone by then.
  void Later(std::function<void()> task);

  Env& env_;
  const ConsoleProcess& process_;
  ConsoleClient& client_;
  const ConsoleUser user_;
  const std::function<void(std::function<void()>)> post_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

  std::string input_;
  std::map<std::string, ConsoleCommand, std::less<>> statements_;
  std::map<std::string, std::shared_ptr<Portal>, std::less<>> portals_;
  std::unique_ptr<Run> running_;
  std::optional<Awaited> awaited_;
  std::uint64_t turn_ = 0;  // of a report that comes when nobody waits for it any more
  bool waiting_ = false;  // for a worker, or for the next turn
  TimePoint waiting_since_{};
  bool processing_ = false;
  bool skips_ = false;  // to the Sync, after an error
  bool in_block_ = false;
  bool ended_ = false;
};

}  // namespace waypost
