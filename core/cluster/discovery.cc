#include "core/cluster/discovery.h"

#include <algorithm>
#include <utility>

#include "core/base/service_thread.h"
#include "core/cluster/patroni.h"
#include "core/cluster/repmgr.h"

namespace waypost {
namespace {

constexpr milliseconds kRetry{1'000};  // after a look that failed, if the interval is longer

bool SameSource(const DiscoveryConfig& a, const DiscoveryConfig& b) {
  return a.source == b.source && a.patroni_urls == b.patroni_urls && a.patroni_ca == b.patroni_ca &&
         a.repmgr_database == b.repmgr_database && a.interval == b.interval;
}

// Names in `config` may be newer than in `view`, or older.
const ServerConfig* WhomToAsk(const ClusterView* view, const Config& config) {
  if (view == nullptr) return nullptr;
  if (view->primary) return config.FindServer(view->servers[*view->primary].name);
  for (const ServerView& server : view->servers)
    if (const auto* found = config.FindServer(server.name); server.up && found != nullptr) return found;
  return nullptr;
}

}  // namespace

class Discovery::Loop {
 public:
  Loop(ConfigSnapshot config, std::function<View()> view, OnList on_list)
      : view_(std::move(view)), on_list_(std::move(on_list)), config_(std::move(config)) {}
  ~Loop() = default;
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void Start() {
    thread_.Start([this](ServiceThread::Lock& lock) { Run(lock); });
  }

  void Stop() { thread_.Stop(); }

  void Reload(ConfigSnapshot config) {
    {
      const auto lock = thread_.guard();
      if (!SameSource(config->cluster.discovery, config_->cluster.discovery)) at_once_ = true;
      config_ = std::move(config);
    }
    thread_.Wake();
  }

 private:
  void Run(ServiceThread::Lock& lock) {
    while (!thread_.stopping()) {
      at_once_ = false;
      const auto config = config_;
      const auto due = [this] { return at_once_; };
      if (config->cluster.discovery.source == DiscoverySource::kProbe) {
        thread_.Sleep(lock, due);
        continue;
      }
      lock.unlock();
      const auto list = Look(*config);
      if (!thread_.stopping()) on_list_(list);
      const auto interval = config->cluster.discovery.interval;
      lock.lock();
      thread_.SleepFor(lock, list ? interval : std::min(interval, kRetry), due);
    }
  }

  Result<FoundList> Look(const Config& config) {
    if (config.cluster.discovery.source == DiscoverySource::kPatroni) return LookAtPatroni(config.cluster.discovery);
    const auto view = view_();
    const auto* server = WhomToAsk(view.get(), config);
    if (server == nullptr) return Error{"no server is up that could be asked for repmgr.nodes"};
    auto list = AskRepmgr(config, *server);
    if (!list)
      return Error{"server \"" + server->name + "\", database \"" + config.cluster.discovery.repmgr_database +
                   "\": " + list.error()};
    return FoundList{server->name, std::move(*list)};
  }

  // The one that answered last is asked first.
  Result<FoundList> LookAtPatroni(const DiscoveryConfig& discovery) {
    const auto& urls = discovery.patroni_urls;
    std::string errors;
    for (std::size_t i = 0; i < urls.size() && !thread_.stopping(); ++i) {
      const auto& url = urls[(answered_ + i) % urls.size()];
      auto list = AskPatroni(url, discovery.patroni_ca);
      if (list) {
        answered_ = (answered_ + i) % urls.size();
        return FoundList{url, std::move(*list)};
      }
      errors += (errors.empty() ? "" : "; ") + url + ": " + list.error();
    }
    return Error{errors};
  }

  const std::function<View()> view_;
  const OnList on_list_;
  bool at_once_ = false;      // under its guard
  ConfigSnapshot config_;     // under its guard
  std::size_t answered_ = 0;  // index in patroni_urls; the thread's only
  ServiceThread thread_{"waypost-found"};
};

Discovery::Discovery(ConfigSnapshot config, std::function<View()> view, OnList on_list)
    : loop_(std::make_unique<Loop>(std::move(config), std::move(view), std::move(on_list))) {}
Discovery::~Discovery() = default;
void Discovery::Start() { loop_->Start(); }
void Discovery::Stop() { loop_->Stop(); }
void Discovery::Reload(ConfigSnapshot config) { loop_->Reload(std::move(config)); }

}  // namespace waypost
