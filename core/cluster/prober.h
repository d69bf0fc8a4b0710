// Watches all servers: asks each one every interval, over a connection of its own, and publishes
// the picture that the answers give. A thread of its own; a server that hangs delays none of the others.
#pragma once

#include <functional>
#include <memory>

#include "core/cluster/state_file.h"
#include "core/config/config.h"
#include "metrics/worker_metrics.h"
#include "routing/cluster_view.h"

namespace waypost {

// ServerView::error of a server before its first answer or failure.
inline constexpr const char* kNotAskedYet = "not asked yet";

class Prober {
 public:
  // Called on the prober's thread (and once, for the first view, in Start()) with every new
  // picture; must not block long.
  using Publish = std::function<void(View)>;

  // Which database to be connected to, now, instead of the one that is configured; asked on the prober's thread.
  using Where = std::function<std::string(const std::string& configured)>;

  // Only the prober's thread writes `metrics`, which must outlive it. `where` empty: to the configured database.
  Prober(ConfigSnapshot config, WorkerMetrics& metrics, Publish publish, Where where = {});
  // Before Start(): what was accepted as primary is read from it, and kept there.
  void KeepState(StateFile file);
  ~Prober();  // stops
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  // Publishes a first view, in which every server has its ServerId and none is up, and starts to
  // ask.
  void Start();
  // Ends the thread; waits for it. Harmless if not started or stopped already.
  void Stop();

  // Any thread. The first server of `config` for which this process has no place left, "" if there is none: a name keeps its
  // ServerId for the life of the process, and there are kMaxServers of them.
  [[nodiscard]] std::string WithoutPlace(const Config& config) const;
  // Any thread. ServerIds stay the same by name; a server no longer there is `removed` in the view.
  // Connections whose address or credentials changed are made anew. There must be a place for every server.
  void Reload(ConfigSnapshot config);
  // Any thread: asks all servers now instead of at the next interval.
  void ProbeNow();
  // Any thread: the last view published; null before Start().
  [[nodiscard]] View view() const;

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace waypost
