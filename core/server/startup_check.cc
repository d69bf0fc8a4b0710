#include "core/server/startup_check.h"

#include <algorithm>

#include "core/base/ascii.h"
#include "core/base/log.h"
#include "core/env/env.h"
#include "core/server/connect.h"
#include "core/server/pool_host.h"
#include "core/server/pool_set.h"
#include "parser/wire/encode.h"
#include "parser/wire/fields.h"
#include "parser/wire/frame.h"

namespace waypost {
namespace {

constexpr seconds kRemembered{60};
constexpr milliseconds kRetryAfter{250};
constexpr std::size_t kMaxEntries = 1000;
constexpr std::uint32_t kMaxAnswerBytes = 64 * 1024;

// Which of the settings that this start-up asked for can be set by nothing else; and the isolation of transactions. The
// client's own time-outs do not count.
constexpr std::string_view kIsolation = "=read committed";
constexpr std::string_view kStartedWithSql =
    "SET statement_timeout = 0; SELECT '=' || pg_catalog.current_setting('default_transaction_isolation') UNION ALL SELECT name "
    "FROM pg_catalog.pg_settings WHERE source OPERATOR(pg_catalog.=) 'client' AND"
    " context OPERATOR(pg_catalog.=) ANY ('{backend,superuser-backend}')";

}  // namespace

// One start-up under way.
class StartupChecks::Probe final : public StreamUser {
 public:
  Probe(StartupChecks& checks, StartupQuestion question, ServerId server, std::shared_ptr<const ServerConfig> config)
      : checks_(checks),
        question_(std::move(question)),
        server_(server),
        config_(std::move(config)),
        deadline_(checks.env_.Now() + config_->connect_timeout),
        login_(*config_, question_.user, question_.database, question_.parameters,
               checks.env_.shared().credentials.ForServer(question_.user)) {
    stream_ = ConnectTo(checks_.env_, *config_, *this);
  }
  ~Probe() { checks_.env_.shared().budgets[server_].Give(); }
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  [[nodiscard]] ServerId server() const { return server_; }
  [[nodiscard]] bool late(TimePoint now) const { return now > deadline_; }

  void OnConnected() noexcept override {
    login_.BindTo(stream_->PeerEndPoint());
    stream_->Write(AsBytes(login_.Start()));
  }
  void OnClosed(const std::string& error) noexcept override {
    Log(LogLevel::kWarn, "startup_check_failed",
        {{"server", config_->name}, {"user", question_.user}, {"database", question_.database}, {"error", error}});
    checks_.Finish(question_, ServerLogin::Progress::kFailed, nullptr, {});  // destroys this
  }
  void OnData(Bytes data) noexcept override {
    input_ += AsText(data);
    auto in = AsBytes(input_);
    std::string out;
    auto progress = asking_ ? OnAnswer(in) : login_.OnBytes(in, out);
    if (progress == ServerLogin::Progress::kReady && !asking_) {
      checks_.env_.shared().protocol_minor.store(login_.protocol_minor(), std::memory_order_relaxed);
      if (login_.keys()) checks_.env_.shared().credentials.Learn(question_.user, *login_.keys());
      out.clear();
      AppendQuery(out, kStartedWithSql);
      asking_ = true;
      progress = ServerLogin::Progress::kGoOn;
    }
    if (progress == ServerLogin::Progress::kReady) {
      AppendEmpty(out, 'X');
      stream_->Write(AsBytes(out));
    }
    if (progress != ServerLogin::Progress::kGoOn)
      return checks_.Finish(question_, progress, &login_, {{}, {}, read_committed_, std::move(only_at_start_)});  // destroys this
    input_.erase(0, input_.size() - in.size());
    if (!out.empty()) stream_->Write(AsBytes(out));
  }

 private:
  // The rows of kStartedWithSql.
  ServerLogin::Progress OnAnswer(Bytes& in) {
    for (;;) {
      auto rest = in;
      FrameHeader header;
      const auto found = NextHeader(rest, header);
      if (found == FrameStatus::kMalformed || header.body_bytes > kMaxAnswerBytes) return ServerLogin::Progress::kFailed;
      if (found == FrameStatus::kNeedMore || rest.size() < header.body_bytes) return ServerLogin::Progress::kGoOn;
      Fields fields(rest.first(header.body_bytes));
      in = rest.subspan(header.body_bytes);
      if (header.type == 'Z') return ServerLogin::Progress::kReady;
      if (header.type != 'D' || fields.U16() != 1) continue;
      const auto name = AsText(fields.Take(fields.U32()));
      if (!fields.ok()) continue;
      if (name.starts_with('=')) read_committed_ = name == kIsolation;
      else only_at_start_.push_back(AsciiLower(name));
    }
  }

