#include "core/process/worker.h"

#include <algorithm>
#include <ctime>
#include <limits>
#include <utility>

#include "core/base/log.h"
#include "parser/wire/encode.h"

namespace waypost {
namespace {

constexpr milliseconds kTick{50};
constexpr unsigned kTicksPerSweep = 10;  // sessions are looked at twice a second
constexpr unsigned kTicksPerForgetting = 600;  // 30 s
constexpr unsigned kTicksPerTurn = 4;    // see Crew: "ten seconds" are fifty of these
// A batch without its end that waits longer for more is sent as it is. The packets of one write come closer together.
constexpr milliseconds kUnended{3};
// For looking into texts not seen before, at each tick: 2 % of the time, at most.
constexpr milliseconds kDigestBudget{1};

// A cancel key's pid: 7 bits of worker, 24 of slot; never 0 and never negative, as a pid is.
constexpr unsigned kSlotBits = 24;
constexpr std::uint32_t kMaxSlots = (1U << kSlotBits) - 1;

// What one hears for whom not even a descriptor is left.
std::string TooManyClients() {
  std::string out;
  AppendError(out, {.severity = "FATAL", .sqlstate = "53300", .message = "sorry, too many clients already"});
  return out;
}

}  // namespace

Worker::Worker(std::size_t index, Shared& shared, ConfigSnapshot config, View view, std::unique_ptr<Loop> loop,
               std::unique_ptr<Connector> connector)
    : shared_(shared),
      own_loop_(std::move(loop)),
      loop_(*own_loop_),
      connector_(connector ? std::move(connector) : std::make_unique<TcpConnector>(loop_)),
      env_(index, shared, loop_, *connector_, std::move(config), std::move(view)),
      last_primary_(env_.view().primary),
      mail_(loop_, [this] { RunPosted(); }),
      grave_wakeup_(loop_, [this] { EmptyGrave(); }),
      next_turn_(loop_, [this] { GoOnWithResting(); }),
      turns_(loop_),
      tick_(loop_, [this] { Tick(); }),
      startup_checks_(env_, *this, pools_),
      pools_(*this),
      fence_(env_),
      cancels_(env_),
      logins_{startup_checks_, pools_, *this, [this](std::function<void()> task) { Post(std::move(task)); }},
      common_(env_, {*this, logins_, pools_, fence_, cancels_, refusals_}),
      // What has come by now is read first.
      unended_timer_(loop_, [this] { Post([this] { CheckUnended(); }); }),
      reader_([this](ReadText read) { Post([this, read = std::move(read)]() mutable { OnRead(std::move(read)); }); }) {
  common_.digests.SetLimit(env_.config().digests.max);
  common_.query_log.Configure(env_.config().query_log);
  common_.tracing.Configure(env_.config().tracing);
  common_.digests.Replenish(kDigestBudget);
}

Worker::~Worker() {
  Join();
  listeners_.clear();
  for (auto& slot : slots_) slot.session.reset();
  dead_sessions_.clear();
  cancels_.Clear();
}

Result<bool> Worker::ListenOn(const std::vector<NamedSocket>& sockets) {
  for (const auto& [listener_name, socket] : sockets) {
    const auto& name = ListenerNamed(listener_name);
    auto listener = TcpListener::On(loop_, socket, TooManyClients(),
                                    [this, &name](std::unique_ptr<TcpStream> stream) { OnAccepted(std::move(stream), name); });
    if (!listener) return Error{listener.error()};
    (*listener)->Watch(shared_.crew.Works(index()));
    listeners_.push_back(std::move(*listener));
  }
  return true;
}

void Worker::Start() {
  thread_ = std::thread([this] {
    StartTicking();
    loop_.Run();
  });
}

void Worker::StartTicking() {
  next_tick_ = loop_.Now() + kTick;
  tick_.Start(kTick, kTick);
}

void Worker::Stop() {
  Post([this] { loop_.Stop(); });
}

void Worker::Join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::Post(std::function<void()> task) {
  {
    const std::scoped_lock lock(mailbox_mutex_);
    mailbox_.push_back(std::move(task));
  }
  mail_.Send();
}

void Worker::RunPosted() {
  std::vector<std::function<void()>> tasks;
  {
    const std::scoped_lock lock(mailbox_mutex_);
    tasks.swap(mailbox_);
  }
  for (const auto& task : tasks) task();
}

// --- snapshots

void Worker::SetView(View view) {
  Post([this, view = std::move(view)] { OnView(view); });
}

void Worker::OnView(View next) {
  const bool primary_changed = next->primary != env_.view().primary;
  const bool out_of_touch = env_.OutOfTouch();
  env_.SetView(std::move(next));
  fence_.OnView();
  if (primary_changed) OnPrimaryChanged();
  if (!primary_changed && (!out_of_touch || env_.OutOfTouch())) return;
  for (std::size_t i = 0; i < slots_.size(); ++i)
    if (slots_[i].session) slots_[i].session->OnViewChanged();
}

void Worker::OnPrimaryChanged() {
  startup_checks_.Clear();
  if (view().primary) {
    const auto before = std::exchange(last_primary_, view().primary);
    if (before && before != last_primary_) Depose(*before);
  } else if (last_primary_ && view().servers[*last_primary_].up && view().servers[*last_primary_].role == Role::kUnknown) {
    Depose(*last_primary_);  // it claims to be the primary still, and is not believed
  }
}

// Another server has taken its place, or may have. Whatever it still says is void: what is under way there would be
// acknowledged and lost. A server that hangs does not say it is gone, and its kernel goes on taking what it is sent.
void Worker::Depose(ServerId server) {
  const auto successor = view().primary ? view().servers[*view().primary].name : "";
  const auto closed = pools_.GiveUp(server, "server \"" + view().servers[server].name + "\" is the primary no longer" +
                                                (successor.empty() ? "" : "; \"" + successor + "\" is"));
  if (closed > 0)
    Log(LogLevel::kWarn, "server_deposed",
        {{"server", view().servers[server].name},
         {"primary", successor.empty() ? "none" : successor},
         {"connections_closed", std::to_string(closed)}});
}

void Worker::GiveUpServer(ServerId server, std::string why) {
  Post([this, server, why = std::move(why)] { pools_.GiveUp(server, why); });
}

void Worker::WakeHeld() {
  Post([this] {
    for (std::size_t i = 0; i < slots_.size(); ++i)
      if (slots_[i].session) slots_[i].session->OnViewChanged();
  });
}

void Worker::ResetDigests() {
  Post([this] {
    common_.digests.SetLimit(0);
    common_.digests.SetLimit(config().digests.max);
  });
}

void Worker::SetConfig(ConfigSnapshot config) {
  Post([this, config = std::move(config)] {
    env_.SetConfig(config);
    pools_.OnConfigChanged();
    fence_.OnConfigChanged();
    startup_checks_.Clear();
    common_.digests.SetLimit(env_.config().digests.max);
    common_.query_log.Configure(env_.config().query_log);
    common_.tracing.Configure(env_.config().tracing);
    for (auto& slot : slots_)
      if (slot.session && slot.session->logged_in()) slot.session->OnConfigChanged();
  });
}

void Worker::SetCatalog(const std::string& database, std::shared_ptr<const Catalog> catalog, std::uint64_t as_of) {
  Post([this, database, catalog = std::move(catalog), as_of] { env_.catalogs().Set(database, catalog, as_of); });
}

void Worker::ForgetDatabase(const std::string& database) {
  Post([this, database] {
    env_.catalogs().Forget(database);
    pools_.CloseIdle(database);
    const auto is_there = [&](const Slot& slot) {
      return slot.session && slot.session->logged_in() && slot.session->database() == database;
    };
    if (env_.catalogs().Awaited(database) || std::any_of(slots_.begin(), slots_.end(), is_there)) shared_.want_catalog(database);
  });
}

void Worker::LeaveDeserted() {
  for (const auto& database : shared_.database_claims.Deserted()) {
    pools_.CloseIdle(database);
    fence_.Leave(database);
  }
}

void Worker::DesertDatabases() {
  for (auto* worker : shared_.workers) {
    if (worker == this) LeaveDeserted();
    else worker->Post([worker] { worker->LeaveDeserted(); });
  }
}

FenceReport Worker::ReportFence() const {
  auto report = fence_.Report();
  report.refusals = refusals_.Report(Now());
  return report;
}

// --- clients

void Worker::MakeRoomForLogin() {
  const auto most = std::max<std::size_t>(1, env_.config().max_logins / shared_.crew.at_work());
  // Whoever answers is in and out in a moment: the oldest is one who does not.
  while (logins_.unproved.size() >= most) logins_.unproved.front()->TurnAway();
}

void Worker::Outdate(const std::string& user) {
  Post([this, user] {
    pools_.Reconnect("", user);
    startup_checks_.Clear();
  });
}

// Here or, if others have more time for it, there.
void Worker::OnAccepted(std::unique_ptr<TcpStream> stream, const std::string& listener) {
  // Costly for who connects for every statement; for debug lines it must be known before he is gone. See Session::Peer().
  auto peer = LogEnabled(LogLevel::kDebug) ? stream->PeerName() : std::string();
  const auto host = shared_.crew.HostFor(index());
  std::shared_ptr<DetachedStream> detached = host == index() ? nullptr : stream->Detach();
  if (detached == nullptr) return Begin(std::move(stream), std::move(peer), listener);
  auto* other = shared_.workers[host];
  other->Post([other, detached, peer, listener] {
    if (auto attached = detached->Attach(other->loop_)) other->Begin(std::move(attached), peer, listener);
  });
}

void Worker::Begin(std::unique_ptr<Stream> stream, std::string peer, const std::string& listener) {
  auto& at = *stream;
  if (auto* user = Accept(std::move(stream), std::move(peer), ListenerNamed(listener)); user != nullptr) at.Start(*user);
}

StreamUser* Worker::Accept(std::unique_ptr<Stream> stream, std::string peer, std::string_view listener) {
  MakeRoomForLogin();
  const auto slot = TakeSlot();
  if (!slot) return nullptr;
  slots_[*slot].session = std::make_unique<Session>(env_, common_, std::move(stream), std::move(peer), *slot, listener);
  return slots_[*slot].session.get();
}

std::optional<std::uint32_t> Worker::TakeSlot() {
  std::uint32_t slot = 0;
  if (!free_slots_.empty()) {
    slot = free_slots_.back();
    free_slots_.pop_back();
  } else if (slots_.size() < kMaxSlots) {
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    return std::nullopt;
  }
  shared_.crew.SetClients(index(), ++clients_);
  return slot;
}

void Worker::ClientGone() {
  shared_.crew.SetClients(index(), --clients_);
  if (draining_ && clients_ == 0) drained_.store(true, std::memory_order_release);
}

// Lives as long as the worker.
const std::string& Worker::ListenerNamed(const std::string& name) {
  const auto found = std::find(listener_names_.begin(), listener_names_.end(), name);
  return found == listener_names_.end() ? listener_names_.emplace_back(name) : *found;
}

// --- turns: see Crew

void Worker::TakeTurns() {
  auto& crew = shared_.crew;
  if (hand_) return HandAll();
  if (crew.all() == 1) return;
  if (ticks_ % kTicksPerTurn == 0) {
    const auto since = busy_since_;
    crew.Report(index(), BusyLately(env_.ExactNow()));
    if (index() == 0) crew.Decide();
    leave_to_.reset();
    common_.to_leave = static_cast<unsigned>(clients_);
    if (crew.Works(index())) {
      const auto removal = crew.RemovalFrom(index(), ActiveSince(since));
      common_.to_leave = removal.sessions;
      leave_to_ = removal.to;
    }
  }
  if (draining_) common_.to_leave = 0;
  for (const auto& listener : listeners_) listener->Watch(crew.Works(index()));
}

Permille Worker::BusyLately(TimePoint now) {
  timespec taken{};
  (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &taken);
  const auto cpu = std::chrono::seconds{taken.tv_sec} + std::chrono::nanoseconds{taken.tv_nsec};
  const auto passed = std::max<Duration>(now - std::exchange(busy_since_, now), milliseconds{1});
  const auto busy = cpu - std::exchange(busy_before_, std::chrono::duration_cast<Duration>(cpu));
  return static_cast<Permille>(std::clamp<std::int64_t>(1000 * busy / passed, 0, 1000));
}

std::size_t Worker::ActiveSince(TimePoint since) const {
  return static_cast<std::size_t>(std::count_if(
      slots_.begin(), slots_.end(), [&](const Slot& slot) { return slot.session && slot.session->last_active() >= since; }));
}

void Worker::HandOver(HandOn hand) {
  Post([this, hand = std::move(hand)] {
    hand_ = hand;
    draining_ = true;
    listeners_.clear();
    common_.to_leave = std::numeric_limits<unsigned>::max();
    HandAll();
    if (clients_ == 0) drained_.store(true, std::memory_order_release);
  });
}

// Those that can go now. The server connections that nobody holds are for the other process to open.
void Worker::HandAll() {
  for (auto& slot : slots_)
    if (slot.session) Hand(*slot.session);
  pools_.CloseIdle();
}

// Those that could not be handed over within drain_timeout.
void Worker::LogThoseLeft() {
  for (const auto& slot : slots_)
    if (slot.session) slot.session->Say(LogLevel::kInfo, "session_not_handed_over", {{"why", slot.session->WhyItStays()}});
}

void Worker::Hand(Session& session) {
  SessionRecord record;
  const auto detached = session.Leave(record, true);
  const int fd = detached ? detached->TakeDescriptor() : -1;
  if (fd >= 0) hand_(std::move(record), fd);
}

void Worker::SendAway(std::uint32_t slot) {
  auto* session = slots_[slot].session.get();
  if (hand_ && session != nullptr) return Hand(*session);
  const auto to = leave_to_ ? *leave_to_ : shared_.crew.LeastBusy();
  if (session == nullptr || common_.to_leave == 0 || to == index()) return;
  auto record = std::make_shared<SessionRecord>();
  std::shared_ptr<DetachedStream> detached = session->Leave(*record);
  if (detached == nullptr) return;
  --common_.to_leave;
  metrics().Count(Counter::kSessionsMoved);
  auto* other = shared_.workers[to];
  other->Post([other, record, detached] { other->Receive(std::move(*record), detached->Attach(other->loop_)); });
}

void Worker::ReceiveSoon(SessionRecord record, int fd) {
  Post([this, record = std::make_shared<SessionRecord>(std::move(record)), fd] {
    Receive(std::move(*record), TcpStream::Adopt(loop_, fd));
  });
}

void Worker::Receive(SessionRecord record, std::unique_ptr<Stream> stream) {
  const auto slot = stream == nullptr ? std::nullopt : TakeSlot();
  const auto pid = record.cancel_pid;
  if (slot && pid != CancelPid(*slot)) shared_.moved_keys.Set(pid, record.secret, {index(), *slot});
  else shared_.moved_keys.Forget(pid, record.secret);
  if (!slot) {
    shared_.database_claims.ClientLeft(record.database);
    if (record.counted_as.counted()) shared_.clients.Give(record.counted_as);
    return;
  }
  auto& at = *stream;
  const auto& listener = ListenerNamed(record.listener);
  slots_[*slot].session = std::make_unique<Session>(env_, common_, std::move(stream), std::move(record), *slot, listener);
  auto& session = *slots_[*slot].session;
  if (hand_) return Hand(session);
  if (draining_) return session.Drain(true);
  at.Start(session);
}

void Worker::Bury(std::unique_ptr<ClientLogin> login) {
  dead_logins_.push_back(std::move(login));
  grave_wakeup_.Send();
}

void Worker::Bury(Session& session, std::uint32_t slot) {
  if (slots_[slot].session.get() != &session) return;
  if (read_for_ == &session) read_for_ = nullptr;
  dead_sessions_.push_back(std::move(slots_[slot].session));
  free_slots_.push_back(slot);
  ClientGone();
  grave_wakeup_.Send();
}

void Worker::Bury(std::unique_ptr<PooledConnection> connection) {
  auto& server_connection = static_cast<ServerConnection&>(*connection);  // the pools have none but from OpenFor()
  cancels_.Orphan(server_connection);
  server_connection.Disconnect();
  dead_connections_.push_back(std::move(connection));
  grave_wakeup_.Send();
}

void Worker::EmptyGrave() {
  dead_logins_.clear();
  dead_sessions_.clear();
  dead_connections_.clear();
}

void Worker::ReadNext() {
  while (!reads_ && !to_read_.empty()) {
    auto* session = slots_[to_read_.front()].session.get();
    to_read_.pop_front();
    auto question = session == nullptr ? std::nullopt : session->TextToRead();
    if (!question) continue;
    reads_ = true;
    read_for_ = session;
    reader_.Read(std::move(*question));
  }
}

void Worker::OnRead(ReadText read) {
  reads_ = false;
  auto* session = std::exchange(read_for_, nullptr);
  ReadNext();
  if (session != nullptr) session->OnSqlRead(std::move(read));
}

void Worker::GoOnWithResting() {
  ReadNext();
  const auto now = std::exchange(resting_, {});
  for (const auto slot : now)
    if (slots_[slot].session) slots_[slot].session->GoOn();
  for (const auto slot : std::exchange(going_, {})) SendAway(slot);
}

// --- cancel

std::uint32_t Worker::CancelPid(std::uint32_t slot) const {
  return (static_cast<std::uint32_t>(index()) << kSlotBits) | (slot + 1);
}

void Worker::RouteCancel(std::uint32_t pid, std::string secret) {
  const auto place = shared_.moved_keys.Find(pid, secret).value_or(MovedKeys::Place{pid >> kSlotBits, (pid & kMaxSlots) - 1});
  if (place.worker >= shared_.workers.size()) {
    metrics().Count(Counter::kCancelRequests, CancelOutcome::kUnknownKey);
    return;
  }
  auto* worker = shared_.workers[place.worker];
  worker->Post([worker, slot = place.slot, pid, secret = std::move(secret)] { worker->CancelHere(slot, pid, secret); });
}

void Worker::CancelHere(std::uint32_t slot, std::uint32_t pid, std::string_view secret) {
  auto* session = slot < slots_.size() ? slots_[slot].session.get() : nullptr;
  if (session == nullptr || session->cancel_pid() != pid || !SameSecret(session->secret(), secret)) {
    if (shared_.cancel_elsewhere) shared_.cancel_elsewhere(pid, std::string(secret));
    metrics().Count(Counter::kCancelRequests, CancelOutcome::kUnknownKey);
    return;
  }
  session->Cancel();
}

// --- places under a server's limit

std::unique_ptr<PooledConnection> Worker::OpenFor(Pool& pool) {
  return std::make_unique<ServerConnection>(env_, *this, pool, env_.ServerFor(pool.key().server));
}

void Worker::AskOthersToYield(ServerId server) {
  for (auto* worker : shared_.workers)
    if (worker != this) worker->Post([worker, server] { worker->pools_.Grow(server); });
}

void Worker::TellPlaceFree(std::size_t who, ServerId server) {
  if (who >= shared_.workers.size()) return;
  auto* worker = shared_.workers[who];
  worker->Post([worker, server] {
    worker->pools_.Grow(server);
    // It may have been somebody else's by then: what is lacking still, here or elsewhere, is asked for again.
    if (worker->shared_.budgets[server].lacking() > 0) worker->AskOthersToYield(server);
  });
}

// --- time

void Worker::Tick() {
  const auto now = loop_.Now();
  metrics().Observe(Histogram::kEventLoopLag, 0, now - next_tick_);
  next_tick_ = now + kTick;
  common_.digests.Replenish(kDigestBudget);
  LeaveDeserted();
  pools_.Sweep(now);
  fence_.Sweep(now);
  startup_checks_.Sweep(now);
  cancels_.Sweep(now);
  CheckDeadlines(now);
  TakeTurns();
  common_.traffic.Turn(now);
  if (++ticks_ % kTicksPerForgetting == 0) turns_.Forget();
  if (ticks_ % kTicksPerSweep != 0) return;
  for (std::size_t i = 0; i < slots_.size(); ++i)
    if (slots_[i].session) slots_[i].session->Sweep(now);
  PublishGauges();
}

// Others may begin to be watched while these are looked at.
void Worker::CheckDeadlines(TimePoint now) {
  looked_at_.swap(watched_);
  for (const auto slot : looked_at_)
    if (slots_[slot].session && slots_[slot].session->CheckDeadline(now)) watched_.push_back(slot);
  looked_at_.clear();
}

void Worker::AwaitMore(std::uint32_t slot) {
  if (unended_.empty()) unended_timer_.StartAt(env_.ExactNow() + kUnended);
  unended_.push_back(slot);
}

void Worker::CheckUnended() {
  std::vector<std::uint32_t> slots;
  slots.swap(unended_);
  const auto now = env_.ExactNow();
  for (const auto slot : slots)
    if (slots_[slot].session && slots_[slot].session->SendUnended(now - kUnended)) unended_.push_back(slot);
  if (!unended_.empty()) unended_timer_.StartAt(now + kUnended);
}

void Worker::PublishGauges() {
  std::array<std::int64_t, 4> states{};
  for (const auto& slot : slots_)
    if (slot.session && slot.session->logged_in()) ++states[static_cast<std::size_t>(slot.session->client_state())];
  for (std::size_t i = 0; i < states.size(); ++i)
    metrics().SetGauge(Gauge::kClientConnections, states[i], static_cast<ClientState>(i));
  std::array<std::int64_t, static_cast<std::size_t>(PinReason::kCount)> pins{};
  for (const auto& slot : slots_)
    if (slot.session) ++pins[static_cast<std::size_t>(slot.session->pinned_by())];
  for (std::size_t i = 1; i < pins.size(); ++i) metrics().SetGauge(Gauge::kSessionsPinned, pins[i], static_cast<PinReason>(i));
  std::vector<std::array<std::int64_t, 3>> servers(view().servers.size());
  for (const auto& [key, pool] : pools_) {
    if (key.server >= servers.size()) continue;
    servers[key.server][0] += static_cast<std::int64_t>(pool->size() - pool->idle() - pool->connecting());
    servers[key.server][1] += static_cast<std::int64_t>(pool->idle());
    servers[key.server][2] += static_cast<std::int64_t>(pool->connecting());
  }
  for (std::size_t id = 0; id < servers.size(); ++id) {
    metrics().SetGauge(Gauge::kServerConnections, servers[id][0], id, ServerConnState::kActive);
    metrics().SetGauge(Gauge::kServerConnections, servers[id][1], id, ServerConnState::kIdle);
    metrics().SetGauge(Gauge::kServerConnections, servers[id][2], id, ServerConnState::kConnecting);
  }
  const auto& cache = common_.cache.counters();
  const auto publish = [&](Counter counter, std::uint64_t value) {
    metrics().CountMany(counter, value - metrics().Read(counter));
  };
  publish(Counter::kParseCacheHits, cache.hits);
  publish(Counter::kParseCacheLiteralHits, cache.literal_hits);
  publish(Counter::kParseCacheMisses, cache.misses);
  publish(Counter::kParseCacheEvictions, cache.evictions);
  publish(Counter::kParseErrors, cache.parse_errors);
  metrics().SetGauge(Gauge::kParseCacheEntries, static_cast<std::int64_t>(cache.entries));
  metrics().SetGauge(Gauge::kParseCacheBytes, static_cast<std::int64_t>(cache.bytes));
}

void Worker::Drain(bool at_once) {
  Post([this, at_once] {
    draining_ = true;
    if (hand_) LogThoseLeft();
    hand_ = nullptr;
    common_.to_leave = 0;
    listeners_.clear();
    for (std::size_t i = 0; i < slots_.size(); ++i)
      if (slots_[i].session) slots_[i].session->Drain(at_once);
    if (clients_ == 0) drained_.store(true, std::memory_order_release);
  });
}

}  // namespace waypost
