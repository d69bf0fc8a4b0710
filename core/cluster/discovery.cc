#include "core/cluster/discovery.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

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
  ~Loop() { Stop(); }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void Start() {
    thread_ = std::thread([this] { Run(); });
  }

  void Stop() {
    if (!thread_.joinable()) return;
    {
      const std::scoped_lock lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }

  void Reload(ConfigSnapshot config) {
    {
      const std::scoped_lock lock(mutex_);
      if (!SameSource(config->cluster.discovery, config_->cluster.discovery)) at_once_ = true;
      config_ = std::move(config);
    }
    wake_.notify_all();
  }

 private:
  void Run() {
    pthread_setname_np(pthread_self(), "waypost-found");
    for (std::unique_lock lock(mutex_); !stopping_;) {
      at_once_ = false;
      const auto config = config_;
      const auto due = [this] { return stopping_ || at_once_; };
      if (config->cluster.discovery.source == DiscoverySource::kProbe) {
        wake_.wait(lock, due);
        continue;
      }
      lock.unlock();
      const auto list = Look(*config);
      if (!stopping_) on_list_(list);
      const auto interval = config->cluster.discovery.interval;
      lock.lock();
      wake_.wait_for(lock, list ? interval : std::min(interval, kRetry), due);
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
    for (std::size_t i = 0; i < urls.size() && !stopping_; ++i) {
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
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<bool> stopping_{false};  // set under mutex_
  bool at_once_ = false;               // under mutex_
  ConfigSnapshot config_;              // under mutex_
  std::size_t answered_ = 0;           // index in patroni_urls; the thread's only
  std::thread thread_;
};

Discovery::Discovery(ConfigSnapshot config, std::function<View()> view, OnList on_list)
    : loop_(std::make_unique<Loop>(std::move(config), std::move(view), std::move(on_list))) {}
Discovery::~Discovery() = default;
void Discovery::Start() { loop_->Start(); }
void Discovery::Stop() { loop_->Stop(); }
void Discovery::Reload(ConfigSnapshot config) { loop_->Reload(std::move(config)); }

}  // namespace waypost
