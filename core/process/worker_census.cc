// What the census asks of a worker: see core/observe/census.h.
#include <algorithm>

#include "core/process/worker.h"
#include "core/server/connection.h"

namespace waypost {
namespace {

Duration AgeOf(TimePoint since, TimePoint now) { return std::max(now - since, Duration{0}); }

void Count(ClientCrowd& crowd, SessionState state, Duration age) {
  switch (state) {
    case SessionState::kIdle: ++crowd.idle; return;
    case SessionState::kActive: ++crowd.active; return;
    case SessionState::kIdleInTransaction:
    case SessionState::kAborted: ++crowd.in_transaction; return;
    case SessionState::kLogin: ++crowd.logging_in; return;
    case SessionState::kWaiting:
      ++crowd.waiting;
      crowd.longest_wait = std::max(crowd.longest_wait, age);
      return;
    case SessionState::kCount: return;
  }
}

ConnectionState StateOf(const ServerConnection& connection) {
  if (!connection.ready()) return ConnectionState::kLogin;
  if (connection.leased()) return ConnectionState::kBusy;
  return connection.cancelling() ? ConnectionState::kCancelling : ConnectionState::kIdle;
}

}  // namespace

template <class Look>
CensusPart::NextPlace Worker::LookAtSessions(std::size_t from, Look look) {
  const auto end = std::min(slots_.size(), from + kRowsPerTurn);
  for (auto i = from; i < end; ++i)
    if (slots_[i].session) look(*slots_[i].session);
  return end < slots_.size() ? NextPlace(end) : std::nullopt;
}

CensusPart::NextPlace Worker::ListSessions(std::size_t from, const SessionQuestion& question, SessionReport& into) {
  return LookAtSessions(from, [&](const Session& session) {
    if (!session.Fits(question) || ++into.total > question.limit) return;
    session.Describe(into.sessions.emplace_back());
  });
}

CensusPart::NextPlace Worker::CountClients(std::size_t from, ClientReport& into) {
  return LookAtSessions(from, [&](const Session& session) {
    Count(into.Of(session.database(), session.user()), session.state(), AgeOf(session.state_since(), Now()));
  });
}

template <class Look>
CensusPart::NextPlace Worker::LookAtPools(std::size_t from, Look look) {
  std::size_t rows = 0;
  auto i = from;
  for (; i < pools_.count() && rows < kRowsPerTurn; ++i) rows += look(pools_.At(i));
  return i < pools_.count() ? NextPlace(i) : std::nullopt;
}

CensusPart::NextPlace Worker::ListPools(std::size_t from, PoolReport& into) {
  return LookAtPools(from, [&](const Pool& pool) {
    const auto& key = pool.key();
    const auto& server = view().servers[key.server];
    const auto since = pool.WaitedSince();
    into.pools.push_back({.worker = index(),
                          .server = server.name,
                          .user = key.user,
                          .database = key.database,
                          .role = server.role,
                          .idle = pool.idle(),
                          .busy = pool.size() - pool.idle() - pool.connecting(),
                          .connecting = pool.connecting(),
                          .waiting = pool.waiting(),
                          .max = pool.max_size(),
                          .longest_wait = since ? AgeOf(*since, Now()) : Duration{0}});
    return std::size_t{1};
  });
}

CensusPart::NextPlace Worker::ListConnections(std::size_t from, ConnectionReport& into) {
  return LookAtPools(from, [&](const Pool& pool) {
    for (const auto& pooled : pool.connections()) {
      const auto& connection = static_cast<const ServerConnection&>(*pooled);  // the pools have none but from OpenFor()
      auto& row = into.connections.emplace_back();
      row.worker = index();
      row.server = connection.server().name;
      row.user = pool.key().user;
      row.database = pool.key().database;
      row.remote = connection.RemoteName();
      row.local = connection.LocalName();
      row.state = StateOf(connection);
      row.pid = connection.login().pid();
      if (const auto number = connection.session(); number != 0) row.session = SessionId{index(), number};
      row.age = AgeOf(connection.connect_started, Now());
      if (row.state == ConnectionState::kIdle) row.idle = AgeOf(connection.idle_since, Now());
      row.prepared = connection.statements.size();
      row.closing = connection.lifetime == PooledConnection::kToClose;
    }
    return pool.size() + 1;
  });
}

Session* Worker::FindSession(std::uint64_t number) {
  for (const auto& slot : slots_)
    if (slot.session && slot.session->number() == number) return slot.session.get();
  return nullptr;
}

std::optional<SessionDetail> Worker::DescribeSession(std::uint64_t number) {
  const auto* session = FindSession(number);
  return session == nullptr ? std::nullopt : std::optional(session->DescribeInFull());
}

bool Worker::EndSession(std::uint64_t number) {
  auto* session = FindSession(number);
  if (session != nullptr) session->End();
  return session != nullptr;
}

CensusPart::NextPlace Worker::EndClientsOf(std::size_t from, const std::string& database, std::size_t& ended) {
  const auto end = std::min(slots_.size(), from + kRowsPerTurn);
  for (auto i = from; i < end; ++i) {
    auto* session = slots_[i].session.get();
    if (session == nullptr || session->is_console() || session->database().empty()) continue;
    if (!database.empty() && session->database() != database) continue;
    ++ended;
    session->End();
  }
  return end < slots_.size() ? NextPlace(end) : std::nullopt;
}

bool Worker::CancelSession(std::uint64_t number) {
  auto* session = FindSession(number);
  if (session != nullptr) session->Cancel();
  return session != nullptr;
}

}  // namespace waypost
