// Random sessions, limits, kinds and failures against the pools of some workers, and what must hold of them at each step.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "core/server/pool.h"
#include "routing/pool_policy.h"
#include "tests/support/pool_world.h"

namespace waypost {
namespace {

using pool_world::Client;
using pool_world::Connection;
using pool_world::Host;
using pool_world::World;

constexpr milliseconds kTick{50};
constexpr milliseconds kConnectTimeout{400};

// What may happen beside acquiring and giving back.
enum class Weather {
  kFair,    // sessions cancel, leave, are replaced; defaults change; connections come back unclean
  kStormy,  // and logins fail, connections are lost, limits change, waiters give up, start-ups leave without a word
};

class Model {
 public:
  Model(std::uint32_t seed, Weather weather) : weather_(weather), random_(seed), world_(1 + Below(3), 1 + Below(6)) {
    if (Chance(50)) world_.AddServer("b", 1 + Below(6));
    for (auto& server : world_.config.servers) server.connect_timeout = kConnectTimeout;
    for (unsigned i = 0; i < 3; ++i) world_.BoundPools("u" + std::to_string(i), Below(4));
    world_.config.pool.min_size = Below(2);
    world_.config.pool.idle_timeout = milliseconds(Chance(50) ? 0 : 300);
    world_.config.pool.lifetime = milliseconds(Chance(50) ? 0 : 700);
    hold_ = milliseconds(1 + Below(60));
    login_ = milliseconds(1 + Below(40));
    cancel_ = milliseconds(1 + Below(10));
    busy_ = 1 + Below(100);
    world_.on_open = [this](Pool& pool) { OnOpen(pool); };
    swept_.resize(world_.hosts.size(), world_.now);
    startup_ends_.resize(world_.hosts.size());
    most_.resize(world_.config.servers.size());
    lost_since_.resize(world_.config.servers.size());
    const auto count = 3 + Below(25);
    for (unsigned i = 0; i < count; ++i) AddClient();
  }

  void Run(int steps) {
    for (int i = 0; i < steps && fault_.empty(); ++i) Step();
  }
  // Nobody new comes, nothing fails any more: everybody is served.
  void Calm() {
    weather_ = Weather::kFair;
    calm_ = true;
    const auto end = world_.now + WaitBound() + seconds(3);  // a back-off may still run
    while (world_.now < end && fault_.empty() && AnybodyWaits()) Step();
    if (AnybodyWaits()) Fault("somebody waits when all is calm");
  }
  void End() {
    clients_.clear();
    for (auto& host : world_.hosts)
      for (; host->startups > 0; --host->startups) world_.budget().Give();
    world_.hosts.clear();
    for (ServerId server = 0; server < world_.config.servers.size(); ++server)
      if (world_.budget(server).used() != 0) Fault("places were not given back");
  }
  [[nodiscard]] const std::string& fault() const { return fault_; }
  [[nodiscard]] std::uint64_t served() const { return served_; }
  [[nodiscard]] std::uint64_t opened() const { return world_.opened; }

 private:
  struct Session {
    std::unique_ptr<Client> client;
    std::size_t worker = 0;
    std::string user, database;
    Parameters only_at_start;
    TimePoint next{};           // when it acquires, or gives back
    std::uint64_t arrival = 0;  // numbers those who wait
    unsigned overtaken = 0;
  };

  unsigned Below(unsigned n) { return static_cast<unsigned>(random_() % n); }
  bool Chance(unsigned percent) { return Below(100) < percent; }
  bool Rarely() { return Below(1000) < 2; }
  bool Stormy() const { return weather_ == Weather::kStormy; }
  milliseconds Some(milliseconds most) { return milliseconds(Below(static_cast<unsigned>(most.count()) + 1)); }
  void Fault(const std::string& what) {
    if (fault_.empty()) fault_ = what;
  }

  // With every place in turn taken by everybody else, and each turn as long as it can be. A place that is kept for a login
  // of another pool adds one.
  [[nodiscard]] milliseconds WaitBound() const {
    const auto turn = hold_ + login_ + cancel_ + milliseconds(10);
    return kHandOverAfter + static_cast<int>(clients_.size() + 2) * turn;
  }

