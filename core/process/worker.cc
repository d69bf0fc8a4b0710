#include "core/process/worker.h"

#include <algorithm>
#include <utility>

#include "core/base/log.h"
#include "parser/wire/encode.h"

namespace waypost {
namespace {

constexpr milliseconds kTick{50};
constexpr unsigned kTicksPerSweep = 10;  // sessions are looked at twice a second
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
      tick_(loop_, [this] { Tick(); }),
      startup_checks_(env_, *this, pools_),
      pools_(*this),
      fence_(env_),
      cancels_(env_),
      logins_{startup_checks_, pools_, *this},
      common_(env_, {*this, logins_, pools_, fence_, cancels_, refusals_}),
      // What has come by now is read first.
      unended_timer_(loop_, [this] { Post([this] { CheckUnended(); }); }),
      reader_([this](SqlRef sql) { Post([this, sql = std::move(sql)] { OnRead(sql); }); }) {
  common_.digests.SetLimit(env_.config().digests.max);
  common_.digests.Replenish(kDigestBudget);
}

Worker::~Worker() {
  Join();
  listeners_.clear();
  for (auto& slot : slots_) slot.session.reset();
  dead_sessions_.clear();
  cancels_.Clear();
}

Result<bool> Worker::Listen() {
  for (const auto& configured : config().listeners) {
    const auto& name = listener_names_.emplace_back(configured.name);
    auto listener =
        TcpListener::Listen(loop_, configured.address, configured.port, TooManyClients(),
                            [this, &name](std::unique_ptr<TcpStream> stream) { OnAccepted(std::move(stream), name); });
    if (!listener) return Error{listener.error()};
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
  env_.SetView(std::move(next));
  fence_.OnView();
  if (!primary_changed) return;
  startup_checks_.Clear();
  if (view().primary) {
    const auto before = std::exchange(last_primary_, view().primary);
    if (before && before != last_primary_) Depose(*before);
  } else if (last_primary_ && view().servers[*last_primary_].up && view().servers[*last_primary_].role == Role::kUnknown) {
    Depose(*last_primary_);  // it claims to be the primary still, and is not believed
  }
  for (std::size_t i = 0; i < slots_.size(); ++i)
    if (slots_[i].session) slots_[i].session->OnViewChanged();
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

void Worker::SetConfig(ConfigSnapshot config) {
  Post([this, config = std::move(config)] {
    env_.SetConfig(config);
    pools_.OnConfigChanged();
    fence_.OnConfigChanged();
    startup_checks_.Clear();
    common_.digests.SetLimit(env_.config().digests.max);
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
  const auto most = std::max<std::size_t>(1, env_.config().max_logins / shared_.workers.size());
  // Whoever answers is in and out in a moment: the oldest is one who does not.
  while (logins_.unproved.size() >= most) logins_.unproved.front()->TurnAway();
}

void Worker::OnAccepted(std::unique_ptr<TcpStream> stream, std::string_view listener) {
  auto& tcp = *stream;
  // Named in debug lines alone, and costly for who connects for every statement.
  auto peer = LogEnabled(LogLevel::kDebug) ? tcp.PeerName() : std::string();
  if (auto* user = Accept(std::move(stream), std::move(peer), listener); user != nullptr) tcp.Start(*user);
}

StreamUser* Worker::Accept(std::unique_ptr<Stream> stream, std::string peer, std::string_view listener) {
  MakeRoomForLogin();
  std::uint32_t slot = 0;
  if (!free_slots_.empty()) {
    slot = free_slots_.back();
    free_slots_.pop_back();
  } else if (slots_.size() < kMaxSlots) {
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    return nullptr;
  }
  ++clients_;
  slots_[slot].session = std::make_unique<Session>(env_, common_, std::move(stream), std::move(peer), slot, listener);
  return slots_[slot].session.get();
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
  --clients_;
  if (draining_ && clients_ == 0) drained_.store(true, std::memory_order_release);
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
    auto text = session == nullptr ? std::nullopt : session->TextToRead();
    if (!text) continue;
    reads_ = true;
    read_for_ = session;
    read_lexing_ = session->lexing();
    reader_.Read(std::move(*text), read_lexing_);
  }
}

void Worker::OnRead(SqlRef sql) {
  reads_ = false;
  auto* session = std::exchange(read_for_, nullptr);
  const auto lexing = read_lexing_;
  ReadNext();
  if (session != nullptr) session->OnSqlRead(std::move(sql), lexing);
}

void Worker::GoOnWithResting() {
  ReadNext();
  const auto now = std::exchange(resting_, {});
  for (const auto slot : now)
    if (slots_[slot].session) slots_[slot].session->GoOn();
}

// --- cancel

std::uint32_t Worker::CancelPid(std::uint32_t slot) const {
  return (static_cast<std::uint32_t>(index()) << kSlotBits) | (slot + 1);
}

void Worker::RouteCancel(std::uint32_t pid, std::string secret) {
  const auto owner = pid >> kSlotBits;
  if (owner >= shared_.workers.size()) {
    metrics().Count(Counter::kCancelRequests, CancelOutcome::kUnknownKey);
    return;
  }
  auto* worker = shared_.workers[owner];
  worker->Post([worker, pid, secret = std::move(secret)] { worker->CancelHere(pid, secret); });
}

void Worker::CancelHere(std::uint32_t pid, std::string_view secret) {
  const auto slot = (pid & kMaxSlots) - 1;
  auto* session = slot < slots_.size() ? slots_[slot].session.get() : nullptr;
  if (session == nullptr || !SameSecret(session->secret(), secret)) {
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
  if (++ticks_ % kTicksPerSweep != 0) return;
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
  std::vector<std::array<std::int64_t, 2>> servers(view().servers.size());
  for (const auto& [key, pool] : pools_) {
    if (key.server >= servers.size()) continue;
    servers[key.server][0] += static_cast<std::int64_t>(pool->size() - pool->idle());
    servers[key.server][1] += static_cast<std::int64_t>(pool->idle());
  }
  for (std::size_t id = 0; id < servers.size(); ++id) {
    metrics().SetGauge(Gauge::kServerConnections, servers[id][0], id, ServerConnState::kActive);
    metrics().SetGauge(Gauge::kServerConnections, servers[id][1], id, ServerConnState::kIdle);
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
    listeners_.clear();
    for (std::size_t i = 0; i < slots_.size(); ++i)
      if (slots_[i].session) slots_[i].session->Drain(at_once);
    if (clients_ == 0) drained_.store(true, std::memory_order_release);
  });
}

}  // namespace waypost
