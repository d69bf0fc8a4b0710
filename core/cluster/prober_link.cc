#include "core/cluster/prober_link.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "core/cluster/control_query.h"
#include "routing/standby_names.h"

namespace waypost {
namespace {

// Where this session's synchronous_commit comes from cannot change while it lives, but for reloads
// of the files.
constexpr const char* kSourceQuery = "SELECT source FROM pg_catalog.pg_settings WHERE name = 'synchronous_commit'";
constexpr const char* kProbeName = "waypost_probe";

// One row for a replica; for a primary one per standby, or one with nulls. Each value stands in the
// column of its enum.
enum Column : int {
  kRecovering,
  kSystem,
  kStarted,
  kTimeline,
  kInsert,
  kFlush,
  kNames,
  kCommit,
  kSegment,
  kLowered,
  kReceive,
  kReplay,
  kReceiving,
  kConninfo,
  kClusterName,
  kVisible,
  kHoldsUp,
  kRowName,
  kRowPid,
  kRowState,
  kRowSync,
  kRowSent,
  kRowReplay,
  kRowLag,
  kColumns
};
// Whom the replay waits for, kHoldsUp: pg_blocking_pids() does not know of the startup process. It takes one kind of lock, and
// that conflicts with every other on the same table. Of those whose snapshots keep it waiting only the one with the oldest is
// certain to be one, and only if there is none of another database.
constexpr const char* kProbeQuery = R"(
SELECT s.recovering, c.system_identifier,
  (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,
  CASE WHEN NOT s.recovering THEN ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint
       WHEN w.status = 'streaming' THEN w.received_tli
       ELSE (SELECT timeline_id FROM pg_control_checkpoint()) END,
  CASE WHEN NOT s.recovering THEN pg_current_wal_insert_lsn() END,
  CASE WHEN NOT s.recovering THEN pg_current_wal_flush_lsn() END,
  current_setting('synchronous_standby_names'), current_setting('synchronous_commit'),
  pg_size_bytes(current_setting('wal_segment_size')),
  (SELECT string_agg(CASE WHEN d.setrole = 0 THEN 'all roles' ELSE 'role ' || d.setrole::regrole END ||
                     coalesce(' in database ' || b.datname, '') || ' (' || o || ')', E'\n')
   FROM pg_db_role_setting d LEFT JOIN pg_database b ON b.oid = d.setdatabase, unnest(d.setconfig) o
   WHERE o LIKE 'synchronous\_commit=%' AND o <> 'synchronous_commit=remote_apply'),
  pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn(), w.status = 'streaming', w.conninfo,
  current_setting('cluster_name'), pg_has_role('pg_read_all_stats', 'usage'),
  CASE WHEN s.recovering AND pg_last_wal_replay_lsn() < pg_last_wal_receive_lsn() THEN
    (SELECT CASE WHEN a.wait_event_type = 'Lock' THEN
              (SELECT string_agg(DISTINCT h.pid::text, E'\n')
               FROM pg_locks w JOIN pg_locks h ON (h.database, h.relation) = (w.database, w.relation)
               WHERE w.pid = a.pid AND NOT w.granted AND w.locktype = 'relation' AND h.granted AND h.locktype = 'relation'
                 AND h.pid <> w.pid)
            WHEN a.wait_event = 'RecoveryConflictSnapshot' THEN
              (SELECT CASE WHEN count(DISTINCT h.datid) = 1 THEN (array_agg(h.pid ORDER BY age(h.backend_xmin) DESC))[1]::text END
               FROM pg_stat_activity h
               WHERE h.backend_type = 'client backend' AND h.backend_xmin IS NOT NULL AND h.pid <> pg_backend_pid()) END
     FROM pg_stat_activity a WHERE a.backend_type = 'startup') END,
  r.application_name, r.pid, r.state, r.sync_state,
  r.sent_lsn, r.replay_lsn, (extract(epoch FROM r.replay_lag) * 1000000)::bigint
FROM (SELECT pg_is_in_recovery() AS recovering) s CROSS JOIN pg_control_system() c
LEFT JOIN pg_stat_wal_receiver w ON true
LEFT JOIN pg_stat_replication r ON NOT s.recovering
)";

// Typed access to one row of a result.
class Row {
 public:
  Row(const PGresult* result, int row) : result_(result), row_(row) {}
  [[nodiscard]] bool Null(int column) const { return PQgetisnull(result_, row_, column) != 0; }
  [[nodiscard]] std::string_view Text(int column) const {
    return {PQgetvalue(result_, row_, column), static_cast<std::size_t>(PQgetlength(result_, row_, column))};
  }
  [[nodiscard]] bool Flag(int column) const { return Text(column) == "t"; }
  template <class N>
  [[nodiscard]] N Number(int column) const {
    const std::string_view text = Text(column);
    N number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
  }
  [[nodiscard]] Lsn Position(int column) const { return ParseLsn(Text(column)).value_or(Lsn{}); }