  void AddClient() {
    auto& session = *clients_.emplace_back(std::make_unique<Session>());
    session.worker = Below(static_cast<unsigned>(world_.hosts.size()));
    session.user = "u" + std::to_string(Below(3));
    session.database = Chance(80) ? "d" : "e";
    if (Chance(10)) session.only_at_start = {{"ignore_system_indexes", "on"}};
    session.next = world_.now + Some(milliseconds(50));
    Begin(session);
  }
  // A session of its own takes the place.
  void Begin(Session& session) {
    session.client = std::make_unique<Client>(world_);
    session.client->wanted_settings = &settings_[Below(3)];
    session.client->on_served = [this, &session](Client&) { OnServed(session); };
    session.client->on_sent_away = [this, &session](Client& client) {
      if (Chance(50)) return Acquire(session);
      client.waiting_since = {};
      Rest(session);
    };
    session.client->on_refused = [this, &session](Client&) { Rest(session); };
  }
  void Rest(Session& session) { session.next = world_.now + Some(milliseconds(busy_)); }

  void Acquire(Session& session) {
    const auto server = static_cast<ServerId>(Below(static_cast<unsigned>(world_.config.servers.size())));
    auto& pool = world_.hosts[session.worker]->pools.Get({server, session.database, session.user, session.only_at_start});
    auto& client = *session.client;
    if (Stormy() && Chance(10) && client.give_up_at == TimePoint::max()) client.give_up_at = world_.now + Some(milliseconds(500));
    session.arrival = ++arrivals_;
    session.overtaken = 0;
    const auto served = client.served;
    client.Acquire(pool);
    if (client.served == served || client.waited_since != TimePoint{}) ++queued_;
  }

  // In turn within a pool, but for who finds his own settings and came at most 3 ms after the first; over pools by
  // about a turn.
  void OnServed(Session& session) {
    ++served_;
    auto& client = *session.client;
    auto& pool = client.held->pool();
    const auto since = client.waited_since == TimePoint{} ? world_.now : client.waited_since;
    if (!client.held->ready() || client.held->broken()) Fault("it got a connection that is not ready");
    if (client.held->defaults() < client.defaults) Fault("it got an outdated connection");
    for (auto& other : clients_) {
      if (!other->client->waits()) continue;
      const auto before = other->client->waiting_since;
      const bool same = client.found_settings == client.wanted_settings;
      const bool before_us =
          same ? before + milliseconds(3) < since : before < since || (before == since && other->arrival < session.arrival);
      if (other->client->waits_in == &pool && before_us) Fault("somebody was served out of turn in his pool");
      const auto lacks = other->client->waits_in->LacksPlaceSince();
      if (other->client->waits_in->key().server != pool.key().server || !lacks || before < *lacks) continue;
      if (before + kHandOverAfter < since && ++other->overtaken > MostOvertakers(pool.key().server))
        Fault("somebody was overtaken " + std::to_string(other->overtaken) + " times by others of the server");
    }
    session.next = world_.now + Some(hold_);
    if (Chance(10)) {
      client.Release();
      if (Chance(50)) Acquire(session);
      else Rest(session);
    }
  }
  // Each place once by the one for whom it was opened, and some while the word of a free place is on its way.
  [[nodiscard]] unsigned MostOvertakers(ServerId server) const { return 4 * most_[server] + 4; }

  void OnOpen(Pool& pool) {
    unsigned under_way = 0;
    for (const auto& host : world_.hosts)
      for (const auto* login : host->logins) under_way += &const_cast<Connection*>(login)->pool() == &pool ? 1 : 0;
    if (pool.waiting() > under_way) ++opened_for_waiters_;
    else if (pool.size() >= world_.config.pool.min_size) Fault("a connection was opened for nobody");
  }

  void LogIn(Connection& connection) {
    auto& pool = connection.pool();
    const Client* first = nullptr;
    std::uint64_t arrival = 0;
    for (auto& session : clients_) {
      const auto& client = *session->client;
      if (client.waits_in != &pool) continue;
      if (first == nullptr || client.waiting_since < first->waiting_since ||
          (client.waiting_since == first->waiting_since && session->arrival < arrival)) {
        first = &client;
        arrival = session->arrival;
      }
    }
    const bool outdated = first != nullptr && connection.defaults() < first->defaults;
    outdated_ += outdated ? 1 : 0;
    const auto before = served_;
    connection.LogIn();
    if (first != nullptr && !outdated && served_ == before) Fault("a connection opened for a waiter reached none");
  }

