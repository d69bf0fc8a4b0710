#include "core/fence/probe.h"

#include <algorithm>
#include <string>

#include "core/base/log.h"
#include "core/env/env.h"

namespace waypost {
namespace {

using std::chrono::microseconds;

// A replica that has not got there is asked again after this, doubled up to the cap.
constexpr microseconds kFirstPollGap{200};
constexpr microseconds kMaxPollGap{1'600};
// A read that has waited for so long may wait for what the primary has not flushed: how far has it?
constexpr milliseconds kAskFlushAfter{1};
// After a failed connection the next one waits this long, doubled up to the cap.
constexpr milliseconds kFirstBackoff{50};
constexpr milliseconds kMaxBackoff{2'000};
// A connection on which nothing was asked is asked something, so that a server that is gone is noticed.
constexpr milliseconds kSignOfLife{1'000};
// A replica that has owed an answer for so long is not asked what it shows: reads on the primary do not wait for it.
constexpr milliseconds kSilent{250};

}  // namespace

FenceProbe::FenceProbe(Env& env)
    : env_(env),
      nudger_(env, *this, 0),
      settle_(env),
      before_wait_(env.loop(), [this] { BeforeWait(); }),
      timer_(env.loop(), [this] { OnTimer(); }) {}

FenceProbe::~FenceProbe() = default;

FenceReport FenceProbe::Report() const {
  FenceReport report;
  report.workers = 1;
  report.open = fence_.open() ? 1 : 0;
  if (fence_.open()) report.position = fence_.position();
  for (ServerId id = 0; id < servers_.size(); ++id) {
    const bool known = fence_.open() && fence_.Knows(id);
    report.servers.push_back({known ? fence_.SeenOf(id).replay : Lsn{}, known ? 1U : 0U, servers_[id].error});
  }
  return report;
}

void FenceProbe::OnServerConnection(ServerId id) { fence_.Doubt(id, env_.ExactNow()); }

// --- users

void FenceProbe::Join(FenceUser& user) {
  user.ticket = fence_.Join();
  user.fence_place = FenceUser::Place::kAsking;
  asking_.push_back(&user);
}

void FenceProbe::WaitForReplay(FenceUser& user, TimePoint deadline) {
  const auto now = env_.ExactNow();
  if (user.waiting_from == TimePoint{}) user.waiting_from = now;
  user.fence_deadline = deadline;
  user.fence_place = FenceUser::Place::kWaiting;
  if (waiting_.empty()) {
    poll_gap_ = kFirstPollGap;
    next_flush_ = now + kAskFlushAfter;
  }
  next_poll_ = std::min(next_poll_, now);
  waiting_.push_back(&user);
}

bool FenceProbe::JoinSettle(FenceUser& user) {
  if (!fence_.open() || !fence_.KnowsAny()) return false;
  settle_.Join(user, env_.ExactNow());
  return true;
}

void FenceProbe::Drop(std::vector<FenceUser*>& list, FenceUser& user) {
  list.erase(std::remove(list.begin(), list.end(), &user), list.end());
}

void FenceProbe::Leave(FenceUser& user) {
  const auto place = std::exchange(user.fence_place, FenceUser::Place::kOut);
  if (place == FenceUser::Place::kAsking) Drop(asking_, user);
  if (place == FenceUser::Place::kWaiting) Drop(waiting_, user);
  if (place == FenceUser::Place::kOut) std::replace(told_.begin(), told_.end(), &user, static_cast<FenceUser*>(nullptr));
  if (place == FenceUser::Place::kOut || place == FenceUser::Place::kSettling) settle_.Leave(user);
}

void FenceProbe::Void() {
  // Who joins again inside the call gets a later ticket.
  told_.clear();
  while (!asking_.empty() && fence_.Void(asking_.front()->ticket)) {
    told_.push_back(asking_.front());
    asking_.erase(asking_.begin());
  }
  for (auto* user : told_) user->fence_place = FenceUser::Place::kOut;
  for (std::size_t i = 0; i < told_.size(); ++i)
    if (told_[i] != nullptr) told_[i]->OnFenceVoid();
  told_.clear();
}

// --- links

Epoch FenceProbe::ViewEpoch() const {
  const auto& view = env_.view();
  if (!view.primary) return {};
  const auto& primary = view.servers[*view.primary];
  return {primary.system_identifier, primary.timeline, primary.started_us};
}

// An answer of the primary's counts only while the last look at all servers found it to be the primary.
bool FenceProbe::Stands(TimePoint now) const {
  const auto& view = env_.view();
  return fence_.open() && primary_ && view.primary == primary_ && ViewEpoch() == fence_.epoch() &&
         now - view.servers[*primary_].sampled <= 2 * view.probe_interval;
}

FenceLink* FenceProbe::PrimaryLink() {
  return primary_ && *primary_ < servers_.size() ? servers_[*primary_].link.get() : nullptr;
}

void FenceProbe::CloseEpoch() {
  fence_.CloseEpoch();
  Void();
  settle_.OnPrimaryLost();
}

void FenceProbe::CloseLink(ServerId id) {
  auto& server = servers_[id];
  if (server.link) server.link->Close();
  fence_.CloseReplica(id);
  settle_.OnReplicaLost(id);
  next_poll_ = TimePoint{};  // an answer that would have set it may not come any more
  if (server.as_primary && fence_.open()) CloseEpoch();
}

void FenceProbe::OnConfigChanged() {
  // Addresses and passwords may have changed: all connections are made anew.
  keys_ = {};
  nudger_.Close();
  for (ServerId id = 0; id < servers_.size(); ++id) {
    CloseLink(id);
    servers_[id].retry_at = {};
  }
}

void FenceProbe::Leave(const std::string& database) {
  if (env_.monitor().database == database) return;  // there is no other
  if (nudger_.database() == database) nudger_.Close();
  bool any = false;
  for (ServerId id = 0; id < servers_.size(); ++id) {
    const auto& link = servers_[id].link;
    if (!link || link->state() == FenceLink::State::kClosed || link->database() != database) continue;
    CloseLink(id);
    servers_[id].retry_at = {};
    any = true;
  }
  if (any) Watch(env_.ExactNow());
}

void FenceProbe::OnView() {
  const auto& view = env_.view();
  servers_.resize(std::max(servers_.size(), view.servers.size()));
  const auto epoch = ViewEpoch();
  if (view.primary != primary_) nudger_.Close();
  for (ServerId id = 0; id < view.servers.size(); ++id) {
    auto& server = servers_[id];
    if (!server.link || server.link->state() == FenceLink::State::kClosed) continue;
    const auto& seen = view.servers[id];
    const bool primary = view.primary == id;
    bool fits = !seen.removed && seen.up && primary == server.as_primary && (primary || seen.role == Role::kReplica);
    if (server.link->state() == FenceLink::State::kOpen) {
      const auto& identity = server.link->identity();
      fits = fits && identity.started_us == seen.started_us && identity.system_identifier == epoch.system_identifier &&
             identity.timeline == epoch.timeline;
    }
    if (!fits) CloseLink(id);
  }
  primary_ = view.primary;
  if (fence_.open() && !(primary_ && ViewEpoch() == fence_.epoch())) CloseEpoch();
  TellWaiting([](const FenceUser& user) { return user.WaitsForItself(); }, &FenceUser::OnWaitsForItself);
  Watch(env_.ExactNow());
}

// Opens what is closed and should be open.
void FenceProbe::Watch(TimePoint now) {
  const auto& view = env_.view();
  if (!view.primary) return;
  const bool any_replica = std::any_of(view.servers.begin(), view.servers.end(), [](const ServerView& server) {
    return !server.removed && server.up && server.role == Role::kReplica && server.weight > 0;
  });
  if (!any_replica) return;
  for (ServerId id = 0; id < view.servers.size() && id < servers_.size(); ++id) {
    auto& server = servers_[id];
    const auto& seen = view.servers[id];
    const bool primary = view.primary == id;
    if (seen.removed || !seen.up || (!primary && (seen.role != Role::kReplica || seen.weight == 0))) continue;
    if (!server.link) server.link = std::make_unique<FenceLink>(env_, static_cast<FenceLinkUser&>(*this), id);
    if (server.link->state() != FenceLink::State::kClosed || now < server.retry_at) continue;
    auto config = env_.ServerFor(id);
    if (!config) continue;
    server.as_primary = primary;
    server.link->Open(std::move(config), env_.monitor(), keys_);
  }
}

void FenceProbe::OnLinkOpen(FenceLink& link, const ServerIdentity& identity) noexcept {
  if (link.keys()) keys_ = *link.keys();
  if (&link == &nudger_) {
    if (identity.recovering) return link.Close();
    return link.Ask(FenceLink::Question::kNudge, env_.ExactNow());
  }
  auto& server = servers_[link.id()];
  const auto epoch = ViewEpoch();
  const auto& seen = env_.view().servers[link.id()];
  const bool as_expected = identity.recovering != server.as_primary && identity.system_identifier == epoch.system_identifier &&
                           identity.timeline == epoch.timeline && identity.started_us == seen.started_us;
  if (!as_expected) {
    // The view is older than the server, or the replica does not stream: looked at again a little later.
    server.retry_at = env_.ExactNow() + env_.view().probe_interval;
    server.error = identity.recovering && identity.timeline == 0 ? "its WAL receiver is not streaming"
                                                                 : "it has changed since the last probe";
    return link.Close();
  }
  if (!server.as_primary) {
    if (fence_.epoch() != epoch) return;
    fence_.OpenReplica(link.id(), identity.replay);
    return TellReached(link.id());
  }
  env_.shared().protocol_minor.store(link.protocol_minor(), std::memory_order_relaxed);
  fence_.OpenEpoch(epoch, identity.segment_bytes);
  for (ServerId id = 0; id < servers_.size(); ++id) {
    const auto* replica = servers_[id].link.get();
    if (replica == nullptr || servers_[id].as_primary || replica->state() != FenceLink::State::kOpen) continue;
    if (fence_.Knows(id)) continue;
    fence_.OpenReplica(id, replica->identity().replay);
    TellReached(id);
  }
}

void FenceProbe::OnLinkClosed(FenceLink& link, const std::string& error) noexcept {
  if (&link == &nudger_) return;
  auto& server = servers_[link.id()];
  if (server.error != error)
    Log(LogLevel::kInfo, "fence_link_closed",
        {{"server", env_.view().servers[link.id()].name}, {"worker", env_.index()}, {"error", error}});
  server.error = error;
  server.retry_at = env_.ExactNow() + std::min(kMaxBackoff, kFirstBackoff * (1U << std::min(server.failures, 6U)));
  ++server.failures;
  env_.metrics().Count(Counter::kFenceProbes, link.id(), FenceProbeOutcome::kFailed);
  CloseLink(link.id());
}

// --- questions and answers

void FenceProbe::BeforeWait() {
  if (!fence_.ProbeDue() && waiting_.empty() && settle_.idle()) return;
  const auto now = env_.ExactNow();
  AskPrimary(now);
  if (!waiting_.empty()) {
    Poll(now);
    Arm();
  }
  if (settle_.idle()) return;
  for (auto& server : servers_)
    if (server.link && !server.as_primary) settle_.AskReplica(*server.link, now);
  settle_.Arm(now);
}

// Probes first, but not for ever.
void FenceProbe::AskPrimary(TimePoint now) {
  auto* link = PrimaryLink();
  if (!fence_.open() || link == nullptr || !link->Free()) return;
  const bool settle = settle_.AskDue(now);
  if (fence_.ProbeDue() && !(settle && passed_over_)) {
    passed_over_ = settle;
    fence_.ProbeSent(now);
    link->Ask(FenceLink::Question::kInsert, now);
  } else if (settle) {
    passed_over_ = false;
    settle_.Ask(*link, now);
  }
}

void FenceProbe::Well(ServerId id) {
  env_.metrics().Count(Counter::kFenceProbes, id, FenceProbeOutcome::kOk);
  servers_[id].failures = 0;
  if (!servers_[id].error.empty()) servers_[id].error.clear();
}

void FenceProbe::OnInsert(FenceLink& link, Lsn insert) noexcept {
  const auto now = env_.ExactNow();
  Well(link.id());
  if (!Stands(now)) {
    fence_.VoidTickets();
    return Void();
  }
  fence_.OnProbe(insert, now);
  told_.clear();
  std::size_t answered = 0;
  while (answered < asking_.size() && fence_.ReadIndex(asking_[answered]->ticket)) ++answered;
  told_.assign(asking_.begin(), asking_.begin() + static_cast<std::ptrdiff_t>(answered));
  asking_.erase(asking_.begin(), asking_.begin() + static_cast<std::ptrdiff_t>(answered));
  const auto index = fence_.position();
  for (auto* user : told_) {
    user->fence_place = FenceUser::Place::kOut;
    user->read_index = index;
  }
  for (std::size_t i = 0; i < told_.size(); ++i)
    if (auto* user = told_[i]; user != nullptr) user->OnReadIndex(index);
  told_.clear();
}

void FenceProbe::OnReplay(FenceLink& link, Lsn replay, std::uint32_t timeline) noexcept {
  const auto id = link.id();
  const auto now = env_.ExactNow();
  Well(id);
  next_poll_ = now + poll_gap_;
  poll_gap_ = std::min<Duration>(poll_gap_ * 2, kMaxPollGap);
  // On another timeline its position says nothing of this one.
  if (timeline != 0 && timeline != fence_.epoch().timeline) return CloseLink(id);
  if (timeline == 0) return;
  fence_.OnReplay(id, replay, link.asked_at(), now);
  TellReached(id);
}

// Takes those who wait and are `due` from the list and tells them.
template <class Due>
void FenceProbe::TellWaiting(Due due, void (FenceUser::*what)() noexcept) {
  told_.clear();
  std::size_t kept = 0;
  for (auto* user : waiting_) {
    if (due(*user)) told_.push_back(user);
    else waiting_[kept++] = user;
  }
  waiting_.resize(kept);
  for (auto* user : told_) user->fence_place = FenceUser::Place::kOut;
  for (std::size_t i = 0; i < told_.size(); ++i)
    if (auto* user = told_[i]; user != nullptr) (user->*what)();
  told_.clear();
}

void FenceProbe::TellReached(ServerId replica) {
  const auto replay = fence_.SeenOf(replica).replay;
  TellWaiting([&](const FenceUser& user) { return user.read_index <= replay; }, &FenceUser::OnReplayed);
}

Lsn FenceProbe::LeastAwaited() const {
  Lsn least{~std::uint64_t{0}};
  for (const auto* user : waiting_) least = std::min(least, user->read_index);
  return least;
}

void FenceProbe::Poll(TimePoint now) {
  if (now < next_poll_) return;
  bool asked = false;
  Lsn most;
  for (const auto* user : waiting_) most = std::max(most, user->read_index);
  for (ServerId id = 0; id < servers_.size(); ++id) {
    auto& server = servers_[id];
    if (server.as_primary || !fence_.Knows(id) || !server.link->Free() || fence_.SeenOf(id).replay >= most) continue;
    server.link->Ask(FenceLink::Question::kReplay, now);
    asked = true;
  }
  if (!asked) next_poll_ = now + poll_gap_;
  else next_poll_ = TimePoint::max();  // the answer sets it
}

void FenceProbe::OnFlush(FenceLink& /*link*/, Lsn flush) noexcept {
  const auto now = env_.ExactNow();
  if (waiting_.empty() || !nudge_.OnFlush(flush, LeastAwaited(), now)) return;
  if (nudger_.Free()) {
    nudger_.Ask(FenceLink::Question::kNudge, now);
  } else if (nudger_.state() == FenceLink::State::kClosed && primary_) {
    if (auto config = env_.ServerFor(*primary_)) nudger_.Open(std::move(config), env_.monitor(), keys_);
  }
}

void FenceProbe::OnNudged(FenceLink& /*link*/) noexcept { env_.metrics().Count(Counter::kFenceNudges); }

void FenceProbe::OnRunning(FenceLink& link, Running running) noexcept {
  Well(link.id());
  askable_.clear();
  const auto silent = env_.ExactNow() - kSilent;
  for (ServerId id = 0; id < servers_.size(); ++id)
    if (fence_.Knows(id) && !servers_[id].link->SilentSince(silent)) askable_.push_back(id);
  settle_.OnRunning(std::move(running), askable_);
}

void FenceProbe::OnShown(FenceLink& link, std::span<const Xid> shown, bool more) noexcept {
  Well(link.id());
  settle_.OnShown(link.id(), shown, more);
}

void FenceProbe::OnTimer() {
  armed_for_ = TimePoint::max();
  const auto now = env_.ExactNow();
  TellWaiting([&](const FenceUser& user) { return user.fence_deadline <= now; }, &FenceUser::OnFenceLate);
  if (waiting_.empty() || now < next_flush_) return;
  next_flush_ = now + kAskFlushAfter;
  auto* link = PrimaryLink();
  if (link != nullptr && link->Free() && fence_.open()) link->Ask(FenceLink::Question::kFlush, now);
}

// The timer goes off when the next thing is due.
void FenceProbe::Arm() {
  if (waiting_.empty()) return;
  auto due = std::min(next_poll_, next_flush_);
  for (const auto* user : waiting_) due = std::min(due, user->fence_deadline);
  if (due >= armed_for_ || due == TimePoint::max()) return;
  armed_for_ = due;
  timer_.StartAt(due);
}

void FenceProbe::Sweep(TimePoint /*now*/) {
  const auto now = env_.ExactNow();
  const auto silent = now - env_.config().monitor.timeout;
  if (nudger_.SilentSince(silent)) nudger_.GiveUp();
  for (ServerId id = 0; id < servers_.size(); ++id) {
    auto& server = servers_[id];
    if (!server.link) continue;
    if (server.link->SilentSince(silent)) {
      server.link->GiveUp();
    } else if (server.link->Free() && !server.as_primary && fence_.Trails(id)) {
      server.link->Ask(FenceLink::Question::kReplay, now);
    } else if (server.link->Free() && now - server.link->heard_at() >= kSignOfLife) {
      if (!server.as_primary) {
        server.link->Ask(FenceLink::Question::kReplay, now);
      } else if (fence_.open() && !fence_.in_flight()) {
        (void)fence_.Join();  // nobody waits for it
      }
    }
  }
  Watch(now);
}

}  // namespace waypost