 private:
  const PGresult* result_;
  int row_;
};

std::vector<std::string> Lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
  return lines;
}

std::vector<std::uint32_t> ProcessIds(std::string_view text) {
  std::vector<std::uint32_t> pids;
  for (const auto& line : Lines(text)) {
    std::uint32_t pid = 0;
    std::from_chars(line.data(), line.data() + line.size(), pid);
    pids.push_back(pid);
  }
  return pids;
}

// libpq begins with the address, which every log line and page shows beside the error anyway.
std::string WithoutAddress(std::string error) {
  constexpr std::string_view kFailed = " failed: ";
  const auto at = error.find(kFailed);
  if (error.starts_with("connection to server at ") && at != std::string::npos) error.erase(0, at + kFailed.size());
  return error;
}

// "FATAL:  57P03: the database system is starting up" -> "FATAL:  the database system is starting up".
std::string WithoutSqlstate(std::string error) {
  constexpr std::size_t kSqlstateBytes = 5;
  const auto at = error.find(":  ");
  if (at == std::string::npos || error.size() < at + 3 + kSqlstateBytes + 2 ||
      error.compare(at + 3 + kSqlstateBytes, 2, ": ") != 0)
    return error;
  return error.erase(at + 3, kSqlstateBytes + 2);
}

// The name by which a standby with this primary_conninfo calls itself. Empty if the monitor may not
// see it.
std::string ApplicationName(const Row& row) {
  if (row.Null(kConninfo)) return "";
  if (auto name = StandbyNameIn(row.Text(kConninfo)); !name.empty()) return name;
  return row.Text(kClusterName).empty() ? "walreceiver" : std::string(row.Text(kClusterName));
}

PrimarySample ReadPrimary(const PGresult* result, std::string source) {
  const Row first(result, 0);
  PrimarySample sample;
  sample.insert_lsn = first.Position(kInsert);
  sample.flush_lsn = first.Position(kFlush);
  // It stands where the recovery ended that this server was promoted from.
  if (!first.Null(kReplay)) sample.promoted_at = first.Position(kReplay);
  sample.synchronous_standby_names = first.Text(kNames);
  sample.synchronous_commit = first.Text(kCommit);
  sample.synchronous_commit_source = std::move(source);
  sample.lowered_by = Lines(first.Text(kLowered));
  sample.segment_bytes = first.Number<std::uint64_t>(kSegment);
  for (int i = 0; i < PQntuples(result); ++i) {
    const Row row(result, i);
    if (row.Null(kRowPid)) continue;
    ReplicationRow standby;
    standby.application_name = row.Text(kRowName);
    standby.pid = row.Number<std::int32_t>(kRowPid);
    standby.state = row.Text(kRowState);
    standby.sync_state = ParseSyncState(row.Text(kRowSync));
    standby.sent_lsn = row.Position(kRowSent);
    standby.replay_lsn = row.Position(kRowReplay);
    standby.replay_lag = std::chrono::microseconds(row.Number<std::int64_t>(kRowLag));
    sample.standbys.push_back(std::move(standby));
  }
  return sample;
}

}  // namespace

void ProbeLink::Closer::operator()(pg_conn* connection) const { PQfinish(connection); }

ProbeLink::ProbeLink(ServerConfig server, std::string conninfo, Timing timing)
    : server_(std::move(server)), conninfo_(std::move(conninfo)), timing_(timing) {}
ProbeLink::~ProbeLink() = default;

int ProbeLink::fd() const {
  if (state_ == State::kLookingUp) return lookup_->fd();
  return connection_ ? PQsocket(connection_.get()) : -1;
}
short ProbeLink::events() const { return poll_events_; }

