#include "core/server/pool_set.h"

#include <algorithm>
#include <set>

#include "core/env/shared.h"
#include "metrics/worker_metrics.h"
#include "routing/pool_policy.h"

namespace waypost {
namespace {

std::optional<TimePoint> Older(std::optional<TimePoint> a, std::optional<TimePoint> b) {
  if (!a) return b;
  if (!b) return a;
  return std::min(*a, *b);
}

}  // namespace

bool PoolSet::MayKeepApart(const std::string& database, const std::string& user, const Parameters& only_at_start) const {
  constexpr std::size_t kMaxKinds = 4;
  std::set<Parameters> kinds{only_at_start};
  for (const auto& [key, pool] : pools_)
    if (key.database == database && key.user == user && !key.only_at_start.empty()) kinds.insert(key.only_at_start);
  return kinds.size() <= kMaxKinds;
}

Pool& PoolSet::Get(const PoolKey& key) {
  auto& pool = pools_[key];
  if (pool) return *pool;
  pool = std::make_unique<Pool>(host_, *this, key);
  in_order_.push_back(pool.get());
  return *pool;
}

void PoolSet::Sweep(TimePoint now) {
  for (auto& [key, pool] : pools_) pool->Sweep(now);
  // Back-offs end, and start-ups leave, without a call.
  for (ServerId server = 0; server < host_.view().servers.size(); ++server) SeekPlaces(server);
}

void PoolSet::OnConfigChanged() {
  for (auto& [key, pool] : pools_) pool->policy_ = host_.config().PoolFor(key.user, key.database);
  for (ServerId server = 0; server < host_.view().servers.size(); ++server) Grow(server);
}

std::vector<Pool*>& PoolSet::WaitedFor(ServerId server) {
  if (waited_for_.size() <= server) waited_for_.resize(server + std::size_t{1});
  return waited_for_[server];
}

Pool* PoolSet::FirstLacking(ServerId server) {
  Pool* first = nullptr;
  std::optional<TimePoint> oldest;
  for (auto* pool : WaitedFor(server)) {
    const auto since = pool->LacksPlaceSince();
    if (!since || (oldest && *oldest <= *since)) continue;
    oldest = since;
    first = pool;
  }
  return first;
}

std::optional<TimePoint> PoolSet::LacksHereSince(ServerId server, const Pool* except) const {
  auto oldest = host_.OldestStartup(server);
  if (server >= waited_for_.size()) return oldest;
  for (const auto* pool : waited_for_[server])
    if (pool != except) oldest = Older(oldest, pool->LacksPlaceSince());
  return oldest;
}

std::optional<TimePoint> PoolSet::LacksPlaceSince(ServerId server, const Pool* except) const {
  std::size_t who = 0;
  return Older(LacksHereSince(server, except), host_.shared().budgets[server].OldestElsewhere(host_.index(), who));
}

void PoolSet::PublishOldest(ServerId server) {
  std::size_t lacking = host_.OldestStartup(server) ? 1 : 0, waiting = 0;
  for (const auto* pool : WaitedFor(server)) {
    lacking += pool->Lacking();
    waiting += pool->waiting();
  }
  host_.shared().budgets[server].SetLacking(host_.index(), static_cast<unsigned>(lacking), LacksHereSince(server, nullptr));
  host_.metrics().SetGauge(Gauge::kPoolWaiting, static_cast<std::int64_t>(waiting), server);
}

void PoolSet::CloseIdle(const std::string& database) {
  for (auto& [key, pool] : pools_)
    if (key.database == database) pool->CloseIdle(DisconnectCause::kEvicted);
}

void PoolSet::CloseIdle() {
  for (auto& [key, pool] : pools_) pool->CloseIdle(DisconnectCause::kEvicted);
}

void PoolSet::Reconnect(const std::string& database, const std::string& user) {
  for (auto& [key, pool] : pools_) {
    if ((!database.empty() && key.database != database) || (!user.empty() && key.user != user)) continue;
    pool->CloseIdle(DisconnectCause::kOutdated);
    for (auto& connection : pool->connections_) connection->lifetime = PooledConnection::kToClose;
  }
}

std::size_t PoolSet::GiveUp(ServerId server, const std::string& why) {
  std::size_t count = 0;
  for (auto& [key, pool] : pools_) {
    if (key.server != server) continue;
    count += pool->size();
    pool->GiveUp(why);
  }
  return count;
}

void PoolSet::Grow(ServerId server) {
  auto& budget = host_.shared().budgets[server];
  const auto* limit = host_.FindServer(server);
  for (;;) {
    PublishOldest(server);
    if (limit == nullptr) return;
    auto* pool = FirstLacking(server);
    const auto startup = host_.OldestStartup(server);
    const bool startup_first = startup && (pool == nullptr || *startup < *pool->LacksPlaceSince());
    const auto own = startup_first || pool == nullptr ? startup : pool->LacksPlaceSince();
    const auto free = budget.Free(limit->max_connections);
    if (free < budget.lacking() && EvictIdle(server)) continue;
    std::size_t who = 0;
    const auto elsewhere = budget.OldestElsewhere(host_.index(), who);
    if (free == 0) return;
    if (!own || !MayGrow(own, elsewhere)) {
      if (elsewhere) host_.TellPlaceFree(who, server);
      return;
    }
    if (startup_first) {
      host_.PlaceFreeForStartup(server);
      if (host_.OldestStartup(server) == startup) return;
    } else if (budget.Take(limit->max_connections)) {
      pool->Open();
    }
  }
}

// What is idle elsewhere was so before this worker said what it lacks: what is given back there from then on is handed over.
void PoolSet::SeekPlaces(ServerId server) {
  Grow(server);
  if (LacksHereSince(server, nullptr)) host_.AskOthersToYield(server);
}

bool PoolSet::EvictIdle(ServerId server) {
  Pool* longest = nullptr;
  for (auto& [key, pool] : pools_) {
    if (key.server != server || pool->idle_.empty()) continue;
    if (longest == nullptr || pool->idle_.front()->idle_since < longest->idle_.front()->idle_since) longest = pool.get();
  }
  if (longest == nullptr) return false;
  longest->Remove(*longest->idle_.front(), DisconnectCause::kEvicted);
  return true;
}

}  // namespace waypost
