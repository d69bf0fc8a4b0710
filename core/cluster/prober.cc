#include "core/cluster/prober.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "core/base/log.h"
#include "core/cluster/control_query.h"
#include "core/cluster/prober_link.h"
#include "core/cluster/server_places.h"
#include "core/cluster/state_keeper.h"
#include "routing/majors.h"

namespace waypost {
namespace {

constexpr milliseconds kMaxSleep{1'000};
// Between two questions while there is no primary: a promotion is seen so soon.
constexpr milliseconds kHurriedInterval{50};
// How long a new primary waits until it is written down that it is one.
constexpr milliseconds kSavePatience{250};

// Rounded up, so that no wake-up comes too early and spins.
int PollTimeout(TimePoint now, TimePoint until) {
  if (until <= now) return 0;
  return static_cast<int>(std::min(kMaxSleep, std::chrono::ceil<milliseconds>(until - now)).count());
}

}  // namespace

class Prober::Loop {
 public:
  Loop(ConfigSnapshot config, WorkerMetrics& metrics, Publish publish, Where where)
      : metrics_(metrics),
        publish_(std::move(publish)),
        where_(std::move(where)),
        wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    WAYPOST_CHECK(wake_fd_ >= 0);
    places_.Take(*config);
    Apply(std::move(config));
  }
  ~Loop() {
    Stop();
    close(wake_fd_);
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void KeepState(StateFile file) {
    Heed(file.saved());
    keeper_ = std::make_unique<StateKeeper>(std::move(file));
  }

  void Start() {
    if (thread_.joinable()) return;
    stopping_ = false;
    PublishView();
    thread_ = std::thread([this] { Run(); });
  }

  void Stop() {
    if (!thread_.joinable()) return;
    stopping_ = true;
    Wake();
    thread_.join();
  }

  std::string WithoutPlace(const Config& config) const { return places_.Lacking(config); }

  void Reload(ConfigSnapshot config) {
    places_.Take(*config);
    {
      const std::lock_guard lock(mutex_);
      next_config_ = std::move(config);
    }
    Wake();
  }

  void ProbeNow() {
    hurry_ = true;
    Wake();
  }

  View view() const {
    const std::lock_guard lock(mutex_);
    return view_;
  }

 private:
  struct Server {
    std::string conninfo;
    std::unique_ptr<ProbeLink> link;  // null: removed
    int version = 0;                  // that was remarked on, if there was reason to
    std::string database;             // that it is connected to
    std::unique_ptr<ProbeLink> next;  // to `next_database`; takes the place of `link` with its first answer
    std::string next_database;
    std::string refusal_told;         // why it is not believed to be the primary, as the log says
  };

  void Wake() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = write(wake_fd_, &one, sizeof one);
  }

  // Servers of `config` by name: known ones keep their place, new ones come behind.
  void Apply(ConfigSnapshot config) {
    const bool timing_changed = config_ != nullptr && (config_->monitor.interval != config->monitor.interval ||
                                                       config_->monitor.timeout != config->monitor.timeout);
    config_ = std::move(config);
    health_.succession().Allow(config_->cluster.max_lost_bytes);
    const auto names = places_.names();
    probes_.resize(names.size());
    servers_.resize(names.size());
    for (std::size_t id = 0; id < names.size(); ++id) {
      probes_[id].name = names[id];
      const auto* server = config_->FindServer(names[id]);
      probes_[id].removed = server == nullptr;
      if (server != nullptr) Apply(*server, id, timing_changed);
    }
    for (std::size_t id = 0; id < probes_.size(); ++id) {
      if (!probes_[id].removed) continue;
      servers_[id] = {};
      probes_[id].up = false;
      probes_[id].sample.reset();
    }
  }

  void Apply(const ServerConfig& server, std::size_t id, bool anew) {
    ServerProbe& probe = probes_[id];
    probe.removed = false;
    probe.host = server.host;
    probe.port = server.port;
    probe.weight = server.weight;
    probe.max_connections = server.max_connections;
    probe.application_name = server.application_name;
    probe.found_by = server.found_by;
    const MonitorConfig& monitor = config_->monitor;
    std::string conninfo = MonitorConninfo(monitor, server, monitor.database, monitor.timeout);
    if (!anew && servers_[id].link && servers_[id].conninfo == conninfo) return;
    probe.up = false;
    probe.error = kNotAskedYet;
    probe.sample.reset();
    servers_[id] = {};
    servers_[id].conninfo = conninfo;
    servers_[id].database = monitor.database;
    servers_[id].link = LinkTo(server, conninfo);
  }

