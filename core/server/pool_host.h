// What pools use of their worker; implemented by the worker, or by a test. Worker thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "core/base/time.h"
#include "core/server/pooled_connection.h"
#include "routing/cluster_view.h"

namespace waypost {

class LoginRefusals;
class Pool;
class WorkerMetrics;
struct Config;
struct ServerConfig;
struct Shared;

class PoolHost {
 public:
  [[nodiscard]] virtual std::size_t index() const = 0;
  [[nodiscard]] virtual TimePoint Now() const = 0;
  [[nodiscard]] virtual std::uint32_t Random() = 0;
  virtual Shared& shared() = 0;
  virtual WorkerMetrics& metrics() = 0;
  virtual LoginRefusals& refusals() = 0;
  [[nodiscard]] virtual const Config& config() const = 0;
  [[nodiscard]] virtual const ClusterView& view() const = 0;
  // nullptr: not in the configuration (any more).
  [[nodiscard]] virtual const ServerConfig* FindServer(ServerId id) const = 0;

  // Begins a login; it ends with Pool::OnReady() or Pool::OnLoginFailed(), not before this has returned. The place under
  // the server's limit has been taken.
  [[nodiscard]] virtual std::unique_ptr<PooledConnection> OpenFor(Pool& pool) = 0;
  // Closed now, freed when nothing of it can be on the stack any more.
  virtual void Bury(std::unique_ptr<PooledConnection> connection) = 0;

  // The start-up checks need places too: since when the oldest has waited for one; there may be one now.
  [[nodiscard]] virtual std::optional<TimePoint> OldestStartup(ServerId server) const = 0;
  virtual void PlaceFreeForStartup(ServerId server) = 0;
  // Calls PoolSet::Grow() in every other worker: an idle connection there makes room.
  virtual void AskOthersToYield(ServerId server) = 0;
  // Calls PoolSet::Grow() in worker number `worker`.
  virtual void TellPlaceFree(std::size_t worker, ServerId server) = 0;

 protected:
  ~PoolHost() = default;
};

}  // namespace waypost