void ProbeLink::Hurry(TimePoint now) {
  if (state_ == State::kClosed || state_ == State::kIdle) wake_at_ = now;
}

void ProbeLink::SetInterval(milliseconds interval, TimePoint now) {
  if (std::exchange(timing_.interval, interval) == interval) return;
  if (state_ == State::kClosed || state_ == State::kIdle) wake_at_ = std::min(wake_at_, now + interval);
}

std::optional<ProbeLink::Outcome> ProbeLink::Step(TimePoint now, bool ready) {
  if (!ready && now < wake_at_) return std::nullopt;
  switch (state_) {
    case State::kClosed: return Begin(now);
    case State::kLookingUp: return LookedUp(now);
    case State::kConnecting:
      if (!ready) return Fail(ProbeResult::kTimeout, "no connection in time", now);
      return Connecting(now);
    case State::kIdle:
      if (!ready) return Ask(now);
      // Nothing was asked: the server says good-bye, or sends a notice.
      if (PQconsumeInput(connection_.get()) == 1) return std::nullopt;
      return Fail(ProbeResult::kConnectError, PQerrorMessage(connection_.get()), now);
    case State::kReadingSource:
    case State::kPreparing:
    case State::kAsking:
      if (!ready) return Fail(ProbeResult::kTimeout, "no answer in time", now);
      return Advance(now);
  }
  return std::nullopt;
}

std::optional<ProbeLink::Outcome> ProbeLink::Begin(TimePoint now) {
  asked_at_ = now;
  wake_at_ = now + timing_.timeout * (suspect_ ? 1 : kConnectTimeouts);
  if (IsAddress(server_.host)) return Connect(conninfo_, now);
  if (!lookup_) lookup_.emplace(server_.host);
  state_ = State::kLookingUp;
  poll_events_ = POLLIN;
  return std::nullopt;
}

std::optional<ProbeLink::Outcome> ProbeLink::LookedUp(TimePoint now) {
  if (!lookup_->done()) return Fail(ProbeResult::kTimeout, "its host name was not looked up in time", now);
  const auto found = *std::exchange(lookup_, std::nullopt);
  if (found.addresses().empty()) return Fail(ProbeResult::kConnectError, found.error(), now);
  return Connect(conninfo_ + AtAddresses(server_, found.addresses()), now);
}

std::optional<ProbeLink::Outcome> ProbeLink::Connect(const std::string& conninfo, TimePoint now) {
  connection_.reset(PQconnectStart(conninfo.c_str()));
  if (!connection_) return Fail(ProbeResult::kConnectError, "out of memory", now);
  // The SQLSTATE of a server's refusal is told only so.
  PQsetErrorVerbosity(connection_.get(), PQERRORS_VERBOSE);
  if (PQstatus(connection_.get()) == CONNECTION_BAD) return NotConnected(now);
  PQsetNoticeProcessor(connection_.get(), [](void*, const char*) {}, nullptr);
  state_ = State::kConnecting;
  poll_events_ = POLLOUT;  // what libpq asks for before the first PQconnectPoll
  return std::nullopt;
}

std::optional<ProbeLink::Outcome> ProbeLink::Connecting(TimePoint now) {
  switch (PQconnectPoll(connection_.get())) {
    case PGRES_POLLING_READING: poll_events_ = POLLIN; return std::nullopt;
    case PGRES_POLLING_WRITING: poll_events_ = POLLOUT; return std::nullopt;
    case PGRES_POLLING_OK: break;
    default: return NotConnected(now);
  }
  PQsetErrorVerbosity(connection_.get(), PQERRORS_DEFAULT);
  poll_events_ = POLLIN;
  PQsetnonblocking(connection_.get(), 1);
  if (PQsendQuery(connection_.get(), kSourceQuery) != 1)
    return Fail(ProbeResult::kConnectError, PQerrorMessage(connection_.get()), now);
  state_ = State::kReadingSource;
  return Advance(now);
}

std::optional<ProbeLink::Outcome> ProbeLink::Ask(TimePoint now) {
  asked_at_ = now;
  wake_at_ = now + timing_.timeout;
  if (PQsendQueryPrepared(connection_.get(), kProbeName, 0, nullptr, nullptr, nullptr, 0) != 1)
    return Fail(ProbeResult::kConnectError, PQerrorMessage(connection_.get()), now);
  state_ = State::kAsking;
  return Advance(now);
}