  [[nodiscard]] std::unique_ptr<ProbeLink> LinkTo(const ServerConfig& server, const std::string& conninfo) const {
    const MonitorConfig& monitor = config_->monitor;
    return std::make_unique<ProbeLink>(server, conninfo, ProbeLink::Timing{monitor.interval, monitor.timeout});
  }

  // Somebody wants the database that the links are in to himself, or does not any more. A link goes when another one has
  // answered: the servers are watched all the while.
  void MoveLinks() {
    if (!where_) return;
    const MonitorConfig& monitor = config_->monitor;
    const std::string database = where_(monitor.database);
    for (std::size_t id = 0; id < servers_.size(); ++id) {
      Server& server = servers_[id];
      const auto* configured = config_->FindServer(probes_[id].name);
      if (!server.link || configured == nullptr) continue;
      if (server.database == database) server.next.reset();
      if (server.database == database || (server.next && server.next_database == database)) continue;
      server.next_database = database;
      server.next = LinkTo(*configured, MonitorConninfo(monitor, *configured, database, monitor.timeout));
    }
  }

  void Run() {
    std::vector<pollfd> polled;
    std::vector<std::size_t> ids;
    while (!stopping_) {
      MoveLinks();
      TimePoint until = Clock::now() + kMaxSleep;
      polled.assign(1, {wake_fd_, POLLIN, 0});
      ids.assign(1, 0);
      for (std::size_t id = 0; id < servers_.size(); ++id) {
        for (const ProbeLink* link : {servers_[id].link.get(), servers_[id].next.get()}) {
          if (link == nullptr) continue;
          until = std::min(until, link->wake_at());
          polled.push_back({link->fd(), link->events(), 0});
          ids.push_back(id);
        }
      }
      poll(polled.data(), polled.size(), PollTimeout(Clock::now(), until));
      bool changed = false;
      for (std::size_t i = 1; i < polled.size(); ++i) {
        const bool next = i > 1 && ids[i] == ids[i - 1];
        changed |= next ? StepNext(ids[i], polled[i].revents != 0) : StepServer(ids[i], polled[i].revents != 0);
      }
      if (polled[0].revents != 0) changed |= Told();
      if (changed) PublishView();
    }
  }

  // What other threads asked for.
  bool Told() {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = read(wake_fd_, &count, sizeof count);
    ConfigSnapshot config;
    {
      const std::lock_guard lock(mutex_);
      config = std::exchange(next_config_, nullptr);
    }
    const bool reloaded = config != nullptr;
    if (reloaded) {
      Apply(std::move(config));
      if (keeper_) Heed(keeper_->Reread());
    }
    if (hurry_.exchange(false))
      for (Server& server : servers_)
        if (server.link) server.link->Hurry(Clock::now());
    return reloaded;
  }

  bool StepNext(std::size_t id, bool ready) {
    Server& server = servers_[id];
    auto outcome = server.next->Step(Clock::now(), ready);
    if (!outcome || outcome->result != ProbeResult::kOk) return false;
    server.link = std::move(server.next);
    server.database = server.next_database;
    return Note(id, std::move(outcome));
  }

  bool StepServer(std::size_t id, bool ready) { return Note(id, servers_[id].link->Step(Clock::now(), ready)); }

  bool Note(std::size_t id, std::optional<ProbeLink::Outcome> outcome) {
    if (!outcome) return false;
    metrics_.Count(Counter::kProbes, id, outcome->result);
    metrics_.Observe(Histogram::kProbeDuration, id, outcome->took);
    ServerProbe& probe = probes_[id];
    const bool up = outcome->result == ProbeResult::kOk;
    if (up && !probe.up) Log(LogLevel::kInfo, "server_up", {{"server", probe.name}, {"host", probe.host}, {"port", probe.port}});
    if (!up && (probe.up || probe.error != outcome->error))
      Log(LogLevel::kWarn, "server_down",
          {{"server", probe.name}, {"host", probe.host}, {"port", probe.port}, {"error", outcome->error}});
    if (up) Remark(probe, servers_[id], outcome->version);
    probe.up = up;
    probe.error = std::move(outcome->error);
    if (up) probe.sample = std::move(outcome->sample);
    return true;
  }

  // Once for each version that a server is found to have.
  static void Remark(const ServerProbe& probe, Server& server, int version) {
    if (std::exchange(server.version, version) == version) return;
    if (const auto remark = RemarkOnVersion(version); !remark.empty())
      Log(LogLevel::kWarn, "server_version", {{"server", probe.name}, {"version_num", version}, {"remark", remark}});
  }

  // What was written down, by an earlier process or, at any time, by an operator.
  void Heed(const std::optional<SavedState>& saved) {
    if (!saved) return;
    if (saved->by_operator) health_.succession().Override(saved->accepted);
    else health_.succession().Remember(saved->accepted);
  }

