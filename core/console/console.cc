#include "core/console/console.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/base/ascii.h"
#include "core/env/env.h"
#include "parser/wire/encode.h"
#include "parser/wire/fields.h"
#include "parser/wire/frontend.h"

namespace waypost {
namespace {

constexpr std::size_t kMaxStatementBytes = 64 * 1024;
constexpr std::size_t kMaxNames = 1000;      // of statements, and of portals
constexpr std::size_t kRowsPerTurn = 200;
constexpr milliseconds kPatience{5'000};     // with a worker that does not answer

bool IsIn(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

ConsoleRole ConsoleRoleOf(const Config& config, std::string_view user) {
  if (IsIn(config.admin.console_admins, user)) return ConsoleRole::kAdmin;
  return IsIn(config.admin.console_viewers, user) ? ConsoleRole::kViewer : ConsoleRole::kNone;
}

bool IsConsoleDatabase(std::string_view database) { return database == "pgbouncer" || database == "waypost"; }

void AppendConsoleParameters(std::string& out) {
  using Parameter = std::pair<std::string_view, std::string_view>;
  for (const auto& [name, value] : std::to_array<Parameter>({{"server_version", "1.25.1/bouncer"},
                                                             {"client_encoding", "UTF8"},
                                                             {"server_encoding", "UTF8"},
                                                             {"DateStyle", "ISO"},
                                                             {"TimeZone", "GMT"},
                                                             {"standard_conforming_strings", "on"},
                                                             {"is_superuser", "on"},
                                                             {"integer_datetimes", "on"}}))
    AppendParameterStatus(out, name, value);
}

Console::Console(Env& env, const ConsoleProcess& process, ConsoleClient& client, ConsoleUser user,
                 std::function<void(std::function<void()>)> post)
    : env_(env), process_(process), client_(client), user_(std::move(user)), post_(std::move(post)) {}

Console::~Console() = default;

void Console::Later(std::function<void()> task) {
  post_([alive = std::weak_ptr(alive_), task = std::move(task)] {
    if (const auto there = alive.lock()) task();
  });
}

void Console::Write(const std::string& bytes) {
  if (!ended_) client_.WriteToConsole(AsBytes(bytes));
}

void Console::Wait(bool waits) {
  if (waiting_ == waits) return;
  waiting_ = waits;
  waiting_since_ = env_.Now();
  if (!ended_) client_.PauseConsole(waits);
}

void Console::OnData(Bytes data) {
  input_ += AsText(data);
  // While it waits for servers it is read from, to see that its client leaves; what it says meanwhile is not for ever.
  if (awaited_ && input_.size() > kMaxStatementBytes) client_.PauseConsole(true);
  Process();
}

void Console::GoOn() {
  if (running_ && !waiting_) SendRows();
  Process();
}

void Console::Sweep(TimePoint now) {
  if (awaited_) {
    if (!awaited_->asked || now - awaited_->since >= kPatience) LookAtServers();
    return;
  }
  if (!waiting_ || !running_ || now - waiting_since_ < kPatience) return;
  ++turn_;
  Fail("57014", "not all workers of Waypost have answered in time");
  Wait(false);
  Process();
}

// --- messages

void Console::Process() {
  if (processing_) return;
  processing_ = true;
  auto in = AsBytes(input_);
  while (!ended_ && !busy() && !client_.ConsoleFull()) {
    auto rest = in;
    FrameHeader header;
    const auto found = NextHeader(rest, header);
    if (found == FrameStatus::kNeedMore) break;
    if (found == FrameStatus::kMalformed || header.body_bytes > kMaxStatementBytes) {
      Misbehaved("invalid message length");
      break;
    }
    if (rest.size() < header.body_bytes) break;
    in = rest.subspan(header.body_bytes);
    OnMessage(header.type, rest.first(header.body_bytes));
  }
  input_.erase(0, input_.size() - in.size());
  processing_ = false;
}

void Console::OnMessage(char type, Bytes body) {
  if (type == 'X') {
    ended_ = true;
    return client_.EndConsole("");
  }
  if (type == 'S') {
    skips_ = false;
    return Ready();
  }
  if (type == 'Q') return OnQuery(body);
  if (skips_ || type == 'H') return;
  switch (type) {
    case 'P': return OnParse(body);
    case 'B': return OnBind(body);
    case 'D': return OnDescribe(body);
    case 'E': return OnExecute(body);
    case 'C': return OnClose(body);
    default:
      return Misbehaved("the console does not understand message type " + std::to_string(static_cast<unsigned char>(type)));
  }
}

void Console::OnQuery(Bytes body) {
  const auto sql = ReadQuery(body);
  if (!sql) return Misbehaved("invalid message format");
  auto portal = Prepare(ReadCommand(*sql));
  Execute(std::move(portal), true, 0);
}

void Console::OnParse(Bytes body) {
  const auto parse = ReadParse(body);
  if (!parse) return Misbehaved("invalid message format");
  auto command = ReadCommand(parse->sql);
  if (const auto why = WhyNot(command); !why.empty()) return Fail(kConsoleError, why);
  if (!parse->name.empty() && statements_.contains(parse->name))
    return Fail("42P05", "prepared statement \"" + std::string(parse->name) + "\" already exists");
  if (statements_.size() >= kMaxNames) return Fail("53200", "too many prepared statements");
  statements_.insert_or_assign(std::string(parse->name), std::move(command));
  std::string out;
  AppendEmpty(out, '1');
  Write(out);
}

void Console::OnBind(Bytes body) {
  const auto bind = ReadBind(body);
  if (!bind) return Misbehaved("invalid message format");
  const auto statement = statements_.find(bind->statement);
  if (statement == statements_.end())
    return Fail("26000", "prepared statement \"" + std::string(bind->statement) + "\" does not exist");
  Fields fields(bind->rest);
  for (auto formats = fields.U16(); formats > 0; --formats) (void)fields.U16();
  if (fields.U16() != 0) return Fail(kConsoleError, "the console's statements take no parameters");
  auto portal = Prepare(statement->second);
  for (auto count = fields.U16(); count > 0 && fields.ok(); --count) portal->formats.push_back(fields.U16());
  if (!fields.ok()) return Misbehaved("invalid message format");
  if (!FormatsFit(portal->formats, portal->listing == nullptr ? 0 : portal->listing->columns.size()))
    return Fail(kConsoleError, "bind message has result formats that the statement has no columns for");
  if (portals_.size() >= kMaxNames) return Fail("53200", "too many portals");
  portals_.insert_or_assign(std::string(bind->portal), std::move(portal));
  std::string out;
  AppendEmpty(out, '2');
  Write(out);
}

void Console::OnDescribe(Bytes body) {
  const auto target = ReadTarget(body);
  if (!target) return Misbehaved("invalid message format");
  std::string out;
  const Listing* listing = nullptr;
  Formats formats;
  if (target->kind == 'S') {
    const auto found = statements_.find(target->name);
    if (found == statements_.end())
      return Fail("26000", "prepared statement \"" + std::string(target->name) + "\" does not exist");
    if (found->second.verb == Verb::kShow) listing = FindListing(found->second.subject);
    MessageBuilder(out, 't').U16(0);
  } else {
    const auto found = portals_.find(target->name);
    if (found == portals_.end()) return Fail("34000", "portal \"" + std::string(target->name) + "\" does not exist");
    listing = found->second->listing;
    formats = found->second->formats;
  }
  if (listing != nullptr) AppendRowDescription(out, listing->columns, formats);
  else AppendEmpty(out, 'n');
  Write(out);
}

void Console::OnExecute(Bytes body) {
  Fields fields(body);
  const auto name = fields.CString();
  const auto limit = fields.U32();
  if (!fields.ok()) return Misbehaved("invalid message format");
  const auto found = portals_.find(name);
  if (found == portals_.end()) return Fail("34000", "portal \"" + std::string(name) + "\" does not exist");
  Execute(found->second, false, limit);
}

void Console::OnClose(Bytes body) {
  const auto target = ReadTarget(body);
  if (!target) return Misbehaved("invalid message format");
  if (target->kind == 'S') {
    if (const auto found = statements_.find(target->name); found != statements_.end()) statements_.erase(found);
  } else if (const auto found = portals_.find(target->name); found != portals_.end()) {
    portals_.erase(found);
  }
  std::string out;
  AppendEmpty(out, '3');
  Write(out);
}

// --- statements

std::shared_ptr<Console::Portal> Console::Prepare(ConsoleCommand command) {
  auto portal = std::make_shared<Portal>();
  if (command.verb == Verb::kShow) portal->listing = FindListing(command.subject);
  portal->command = std::move(command);
  return portal;
}

// Why it cannot be; empty: it can.
std::string Console::WhyNot(const ConsoleCommand& command) const {
  const auto role = ConsoleRoleOf(env_.config(), user_.name);
  const auto* database = env_.config().FindDatabase(command.subject);
  if (role == ConsoleRole::kNone)
    return "user \"" + user_.name + "\" is no longer named in [admin] console_admins or console_viewers";
  switch (command.verb) {
    case Verb::kUnknown:
    case Verb::kUnsupported: return command.trouble;
    case Verb::kShow:
      return command.subject == "help" || FindListing(command.subject) != nullptr
                 ? ""
                 : "invalid command 'SHOW " + command.subject + "', use SHOW HELP;";
    case Verb::kPause:
    case Verb::kResume:
    case Verb::kKill:
    case Verb::kReconnect:
    case Verb::kWaitClose:
      if (database != nullptr && !database->server_name.empty())
        return "database " + command.subject + " is another name of " + database->server_name + ": name that one";
      [[fallthrough]];
    case Verb::kReload:
    case Verb::kDisable:
    case Verb::kEnable:
    case Verb::kKillClient:
    case Verb::kShutdown:
      return role == ConsoleRole::kAdmin
                 ? ""
                 : "admin access needed: user \"" + user_.name + "\" is not named in [admin] console_admins";
    case Verb::kNothing:
    case Verb::kSet:
    case Verb::kBegin:
    case Verb::kEnd: break;
  }
  return "";
}

// `limit`: of rows; 0: none.
void Console::Execute(std::shared_ptr<Portal> portal, bool simple, std::size_t limit) {
  running_ = std::make_unique<Run>(Run{portal, simple, limit == 0 ? SIZE_MAX : portal->sent + limit});
  // Somebody may have taken the role away since it was parsed.
  if (const auto why = WhyNot(portal->command); !why.empty()) return Fail(kConsoleError, why);
  if (portal->listing == nullptr) return Do(portal->command);
  if (portal->table) return SendRows();
  portal->facts = std::make_shared<ConsoleFacts>();
  portal->missing = portal->listing->needs;
  Gather();
}

// --- what is gathered

template <class Report>
std::function<void(Report)> Console::Into(Report ConsoleFacts::* place) {
  return [this, post = post_, alive = std::weak_ptr(alive_), turn = ++turn_, place](Report report) {
    post([this, alive, turn, place, report = std::make_shared<Report>(std::move(report))] {
      const auto there = alive.lock();
      if (!there || turn != turn_ || !running_) return;
      (*running_->portal->facts).*place = std::move(*report);
      Gather();
      Process();
    });
  };
}

// One report after the other; each is asked for when the one before is here.
void Console::Gather() {
  auto& portal = *running_->portal;
  const auto lacks = [&](unsigned need) {
    const bool missing = (portal.missing & need) != 0;
    portal.missing &= ~need;
    if (missing) Wait(true);
    return missing;
  };
  const auto& census = *process_.census;
  if (lacks(kNeedsClients)) return census.AskClients(Into(&ConsoleFacts::clients));
  if (lacks(kNeedsPools)) return census.AskPools(Into(&ConsoleFacts::pools));
  if (lacks(kNeedsConnections)) return census.AskConnections(Into(&ConsoleFacts::connections));
  if (lacks(kNeedsTraffic)) return census.AskTraffic(Into(&ConsoleFacts::traffic));
  if (lacks(kNeedsDigests)) return census.AskDigests(Into(&ConsoleFacts::digests));
  if (lacks(kNeedsFence)) return census.AskFence(Into(&ConsoleFacts::fence));
  if (lacks(kNeedsSessions)) {
    SessionQuestion all;
    all.limit = SIZE_MAX;
    return census.AskSessions(all, Into(&ConsoleFacts::sessions));
  }
  Wait(false);
  Begin();
}

void Console::Begin() {
  auto& portal = *running_->portal;
  auto& facts = *portal.facts;
  facts.config = env_.config_snapshot();
  facts.view = env_.view_snapshot();
  facts.now = std::chrono::system_clock::now();
  facts.threads = process_.threads;
  facts.paused = env_.shared().pause.At(env_.Now()) != PauseScope::kNone;
  facts.gates = env_.shared().database_gates.all();
  portal.table = portal.listing->rows(portal.facts);
  portal.facts.reset();
  if (running_->simple) {
    std::string out;
    AppendRowDescription(out, portal.listing->columns, portal.formats);
    Write(out);
  }
  SendRows();
}

void Console::SendRows() {
  auto& portal = *running_->portal;
  std::string out;
  const auto end = std::min({portal.table->count, running_->until, portal.sent + kRowsPerTurn});
  for (; portal.sent < end; ++portal.sent)
    AppendDataRow(out, portal.listing->columns, portal.formats, portal.table->row(portal.sent));
  Write(out);
  if (portal.sent == std::min(portal.table->count, running_->until)) return Complete();
  if (client_.ConsoleFull()) return;  // GoOn() follows
  Wait(true);
  Later([this, turn = ++turn_] {
    if (turn != turn_ || !running_) return;
    Wait(false);
    SendRows();
    Process();
  });
}

// --- how it ends

void Console::Complete() {
  const auto run = std::move(running_);
  auto& portal = *run->portal;
  std::string out;
  const bool suspended = portal.table && portal.sent < portal.table->count;
  if (suspended) {
    AppendEmpty(out, 's');
  } else if (portal.command.verb != Verb::kNothing) {
    AppendCommandComplete(out, portal.command.tag);
  }
  if (!suspended && portal.table) portal.table = Table{};  // its rows are not needed any more
  portal.sent = suspended ? portal.sent : 0;
  Write(out);
  if (run->simple) Ready();
}

void Console::Fail(std::string_view sqlstate, std::string_view message, std::string_view detail) {
  const auto run = std::move(running_);
  Write(ErrorMessage({.sqlstate = sqlstate, .message = message, .detail = detail}));
  if (run && run->simple) return Ready();
  skips_ = true;
}

void Console::Notice(std::string_view message) {
  auto notice = ErrorMessage({.severity = "NOTICE", .sqlstate = "00000", .message = message});
  notice[0] = 'N';
  Write(notice);
}

void Console::Misbehaved(std::string_view message) {
  ended_ = true;
  client_.EndConsole(ErrorMessage({.severity = "FATAL", .sqlstate = kConsoleError, .message = message}));
}

void Console::Ready() {
  std::string out;
  AppendReadyForQuery(out, in_block_ ? 'T' : 'I');
  Write(out);
}

}  // namespace waypost