std::optional<ProbeLink::Outcome> ProbeLink::Advance(TimePoint now) {
  PGconn* connection = connection_.get();
  const int unsent = PQflush(connection);
  if (unsent < 0 || PQconsumeInput(connection) != 1) return Fail(ProbeResult::kConnectError, PQerrorMessage(connection), now);
  poll_events_ = static_cast<short>(POLLIN | (unsent == 1 ? POLLOUT : 0));
  std::optional<Outcome> outcome;
  while (PQisBusy(connection) == 0) {
    PGresult* raw = PQgetResult(connection);
    if (raw == nullptr) {  // the end of this step's answer
      if (state_ == State::kReadingSource) {
        if (PQsendPrepare(connection, kProbeName, kProbeQuery, 0, nullptr) != 1)
          return Fail(ProbeResult::kConnectError, PQerrorMessage(connection), now);
        state_ = State::kPreparing;
        return Advance(now);
      }
      if (state_ == State::kPreparing) return Ask(now);
      state_ = State::kIdle;
      wake_at_ = std::max(now, asked_at_ + timing_.interval);
      return outcome;
    }
    const std::unique_ptr<PGresult, decltype(&PQclear)> result(raw, &PQclear);
    const auto status = PQresultStatus(raw);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
      const std::string error = PQresultErrorMessage(raw);
      const bool lost = PQstatus(connection) == CONNECTION_BAD;
      return Fail(lost ? ProbeResult::kConnectError : ProbeResult::kQueryError, error, now);
    }
    if (state_ == State::kReadingSource && PQntuples(raw) == 1) synchronous_commit_source_ = PQgetvalue(raw, 0, 0);
    if (state_ == State::kAsking) outcome = Answered(raw, now);
  }
  return outcome;
}

std::optional<ProbeLink::Outcome> ProbeLink::Answered(const pg_result* result, TimePoint now) {
  if (PQntuples(result) < 1 || PQnfields(result) != kColumns)
    return Fail(ProbeResult::kQueryError, "the answer has an unexpected form", now);
  const Row row(result, 0);
  ServerSample sample;
  sample.sent = asked_at_;
  sample.system_identifier = row.Number<std::uint64_t>(kSystem);
  sample.started_us = row.Number<std::int64_t>(kStarted);
  sample.timeline = row.Number<std::uint32_t>(kTimeline);
  sample.statistics_visible = row.Flag(kVisible);
  if (row.Flag(kRecovering))
    sample.role = ReplicaSample{row.Position(kReceive), row.Position(kReplay), row.Flag(kReceiving), ApplicationName(row),
                                ProcessIds(row.Text(kHoldsUp))};
  else sample.role = ReadPrimary(result, synchronous_commit_source_);
  was_established_ = true;
  suspect_ = false;
  return Outcome{ProbeResult::kOk, now - asked_at_, std::move(sample), "", PQserverVersion(connection_.get())};
}

std::optional<ProbeLink::Outcome> ProbeLink::NotConnected(TimePoint now) {
  constexpr std::string_view kCannotConnectNow = "57P03: ";
  std::string error = PQerrorMessage(connection_.get());
  auto result = ProbeResult::kConnectError;
  if (error.find(kCannotConnectNow) != std::string::npos) result = ProbeResult::kStarting;
  if (error.find(std::strerror(ECONNREFUSED)) != std::string::npos) result = ProbeResult::kRefused;
  return Fail(result, WithoutSqlstate(std::move(error)), now);
}

// Closes.
std::optional<ProbeLink::Outcome> ProbeLink::Fail(ProbeResult result, std::string error, TimePoint now) {
  const auto took = now - asked_at_;
  const bool retry = was_established_;
  was_established_ = false;
  suspect_ = retry;
  connection_.reset();
  state_ = State::kClosed;
  poll_events_ = 0;
  wake_at_ = retry ? now : now + timing_.interval;
  if (retry) return std::nullopt;
  return Outcome{result, took, std::nullopt, WithoutAddress(FirstLine(error)), 0};
}

}  // namespace waypost
