#include "core/process/app.h"
#include "core/config/server_names.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "core/admin/page.h"
#include "core/admin/server.h"
#include "core/admin/webhook.h"
#include "core/base/log.h"
#include "core/catalog/keeper.h"
#include "core/cluster/discovery.h"
#include "core/cluster/prober.h"
#include "core/cluster/verifiers.h"
#include "core/config/exposure.h"
#include "core/config/members.h"
#include "core/console/console.h"
#include "core/env/shared.h"
#include "core/observe/census.h"
#include "core/observe/explain_route.h"
#include "core/observe/followed_sessions.h"
#include "core/observe/kept_reads_watch.h"
#include "core/observe/span_exporter.h"
#include "core/process/certificates.h"
#include "core/process/cli.h"
#include "core/process/descriptors.h"
#include "core/process/listed_servers.h"
#include "core/process/listening_sockets.h"
#include "core/process/pauses.h"
#include "core/process/predecessor.h"
#include "core/process/progress.h"
#include "core/process/service_notify.h"
#include "core/process/successor.h"
#include "core/process/wishes.h"
#include "core/process/worker.h"
#include "routing/health.h"
#include "routing/intents.h"

namespace waypost {
namespace {

constexpr milliseconds kSignalPoll{100};
constexpr milliseconds kCatalogPatience{2'000};
constexpr milliseconds kReportPatience{1'000};
constexpr milliseconds kEndPatience{5'000};  // from the end of draining to the end of the process
// Clients come to a process that takes the place of another when it knows the primary, or after so long.
constexpr milliseconds kWarmUp{3'000};
constexpr milliseconds kWarmUpPoll{10};
// So many sessions of the process before go to one worker, then as many to the next: see Crew.
constexpr std::size_t kTakenTogether = 64;

// As many descriptors as the system lets us have: one a client, one a server connection.
void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::uint64_t FileLimit() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

sigset_t BlockSignals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR2}) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return set;
}

// The next signal, or 0 after a while.
int NextSignal(const sigset_t& set) {
  const timespec wait{0, std::chrono::nanoseconds(kSignalPoll).count()};
  const int signal = sigtimedwait(&set, nullptr, &wait);
  return signal < 0 ? 0 : signal;
}

unsigned WorkerCount(const Config& config) {
  const auto wanted = config.workers != 0 ? config.workers : std::max(1U, std::thread::hardware_concurrency());
  return std::min<unsigned>(wanted, ServerBudget::kMaxWorkers);
}

// What the configuration allows beyond the limit of descriptors is cut, and said.
Config Fitted(Config config) {
  const auto plan = FitDescriptors(config, WorkerCount(config), FileLimit());
  if (plan.fits()) return config;
  Log(LogLevel::kWarn, "file_limit_too_low",
      {{"found", plan.limit}, {"needed", plan.needed}, {"max_clients", config.max_clients}, {"max_logins", config.max_logins}});
  for (const auto& server : config.servers)
    Log(LogLevel::kWarn, "file_limit_too_low", {{"server", server.name}, {"max_connections", server.max_connections}});
  return config;
}

AdminOptions OptionsOf(const AdminConfig& config) {
  AdminOptions options{
      .connections = AdminConnectionsFor(FileLimit()), .allowed_hosts = config.allowed_hosts, .socket = config.socket};
  std::array<char, HOST_NAME_MAX + 1> name{};
  if (gethostname(name.data(), name.size() - 1) == 0) options.allowed_hosts.emplace_back(name.data());
  return options;
}

void TellExposure(const std::string& path, const std::vector<ConfigValue>& values) {
  if (const auto why = WhyExposed(path, values); !why.empty())
    Log(LogLevel::kWarn, "config_exposed", {{"path", path}, {"why", why}});
}

// Beside the state file, with its name.
std::string IntentsPath(const ClusterConfig& config) {
  return config.state_file.empty() ? std::string() : config.state_file + ".intents";
}

// Everything that runs beside the main thread, in the order in which it must end.
class App {
 public:
  explicit App(Config config)
      : listed_(config, {.view = [this] { return CurrentView(); },
                         .in_use = [this](ServerId id) { return InUse(id); },
                         .admit = [this](const Config& listed) { return Admit(listed, false); },
                         .take =
                             [this](Config listed) {
                               const std::scoped_lock lock(mutex_);
                               TakeIn(std::move(listed));
                             },
                         .tell = [this](const std::string& kind, const std::string& level, const std::string& text,
                                        const std::string& server) { events_.Add(kind, level, text, server); }}),
        config_(std::make_shared<const Config>(Fitted(std::move(config)))),
        prober_(
            config_, prober_metrics_, [this](View view) { OnView(std::move(view)); },
            [this](const std::string& database) { return shared_.database_claims.InsteadOf(database); }),
        keeper_(
            config_, [this] { return CurrentView(); }, [this] { return shared_.catalog_clock.now(); },
            [this](const std::string& database, const KnownCatalog& known) { OnCatalog(database, known); },
            [this](const std::string& database) { ForgetDatabase(database); }),
        verifiers_(
            config_, [this] { return CurrentView(); },
            [this](const std::string& user, const std::string& verifier) { OnVerifier(user, verifier); }),
        kept_reads_({.view = [this] { return CurrentView(); },
                     .fence = [this] { return CollectFence(); },
                     .config = [this] { return CurrentConfig(); },
                     .catalog_failures = [this] { return keeper_.Failures(); },
                     .tell = [this](const std::string& why) { TellKeptReads(why); }}),
        discovery_(
            config_, [this] { return CurrentView(); },
            [this](const Result<FoundList>& list) {
              const std::scoped_lock one(reload_mutex_);
              listed_.OnList(list, Clock::now());
            }) {
    values_ = ValuesOf(config_->path);
    shared_.credentials.Load(*config_);
    shared_.spans = &spans_;
    shared_.probe_now = [this] { prober_.ProbeNow(); };
    shared_.forget_database = [this](const std::string& database) { ForgetDatabase(database); };
    shared_.ask_verifier = [this](const std::string& user, std::function<void(bool)> done) {
      return verifiers_.Ask(user, std::move(done));
    };
    shared_.want_catalog = [this](const std::string& database) { keeper_.RequestCatalog(database); };
  }

  [[nodiscard]] Result<bool> Start();
  // Starts the program anew, to take the place of this process.
  void Upgrade(const Command& command);
  void UpgradeFailed(const std::string& why);
  // As often as it suits; main thread. True once, when the new process takes clients: this one has begun to hand over its own.
  [[nodiscard]] bool HandsOver();
  // The admin port, as soon as the process before has let go of it.
  void TakeAdminPort();
  // `dry_run`: only what it would change. Any thread.
  ReloadReport Reload(bool dry_run = false);
  ReloadReport LoadOnce(bool dry_run);  // under reload_mutex_
  // As often as it suits; main thread.
  void Look();
  // Main thread.
  void LookAtCertificates(TimePoint now);
  void Drain(bool at_once);
  [[nodiscard]] Progress::Seen Seen();
  [[nodiscard]] std::size_t clients() const { return shared_.crew.Clients(); }
  [[nodiscard]] bool drained() const {
    return std::all_of(workers_.begin(), workers_.end(), [](const auto& worker) { return worker->drained(); });
  }
  void Stop();
  [[nodiscard]] milliseconds drain_timeout() { return CurrentConfig()->drain_timeout; }
  // Each worker gets tasks as Pulse wants them; main thread.
  [[nodiscard]] Pulse TakesPulse() const {
    return {workers_.size(), [this](std::size_t worker, std::function<void()> task) { workers_[worker]->Post(std::move(task)); }};
  }

 private:
  [[nodiscard]] ConfigSnapshot CurrentConfig() {
    const std::scoped_lock lock(mutex_);
    return config_;
  }
  // A configuration, and which of its servers and of those that were found there are; under reload_mutex_.
  struct Loaded {
    Config file;
    std::vector<Member> members;
    Config config;
  };
  // The configuration file, and the files that it names. Not to come in force if `dry_run`.
  [[nodiscard]] Result<Loaded> LoadAgain(bool dry_run);
  // May `config` come in force? The certificates that it names do, unless `dry_run`.
  [[nodiscard]] Result<bool> Admit(const Config& config, bool dry_run);
  // It comes in force; under mutex_.
  void TakeIn(Config config);
  [[nodiscard]] bool InUse(ServerId id) const;
  // With what the operator wants of the servers.
  [[nodiscard]] View CurrentView() {
    const std::scoped_lock lock(view_mutex_);
    return view_;
  }
  // The prober has seen something new; null: the operator wants something new. Never an older view than the last.
  void OnView(View view);
  [[nodiscard]] AdminChange SetIntent(const std::string& server, const IntentWish& wish);
  void EndDrained(const std::string& server);
  void TellKeptReads(const std::string& why);
  void WakeHeld() {
    for (const auto& worker : workers_) worker->WakeHeld();
  }
  void ForgetDatabase(const std::string& database);
  void OnCatalog(const std::string& database, const KnownCatalog& known);
  void OnVerifier(const std::string& user, const std::string& verifier);
  [[nodiscard]] std::shared_ptr<const Catalog> WaitForCatalog(const std::string& database);
  template <class Report, class Ask>
  [[nodiscard]] std::vector<std::optional<Report>> AskWorkers(Ask ask) const;
  [[nodiscard]] DigestReport CollectDigests() const;
  [[nodiscard]] FenceReport CollectFence() const;
  [[nodiscard]] AdminSources Sources();
  void OpenConsoles();
  void AwaitPrimary();
  void TakeOver(SessionRecord record, int fd);

  ListedServers listed_;  // under reload_mutex_

  std::mutex mutex_;  // for what the prober, the keeper and the admin threads see of the rest
  ConfigSnapshot config_;
  RunStatus status_;
  View seen_;              // as the prober saw it last
  std::mutex view_mutex_;  // nothing else is locked under it
  View view_;              // as the operator wants it
  std::mutex reload_mutex_;  // one at a time
  std::mutex reload_waiters_mutex_;  // nothing else is locked under it
  std::vector<std::function<void(const std::string& error)>> reload_waiters_;  // who wants to know how the next one ends
  std::vector<ConfigValue> values_;  // what the configuration in force says
  Wishes wishes_;
  Webhook webhook_;
  AdminEvents events_{[this](const AdminEvent& event) { webhook_.Offer(event); }};
  std::unique_ptr<AdminAccess> access_;
  std::map<std::string, std::shared_ptr<const Catalog>> catalogs_;
  std::condition_variable catalog_came_;
  Shared shared_;
  Pauses pauses_{{.pause = shared_.pause,
                  .gates = shared_.database_gates,
                  .wake = [this] { WakeHeld(); },
                  .tell = [this](const std::string& kind, const std::string& level,
                                 const std::string& text) { events_.Add(kind, level, text); }}};
  WorkerMetrics prober_metrics_;
  SpanExporter spans_;
  FollowedSessions followed_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<const Census> census_;  // of all of them
  ConsoleProcess console_;
  Prober prober_;
  CatalogKeeper keeper_;
  Verifiers verifiers_;
  KeptReadsWatch kept_reads_;
  Discovery discovery_;
  std::unique_ptr<AdminServer> admin_;
  bool admin_waits_ = false;  // for the process before
  ListeningSockets sockets_;
  Certificates certificates_{shared_.tls};  // under reload_mutex_, but for IsDue()
  std::unique_ptr<Predecessor> predecessor_;
  std::size_t taken_over_ = 0;  // sessions; its thread's
  std::unique_ptr<Successor> successor_;
};

void App::OnView(View view) {
  View before, now;
  {
    const std::scoped_lock lock(mutex_);
    if (view) seen_ = std::move(view);
    now = wishes_.Apply(seen_);
    {
      const std::scoped_lock view_lock(view_mutex_);
      before = std::exchange(view_, now);
    }
    for (const auto& worker : workers_) worker->SetView(now);
  }
  if (!before || !now) return;
  for (const auto& change : ChangesBetween(*before, *now))
    events_.Add(change.kind, change.bad ? "warning" : "info", change.text, change.server);
}

AdminChange App::SetIntent(const std::string& server, const IntentWish& wish) {
  const auto view = CurrentView();
  if (!view) return {503, "nothing is known of the servers yet"};
  if (auto changed = wishes_.Set(*view, server, wish); changed.status != 200) return changed;
  OnView(nullptr);
  return {};
}

// What still runs there ends, as on a replica that is lost.
void App::EndDrained(const std::string& server) {
  const auto view = CurrentView();
  for (ServerId id = 0; view && id < view->servers.size(); ++id) {
    if (view->servers[id].name != server || view->primary == id || view->servers[id].intent == Intent::kActive) continue;
    for (const auto& worker : workers_)
      worker->GiveUpServer(id, "server \"" + server + "\" was drained by the operator, and its deadline has passed");
    events_.Add("drain_deadline", "info", "what still ran on " + server + " was ended: its deadline has passed", server);
  }
}

void App::TellKeptReads(const std::string& why) {
  if (why.empty()) events_.Add("reads_on_replicas", "info", "nothing keeps reads on the primary any longer");
  else events_.Add("reads_on_primary", "warning", "reads run on the primary: " + why);
}

void App::LookAtCertificates(TimePoint now) {
  if (!certificates_.IsDue(now)) return;
  const std::scoped_lock one(reload_mutex_);
  if (certificates_.Look(*CurrentConfig())) events_.Add("reload", "info", "files of certificates have changed, and are in force");
}

void App::Look() {
  LookAtCertificates(Clock::now());
  kept_reads_.Look(Clock::now());
  followed_.Tidy(Clock::now());
  const auto now = std::chrono::system_clock::now();
  for (const auto& server : wishes_.TakeDue(now)) EndDrained(server);
  pauses_.Look(Clock::now());
}

Progress::Seen App::Seen() {
  const auto view = CurrentView();
  Progress::Seen seen;
  seen.loading = keeper_.Loading();
  if (view->primary) seen.primary = view->servers[*view->primary].name;
  else seen.why_none = WhyNoPrimary(*view);
  return seen;
}

void App::OnCatalog(const std::string& database, const KnownCatalog& known) {
  const std::scoped_lock lock(mutex_);
  if (known.defaults_changed) shared_.defaults_clock.Tick(Clock::now());
  catalogs_[database] = known.catalog;
  catalog_came_.notify_all();
  for (const auto& worker : workers_) worker->SetCatalog(database, known.catalog, known.as_of);
}

// Server connections may be of a role that is gone, and another one has its name.
void App::OnVerifier(const std::string& user, const std::string& verifier) {
  if (!shared_.credentials.Note(user, verifier)) return;
  Log(LogLevel::kInfo, "verifier_changed", {{"user", user}});
  for (const auto& worker : workers_) worker->Outdate(user);
}

// Nothing of what was learnt of it holds. Any thread.
void App::ForgetDatabase(const std::string& database) {
  shared_.database_claims.Renewed();
  shared_.catalog_clock.Tick(database);
  shared_.sequence_readers.Forget(database);
  keeper_.Forget(database);
  const std::scoped_lock lock(mutex_);
  catalogs_.erase(database);
  for (const auto& worker : workers_) worker->ForgetDatabase(database);
}

// The catalogue of `database`; null if it does not come soon. An admin thread.
std::shared_ptr<const Catalog> App::WaitForCatalog(const std::string& database) {
  std::unique_lock lock(mutex_);
  if (!catalogs_.contains(database)) {
    keeper_.RequestCatalog(database);
    catalog_came_.wait_for(lock, kCatalogPatience, [&] { return catalogs_.contains(database); });
  }
  const auto found = catalogs_.find(database);
  return found == catalogs_.end() ? nullptr : found->second;
}

// What `ask` gives in each worker, between two statements; nothing of one that does not answer soon. An admin thread.
template <class Report, class Ask>
std::vector<std::optional<Report>> App::AskWorkers(Ask ask) const {
  std::vector<std::future<Report>> parts;
  for (const auto& worker : workers_) {
    auto part = std::make_shared<std::promise<Report>>();
    parts.push_back(part->get_future());
    worker->Post([&worker = *worker, ask, part = std::move(part)] { part->set_value(ask(worker)); });
  }
  std::vector<std::optional<Report>> reports;
  const auto deadline = Clock::now() + kReportPatience;
  for (auto& part : parts) {
    reports.emplace_back();
    if (part.wait_until(deadline) == std::future_status::ready) reports.back() = part.get();
  }
  return reports;
}

DigestReport App::CollectDigests() const {
  DigestReport report;
  for (const auto& part : AskWorkers<DigestReport>([](Worker& worker) { return worker.ReportDigests(); })) {
    if (part) report.Add(*part);
    else ++report.workers_missing;
  }
  return report;
}

FenceReport App::CollectFence() const {
  FenceReport report;
  for (const auto& part : AskWorkers<FenceReport>([](Worker& worker) { return worker.ReportFence(); }))
    if (part) report.Add(*part);
  return report;
}

AdminSources App::Sources() {
  AdminSources sources;
  sources.view = [this] { return CurrentView(); };
  sources.run = [this] {
    const std::scoped_lock lock(mutex_);
    auto status = status_;
    status.discovery = listed_.status();
    status.read_from = config_->routing.read_from;
    status.held_statements = shared_.held_statements.count();
    for (const auto& worker : workers_)
      status.longest_turn = std::max<std::chrono::duration<double>>(status.longest_turn, worker->LongestTurn());
    return status;
  };
  sources.route = [this](RouteQuestion question) {
    const auto config = CurrentConfig();
    const auto names = NamesOnServers(*config, question.database, question.user);
    question.database = names.database;
    question.user = names.user;
    const auto catalog = WaitForCatalog(question.database);
    const auto view = CurrentView();
    return ExplainRoute(question, *config, view.get(), catalog.get(), Clock::now());
  };
  sources.files = FindPageFile;
  sources.kept_reads = [this] { return kept_reads_.why(); };
  sources.spans = [this] { return spans_.counts(); };
  sources.webhook = [this] { return webhook_.counts(); };
  sources.rules = [this] { return shared_.rule_names.All(); };
  sources.fence = [this] { return CollectFence(); };
  sources.census = census_.get();
  sources.followed = &followed_;
  sources.digests = [this] { return CollectDigests(); };
  sources.access = access_.get();
  sources.events = &events_;
  sources.set_intent = [this](const std::string& server, const IntentWish& wish) { return SetIntent(server, wish); };
  sources.deadlines = [this] { return wishes_.deadlines(); };
  sources.pause = [this](const std::string& what, std::chrono::seconds limit) { pauses_.Begin(what, limit, Clock::now()); };
  sources.resume = [this] { pauses_.EndAll(); };
  sources.gates = [this] { return pauses_.Gated(Clock::now()); };
  sources.paused = [this] { return pauses_.current(); };
  sources.reload = [this](bool dry_run) { return Reload(dry_run); };
  sources.config_values = [this] {
    const std::scoped_lock lock(mutex_);
    return values_;
  };
  sources.config = [this] { return CurrentConfig(); };
  sources.log_level = [] { return std::string(LogLevelName(CurrentLogLevel())); };
  sources.set_log_level = [](const std::string& name) {
    LogLevel level{};
    if (ParseLogLevel(name == "warning" ? "warn" : name, level)) SetLogLevel(level);
  };
  sources.reset_digests = [this] {
    for (const auto& worker : workers_) worker->ResetDigests();
  };
  for (const auto& worker : workers_) sources.threads.push_back(&worker->metrics());
  sources.threads.push_back(&prober_metrics_);
  return sources;
}

// What the consoles of all workers may see and do. A signal does it in the main thread, as an administrator's own would.
void App::OpenConsoles() {
  console_.census = census_.get();
  for (const auto& worker : workers_) console_.threads.push_back(&worker->metrics());
  console_.reload = [this](std::function<void(const std::string&)> done) {
    {
      const std::scoped_lock lock(reload_waiters_mutex_);
      reload_waiters_.push_back(std::move(done));
    }
    (void)kill(getpid(), SIGHUP);
  };
  console_.pause = [this](std::chrono::seconds limit) { pauses_.Begin("all", limit, Clock::now()); };
  console_.resume = [this] { pauses_.End("the operator said so"); };
  console_.wake = [this] { WakeHeld(); };
  console_.audit = [this](const ConsoleUser& who, const std::string& what, const std::string& before, const std::string& after) {
    Log(LogLevel::kInfo, "admin_change",
        {{"who", who.name},
         {"role", "admin"},
         {"via", "console"},
         {"from", who.from},
         {"what", what},
         {"before", before},
         {"after", after}});
    events_.Add("change", "info", what + ": " + before + " -> " + after + " (" + who.name + ")");
  };
  console_.shut_down = [](bool at_once) { (void)kill(getpid(), at_once ? SIGINT : SIGTERM); };
  console_.reconnect = [this](const std::string& database) {
    for (const auto& worker : workers_) worker->Post([&worker = *worker, database] { worker.Reconnect(database); });
  };
  shared_.console = &console_;
}

Result<bool> App::Start() {
  TellExposure(config_->path, values_);
  predecessor_ = Predecessor::FromEnvironment();
  const auto inherit = [this](const std::string& where) { return predecessor_ ? predecessor_->SocketOf(where) : nullptr; };
  if (const auto bound = sockets_.Bind(config_->listeners, inherit); !bound) return bound;
  if (predecessor_) {
    shared_.cancel_elsewhere = [this](std::uint32_t pid, const std::string& secret) { predecessor_->Cancel(pid, secret); };
    admin_waits_ = true;
  }
  if (const auto tls = certificates_.Load(*config_); !tls) return tls;
  if (!config_->cluster.state_file.empty()) {
    auto file = StateFile::Open(config_->cluster.state_file);
    if (!file) return Error{file.error()};
    prober_.KeepState(std::move(*file));
  }
  if (const auto kept = wishes_.KeepIn(IntentsPath(config_->cluster)); !kept) return Error{kept.error()};
  const auto& tokens_file = config_->admin.tokens_file;
  if (!tokens_file.empty() && access(tokens_file.c_str(), F_OK) == 0)
    if (const auto tokens = ReadTokens(tokens_file); !tokens) return Error{tokens.error()};
  access_ = std::make_unique<AdminAccess>(tokens_file, geteuid());
  spans_.Configure(config_->tracing);
  webhook_.Configure(config_->admin);
  prober_.Start();
  {
    const std::scoped_lock lock(mutex_);
    for (std::size_t i = 0; i < WorkerCount(*config_); ++i) {
      workers_.push_back(std::make_unique<Worker>(i, shared_, config_, CurrentView()));
      workers_.back()->TellFollowed(followed_);
      shared_.workers.push_back(workers_.back().get());
    }
    shared_.crew.SetSize(static_cast<unsigned>(workers_.size()));
    status_.workers = static_cast<unsigned>(workers_.size());
    status_.max_clients = config_->max_clients;
    status_.config_path = config_->path;
    status_.config_loaded = std::chrono::system_clock::now();
  }
  census_ = std::make_unique<const Census>(std::vector<CensusPart*>(shared_.workers.begin(), shared_.workers.end()));
  OpenConsoles();
  admin_ = std::make_unique<AdminServer>(Sources(), OptionsOf(config_->admin));
  if (!admin_waits_)
    if (const auto port = admin_->Start(config_->admin.address, config_->admin.port); !port) return Error{port.error()};
  if (predecessor_) AwaitPrimary();
  for (const auto& worker : workers_)
    if (const auto listening = worker->ListenOn(sockets_.all()); !listening) return Error{listening.error()};
  if (const auto listening = sockets_.Listen(); !listening) return listening;
  {
    const std::scoped_lock lock(mutex_);
    status_.accepting = true;
  }
  keeper_.Start();
  verifiers_.Start();
  for (const auto& worker : workers_) worker->Start();
  for (const auto& database : config_->databases) keeper_.RequestCatalog(NamesOnServers(*config_, database.name, "").database);
  if (predecessor_)
    predecessor_->Ready([this](std::string_view keys) { shared_.credentials.Take(keys); },
                        [this](SessionRecord record, int fd) { TakeOver(std::move(record), fd); });
  discovery_.Start();
  return true;
}

// --- one process takes the place of another

void App::AwaitPrimary() {
  const auto deadline = Clock::now() + kWarmUp;
  while (!prober_.view()->primary && Clock::now() < deadline) std::this_thread::sleep_for(kWarmUpPoll);
}

// The predecessor's thread.
void App::TakeOver(SessionRecord record, int fd) {
  shared_.database_claims.ClientCame(record.database);
  shared_.clients.Admit(record.counted_as);
  keeper_.RequestCatalog(record.database);
  // They come faster than workers count them.
  workers_[taken_over_++ / kTakenTogether % workers_.size()]->ReceiveSoon(std::move(record), fd);
}

void App::TakeAdminPort() {
  if (!admin_waits_ || !predecessor_->released()) return;
  admin_waits_ = false;
  const auto config = CurrentConfig();
  if (const auto port = admin_->Start(config->admin.address, config->admin.port); !port)
    Log(LogLevel::kError, "admin_port_not_taken", {{"error", port.error()}});
}

void App::Upgrade(const Command& command) {
  const auto refuse = [this](std::string_view reason) {
    Log(LogLevel::kWarn, "upgrade_refused", {{"reason", reason}});
    events_.Add("upgrade_failed", "warning", std::string(reason));
  };
  if (getpid() == 1) return refuse("the end of process 1 is the end of its container");
  if (successor_) return refuse("one is under way");
  auto started = Successor::Start(command, sockets_.WithoutNames(), [this](std::uint32_t pid, std::string secret) {
    workers_.front()->Post([this, pid, secret = std::move(secret)] { workers_.front()->RouteCancel(pid, secret); });
  });
  if (!started) return UpgradeFailed(started.error());
  successor_ = std::move(*started);
  Log(LogLevel::kInfo, "upgrade_started", {{"program", command.program}, {"pid", successor_->pid()}});
}

void App::UpgradeFailed(const std::string& why) {
  Log(LogLevel::kError, "upgrade_failed", {{"error", why}});
  events_.Add("upgrade_failed", "error", why);
}

bool App::HandsOver() {
  if (!successor_ || sockets_.empty() || successor_->state() == Successor::State::kStarting) return false;
  if (successor_->state() == Successor::State::kFailed) {
    UpgradeFailed("the new process ended, or reads no sessions of this version");
    successor_.reset();
    return false;
  }
  Log(LogLevel::kInfo, "handing_over", {{"pid", successor_->pid()}});
  sockets_.LeaveToSuccessor();
  admin_->Stop();
  webhook_.Finish();  // the new process sees what happens from here on
  successor_->ReleaseAdmin();
  shared_.credentials.Hand([this](const std::string& message) { successor_->HandKeys(message); });
  const std::scoped_lock lock(mutex_);
  status_.draining = true;
  status_.accepting = false;
  for (const auto& worker : workers_)
    worker->HandOver([this](SessionRecord record, int fd) { successor_->Hand(std::move(record), fd); });
  return true;
}

Result<App::Loaded> App::LoadAgain(bool dry_run) {
  auto file = LoadConfig(CurrentConfig()->path);
  if (!file) return Error{file.error()};
  auto members = listed_.MembersUnder(*file);
  auto config = file->cluster.discovery.source == DiscoverySource::kProbe ? *file : WithMembers(*file, members);
  if (const auto admitted = Admit(config, dry_run); !admitted) return Error{admitted.error()};
  return Loaded{std::move(*file), std::move(members), std::move(config)};
}

Result<bool> App::Admit(const Config& config, bool dry_run) {
  if (const auto server = prober_.WithoutPlace(config); !server.empty())
    return Error{"server \"" + server + "\": this process has known " + std::to_string(kMaxServers) +
                 " servers by name, and keeps a place for each as long as it runs; `waypost upgrade` begins with none"};
  return dry_run ? Certificates::Try(config) : certificates_.Load(config);
}

void App::TakeIn(Config config) {
  config_ = std::make_shared<const Config>(Fitted(std::move(config)));
  shared_.credentials.Load(*config_);
  spans_.Configure(config_->tracing);
  webhook_.Configure(config_->admin);
  prober_.Reload(config_);
  keeper_.Reload(config_);
  verifiers_.Reload(config_);
  discovery_.Reload(config_);
  for (const auto& worker : workers_) worker->SetConfig(config_);
  status_.max_clients = config_->max_clients;
}

// Those in the console who wait for a reload hear of the first that begins after they asked.
ReloadReport App::Reload(bool dry_run) {
  const std::scoped_lock one(reload_mutex_);
  if (dry_run) return LoadOnce(true);
  std::vector<std::function<void(const std::string&)>> waiters;
  {
    const std::scoped_lock lock(reload_waiters_mutex_);
    waiters.swap(reload_waiters_);
  }
  auto report = LoadOnce(false);
  for (const auto& tell : waiters) tell(report.error);
  return report;
}

ReloadReport App::LoadOnce(bool dry_run) {
  const auto path = CurrentConfig()->path;
  auto values = ValuesOf(path);
  auto loaded = LoadAgain(dry_run);
  ReloadReport report;
  if (!loaded) report.error = loaded.error();
  else report.changed = ConfigChanges(values_, values);
  for (const auto& change : report.changed)
    if (NeedsRestart(change.key)) report.restart_needed.push_back(change.key);
  if (dry_run) return report;
  events_.Add("reload", report.error.empty() ? "info" : "error",
              report.error.empty() ? "the configuration is loaded again, " + ChangedKeys(report.changed)
                                   : "the configuration is wrong, the old one stays in force: " + report.error);
  const std::scoped_lock lock(mutex_);
  status_.reload_ok = loaded.ok();
  status_.reload_error = loaded ? "" : loaded.error();
  if (!loaded) {
    Log(LogLevel::kError, "reload_failed", {{"path", config_->path}, {"error", loaded.error()}});
    return report;
  }
  // What a running process cannot change is kept, and said.
  const auto& old = *config_;
  const auto same_place = [](const ListenConfig& a, const ListenConfig& b) {
    return a.name == b.name && a.address == b.address && a.port == b.port && a.socket == b.socket &&
           a.socket_mode == b.socket_mode;
  };
  const auto& file = loaded->file;
  if (!std::equal(file.listeners.begin(), file.listeners.end(), old.listeners.begin(), old.listeners.end(), same_place) ||
      file.admin.port != old.admin.port || file.admin.socket != old.admin.socket || file.admin.address != old.admin.address ||
      file.workers != old.workers || file.cluster.state_file != old.cluster.state_file)
    Log(LogLevel::kWarn, "reload_partial", {{"kept", "listen, admin, workers and state_file need a restart"}});
  listed_.TakeFile(std::move(loaded->file), std::move(loaded->members));
  TakeIn(std::move(loaded->config));
  if (!ConfigureLog(config_->log))  // it stays as it is
    Log(LogLevel::kWarn, "log_not_opened", {{"file", config_->log.file}, {"error", std::strerror(errno)}});
  status_.config_loaded = std::chrono::system_clock::now();
  values_ = std::move(values);
  Log(LogLevel::kInfo, "reloaded", {{"path", config_->path}, {"what", ChangedKeys(report.changed)}});
  TellExposure(config_->path, values_);
  return report;
}

// Something of a client is under way there.
bool App::InUse(ServerId id) const {
  return std::ranges::any_of(workers_, [id](const auto& worker) {
    return worker->metrics().Read(Gauge::kServerConnections, id, static_cast<LabelIndex>(ServerConnState::kActive)) > 0;
  });
}

void App::Drain(bool at_once) {
  const std::scoped_lock lock(mutex_);
  status_.draining = true;
  status_.accepting = false;
  sockets_.Close();
  for (const auto& worker : workers_) worker->Drain(at_once);
}

void App::Stop() {
  predecessor_.reset();
  if (admin_) admin_->Stop();
  discovery_.Stop();
  keeper_.Stop();
  verifiers_.Stop();
  prober_.Stop();
  for (const auto& worker : workers_) worker->Stop();
  for (const auto& worker : workers_) worker->Join();
  webhook_.Finish();  // both at once
  spans_.Stop();
  webhook_.Stop();
  successor_.reset();  // it has all that it was given
}

}  // namespace

int RunWaypost(Config config) {
  const auto command = OwnCommand();
  const auto signals = BlockSignals();
  const LogThread log_thread;
  ServiceNotify notify(std::getenv(kHandoverVariable) != nullptr);  // NOLINT(concurrency-mt-unsafe): no other thread sets it
  RaiseFileLimit();
  const auto address = config.listeners.front().address;
  const auto port = config.listeners.front().port;
  const auto admin_port = config.admin.port;
  App app(std::move(config));
  if (const auto started = app.Start(); !started) {
    Log(LogLevel::kError, "start_failed", {{"error", started.error()}});
    app.Stop();
    return kExitUnavailable;
  }
  Log(LogLevel::kInfo, "started",
      {{"address", address}, {"port", port}, {"admin_port", admin_port}, {"version", WAYPOST_VERSION}});

  bool handed_over = false;  // the service manager hears from the new process
  Progress progress("Serving on " + address + ":" + std::to_string(port), [&](const std::string& status) {
    if (!handed_over) notify.Status(status);
  });
  notify.Ready(progress.status());
  auto pulse = app.TakesPulse();
  TimePoint alive_at = Clock::now();

  TimePoint deadline = TimePoint::max();
  bool draining = false;
  for (;;) {
    const int signal = NextSignal(signals);
    LogLeftOut();
    app.TakeAdminPort();
    if (notify.watchdog() && Clock::now() >= alive_at && !handed_over) {
      if (pulse.Take()) notify.Alive();
      alive_at = Clock::now() + *notify.watchdog();
    }
    if (signal == SIGHUP && !draining) {
      notify.Reloading();
      (void)app.Reload();
      notify.Ready(progress.status());
    }
    if (signal == SIGUSR2 && !draining) app.Upgrade(command);
    if (!draining && app.HandsOver()) {
      draining = handed_over = true;
      deadline = Clock::now() + app.drain_timeout();
    }
    if (signal == SIGTERM || signal == SIGINT) {
      // A second signal, or SIGINT, does not wait.
      const bool at_once = draining || signal == SIGINT;
      if (!handed_over) notify.Stopping(kEndPatience + (at_once ? milliseconds{0} : app.drain_timeout()), "Draining");
      app.Drain(at_once);
      deadline = Clock::now() + (at_once ? milliseconds{0} : app.drain_timeout());
      draining = true;
    }
    const auto now = Clock::now();
    if (!draining) {
      app.Look();
      progress.Look(app.Seen(), now);
      continue;
    }
    progress.Drain(app.clients(), deadline, now);
    if (app.drained() || now >= deadline) break;
  }
  if (!app.drained()) Log(LogLevel::kWarn, "clients_closed", {{"clients", app.clients()}});
  app.Drain(true);
  app.Stop();
  LogLeftOut(true);
  Log(LogLevel::kInfo, "stopped");
  return kExitOk;
}

}  // namespace waypost
