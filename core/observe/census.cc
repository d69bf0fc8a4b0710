#include "core/observe/census.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <condition_variable>
#include <mutex>
#include <tuple>

namespace waypost {
namespace {

constexpr auto kSessionStates = std::to_array<std::string_view>(
    {"idle", "active", "waiting", "idle in transaction", "idle in transaction (aborted)", "log-in"});
static_assert(kSessionStates.size() == static_cast<std::size_t>(SessionState::kCount));
constexpr auto kConnectionStates = std::to_array<std::string_view>({"idle", "busy", "log-in", "cancelling"});
static_assert(kConnectionStates.size() == static_cast<std::size_t>(ConnectionState::kCount));

template <class T>
void Append(std::vector<T>& into, std::vector<T>&& from) {
  into.insert(into.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

// Of all of `text`; nothing: it is no number.
std::optional<std::uint64_t> ReadNumber(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// One question under way: each worker fills its part in turns, and whoever asked takes them together.
template <class Report>
class Collection {
 public:
  explicit Collection(std::size_t workers, std::function<void(Report)> done = {})
      : parts_(workers), left_(workers), done_(std::move(done)) {}

  // Nobody waits for it any more.
  [[nodiscard]] bool given_up() const { return given_up_.load(std::memory_order_relaxed); }
  void Finished(std::size_t worker, Report part) {
    {
      const std::scoped_lock lock(mutex_);
      parts_[worker] = std::move(part);
      if (--left_ > 0) return;
    }
    if (done_) done_(Merged());
    else all_there_.notify_all();
  }
  [[nodiscard]] Report Wait(milliseconds patience) {
    {
      std::unique_lock lock(mutex_);
      all_there_.wait_for(lock, patience, [&] { return left_ == 0; });
      given_up_.store(true, std::memory_order_relaxed);
    }
    return Merged();
  }

 private:
  [[nodiscard]] Report Merged() {
    const std::scoped_lock lock(mutex_);
    Report report;
    for (auto& part : parts_) {
      if (part) report.Add(std::move(*part));
      else if constexpr (requires { report.workers_missing; }) ++report.workers_missing;
      part.reset();
    }
    return report;
  }

  std::mutex mutex_;
  std::condition_variable all_there_;
  std::vector<std::optional<Report>> parts_;
  std::size_t left_;
  std::function<void(Report)> done_;
  std::atomic<bool> given_up_{false};
};

// One worker's part of it.
template <class Report, class Step>
struct Turns {
  std::shared_ptr<Collection<Report>> collection;
  CensusPart& part;
  std::size_t worker;
  Step step;
  std::size_t from = 0;
  Report found{};

  static void Take(const std::shared_ptr<Turns>& turns) {
    if (turns->collection->given_up()) return;
    const auto next = turns->step(turns->part, turns->from, turns->found);
    if (!next) return turns->collection->Finished(turns->worker, std::move(turns->found));
    turns->from = *next;
    turns->part.Post([turns] { Take(turns); });
  }
};

template <class Report, class Step>
void Begin(const std::vector<CensusPart*>& workers, const std::shared_ptr<Collection<Report>>& collection, Step step) {
  for (std::size_t i = 0; i < workers.size(); ++i) {
    auto turns = std::make_shared<Turns<Report, Step>>(Turns<Report, Step>{collection, *workers[i], i, step});
    workers[i]->Post([turns] { Turns<Report, Step>::Take(turns); });
  }
}

template <class Report, class Step>
Report Gather(const std::vector<CensusPart*>& workers, milliseconds patience, Step step) {
  auto collection = std::make_shared<Collection<Report>>(workers.size());
  Begin<Report>(workers, collection, std::move(step));
  return collection->Wait(patience);
}

template <class Report, class Step>
void Ask(const std::vector<CensusPart*>& workers, Step step, std::function<void(Report)> done) {
  Begin<Report>(workers, std::make_shared<Collection<Report>>(workers.size(), std::move(done)), std::move(step));
}

// Of a report that each worker gives in one turn.
template <class Report>
void AskEach(const std::vector<CensusPart*>& workers, Report (CensusPart::*report)() const, std::function<void(Report)> done) {
  Ask<Report>(
      workers,
      [report](CensusPart& part, std::size_t, Report& into) {
        into = (part.*report)();
        return CensusPart::NextPlace();
      },
      std::move(done));
}

// What all say of one session, which is in one of them.
template <class Answer>
struct Found {
  std::optional<Answer> answer;
  unsigned workers_missing = 0;
  void Add(Found other) {
    if (other.answer) answer = std::move(other.answer);
    workers_missing += other.workers_missing;
  }
};

struct Sum {
  std::size_t count = 0;
  void Add(Sum other) { count += other.count; }
};

// A session on its way from one worker to another is in neither: whoever finds none looks once more.
template <class Answer, class Find>
Found<Answer> FindOne(const std::vector<CensusPart*>& workers, milliseconds patience, Find find) {
  const auto ask = [find](CensusPart& part, std::size_t, Found<Answer>& into) {
    into.answer = find(part);
    return CensusPart::NextPlace();
  };
  auto found = Gather<Found<Answer>>(workers, patience, ask);
  if (!found.answer && found.workers_missing == 0) found = Gather<Found<Answer>>(workers, patience, ask);
  return found;
}

std::optional<bool> IfDone(bool done) { return done ? std::optional(true) : std::nullopt; }

template <class Answer>
Ended EndOf(const Found<Answer>& found) {
  if (found.answer) return Ended::kDone;
  return found.workers_missing > 0 ? Ended::kNoAnswer : Ended::kNoSuchSession;
}

// The workers together return what one would that had all sessions.
SessionQuestion ForOneWorker(SessionQuestion question) {
  question.limit = question.limit > SIZE_MAX - question.offset ? SIZE_MAX : question.limit + question.offset;
  question.offset = 0;
  return question;
}

SessionReport Cut(SessionReport report, const SessionQuestion& question) {
  auto& sessions = report.sessions;
  sessions.erase(sessions.begin(), sessions.begin() + static_cast<std::ptrdiff_t>(std::min(question.offset, sessions.size())));
  if (sessions.size() > question.limit) sessions.resize(question.limit);
  return report;
}

auto ListingSessions(const SessionQuestion& question) {
  return [question = ForOneWorker(question)](CensusPart& part, std::size_t from, SessionReport& into) {
    return part.ListSessions(from, question, into);
  };
}

CensusPart::NextPlace CountingClients(CensusPart& part, std::size_t from, ClientReport& into) {
  return part.CountClients(from, into);
}
CensusPart::NextPlace ListingPools(CensusPart& part, std::size_t from, PoolReport& into) { return part.ListPools(from, into); }
CensusPart::NextPlace ListingConnections(CensusPart& part, std::size_t from, ConnectionReport& into) {
  return part.ListConnections(from, into);
}

}  // namespace

std::string SessionIdText(SessionId id) { return std::to_string(id.worker) + "-" + std::to_string(id.number); }

std::optional<SessionId> ReadSessionId(std::string_view text) {
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto worker = ReadNumber(text.substr(0, dash));
  const auto number = ReadNumber(text.substr(dash + 1));
  if (!worker || !number) return std::nullopt;
  return SessionId{static_cast<std::size_t>(*worker), *number};
}

std::string_view SessionStateName(SessionState state) { return kSessionStates[static_cast<std::size_t>(state)]; }

std::optional<SessionState> ReadSessionState(std::string_view name) {
  const auto found = std::find(kSessionStates.begin(), kSessionStates.end(), name);
  if (found == kSessionStates.end()) return std::nullopt;
  return static_cast<SessionState>(found - kSessionStates.begin());
}

std::string_view ConnectionStateName(ConnectionState state) { return kConnectionStates[static_cast<std::size_t>(state)]; }

void SessionReport::Add(SessionReport other) {
  total += other.total;
  Append(sessions, std::move(other.sessions));
  workers_missing += other.workers_missing;
}

ClientCrowd& ClientReport::Of(std::string_view database, std::string_view user) {
  const auto place =
      std::lower_bound(crowds.begin(), crowds.end(), std::tie(database, user), [](const ClientCrowd& crowd, const auto& key) {
        return std::tuple<std::string_view, std::string_view>(crowd.database, crowd.user) < key;
      });
  if (place != crowds.end() && place->database == database && place->user == user) return *place;
  return *crowds.insert(place, {.database = std::string(database), .user = std::string(user)});
}

void ClientReport::Add(ClientReport other) {
  for (const auto& more : other.crowds) {
    auto& crowd = Of(more.database, more.user);
    crowd.idle += more.idle;
    crowd.active += more.active;
    crowd.waiting += more.waiting;
    crowd.in_transaction += more.in_transaction;
    crowd.logging_in += more.logging_in;
    crowd.longest_wait = std::max(crowd.longest_wait, more.longest_wait);
  }
  workers_missing += other.workers_missing;
}

void PoolReport::Add(PoolReport other) {
  Append(pools, std::move(other.pools));
  workers_missing += other.workers_missing;
}

void ConnectionReport::Add(ConnectionReport other) {
  Append(connections, std::move(other.connections));
  workers_missing += other.workers_missing;
}

SessionReport Census::Sessions(const SessionQuestion& question) const {
  return Cut(Gather<SessionReport>(workers_, patience_, ListingSessions(question)), question);
}

ClientReport Census::Clients() const { return Gather<ClientReport>(workers_, patience_, CountingClients); }
PoolReport Census::Pools() const { return Gather<PoolReport>(workers_, patience_, ListingPools); }
ConnectionReport Census::Connections() const { return Gather<ConnectionReport>(workers_, patience_, ListingConnections); }

std::optional<SessionDetail> Census::Session(SessionId id, bool& answered) const {
  auto found = FindOne<SessionDetail>(workers_, patience_, [id](CensusPart& part) { return part.DescribeSession(id.number); });
  answered = found.answer || found.workers_missing == 0;
  return std::move(found.answer);
}

Ended Census::End(SessionId id) const {
  return EndOf(FindOne<bool>(workers_, patience_, [id](CensusPart& part) { return IfDone(part.EndSession(id.number)); }));
}

Ended Census::Cancel(SessionId id) const {
  return EndOf(FindOne<bool>(workers_, patience_, [id](CensusPart& part) { return IfDone(part.CancelSession(id.number)); }));
}

void Census::AskSessions(const SessionQuestion& question, std::function<void(SessionReport)> done) const {
  Ask<SessionReport>(workers_, ListingSessions(question),
                     [question, done = std::move(done)](SessionReport report) { done(Cut(std::move(report), question)); });
}
void Census::AskClients(std::function<void(ClientReport)> done) const {
  Ask<ClientReport>(workers_, CountingClients, std::move(done));
}
void Census::AskPools(std::function<void(PoolReport)> done) const { Ask<PoolReport>(workers_, ListingPools, std::move(done)); }
void Census::AskConnections(std::function<void(ConnectionReport)> done) const {
  Ask<ConnectionReport>(workers_, ListingConnections, std::move(done));
}

void Census::AskTraffic(std::function<void(TrafficReport)> done) const {
  AskEach<TrafficReport>(workers_, &CensusPart::ReportTraffic, std::move(done));
}
void Census::AskDigests(std::function<void(DigestReport)> done) const {
  AskEach<DigestReport>(workers_, &CensusPart::ReportDigests, std::move(done));
}
void Census::AskFence(std::function<void(FenceReport)> done) const {
  AskEach<FenceReport>(workers_, &CensusPart::ReportFence, std::move(done));
}

void Census::AskToEnd(std::uint64_t number, std::function<void(Ended)> done) const {
  Ask<Found<bool>>(
      workers_,
      [number](CensusPart& part, std::size_t, Found<bool>& into) {
        into.answer = IfDone(part.EndSession(number));
        return CensusPart::NextPlace();
      },
      [done = std::move(done)](const Found<bool>& found) { done(EndOf(found)); });
}

void Census::AskToEndAll(const std::string& database, std::function<void(std::size_t)> done) const {
  Ask<Sum>(
      workers_,
      [database](CensusPart& part, std::size_t from, Sum& into) { return part.EndClientsOf(from, database, into.count); },
      [done = std::move(done)](const Sum& all) { done(all.count); });
}

}  // namespace waypost
