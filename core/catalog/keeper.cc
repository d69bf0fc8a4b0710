#include "core/catalog/keeper.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "core/base/log.h"
#include "core/base/service_thread.h"
#include "core/catalog/loader.h"
#include "core/cluster/control_query.h"

namespace waypost {
namespace {

constexpr milliseconds kRefresh{30'000};
constexpr milliseconds kRetry{1'000};  // after a failure; twice that after the next, up to kRefresh
constexpr unsigned kMaxDoublings = 5;
constexpr unsigned kMaxFailures = 10;  // then a database that never loaded is forgotten until it is asked for again
constexpr milliseconds kNoPrimaryRetry{50};
constexpr milliseconds kMinGap{100};  // between two loads of one database, whatever the DDL
constexpr milliseconds kLoadTimeout{5'000};
constexpr seconds kLongLoad{1};  // longer is worth a line of the log each time
constexpr std::size_t kMaxDatabases = 256;  // the one asked for longest ago is forgotten

}  // namespace

class CatalogKeeper::Loop {
 public:
  Loop(ConfigSnapshot config, std::function<View()> view, std::function<std::uint64_t()> clock, Publish publish, Gone gone)
      : view_(std::move(view)),
        clock_(std::move(clock)),
        publish_(std::move(publish)),
        gone_(std::move(gone)),
        config_(std::move(config)) {}
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
  }

  CatalogFailures Failures() const {
    const auto lock = thread_.guard();
    CatalogFailures failures;
    for (const auto& [database, entry] : databases_)
      if (entry.failures > 0 && !entry.gone) failures.emplace_back(database, entry.error);
    return failures;
  }

  std::optional<CatalogLoad> Loading() const {
    const auto lock = thread_.guard();
    return loading_;
  }

  void Request(std::string_view database) {
    {
      const auto lock = thread_.guard();
      auto at = databases_.find(database);
      if (at == databases_.end()) {
        MakeRoom();
        at = databases_.emplace(std::string(database), Entry{}).first;
      }
      at->second.asked = Clock::now();
      at->second.due = std::min(at->second.due, std::max(at->second.asked, at->second.tried + kMinGap));
    }
    thread_.Wake();
  }

  void Forget(std::string_view database) {
    const auto lock = thread_.guard();
    if (const auto at = databases_.find(database); at != databases_.end()) databases_.erase(at);
  }

 private:
  struct Entry {
    TimePoint asked{};   // last RequestCatalog
    TimePoint tried{};   // end of the last load, or of the attempt
    TimePoint loaded{};  // the same, if it succeeded; zero: never
    TimePoint due = TimePoint::max();
    unsigned failures = 0;  // in a row
    std::string error;      // of the last, if it failed
    bool gone = false;      // because there is no such database: nothing that an operator has to mend
    std::uint64_t fingerprint = 0;  // of `known`
    std::uint64_t defaults = 0;
    KnownCatalog known;
  };
  using Databases = std::map<std::string, Entry, std::less<>>;

  void MakeRoom() {
    if (databases_.size() < kMaxDatabases) return;
    databases_.erase(std::min_element(databases_.begin(), databases_.end(),
                                      [](const auto& a, const auto& b) { return a.second.asked < b.second.asked; }));
  }

  void Run(ServiceThread::Lock& lock) {
    while (!thread_.stopping()) {
      const auto next = std::min_element(databases_.begin(), databases_.end(),
                                         [](const auto& a, const auto& b) { return a.second.due < b.second.due; });
      const TimePoint now = Clock::now();
      if (next == databases_.end() || next->second.due > now) {
        // By value: what is waited for may be forgotten meanwhile.
        const TimePoint until = next == databases_.end() ? now + kRefresh : std::min(next->second.due, now + kRefresh);
        thread_.Doze(lock, until - now);
        continue;
      }
      const View view = view_();
      if (!view || !view->primary) {
        thread_.Doze(lock, kNoPrimaryRetry);
        continue;
      }
      // Set before loading: a request during the load makes another.
      next->second.due = now + kRefresh;
      const std::string database = next->first;
      const std::uint64_t fingerprint = next->second.fingerprint;
      const bool was_there = next->second.loaded != TimePoint{};
      const ConfigSnapshot config = config_;
      const ServerView& primary = view->servers[*view->primary];
      loading_ = CatalogLoad{database, primary.name, now};
      lock.unlock();
      const std::uint64_t as_of = clock_();
      const auto loaded = Load(*config, primary.name, database, fingerprint);
      const bool gone = !loaded && IsGone(*config, primary.name, database);
      if (gone && was_there) {
        Forget(database);
        gone_(database);
        lock.lock();
        loading_.reset();
        continue;
      }
      lock.lock();
      loading_.reset();
      if (const auto known = Note(database, loaded, gone, as_of, Clock::now() - now)) {
        lock.unlock();
        publish_(database, *known);
        lock.lock();
      }
    }
  }

  static Result<LoadedCatalog> Load(const Config& config, const std::string& server_name, const std::string& database,
                                    std::uint64_t fingerprint) {
    const auto* server = config.FindServer(server_name);
    if (server == nullptr) return Error{"catalogue: server \"" + server_name + "\" is gone from the configuration"};
    return LoadCatalog(Conninfo(config, *server, database), kLoadTimeout, fingerprint);
  }

  static bool IsGone(const Config& config, const std::string& server_name, const std::string& database) {
    const auto* server = config.FindServer(server_name);
    if (server == nullptr || database == config.monitor.database) return false;
    return DatabaseIsGone(Conninfo(config, *server, config.monitor.database), database, kLoadTimeout);
  }

  static std::string Conninfo(const Config& config, const ServerConfig& server, const std::string& database) {
    return MonitorConninfo(config.monitor, server, database, kLoadTimeout) + AtAddressesIfNamedOtherwise(server, kLoadTimeout);
  }

  // What there is to publish.
  std::optional<KnownCatalog> Note(const std::string& database, const Result<LoadedCatalog>& loaded, bool gone,
                                   std::uint64_t as_of, Duration took) {
    const auto at = databases_.find(database);
    if (at == databases_.end()) return std::nullopt;  // forgotten meanwhile
    Entry& entry = at->second;
    entry.tried = Clock::now();
    entry.gone = gone;
    if (!loaded) {
      Failed(at, loaded.error());
      return std::nullopt;
    }
    const bool first = entry.loaded == TimePoint{};
    entry.known.defaults_changed = !first && entry.defaults != loaded->defaults;
    entry.defaults = loaded->defaults;
    entry.loaded = entry.tried;
    entry.failures = 0;
    entry.fingerprint = loaded->fingerprint;
    if (loaded->catalog) {
      entry.known.catalog = loaded->catalog;
      Log(first || took >= kLongLoad ? LogLevel::kInfo : LogLevel::kDebug, "catalog_loaded",
          {{"database", database}, {"objects", loaded->catalog->size()}, {"bytes", loaded->catalog->bytes()}, {"took_ms", took}});
    }
    entry.known.as_of = as_of;
    return entry.known;
  }

  void Failed(Databases::iterator at, const std::string& error) {
    Entry& entry = at->second;
    entry.error = FirstLine(error);
    if (entry.failures == 0) Log(LogLevel::kWarn, "catalog_failed", {{"database", at->first}, {"error", entry.error}});
    const milliseconds wait = kRetry * (1U << std::min(entry.failures, kMaxDoublings));
    entry.due = entry.tried + std::min(wait, kRefresh);
    if (++entry.failures >= kMaxFailures && entry.loaded == TimePoint{}) databases_.erase(at);
  }

  const std::function<View()> view_;
  const std::function<std::uint64_t()> clock_;
  const Publish publish_;
  const Gone gone_;
  // Under its guard.
  ConfigSnapshot config_;
  Databases databases_;
  std::optional<CatalogLoad> loading_;
  ServiceThread thread_{"waypost-catalog"};
};

CatalogKeeper::CatalogKeeper(ConfigSnapshot config, std::function<View()> view, std::function<std::uint64_t()> clock,
                             Publish publish, Gone gone)
    : loop_(std::make_unique<Loop>(std::move(config), std::move(view), std::move(clock), std::move(publish), std::move(gone))) {}
CatalogKeeper::~CatalogKeeper() = default;
void CatalogKeeper::Start() { loop_->Start(); }
void CatalogKeeper::Stop() { loop_->Stop(); }
void CatalogKeeper::Reload(ConfigSnapshot config) { loop_->Reload(std::move(config)); }
CatalogFailures CatalogKeeper::Failures() const { return loop_->Failures(); }

std::optional<CatalogLoad> CatalogKeeper::Loading() const { return loop_->Loading(); }
void CatalogKeeper::RequestCatalog(std::string_view database) { loop_->Request(database); }
void CatalogKeeper::Forget(std::string_view database) { loop_->Forget(database); }

}  // namespace waypost
