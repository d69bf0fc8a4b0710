#include "core/pool.h"

#include <algorithm>
#include <set>

#include "core/base/log.h"
#include "core/control_query.h"
#include "core/login_refusals.h"
#include "core/shared.h"
#include "metrics/worker_metrics.h"
#include "parser/backend.h"
#include "parser/encode.h"
#include "routing/pool_policy.h"

namespace waypost {
namespace {

// After a failed login the next one waits this long, doubled up to the cap.
constexpr milliseconds kFirstBackoff{50};
constexpr milliseconds kMaxBackoff{2'000};
// A replica that replays so late what ALTER ROLE ... SET changed is not thought of.
constexpr milliseconds kDefaultsReach{5'000};

// What sessions start with (ALTER ROLE ... SET) has changed between the two. One that is opened now is good for all who
// wait now: nobody waits for a connection of a special kind, and none is thrown away for this twice.
bool Outdated(const PooledConnection& connection, const Waiter& waiter) {
  return connection.defaults() < waiter.defaults;
}

std::optional<TimePoint> Older(std::optional<TimePoint> a, std::optional<TimePoint> b) {
  if (!a) return b;
  if (!b) return a;
  return std::min(*a, *b);
}

}  // namespace

Pool::Pool(PoolHost& host, PoolSet& pools, Key key)
    : host_(host),
      pools_(pools),
      key_(std::move(key)),
      budget_(host.shared().budgets[key_.server]),
      policy_(host.config().PoolFor(key_.user, key_.database)) {}

Pool::~Pool() {
  for (std::size_t i = 0; i < connections_.size(); ++i) budget_.Give();
}

std::optional<TimePoint> Pool::OldestWaiter() const {
  if (waiters_.empty()) return std::nullopt;
  return waiters_.front()->waiting_since;
}

void Pool::WaitersChanged() {
  host_.metrics().SetGauge(Gauge::kPoolWaiting, static_cast<std::int64_t>(waiters_.size()), key_.server);
  pools_.PublishOldest(key_.server);
}

PooledConnection* Pool::Acquire(Waiter& waiter) {
  if (waiters_.empty()) {
    while (!idle_.empty()) {
      auto* connection = idle_.back();
      if (Outdated(*connection, waiter)) {
        Remove(*connection, DisconnectCause::kOutdated);
        continue;
      }
      idle_.pop_back();
      return connection;
    }
  }
  if (waiter.waiting_since == TimePoint{}) waiter.waiting_since = host_.Now();
  waiters_.push_back(&waiter);
  WaitersChanged();
  Grow();
  return nullptr;
}

void Pool::Forget(Waiter& waiter) {
  std::erase(waiters_, &waiter);
  WaitersChanged();
}

void Pool::Grow() {
  const auto* server = host_.FindServer(key_.server);
  if (server == nullptr || host_.Now() < not_before_) return;
  while (connecting_ < waiters_.size() && (policy_.max_size == 0 || connections_.size() < policy_.max_size)) {
    std::size_t who = 0;
    const auto others = Older(budget_.OldestElsewhere(host_.index(), who),
                              pools_.OldestWaiter(key_.server, this));
    if (!MayGrow(OldestWaiter(), others)) return;
    if (!budget_.Take(server->max_connections)) {
      if (pools_.EvictIdle(key_.server, this)) continue;
      host_.AskOthersToYield(key_.server);
      return;
    }
    Open();
  }
}

void Pool::Open() {
  ++connecting_;
  connections_.push_back(host_.OpenFor(*this));
}

void Pool::OnReady(PooledConnection& connection) {
  --connecting_;
  failures_ = 0;
  host_.refusals().Forget(key_.server, key_.database, key_.user);
  host_.metrics().Count(Counter::kServerConnects, key_.server, ConnectOutcome::kOk);
  host_.metrics().Observe(Histogram::kServerConnectDuration, key_.server,
                            host_.Now() - connection.connect_started);
  connection.lifetime = Jitter(policy_.lifetime, host_.Random());
  // A replica may not have had what was altered by then.
  const auto altered = host_.shared().defaults_clock.ticked();
  if (altered != TimePoint{} && host_.view().primary != key_.server && host_.Now() - altered < kDefaultsReach)
    connection.lifetime = kDefaultsReach;
  Serve(connection);
}

void Pool::OnLoginFailed(PooledConnection& connection) {
  --connecting_;
  const auto [sqlstate, error, lost, said_so] = connection.WhyLoginFailed();
  const auto words = lost.empty() ? FirstLine(ReadError(AsBytes(error).subspan(kHeaderBytes)).message) : lost;
  Log(LogLevel::kWarn, "server_login_failed",
      {{"server", host_.view().servers[key_.server].name}, {"user", key_.user}, {"database", key_.database},
       {"sqlstate", sqlstate}, {"error", words}});
  host_.metrics().Count(Counter::kServerConnects, key_.server,
                          sqlstate.empty()       ? ConnectOutcome::kRefused
                          : sqlstate.starts_with("28") ? ConnectOutcome::kAuthFailed
                          : said_so              ? ConnectOutcome::kServerError
                                                 : ConnectOutcome::kProtocolError);
  not_before_ = host_.Now() + std::min(kMaxBackoff, kFirstBackoff * (1U << std::min(failures_, 6U)));
  ++failures_;
  Remove(connection, DisconnectCause::kServerClosed);
  host_.shared().probe_now();
  if (!IsPassing(sqlstate)) {
    if (host_.view().primary == key_.server) return FailWaiters(sqlstate, error);
    // Its reads are answered elsewhere; why they are not there is for the administrator to see.
    host_.refusals().Note({key_.server, key_.database, key_.user, words, host_.Now() + LoginRefusals::kTakenOut});
    return SendWaitersAway();
  }
  // Others of this pool work: they will serve those who wait.
  if (connections_.size() > connecting_) return;
  SendWaitersAway();
}

// Whoever can go elsewhere does; the others try again with the next view.
void Pool::SendWaitersAway() {
  const auto waiters = std::move(waiters_);
  waiters_.clear();
  WaitersChanged();
  for (auto* waiter : waiters) waiter->OnServerUnreachable();
}

void Pool::FailWaiters(std::string_view sqlstate, const std::string& error) {
  const auto waiters = std::move(waiters_);
  waiters_.clear();
  WaitersChanged();
  for (auto* waiter : waiters) waiter->OnNoServerConnection(sqlstate, error);
}

void Pool::Serve(PooledConnection& connection) {
  const auto* limit = host_.FindServer(key_.server);
  if (waiters_.empty() && limit != nullptr && budget_.used() < limit->max_connections) {  // the common case
    connection.idle_since = host_.Now();
    idle_.push_back(&connection);
    return;
  }
  std::size_t who = ServerBudget::kMaxWorkers;
  const auto elsewhere = budget_.OldestElsewhere(host_.index(), who);
  const auto others = Older(elsewhere, pools_.OldestWaiter(key_.server, this));
  // Somebody else's waiter gets this place only if there is no free one.
  const bool full = limit != nullptr && budget_.used() >= limit->max_connections;
  const auto next = ServeNext(OldestWaiter(), full ? others : std::nullopt);
  if (next == OnRelease::kHandOver) {
    Remove(connection, DisconnectCause::kEvicted);
    pools_.PlaceFree(key_.server);
    return;
  }
  connection.idle_since = host_.Now();
  if (next == OnRelease::kKeepIdle) {
    idle_.push_back(&connection);
    return;
  }
  auto* waiter = waiters_.front();
  if (Outdated(connection, *waiter)) {
    Remove(connection, DisconnectCause::kOutdated);
    return Grow();
  }
  waiters_.pop_front();
  WaitersChanged();
  host_.metrics().Observe(Histogram::kPoolWait, key_.server, host_.Now() - waiter->waiting_since);
  waiter->OnServerConnection(connection);
}

void Pool::Release(PooledConnection& connection) {
  if (connection.cancelling() && !connection.broken()) {
    connection.after_cancel = PooledConnection::AfterCancel::kRelease;
    return;
  }
  const auto* server = host_.FindServer(key_.server);
  if (!connection.Clean()) return Discard(connection, DisconnectCause::kUnclean);
  if (server == nullptr) return Discard(connection, DisconnectCause::kRemoved);
  if (TooOld({connection.born, host_.Now(), connection.lifetime, milliseconds{0}}, host_.Now()))
    return Discard(connection, DisconnectCause::kLifetime);
  Serve(connection);
}

void Pool::Discard(PooledConnection& connection, DisconnectCause cause) {
  Remove(connection, cause);
  Grow();
  pools_.PlaceFree(key_.server);
}

void Pool::Remove(PooledConnection& connection, DisconnectCause cause) {
  std::erase(idle_, &connection);
  const auto found = std::find_if(connections_.begin(), connections_.end(),
                                  [&](const auto& owned) { return owned.get() == &connection; });
  if (found == connections_.end()) return;
  if (connection.ready()) host_.metrics().Count(Counter::kServerDisconnects, key_.server, cause);
  host_.Bury(std::move(*found));
  connections_.erase(found);
  budget_.Give();
}

bool Pool::EvictIdle() {
  if (idle_.empty()) return false;
  Remove(*idle_.front(), DisconnectCause::kEvicted);
  return true;
}

void Pool::CloseIdle(DisconnectCause cause) {
  while (!idle_.empty()) Remove(*idle_.front(), cause);
}

void Pool::Sweep(TimePoint now) {
  const auto* server = host_.FindServer(key_.server);
  if (server == nullptr) CloseIdle(DisconnectCause::kRemoved);
  if (server == nullptr && !waiters_.empty()) SendWaitersAway();
  for (std::size_t i = 0; i < idle_.size();) {
    auto& connection = *idle_[i];
    const ConnectionAge age{connection.born, connection.idle_since, connection.lifetime, policy_.idle_timeout};
    const bool idle_too_long = IdleTooLong(age, now) && connections_.size() > policy_.min_size;
    if (TooOld(age, now)) Remove(connection, DisconnectCause::kLifetime);
    else if (idle_too_long) Remove(connection, DisconnectCause::kIdleTimeout);
    else ++i;
  }
  for (std::size_t i = 0; server != nullptr && i < connections_.size();) {
    auto& connection = *connections_[i];
    if (connection.ready() || connection.broken() || now - connection.connect_started < server->connect_timeout) {
      ++i;
      continue;
    }
    connection.GiveUpLogin("no answer within connect_timeout");  // removes it
  }
  for (std::size_t i = 0; i < waiters_.size();) {
    auto* waiter = waiters_[i];
    if (now < waiter->give_up_at) {
      ++i;
      continue;
    }
    Forget(*waiter);
    host_.metrics().Count(Counter::kPoolTimeouts, key_.server);
    std::string error;
    AppendError(error, {.sqlstate = "53300",
                        .message = "no server connection became free within query_wait_timeout",
                        .detail = "The statement waited for a connection to server \"" +
                                  host_.view().servers[key_.server].name + "\"."});
    waiter->OnNoServerConnection("53300", error);
  }
  const bool warm = server != nullptr && !connections_.empty() && connections_.size() < policy_.min_size;
  if (warm && budget_.Take(server->max_connections)) Open();
  if (!waiters_.empty()) Grow();
}

bool PoolSet::MayKeepApart(const std::string& database, const std::string& user, const Parameters& only_at_start) const {
  constexpr std::size_t kMaxKinds = 4;
  std::set<Parameters> kinds{only_at_start};
  for (const auto& [key, pool] : pools_)
    if (key.database == database && key.user == user && !key.only_at_start.empty()) kinds.insert(key.only_at_start);
  return kinds.size() <= kMaxKinds;
}

Pool& PoolSet::Get(const PoolKey& key) {
  auto& pool = pools_[key];
  if (!pool) pool = std::make_unique<Pool>(host_, *this, key);
  return *pool;
}

void PoolSet::Sweep(TimePoint now) {
  for (auto& [key, pool] : pools_) pool->Sweep(now);
}

void PoolSet::OnConfigChanged() {
  for (auto& [key, pool] : pools_) pool->policy_ = host_.config().PoolFor(key.user, key.database);
}

std::optional<TimePoint> PoolSet::OldestWaiter(ServerId server, const Pool* except) const {
  auto oldest = host_.OldestStartup(server);
  for (const auto& [key, pool] : pools_)
    if (key.server == server && pool.get() != except) oldest = Older(oldest, pool->OldestWaiter());
  return oldest;
}

void PoolSet::PublishOldest(ServerId server) {
  host_.shared().budgets[server].SetOldest(host_.index(), OldestWaiter(server, nullptr));
}

void PoolSet::PlaceFree(ServerId server) {
  const auto login = host_.OldestStartup(server);
  // The pool whose waiter came first; another worker's is told if it waits longer.
  Pool* first = nullptr;
  for (auto& [key, pool] : pools_) {
    if (key.server != server || pool->waiters_.empty()) continue;
    if (first == nullptr || *pool->OldestWaiter() < *first->OldestWaiter()) first = pool.get();
  }
  std::size_t who = 0;
  const auto elsewhere = host_.shared().budgets[server].OldestElsewhere(host_.index(), who);
  if (elsewhere && (first == nullptr || *elsewhere < *first->OldestWaiter())) host_.TellPlaceFree(who, server);
  if (login && (first == nullptr || *login < *first->OldestWaiter())) host_.PlaceFreeForStartup(server);
  if (first != nullptr) first->Grow();
}

void PoolSet::YieldIdle(ServerId server) {
  if (OldestWaiter(server, nullptr)) return;
  if (EvictIdle(server, nullptr)) PlaceFree(server);
}

bool PoolSet::EvictIdle(ServerId server, const Pool* except) {
  for (auto& [key, pool] : pools_)
    if (key.server == server && pool.get() != except && pool->EvictIdle()) return true;
  return false;
}

}  // namespace waypost
