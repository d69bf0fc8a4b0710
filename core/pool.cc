#include "core/pool.h"

#include <algorithm>
#include <set>

#include "core/base/log.h"
#include "core/control_query.h"
#include "core/server_connection.h"
#include "core/worker.h"
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
bool Outdated(const ServerConnection& connection, const Waiter& waiter) {
  return connection.defaults() < waiter.defaults;
}

std::optional<TimePoint> Older(std::optional<TimePoint> a, std::optional<TimePoint> b) {
  if (!a) return b;
  if (!b) return a;
  return std::min(*a, *b);
}

}  // namespace

Pool::Pool(Worker& worker, Key key) : worker_(worker), key_(std::move(key)) {
  policy_ = worker_.config().PoolFor(key_.user, key_.database);
}

Pool::~Pool() {
  for (std::size_t i = 0; i < connections_.size(); ++i) worker_.shared().budgets[key_.server].Give();
}

std::optional<TimePoint> Pool::OldestWaiter() const {
  if (waiters_.empty()) return std::nullopt;
  return waiters_.front()->waiting_since;
}

void Pool::WaitersChanged() {
  worker_.metrics().SetGauge(Gauge::kPoolWaiting, static_cast<std::int64_t>(waiters_.size()), key_.server);
  worker_.pools().PublishOldest(key_.server);
}

ServerConnection* Pool::Acquire(Waiter& waiter) {
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
  if (waiter.waiting_since == TimePoint{}) waiter.waiting_since = worker_.Now();
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
  auto& budget = worker_.shared().budgets[key_.server];
  const auto* server = worker_.FindServer(key_.server);
  if (server == nullptr || worker_.Now() < not_before_) return;
  while (connecting_ < waiters_.size() && (policy_.max_size == 0 || connections_.size() < policy_.max_size)) {
    std::size_t who = 0;
    const auto others = Older(budget.OldestElsewhere(worker_.index(), who),
                              worker_.pools().OldestWaiter(key_.server, this));
    if (!MayGrow(OldestWaiter(), others)) return;
    if (!budget.Take(server->max_connections)) {
      if (worker_.pools().EvictIdle(key_.server, this)) continue;
      worker_.AskOthersToYield(key_.server);
      return;
    }
    Open();
  }
}

void Pool::Open() {
  ++connecting_;
  connections_.push_back(std::make_unique<ServerConnection>(worker_, *this, worker_.ServerFor(key_.server)));
}

void Pool::OnReady(ServerConnection& connection) {
  --connecting_;
  failures_ = 0;
  worker_.refusals().Forget(key_.server, key_.database, key_.user);
  worker_.metrics().Count(Counter::kServerConnects, key_.server, ConnectOutcome::kOk);
  worker_.metrics().Observe(Histogram::kServerConnectDuration, key_.server,
                            worker_.Now() - connection.connect_started);
  connection.lifetime = Jitter(policy_.lifetime, worker_.Random());
  // A replica may not have had what was altered by then.
  const auto altered = worker_.shared().defaults_clock.ticked();
  if (altered != TimePoint{} && worker_.view().primary != key_.server && worker_.Now() - altered < kDefaultsReach)
    connection.lifetime = kDefaultsReach;
  Serve(connection);
}