  void Step() {
    world_.now += milliseconds(Chance(70) ? 1 : Below(6));
    for (auto& host : world_.hosts)
      if (Chance(60)) host->ReadMail();
    Logins();
    for (auto& session : clients_) Turn(*session);
    Events();
    Startups();
    for (std::size_t i = 0; i < world_.hosts.size(); ++i) {
      if (world_.now - swept_[i] < kTick) continue;
      swept_[i] = world_.now;
      world_.hosts[i]->pools.Sweep(world_.now);
    }
    for (auto& host : world_.hosts) host->grave.clear();
    Check();
  }

  void Logins() {
    for (auto& host : world_.hosts) {
      const auto logins = host->logins;
      for (auto* login : logins) {
        if (std::find(host->logins.begin(), host->logins.end(), login) == host->logins.end()) continue;
        if (login->due == TimePoint{}) login->due = Stormy() && Rarely() ? TimePoint::max() : world_.now + Some(login_);
        if (world_.now < login->due) continue;
        if (!Stormy() || Chance(90)) {
          LogIn(*login);
          continue;
        }
        ++failed_;
        if (Chance(10)) login->Refuse("28P01");
        else if (Chance(50)) login->Refuse("57P03");
        else login->LoseLogin("reset");
      }
    }
  }

  void Turn(Session& session) {
    auto& client = *session.client;
    if (client.waits()) {
      if (Rarely()) {
        client.Forget();
        Rest(session);
      }
      return;
    }
    if (client.held == nullptr) {
      if (world_.now < session.next || calm_) return;
      if (Chance(20)) Begin(session);
      return Acquire(session);
    }
    if (Stormy() && Rarely()) {
      auto* connection = std::exchange(client.held, nullptr);
      connection->Lose();
      return Rest(session);
    }
    if (world_.now < session.next) return;
    Rest(session);
    if (Chance(5)) {
      cancelled_.push_back(client.held);
      client.held->CancelStarts();
      client.held->due = world_.now + Some(cancel_);
    }
    client.held->dirty = Chance(5);
    if (Chance(95)) return client.Release();
    if (!client.held->cancelling()) return client.Discard(DisconnectCause::kClientGone);
    client.held->after_cancel = PooledConnection::AfterCancel::kDiscard;
    client.held = nullptr;
  }

  void Events() {
    const auto cancelled = std::exchange(cancelled_, {});
    for (auto* connection : cancelled) {
      if (connection->buried) continue;
      if (world_.now < connection->due) cancelled_.push_back(connection);
      else if (connection->after_cancel != PooledConnection::AfterCancel::kNothing && Stormy() && Chance(10)) connection->Lose();
      else connection->CancelEnds();
    }
    if (Rarely()) world_.shared.defaults_clock.Tick(Clock::now());
    if (Rarely())
      for (auto& host : world_.hosts)
        for (const auto& [key, pool] : host->pools)
          if (key.database == "e") pool->CloseIdle(DisconnectCause::kEvicted);
    if (!Stormy() || !Rarely()) return;
    auto& server = world_.config.servers[Below(static_cast<unsigned>(world_.config.servers.size()))];
    server.max_connections = 1 + Below(6);
    for (auto& host : world_.hosts) host->pools.OnConfigChanged();
  }

  void Startups() {
    for (std::size_t i = 0; i < world_.hosts.size(); ++i) {
      auto& host = *world_.hosts[i];
      if (host.startups > 0 && world_.now >= startup_ends_[i]) {
        --host.startups;
        world_.budget().Give();
        host.pools.Grow(0);
      }
      if (host.startups == 0 && !host.startup_since && !calm_ && Rarely()) {
        host.startup_since = world_.now;
        host.pools.SeekPlaces(0);
      }
      if (host.startup_since && Stormy() && Chance(2)) host.startup_since.reset();
      if (host.startups == 0) startup_ends_[i] = world_.now + Some(login_);
    }
  }

  [[nodiscard]] bool AnybodyWaits() const {
    return std::any_of(clients_.begin(), clients_.end(), [](const auto& session) { return session->client->waits(); });
  }

  void Check() {
    for (ServerId server = 0; server < world_.config.servers.size(); ++server) CheckServer(server);
    for (auto& session : clients_) {
      const auto& client = *session->client;
      // It has a login under way, which may fail, or its pool may have no more: then it counts from the start.
      const auto lacks = client.waits() ? client.waits_in->LacksPlaceSince() : std::nullopt;
      if (!lacks || client.waiting_since < *lacks) session->overtaken = 0;
      if (client.waits() && weather_ == Weather::kFair && !calm_ && world_.now - client.waiting_since > WaitBound())
        Fault("somebody has waited too long");
    }
    std::uint64_t outdated = outdated_;
    for (auto& host : world_.hosts)
      for (ServerId server = 0; server < world_.config.servers.size(); ++server)
        outdated += host->metrics().Read(Counter::kServerDisconnects, server, DisconnectCause::kOutdated);
    if (opened_for_waiters_ > queued_ + failed_ + late_ + outdated) Fault("more connections were opened than anybody needed");
  }