  StartupChecks& checks_;
  StartupQuestion question_;
  ServerId server_;
  std::shared_ptr<const ServerConfig> config_;
  TimePoint deadline_;
  ServerLogin login_;
  std::unique_ptr<Stream> stream_;
  std::string input_;
  bool asking_ = false;  // it has logged in
  bool read_committed_ = false;
  std::vector<std::string> only_at_start_;
};

StartupChecks::StartupChecks(Env& env, PoolHost& host, PoolSet& pools) : env_(env), host_(host), pools_(pools) {}
StartupChecks::~StartupChecks() = default;

void StartupChecks::Ask(const StartupQuestion& question, StartupUser& user) {
  auto& entry = entries_[question];
  const auto& claims = env_.shared().database_claims;
  if (entry.answered && env_.Now() - entry.answered_at < kRemembered && entry.renewals == claims.renewals() &&
      !claims.Claimed(question.database) && entry.defaults == env_.shared().defaults_clock.now()) {
    user.OnStartupChecked(entry.answer);
    return;
  }
  entry.answered = false;
  entry.users.push_back(&user);
  if (!entry.probe) Start(question, entry);
}

void StartupChecks::Forget(StartupUser& user) {
  for (auto& [question, entry] : entries_) std::erase(entry.users, &user);
}

bool StartupChecks::LacksPlace(StartupUser& user) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const auto& item) {
    const auto& entry = item.second;
    return entry.no_place_since && std::find(entry.users.begin(), entry.users.end(), &user) != entry.users.end();
  });
}

void StartupChecks::Start(const StartupQuestion& question, Entry& entry) {
  entry.retry_at = env_.Now() + kRetryAfter;
  const auto primary = env_.view().primary;
  if (!primary) {
    env_.shared().probe_now();
    return;
  }
  const auto config = env_.ServerFor(*primary);
  if (!config) return;
  if (!TakePlace(*primary, config->max_connections, entry)) {
    entry.retry_at = env_.Now() + milliseconds{20};
    return;
  }
  entry.no_place_since.reset();
  pools_.PublishOldest(*primary);
  entry.renewals = env_.shared().database_claims.renewals();
  entry.defaults = env_.shared().defaults_clock.now();
  entry.probe = std::make_unique<Probe>(*this, question, *primary, config);
}

bool StartupChecks::TakePlace(ServerId server, unsigned limit, Entry& entry) {
  auto& budget = env_.shared().budgets[server];
  if (budget.Take(limit)) return true;
  if (!entry.no_place_since) entry.no_place_since = env_.Now();
  pools_.PublishOldest(server);  // before it looks again: who gives a place back from now on sees it
  if (budget.Take(limit) || (pools_.EvictIdle(server) && budget.Take(limit))) return true;
  host_.AskOthersToYield(server);
  return false;
}

void StartupChecks::Finish(const StartupQuestion& asked, ServerLogin::Progress progress, const ServerLogin* login,
                           StartupAnswer answer) {
  const auto question = asked;  // the probe that holds it goes away here
  const auto found = entries_.find(question);
  if (found == entries_.end()) return;
  auto& entry = found->second;
  const bool passing = progress == ServerLogin::Progress::kFailed && (login == nullptr || IsPassing(login->sqlstate()));
  if (!passing) {
    entry.answered = true;
    entry.answered_at = env_.Now();
    answer.error = login->error();
    answer.parameter_status = std::make_shared<const Parameters>(login->parameter_status());
    entry.answer = std::move(answer);
    // A refusal may be mended at any time (CREATE DATABASE): it is not remembered.
    if (!entry.answer.error.empty()) entry.answered_at = {};
  } else {
    env_.shared().probe_now();
    entry.retry_at = env_.Now() + kRetryAfter;
  }
  if (entry.probe) {
    const auto server = entry.probe->server();
    entry.probe.reset();
    pools_.Grow(server);
  }
  if (passing) return;
  const auto told = entry.answer;
  const auto users = std::move(entry.users);
  entry.users.clear();
  for (auto* user : users) user->OnStartupChecked(told);
}

void StartupChecks::Sweep(TimePoint now) {
  std::vector<StartupQuestion> late;
  for (auto& [question, entry] : entries_) {
    if (entry.probe && entry.probe->late(now)) late.push_back(question);
    else if (!entry.probe && !entry.users.empty() && now >= entry.retry_at) Start(question, entry);
  }
  for (const auto& question : late) Finish(question, ServerLogin::Progress::kFailed, nullptr, {});
  std::erase_if(entries_, [&](const auto& item) {
    const auto& entry = item.second;
    return !entry.probe && entry.users.empty() && (now - entry.answered_at > kRemembered || entries_.size() > kMaxEntries);
  });
}

std::optional<TimePoint> StartupChecks::OldestWaiter(ServerId server) const {
  std::optional<TimePoint> oldest;
  if (env_.view().primary != server) return oldest;
  for (const auto& [question, entry] : entries_)
    if (!entry.users.empty() && entry.no_place_since && (!oldest || *entry.no_place_since < *oldest))
      oldest = entry.no_place_since;
  return oldest;
}

void StartupChecks::PlaceFree(ServerId server) {
  const auto oldest = OldestWaiter(server);
  if (!oldest) return;
  for (auto& [question, entry] : entries_)
    if (entry.no_place_since == oldest && !entry.users.empty() && !entry.probe) return Start(question, entry);
}

void StartupChecks::Clear() {
  for (auto& [question, entry] : entries_) entry.answered = false;
}

}  // namespace waypost