void Pool::OnLoginFailed(ServerConnection& connection) {
  --connecting_;
  const bool said_so = !connection.failure.empty() ? false : connection.login().server_said_so();
  const std::string sqlstate = connection.failure.empty() ? connection.login().sqlstate() : "";
  const std::string error = connection.failure.empty() ? connection.login().error() : "";
  const auto words = connection.failure.empty() ? FirstLine(ReadError(AsBytes(error).subspan(kHeaderBytes)).message) : connection.failure;
  Log(LogLevel::kWarn, "server_login_failed",
      {{"server", connection.server().name}, {"user", key_.user}, {"database", key_.database},
       {"sqlstate", sqlstate}, {"error", words}});
  worker_.metrics().Count(Counter::kServerConnects, key_.server,
                          sqlstate.empty()       ? ConnectOutcome::kRefused
                          : sqlstate.starts_with("28") ? ConnectOutcome::kAuthFailed
                          : said_so              ? ConnectOutcome::kServerError
                                                 : ConnectOutcome::kProtocolError);
  not_before_ = worker_.Now() + std::min(kMaxBackoff, kFirstBackoff * (1U << std::min(failures_, 6U)));
  ++failures_;
  Remove(connection, DisconnectCause::kServerClosed);
  worker_.shared().probe_now();
  if (!IsPassing(sqlstate)) {
    if (worker_.view().primary == key_.server) return FailWaiters(sqlstate, error);
    // Its reads are answered elsewhere; why they are not there is for the administrator to see.
    worker_.refusals().Note({key_.server, key_.database, key_.user, words, worker_.Now() + LoginRefusals::kTakenOut});
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

void Pool::Serve(ServerConnection& connection) {
  auto& budget = worker_.shared().budgets[key_.server];
  const auto* limit = worker_.FindServer(key_.server);
  if (waiters_.empty() && limit != nullptr && budget.used() < limit->max_connections) {  // the common case
    connection.idle_since = worker_.Now();
    idle_.push_back(&connection);
    return;
  }
  std::size_t who = ServerBudget::kMaxWorkers;
  const auto elsewhere = budget.OldestElsewhere(worker_.index(), who);
  const auto others = Older(elsewhere, worker_.pools().OldestWaiter(key_.server, this));
  // Somebody else's waiter gets this place only if there is no free one.
  const bool full = limit != nullptr && budget.used() >= limit->max_connections;
  const auto next = ServeNext(OldestWaiter(), full ? others : std::nullopt);
  if (next == OnRelease::kHandOver) {
    Remove(connection, DisconnectCause::kEvicted);
    worker_.pools().PlaceFree(key_.server);
    return;
  }
  connection.idle_since = worker_.Now();
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
  worker_.metrics().Observe(Histogram::kPoolWait, key_.server, worker_.Now() - waiter->waiting_since);
  waiter->OnServerConnection(connection);
}

void Pool::Release(ServerConnection& connection) {
  if (connection.cancelling() && !connection.broken()) {
    connection.after_cancel = ServerConnection::AfterCancel::kRelease;
    return;
  }
  const auto* server = worker_.FindServer(key_.server);
  if (!connection.Clean()) return Discard(connection, DisconnectCause::kUnclean);
  if (server == nullptr) return Discard(connection, DisconnectCause::kRemoved);
  if (TooOld({connection.born, worker_.Now(), connection.lifetime, milliseconds{0}}, worker_.Now()))
    return Discard(connection, DisconnectCause::kLifetime);
  Serve(connection);
}

void Pool::Discard(ServerConnection& connection, DisconnectCause cause) {
  Remove(connection, cause);
  Grow();
  worker_.pools().PlaceFree(key_.server);
}

void Pool::Remove(ServerConnection& connection, DisconnectCause cause) {
  std::erase(idle_, &connection);
  const auto found = std::find_if(connections_.begin(), connections_.end(),
                                  [&](const auto& owned) { return owned.get() == &connection; });
  if (found == connections_.end()) return;
  if (connection.ready()) worker_.metrics().Count(Counter::kServerDisconnects, key_.server, cause);
  worker_.Bury(std::move(*found));
  connections_.erase(found);
  worker_.shared().budgets[key_.server].Give();
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
  const auto* server = worker_.FindServer(key_.server);
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
    connection.OnClosed("no answer within connect_timeout");  // removes it
  }
  for (std::size_t i = 0; i < waiters_.size();) {
    auto* waiter = waiters_[i];
    if (now < waiter->give_up_at) {
      ++i;
      continue;
    }
    Forget(*waiter);
    worker_.metrics().Count(Counter::kPoolTimeouts, key_.server);
    std::string error;
    AppendError(error, {.sqlstate = "53300",
                        .message = "no server connection became free within query_wait_timeout",
                        .detail = "The statement waited for a connection to server \"" +
                                  worker_.view().servers[key_.server].name + "\"."});
    waiter->OnNoServerConnection("53300", error);
  }
  const bool warm = server != nullptr && !connections_.empty() && connections_.size() < policy_.min_size;
  if (warm && worker_.shared().budgets[key_.server].Take(server->max_connections)) Open();
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
  if (!pool) pool = std::make_unique<Pool>(worker_, key);
  return *pool;
}

void PoolSet::Sweep(TimePoint now) {
  for (auto& [key, pool] : pools_) pool->Sweep(now);
}

void PoolSet::OnConfigChanged() {
  for (auto& [key, pool] : pools_) pool->policy_ = worker_.config().PoolFor(key.user, key.database);
}

std::optional<TimePoint> PoolSet::OldestWaiter(ServerId server, const Pool* except) const {
  auto oldest = worker_.startup_checks().OldestWaiter(server);
  for (const auto& [key, pool] : pools_)
    if (key.server == server && pool.get() != except) oldest = Older(oldest, pool->OldestWaiter());
  return oldest;
}

void PoolSet::PublishOldest(ServerId server) {
  worker_.shared().budgets[server].SetOldest(worker_.index(), OldestWaiter(server, nullptr));
}

void PoolSet::PlaceFree(ServerId server) {
  const auto login = worker_.startup_checks().OldestWaiter(server);
  // The pool whose waiter came first; another worker's is told if it waits longer.
  Pool* first = nullptr;
  for (auto& [key, pool] : pools_) {
    if (key.server != server || pool->waiters_.empty()) continue;
    if (first == nullptr || *pool->OldestWaiter() < *first->OldestWaiter()) first = pool.get();
  }
  std::size_t who = 0;
  const auto elsewhere = worker_.shared().budgets[server].OldestElsewhere(worker_.index(), who);
  if (elsewhere && (first == nullptr || *elsewhere < *first->OldestWaiter())) worker_.TellPlaceFree(who, server);
  if (login && (first == nullptr || *login < *first->OldestWaiter())) worker_.startup_checks().PlaceFree(server);
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
