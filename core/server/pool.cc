#include "core/server/pool.h"

#include <algorithm>
#include <iterator>

#include "core/base/log.h"
#include "core/cluster/control_query.h"
#include "core/env/shared.h"
#include "core/server/login_refusals.h"
#include "core/server/pool_set.h"
#include "metrics/worker_metrics.h"
#include "parser/wire/backend.h"
#include "parser/wire/encode.h"
#include "routing/pool_policy.h"

namespace waypost {
namespace {

// After a failed login the next one waits this long, doubled up to the cap.
constexpr milliseconds kFirstBackoff{50};
constexpr milliseconds kMaxBackoff{2'000};
// Who took a value from a sequence asks for it with his next statement, if he does: so long others use another connection,
// if there is one idle.
constexpr milliseconds kSequenceGrace{100};
// Settings cost a server more than a small read: somebody who finds his own on a connection may overtake those who came no
// more than this before him. bench/e2e/kinds.py: with 1 ms eight kinds of clients had 0.86 of the throughput of one. So few of
// the queue, and of those idle, are looked at.
constexpr milliseconds kSettingsGrace{3};
constexpr std::size_t kSettingsLook = 32;
// A replica that replays so late what ALTER ROLE ... SET changed is not thought of.
constexpr milliseconds kDefaultsReach{5'000};

// What sessions start with (ALTER ROLE ... SET) has changed between the two. One that is opened now is good for all who
// wait now: nobody waits for a connection of a special kind, and none is thrown away for this twice.
bool Outdated(const PooledConnection& connection, const Waiter& waiter) { return connection.defaults() < waiter.defaults; }

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

bool Pool::MayOpen() const {
  return host_.FindServer(key_.server) != nullptr && host_.Now() >= not_before_ &&
         (policy_.max_size == 0 || connections_.size() < policy_.max_size);
}

std::size_t Pool::Lacking() const {
  const auto coming = connecting_ + given_back_.size();
  if (waiters_.size() <= coming || !MayOpen()) return 0;
  const auto lacking = waiters_.size() - coming;
  return policy_.max_size == 0 ? lacking : std::min<std::size_t>(lacking, policy_.max_size - connections_.size());
}

std::optional<TimePoint> Pool::LacksPlaceSince() const {
  if (Lacking() == 0) return std::nullopt;
  return waiters_[connecting_ + given_back_.size()]->waiting_since;
}

void Pool::WaitersChanged() {
  auto& waited_for = pools_.WaitedFor(key_.server);
  const auto here = std::find(waited_for.begin(), waited_for.end(), this);
  if (waiters_.empty() && here != waited_for.end()) waited_for.erase(here);
  if (!waiters_.empty() && here == waited_for.end()) waited_for.push_back(this);
  pools_.PublishOldest(key_.server);
  const auto* server = host_.FindServer(key_.server);
  if (server != nullptr && budget_.used() < server->max_connections) pools_.Grow(key_.server);
}

// The one used last of those that have its settings, else of all.
std::size_t Pool::ChooseLastUsed(const Waiter& waiter) const {
  const auto none = idle_.size();
  const auto least = none - std::min(none, kSettingsLook);
  for (auto i = none; i-- > least && waiter.wanted_settings != nullptr;)
    if (idle_[i]->settings_left() == waiter.wanted_settings) return i;
  return none - 1;
}

// The first one, or whoever came close behind him and wants the settings that the connection has.
std::size_t Pool::ChooseWaiter(const PooledConnection& connection) const {
  const auto* left = connection.settings_left();
  const auto latest = waiters_.front()->waiting_since + kSettingsGrace;
  const auto looked_at = std::min(waiters_.size(), kSettingsLook);
  for (std::size_t i = 0; i < looked_at && waiters_[i]->waiting_since <= latest; ++i)
    if (waiters_[i]->wanted_settings == left) return i;
  return 0;
}

// Which of those idle, of whom there is one. Its own, where it took a value from a sequence that it may ask for; else one
// where nobody did; else the one used last, but for those where another took a value just now; else the one of those where
// it was longest ago.
std::size_t Pool::ChooseIdle(const Waiter& waiter) const {
  const auto none = idle_.size();
  if (waiter.sequence_token == 0 && idle_.back()->sequence_token == 0) return ChooseLastUsed(waiter);
  const auto fresh = host_.Now() - kSequenceGrace;
  auto free = none;
  auto left = none;  // by who took a value there
  for (auto i = none; i-- > 0;) {
    const auto token = idle_[i]->sequence_token;
    if (token != 0 && token == waiter.sequence_token) return i;
    if (free == none && token == 0) free = i;
    if (left == none && idle_[i]->idle_since < fresh) left = i;
  }
  if (free != none) return free;
  return left != none ? left : 0;
}

PooledConnection* Pool::Acquire(Waiter& waiter) {
  while (waiters_.empty() && !idle_.empty()) {
    const auto chosen = ChooseIdle(waiter);
    auto* connection = idle_[chosen];
    if (Outdated(*connection, waiter)) {
      Discard(*connection, DisconnectCause::kOutdated);
      continue;
    }
    idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(chosen));
    return connection;
  }
  if (waiter.waiting_since == TimePoint{}) waiter.waiting_since = host_.Now();
  // One that was sent here from another pool keeps its turn.
  auto place = waiters_.end();
  while (place != waiters_.begin() && (*std::prev(place))->waiting_since > waiter.waiting_since) --place;
  waiters_.insert(place, &waiter);
  WaitersChanged();
  if (LacksPlaceSince()) pools_.SeekPlaces(key_.server);
  return nullptr;
}

void Pool::Forget(Waiter& waiter) {
  std::erase(leaving_, &waiter);
  if (std::erase(waiters_, &waiter) > 0) WaitersChanged();
}

void Pool::Open() {
  ++connecting_;
  connections_.push_back(host_.OpenFor(*this));
}

void Pool::OnReady(PooledConnection& connection) {
  --connecting_;
  failures_ = 0;
  not_before_ = {};
  host_.refusals().Forget(key_.server, key_.database, key_.user);
  host_.metrics().Count(Counter::kServerConnects, key_.server, ConnectOutcome::kOk);
  host_.metrics().Observe(Histogram::kServerConnectDuration, key_.server, host_.Now() - connection.connect_started);
  connection.lifetime = Jitter(policy_.lifetime, host_.Random());
  // A replica may not have had what was altered by then.
  const auto altered = host_.shared().defaults_clock.ticked();
  if (altered != TimePoint{} && host_.view().primary != key_.server && host_.Now() - altered < kDefaultsReach)
    connection.lifetime = kDefaultsReach;
  GiveBack(connection);
}

void Pool::OnLoginFailed(PooledConnection& connection) {
  --connecting_;
  const auto [sqlstate, error, lost, said_so] = connection.WhyLoginFailed();
  const auto words = lost.empty() ? FirstLine(ReadError(AsBytes(error).subspan(kHeaderBytes)).message) : lost;
  Log(LogLevel::kWarn, "server_login_failed",
      {{"server", host_.view().servers[key_.server].name},
       {"user", key_.user},
       {"database", key_.database},
       {"sqlstate", sqlstate},
       {"error", words}});
  const auto* server = host_.FindServer(key_.server);
  const bool timed_out =
      !lost.empty() && server != nullptr && host_.Now() - connection.connect_started >= server->connect_timeout;
  host_.metrics().Count(Counter::kServerConnects, key_.server,
                        timed_out                    ? ConnectOutcome::kTimeout
                        : sqlstate.empty()           ? ConnectOutcome::kRefused
                        : sqlstate.starts_with("28") ? ConnectOutcome::kAuthFailed
                        : said_so                    ? ConnectOutcome::kServerError
                                                     : ConnectOutcome::kProtocolError);
  // Of logins that were begun together the first alone counts.
  if (host_.Now() >= not_before_)
    not_before_ = host_.Now() + std::min(kMaxBackoff, kFirstBackoff * (1U << std::min(failures_++, 6U)));
  Discard(connection, DisconnectCause::kServerClosed);
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

// A waiter that is told may come again, and may make others leave.
template <class Tell>
void Pool::TellLeaving(Tell tell) {
  WaitersChanged();
  while (!leaving_.empty()) {
    auto* waiter = leaving_.front();
    leaving_.pop_front();
    tell(*waiter);
  }
}

// Whoever can go elsewhere does; the others try again with the next view.
void Pool::SendWaitersAway() {
  leaving_.insert(leaving_.end(), waiters_.begin(), waiters_.end());
  waiters_.clear();
  TellLeaving([](Waiter& waiter) { waiter.OnServerUnreachable(); });
}

void Pool::FailWaiters(std::string_view sqlstate, const std::string& error) {
  leaving_.insert(leaving_.end(), waiters_.begin(), waiters_.end());
  waiters_.clear();
  TellLeaving([&](Waiter& waiter) { waiter.OnNoServerConnection(sqlstate, error); });
}

// Whoever is served may give it back at once: the next one is served when that has returned, not from within.
void Pool::GiveBack(PooledConnection& connection) {
  given_back_.push_back(&connection);
  if (serving_) return;
  serving_ = true;
  while (!given_back_.empty()) {
    auto* next = given_back_.front();
    given_back_.pop_front();
    Serve(*next);
  }
  serving_ = false;
}

void Pool::Serve(PooledConnection& connection) {
  const auto* server = host_.FindServer(key_.server);
  // Somebody else's waiter gets this place only if there is no free one, and never what was opened for one of ours: he had
  // his place before, and the login would be for nothing. None is kept idle while there are fewer places than are lacked.
  const auto free = server == nullptr ? 1 : budget_.Free(server->max_connections);
  const bool full = waiters_.empty() ? free < budget_.lacking() : free == 0;
  const bool opened_for_ours = connection.idle_since == TimePoint{} && !waiters_.empty();
  const auto others = full && !opened_for_ours ? pools_.LacksPlaceSince(key_.server, this) : std::nullopt;
  const auto own = waiters_.empty() ? std::nullopt : std::optional(waiters_.front()->waiting_since);
  const auto next = ServeNext(own, others);
  if (next == OnRelease::kHandOver) return Discard(connection, DisconnectCause::kEvicted);
  connection.idle_since = host_.Now();
  if (next == OnRelease::kKeepIdle) {
    idle_.push_back(&connection);
    return;
  }
  const auto chosen = waiters_.begin() + static_cast<std::ptrdiff_t>(ChooseWaiter(connection));
  auto* waiter = *chosen;
  if (Outdated(connection, *waiter)) return Discard(connection, DisconnectCause::kOutdated);
  waiters_.erase(chosen);
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
  const auto now = host_.Now();
  if (!connection.Clean()) return Discard(connection, DisconnectCause::kUnclean);
  if (server == nullptr) return Discard(connection, DisconnectCause::kRemoved);
  if (TooOld({connection.born, now, connection.lifetime, milliseconds{0}}, now))
    return Discard(connection, DisconnectCause::kLifetime);
  const auto used = budget_.used();
  // A limit was lowered.
  if (used > server->max_connections || (policy_.max_size > 0 && connections_.size() > policy_.max_size))
    return Discard(connection, DisconnectCause::kEvicted);
  if (budget_.lacking() > 0 || !waiters_.empty()) return GiveBack(connection);
  connection.idle_since = now;  // the common case
  idle_.push_back(&connection);
}

void Pool::Discard(PooledConnection& connection, DisconnectCause cause) {
  Remove(connection, cause);
  pools_.SeekPlaces(key_.server);
}

void Pool::Remove(PooledConnection& connection, DisconnectCause cause) {
  std::erase(idle_, &connection);
  std::erase(given_back_, &connection);
  const auto found =
      std::find_if(connections_.begin(), connections_.end(), [&](const auto& owned) { return owned.get() == &connection; });
  if (found == connections_.end()) return;
  if (connection.ready()) host_.metrics().Count(Counter::kServerDisconnects, key_.server, cause);
  host_.Bury(std::move(*found));
  connections_.erase(found);
  budget_.Give();
}

void Pool::CloseIdle(DisconnectCause cause) {
  while (!idle_.empty()) Discard(*idle_.front(), cause);
}

// Those that are removed meanwhile live on in the graveyard until the next turn of the loop.
void Pool::GiveUp(const std::string& why) {
  std::vector<PooledConnection*> all;
  for (const auto& connection : connections_) all.push_back(connection.get());
  for (auto* connection : all) connection->GiveUp(why);
}

void Pool::Sweep(TimePoint now) {
  const auto* server = host_.FindServer(key_.server);
  const bool drained =
      server != nullptr && host_.view().servers[key_.server].intent != Intent::kActive && host_.view().primary != key_.server;
  if (server == nullptr || drained) CloseIdle(DisconnectCause::kRemoved);
  if (server == nullptr && !waiters_.empty()) SendWaitersAway();
  for (std::size_t i = 0; i < idle_.size();) {
    auto& connection = *idle_[i];
    const ConnectionAge age{connection.born, connection.idle_since, connection.lifetime, policy_.idle_timeout};
    const bool idle_too_long = IdleTooLong(age, now) && connections_.size() > policy_.min_size;
    if (TooOld(age, now)) Remove(connection, DisconnectCause::kLifetime);
    else if (idle_too_long) Remove(connection, DisconnectCause::kIdleTimeout);
    else ++i;
  }
  EndLateLogins(now);
  FailLate(now);
  // Not against anybody who waits for a place.
  const bool warm = !drained && !connections_.empty() && connections_.size() < policy_.min_size && MayOpen() &&
                    !pools_.LacksPlaceSince(key_.server, nullptr);
  if (warm && budget_.Take(server->max_connections)) Open();
}

void Pool::EndLateLogins(TimePoint now) {
  const auto* server = host_.FindServer(key_.server);
  for (std::size_t i = 0; i < connections_.size();) {
    auto& connection = *connections_[i];
    const bool in_time = server != nullptr && now - connection.connect_started < server->connect_timeout;
    if (connection.ready() || connection.broken() || in_time) ++i;
    else connection.GiveUp("no answer within connect_timeout");  // removes it
  }
}

void Pool::FailLate(TimePoint now) {
  const auto late = [&](const Waiter* waiter) { return now >= waiter->give_up_at; };
  std::copy_if(waiters_.begin(), waiters_.end(), std::back_inserter(leaving_), late);
  if (leaving_.empty()) return;
  std::erase_if(waiters_, late);
  host_.metrics().CountMany(Counter::kPoolTimeouts, leaving_.size(), key_.server);
  std::string error;
  AppendError(error,
              {.sqlstate = "53300",
               .message = "no server connection became free within query_wait_timeout",
               .detail = "The statement waited for a connection to server \"" + host_.view().servers[key_.server].name + "\"."});
  TellLeaving([&](Waiter& waiter) { waiter.OnNoServerConnection("53300", error); });
}

}  // namespace waypost