  // What was accepted is on disk before anybody hears of it, unless the disk is slow or full: fail-over does not wait for that.
  void SaveAccepted(ClusterView& view) {
    if (!keeper_) return;
    if (view.primary && view.accepted != saving_) {
      saving_ = view.accepted;
      keeper_->Save({view.accepted, false, view.servers[*view.primary].name}, kSavePatience);
    }
    view.accepted_saved = keeper_->up_to_date();
  }

  // A promotion is looked for more often than all else.
  void SetPace(bool primary_known) {
    const auto interval = primary_known ? config_->monitor.interval : std::min(kHurriedInterval, config_->monitor.interval);
    for (Server& server : servers_)
      if (server.link) server.link->SetInterval(interval, Clock::now());
  }

  void PublishView() {
    auto judged = health_.Judge(probes_, config_->monitor.interval);
    SaveAccepted(judged);
    SetPace(judged.primary.has_value());
    auto view = std::make_shared<const ClusterView>(std::move(judged));
    View before;
    {
      const std::lock_guard lock(mutex_);
      before = std::exchange(view_, view);
    }
    LogChanges(before.get(), *view);
    publish_(std::move(view));
  }

  // Once it has been seen twice: what the others say may be about to come.
  void TellRefusal(std::size_t id, const ServerView& was, const ServerView& is) {
    auto& told = servers_[id].refusal_told;
    if (!is.up || is.error.empty()) return told.clear();
    if (is.error == told || was.error != is.error || was.sampled == is.sampled) return;
    told = is.error;
    Log(LogLevel::kError, "primary_refused", {{"server", is.name}, {"error", is.error}});
  }

  void LogChanges(const ClusterView* before, const ClusterView& after) {
    if (before == nullptr) return;
    if (before->primary != after.primary)
      Log(after.primary ? LogLevel::kInfo : LogLevel::kWarn, "primary_changed",
          {{"from", before->primary ? before->servers[*before->primary].name : "none"},
           {"to", after.primary ? after.servers[*after.primary].name : "none"}});
    if (before->successions != after.successions && after.lost_bytes > 0)
      Log(LogLevel::kError, "wal_lost",
          {{"primary", after.servers[*after.primary].name},
           {"bytes", after.lost_bytes},
           {"why", "the last primary had flushed them, and the new one was promoted without them"}});
    for (std::size_t id = 0; id < before->servers.size(); ++id) {
      const ServerView& was = before->servers[id];
      const ServerView& is = after.servers[id];
      if (was.eligible != is.eligible)
        Log(LogLevel::kInfo, is.eligible ? "replica_eligible" : "replica_ineligible",
            {{"server", is.name}, {"why", is.ineligible_why}});
      TellRefusal(id, was, is);
    }
    if (before->sync_guarantee != after.sync_guarantee)
      Log(after.sync_guarantee ? LogLevel::kInfo : LogLevel::kWarn, "sync_guarantee",
          {{"active", after.sync_guarantee ? 1 : 0}, {"why", after.sync_guarantee_why}});
  }

  WorkerMetrics& metrics_;
  const Publish publish_;
  const Where where_;
  const int wake_fd_;
  std::atomic<bool> stopping_{false}, hurry_{false};
  mutable std::mutex mutex_;
  ServerPlaces places_;
  ConfigSnapshot next_config_;  // under mutex_
  View view_;  // under mutex_
  // The prober's thread only, from Start() to Stop().
  ConfigSnapshot config_;
  std::vector<ServerProbe> probes_;
  std::vector<Server> servers_;
  ClusterHealth health_;
  std::unique_ptr<StateKeeper> keeper_;  // null: nothing is kept
  std::optional<AcceptedTerm> saving_;  // given to it last
  std::thread thread_;
};

Prober::Prober(ConfigSnapshot config, WorkerMetrics& metrics, Publish publish, Where where)
    : loop_(std::make_unique<Loop>(std::move(config), metrics, std::move(publish), std::move(where))) {}
Prober::~Prober() = default;
void Prober::KeepState(StateFile file) { loop_->KeepState(std::move(file)); }
void Prober::Start() { loop_->Start(); }
void Prober::Stop() { loop_->Stop(); }
void Prober::Reload(ConfigSnapshot config) { loop_->Reload(std::move(config)); }
void Prober::ProbeNow() { loop_->ProbeNow(); }
std::string Prober::WithoutPlace(const Config& config) const { return loop_->WithoutPlace(config); }
View Prober::view() const { return loop_->view(); }

}  // namespace waypost
