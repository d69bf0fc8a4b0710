#include "core/process/app.h"

#include <sys/resource.h>

#include <algorithm>
#include <condition_variable>
#include <csignal>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "core/admin/server.h"
#include "core/base/log.h"
#include "core/catalog/keeper.h"
#include "core/cluster/prober.h"
#include "core/env/shared.h"
#include "core/net/tcp_listener.h"
#include "core/observe/explain_route.h"
#include "core/observe/kept_reads_watch.h"
#include "core/process/cli.h"
#include "core/process/descriptors.h"
#include "core/process/worker.h"

namespace waypost {
namespace {

constexpr milliseconds kSignalPoll{100};
constexpr milliseconds kCatalogPatience{2'000};
constexpr milliseconds kReportPatience{1'000};

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
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
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

// Everything that runs beside the main thread, in the order in which it must end.
class App {
 public:
  explicit App(Config config)
      : config_(std::make_shared<const Config>(Fitted(std::move(config)))),
        prober_(
            config_, prober_metrics_, [this](View view) { OnView(std::move(view)); },
            [this](const std::string& database) { return shared_.database_claims.InsteadOf(database); }),
        keeper_(
            config_, [this] { return prober_.view(); }, [this] { return shared_.catalog_clock.now(); },
            [this](const std::string& database, const KnownCatalog& known) { OnCatalog(database, known); }),
        kept_reads_({.view = [this] { return prober_.view(); },
                     .fence = [this] { return CollectFence(); },
                     .config = [this] { return CurrentConfig(); },
                     .catalog_failures = [this] { return keeper_.Failures(); }}) {
    shared_.credentials.Load(*config_);
    shared_.probe_now = [this] { prober_.ProbeNow(); };
    shared_.forget_database = [this](const std::string& database) { ForgetDatabase(database); };
    shared_.want_catalog = [this](const std::string& database) { keeper_.RequestCatalog(database); };
  }

  [[nodiscard]] Result<bool> Start();
  void Reload();
  // As often as it suits; main thread.
  void Look() { kept_reads_.Look(Clock::now()); }
  void Drain(bool at_once);
  [[nodiscard]] bool drained() const {
    return std::all_of(workers_.begin(), workers_.end(), [](const auto& worker) { return worker->drained(); });
  }
  void Stop();
  [[nodiscard]] milliseconds drain_timeout() const { return config_->drain_timeout; }

 private:
  [[nodiscard]] ConfigSnapshot CurrentConfig() {
    const std::scoped_lock lock(mutex_);
    return config_;
  }
  void OnView(View view);
  void ForgetDatabase(const std::string& database);
  void OnCatalog(const std::string& database, const KnownCatalog& known);
  [[nodiscard]] std::shared_ptr<const Catalog> WaitForCatalog(const std::string& database);
  template <class Report, class Ask>
  [[nodiscard]] std::vector<std::optional<Report>> AskWorkers(Ask ask) const;
  [[nodiscard]] DigestReport CollectDigests() const;
  [[nodiscard]] FenceReport CollectFence() const;
  [[nodiscard]] AdminSources Sources();

  std::mutex mutex_;  // for what the prober, the keeper and the admin threads see of the rest
  ConfigSnapshot config_;
  RunStatus status_;
  std::map<std::string, std::shared_ptr<const Catalog>> catalogs_;
  std::condition_variable catalog_came_;
  Shared shared_;
  WorkerMetrics prober_metrics_;
  std::vector<std::unique_ptr<Worker>> workers_;
  Prober prober_;
  CatalogKeeper keeper_;
  KeptReadsWatch kept_reads_;
  std::unique_ptr<AdminServer> admin_;
};

void App::OnView(View view) {
  const std::scoped_lock lock(mutex_);
  for (const auto& worker : workers_) worker->SetView(view);
}

void App::OnCatalog(const std::string& database, const KnownCatalog& known) {
  const std::scoped_lock lock(mutex_);
  if (known.defaults_changed) shared_.defaults_clock.Tick(Clock::now());
  catalogs_[database] = known.catalog;
  catalog_came_.notify_all();
  for (const auto& worker : workers_) worker->SetCatalog(database, known.catalog, known.as_of);
}

// Nothing of what was learnt of it holds. Any worker's thread.
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
  sources.view = [this] { return prober_.view(); };
  sources.run = [this] {
    const std::scoped_lock lock(mutex_);
    auto status = status_;
    status.held_statements = shared_.held_statements.count();
    return status;
  };
  sources.route = [this](const RouteQuestion& question) {
    const auto catalog = WaitForCatalog(question.database);
    const auto config = CurrentConfig();
    const auto view = prober_.view();
    return ExplainRoute(question, *config, view.get(), catalog.get(), Clock::now());
  };
  sources.kept_reads = [this] { return kept_reads_.why(); };
  sources.rules = [this] { return shared_.rule_names.All(); };
  sources.fence = [this] { return CollectFence(); };
  sources.digests = [this] { return CollectDigests(); };
  for (const auto& worker : workers_) sources.threads.push_back(&worker->metrics());
  sources.threads.push_back(&prober_metrics_);
  return sources;
}

Result<bool> App::Start() {
  for (const auto& listener : config_->listeners)
    if (const auto free = TcpListener::CheckFree(listener.address, listener.port); !free) return Error{free.error()};
  if (!config_->cluster.state_file.empty()) {
    auto file = StateFile::Open(config_->cluster.state_file);
    if (!file) return Error{file.error()};
    prober_.KeepState(std::move(*file));
  }
  prober_.Start();
  {
    const std::scoped_lock lock(mutex_);
    for (std::size_t i = 0; i < WorkerCount(*config_); ++i) {
      workers_.push_back(std::make_unique<Worker>(i, shared_, config_, prober_.view()));
      shared_.workers.push_back(workers_.back().get());
    }
    status_.workers = static_cast<unsigned>(workers_.size());
    status_.max_clients = config_->max_clients;
    status_.config_path = config_->path;
    status_.config_loaded = std::chrono::system_clock::now();
  }
  admin_ = std::make_unique<AdminServer>(Sources());
  if (const auto port = admin_->Start(config_->admin.address, config_->admin.port); !port) return Error{port.error()};
  for (const auto& worker : workers_)
    if (const auto listening = worker->Listen(); !listening) return Error{listening.error()};
  {
    const std::scoped_lock lock(mutex_);
    status_.accepting = true;
  }
  keeper_.Start();
  for (const auto& worker : workers_) worker->Start();
  for (const auto& database : config_->databases) keeper_.RequestCatalog(database.name);
  return true;
}

void App::Reload() {
  auto loaded = LoadConfig(config_->path);
  const std::scoped_lock lock(mutex_);
  status_.reload_ok = loaded.ok();
  status_.reload_error = loaded ? "" : loaded.error();
  if (!loaded) {
    Log(LogLevel::kError, "reload_failed", {{"path", config_->path}, {"error", loaded.error()}});
    return;
  }
  // What a running process cannot change is kept, and said.
  const auto& old = *config_;
  const auto same_place = [](const ListenConfig& a, const ListenConfig& b) {
    return a.name == b.name && a.address == b.address && a.port == b.port;
  };
  if (!std::equal(loaded->listeners.begin(), loaded->listeners.end(), old.listeners.begin(), old.listeners.end(), same_place) ||
      loaded->admin.port != old.admin.port || loaded->admin.address != old.admin.address || loaded->workers != old.workers ||
      loaded->cluster.state_file != old.cluster.state_file)
    Log(LogLevel::kWarn, "reload_partial", {{"kept", "listen, admin, workers and state_file need a restart"}});
  config_ = std::make_shared<const Config>(Fitted(std::move(*loaded)));
  (void)ConfigureLog(config_->log_level, config_->log_file);  // a log that cannot be opened stays as it is
  shared_.credentials.Load(*config_);
  prober_.Reload(config_);
  keeper_.Reload(config_);
  for (const auto& worker : workers_) worker->SetConfig(config_);
  status_.config_loaded = std::chrono::system_clock::now();
  status_.max_clients = config_->max_clients;
  Log(LogLevel::kInfo, "reloaded", {{"path", config_->path}});
}

void App::Drain(bool at_once) {
  const std::scoped_lock lock(mutex_);
  status_.draining = true;
  status_.accepting = false;
  for (const auto& worker : workers_) worker->Drain(at_once);
}

void App::Stop() {
  if (admin_) admin_->Stop();
  keeper_.Stop();
  prober_.Stop();
  for (const auto& worker : workers_) worker->Stop();
  for (const auto& worker : workers_) worker->Join();
}

}  // namespace

int RunWaypost(Config config) {
  const auto signals = BlockSignals();
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

  TimePoint deadline = TimePoint::max();
  bool draining = false;
  for (;;) {
    const int signal = NextSignal(signals);
    LogLeftOut();
    if (signal == SIGHUP && !draining) app.Reload();
    if (signal == SIGTERM || signal == SIGINT) {
      // A second signal, or SIGINT, does not wait.
      const bool at_once = draining || signal == SIGINT;
      Log(LogLevel::kInfo, "draining", {{"at_once", at_once ? "yes" : "no"}});
      app.Drain(at_once);
      deadline = Clock::now() + (at_once ? milliseconds{0} : app.drain_timeout());
      draining = true;
    }
    if (!draining) app.Look();
    if (draining && (app.drained() || Clock::now() >= deadline)) break;
  }
  app.Drain(true);
  app.Stop();
  LogLeftOut(true);
  Log(LogLevel::kInfo, "stopped");
  return kExitOk;
}

}  // namespace waypost