  void CheckServer(ServerId server) {
    std::size_t size = 0, idle = 0;
    bool mail = false, lacks = false;
    for (auto& host : world_.hosts) {
      mail = mail || !host->mail.empty();
      if (server == 0) size += host->startups;
      if (server == 0 && host->startup_since) lacks = true;
      for (const auto& [key, pool] : host->pools) {
        if (key.server != server) continue;
        size += pool->size();
        idle += pool->idle();
        lacks = lacks || pool->LacksPlaceSince();
        if (pool->idle() > 0 && pool->waiting() > 0) Fault("somebody waits beside an idle connection of his pool");
      }
    }
    const auto limit = world_.config.servers[server].max_connections;
    const auto used = world_.budget(server).used();
    most_[server] = std::max(limit, std::min(most_[server], used));
    if (used != size) Fault("the places do not add up");
    if (used > most_[server]) Fault("there are more connections than the limit allows");
    // A back-off that has ended, a start-up that has left: seen at the next tick.
    auto& since = lost_since_[server];
    const bool lost = !mail && lacks && (used < limit || idle > 0);
    if (!lost) since.reset();
    else if (!since) since = world_.now;
    if (lost && world_.now - *since > (Stormy() || calm_ ? kTick + milliseconds(10) : milliseconds(0)))
      Fault("somebody waits for a place that is free, and nothing is under way: " + Picture(server));
  }

  // For whoever looks into a failure.
  [[nodiscard]] std::string Picture(ServerId server) {
    std::string text = "server " + world_.config.servers[server].name + ", " + std::to_string(world_.budget(server).used()) +
                       " of " + std::to_string(world_.config.servers[server].max_connections) + " used";
    const auto ago = [&](TimePoint since) {
      return std::to_string(std::chrono::duration_cast<milliseconds>(world_.now - since).count()) + " ms";
    };
    for (auto& host : world_.hosts) {
      text += "; worker " + std::to_string(host->index());
      if (host->startup_since) text += ", start-up lacks " + ago(*host->startup_since);
      for (const auto& [key, pool] : host->pools) {
        if (key.server != server || pool->size() + pool->waiting() == 0) continue;
        text += ", " + key.user + "/" + key.database + " " + std::to_string(pool->size()) + " with " +
                std::to_string(pool->idle()) + " idle, " + std::to_string(pool->waiting()) + " wait";
        if (const auto lacks = pool->LacksPlaceSince()) text += ", lacks " + ago(*lacks);
      }
    }
    return text;
  }

  Weather weather_;
  std::mt19937 random_;
  World world_;
  std::vector<std::unique_ptr<Session>> clients_;
  std::array<SettingSet, 3> settings_;  // kinds of them, told apart by their addresses
  std::vector<Connection*> cancelled_;
  std::vector<TimePoint> swept_, startup_ends_;
  std::vector<unsigned> most_;
  std::vector<std::optional<TimePoint>> lost_since_;
  milliseconds hold_{}, login_{}, cancel_{};
  unsigned busy_ = 1;
  bool calm_ = false;
  std::uint64_t arrivals_ = 0, queued_ = 0, served_ = 0, opened_for_waiters_ = 0, failed_ = 0, late_ = 0, outdated_ = 0;
  std::string fault_;
};

}  // namespace

// WAYPOST_POOL_SEEDS: as many seeds, for a longer look.
TEST_CASE("whoever waits is served, in turn, and nothing is opened for nobody", "[core][pool][model]") {
  const auto weather = GENERATE(Weather::kFair, Weather::kStormy);
  const char* asked = std::getenv("WAYPOST_POOL_SEEDS");
  const auto seeds = asked == nullptr ? 40U : static_cast<std::uint32_t>(std::strtoul(asked, nullptr, 10));
  std::uint64_t served = 0;
  for (std::uint32_t seed = 1; seed <= seeds; ++seed) {
    CAPTURE(seed, weather);
    Model model(seed, weather);
    model.Run(1'500);
    model.Calm();
    model.End();
    REQUIRE(model.fault() == "");
    served += model.served();
  }
  CHECK(served > std::uint64_t{seeds} * 200);
}

}  // namespace waypost
