#include "routing/settle.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <vector>

namespace waypost {
namespace {

constexpr TimePoint kStart{seconds(1000)};
constexpr std::array<ServerId, 2> kReplicas{1, 2};

// Two replicas, and time that stands still unless it is moved.
struct Rounds {
  Settle settle;
  TimePoint now = kStart;

  void Ask(const Running& running) {
    REQUIRE(settle.AskAt() <= now);
    settle.Asked();
    settle.OnRunning(running, kReplicas, now);
  }
  void Show(ServerId replica, const std::vector<Xid>& shown, bool more = false) {
    REQUIRE(settle.Owes(replica));
    settle.ReplicaAsked(replica);
    settle.OnShown(replica, shown, more, now);
  }
};

const Running kNothing{{}, 100, 100};

}  // namespace

TEST_CASE("while nothing is in progress one question settles", "[routing][settle]") {
  Rounds r;
  CHECK(r.settle.AskAt() == TimePoint::max());
  const auto round = r.settle.Join();
  CHECK(r.settle.Join() == round);
  CHECK(r.settle.settled() < round);
  r.Ask(kNothing);
  CHECK(r.settle.settled() >= round);
  CHECK_FALSE(r.settle.Owes(1));
  CHECK(r.settle.AskAt() == TimePoint::max());
}

TEST_CASE("who joins while the primary is asked waits for the next round", "[routing][settle]") {
  Rounds r;
  const auto first = r.settle.Join();
  r.settle.Asked();
  CHECK(r.settle.AskAt() == TimePoint::max());
  const auto late = r.settle.Join();
  CHECK(late > first);
  r.settle.OnRunning(kNothing, kReplicas, r.now);
  CHECK(r.settle.settled() == first);
  CHECK(r.settle.AskAt() == TimePoint{});
  r.Ask(kNothing);
  CHECK(r.settle.settled() == late);
}

TEST_CASE("what no replica shows is not waited for", "[routing][settle]") {
  Rounds r;
  const auto round = r.settle.Join();
  r.Ask({{90}, 95, 97});
  CHECK(r.settle.question().listed == std::vector<Xid>{90});
  CHECK(r.settle.settled() < round);
  r.Show(1, {});
  CHECK(r.settle.settled() < round);
  SECTION("every replica has said so") { r.Show(2, {}); }
  SECTION("one is gone") { r.settle.Drop(2); }
  CHECK(r.settle.settled() == round);
}

TEST_CASE("what a replica shows is waited for until the primary has completed it", "[routing][settle]") {
  Rounds r;
  const auto round = r.settle.Join();
  r.Ask({{90, 92}, 95, 97});
  r.Show(1, {92});
  r.Show(2, {92, 96});
  CHECK(r.settle.settled() < round);
  CHECK(r.settle.AskAt() > r.now);
  r.now += milliseconds(1);
  r.Ask({{90, 92}, 97, 97});  // 96 has ended
  CHECK(r.settle.settled() < round);
  SECTION("for whoever came later too") {
    const auto late = r.settle.Join();
    r.Ask({{90, 92}, 97, 97});
    CHECK(r.settle.question().listed == std::vector<Xid>{90});  // of 92 it is known
    r.Show(1, {});
    r.Show(2, {});
    CHECK(r.settle.settled() < round);
    r.now += milliseconds(5);
    r.Ask({{90}, 97, 97});
    CHECK(r.settle.settled() == late);
  }
  SECTION("but not for ever") {
    r.settle.Abandon(round);
    CHECK(r.settle.settled() == round);
    const auto late = r.settle.Join();
    r.Ask({{92}, 97, 97});  // it was waited for once
    CHECK(r.settle.settled() == late);
  }
  CHECK(r.settle.AskAt() == TimePoint::max());
}

TEST_CASE("what is given up before it was begun does not settle those who come later", "[routing][settle]") {
  Rounds r;
  const auto stuck = r.settle.Join();
  SECTION("not asked") { r.settle.Abandon(stuck); }
  SECTION("asked") {
    r.settle.Asked();
    r.settle.Abandon(stuck);
    const auto late = r.settle.Join();
    r.settle.OnRunning({{90}, 95, 95}, kReplicas, r.now);
    CHECK(r.settle.settled() < late);
    r.Ask(kNothing);
    CHECK(r.settle.settled() >= late);
  }
  SECTION("a replica does not answer") {
    r.Ask({{90}, 95, 95});
    r.settle.ReplicaAsked(1);
    r.settle.Abandon(stuck);
    const auto late = r.settle.Join();
    r.Ask({{90}, 95, 95});
    r.settle.OnShown(1, {}, false, r.now);  // to the question before
    r.Show(2, {});
    CHECK(r.settle.settled() < late);
    r.Show(1, {});
    CHECK(r.settle.settled() == late);
  }
  CHECK(r.settle.settled() >= stuck);
  CHECK(r.settle.Join() > stuck);
  CHECK(r.settle.settled() < r.settle.begun() + 1);
}

TEST_CASE("an answer that was cut short is asked for again", "[routing][settle]") {
  Rounds r;
  const auto round = r.settle.Join();
  r.Ask({{}, 95, 5000});
  r.Show(1, {95}, true);
  r.Show(2, {});
  CHECK(r.settle.settled() < round);
  r.Ask({{}, 5000, 5000});
  CHECK(r.settle.settled() >= round);
}

TEST_CASE("when the primary is lost all go on, and old answers count no more", "[routing][settle]") {
  Rounds r;
  const auto round = r.settle.Join();
  r.Ask({{90}, 95, 95});
  r.settle.ReplicaAsked(1);
  const auto next = r.settle.Join();
  r.settle.Void();
  CHECK(r.settle.settled() >= next);
  CHECK(next > round);
  r.settle.OnShown(1, {{90}}, false, r.now);
  const auto late = r.settle.Join();
  CHECK(r.settle.settled() < late);
  r.Ask(kNothing);
  CHECK(r.settle.settled() >= late);
}

TEST_CASE("the next transaction is told by the age of the first one", "[routing][settle]") {
  CHECK(NextXid(730, 733) == 733);
  CHECK(NextXid(735, 733) == 738);
  CHECK(NextXid(720, 733) == 723);
  // Ages are of 32 bits, transactions of 64.
  constexpr Xid kEpoch = Xid{5} << 32U;
  CHECK(NextXid(100, kEpoch + 90) == kEpoch + 103);
  CHECK(NextXid(2, kEpoch - 1) == kEpoch + 5);
  CHECK(NextXid(-10, kEpoch + 3) == kEpoch - 7);
}

namespace {

// Transactions as the primary and two replicas see them: one is given its xid, perhaps more for its subtransactions;
// its commit is in the log; replicas replay it; the primary completes it, some time later.
class Model {
 public:
  explicit Model(unsigned seed) : random_(seed) {}

  void Step() {
    now_ += std::chrono::microseconds(50);
    switch (Any(12)) {
      case 0: return Begin();
      case 1: return Commit();
      case 2:
      case 3: return Replay();
      case 4: return Complete();
      case 5:
      case 6: return AskPrimary();
      case 7:
      case 8: return AnswerReplica();
      case 9:
      case 10: return Read();
      default: return Any(40) == 0 ? Void() : Begin();
    }
  }
  // Everything commits, is replayed and completed: nobody may go on waiting.
  void End() {
    while (!running_.empty()) Commit();
    replayed_.fill(log_.size());
    while (!committing_.empty()) Complete();
    for (int i = 0; i < 500 && !reads_.empty(); ++i) {
      now_ += milliseconds(2);
      AskPrimary();
      AnswerReplica();
    }
    CHECK(reads_.empty());
  }
  [[nodiscard]] int settled() const { return settled_; }
  [[nodiscard]] int waited() const { return waited_; }

 private:
  struct Waiting {
    Settle::Round round;
    std::set<Xid> seen;  // what finished reads may have seen
    bool behind;         // the primary did not show all of it then
  };
  struct Answer {
    Settle::Round round;
    std::vector<Xid> shown;
    bool more;
  };

  unsigned Any(std::size_t bound) { return static_cast<unsigned>(random_() % bound); }

  void Begin() {
    if (running_.size() > 6) return;
    const auto xid = next_++;
    running_.push_back(xid);
    if (Any(5) == 0) last_of_[xid] = (next_ += Any(4)) - 1;
  }
  void Commit() {
    if (running_.empty()) return;
    const auto at = running_.begin() + Any(running_.size());
    log_.push_back(*at);
    committing_.push_back(*at);
    running_.erase(at);
  }
  void Replay() {
    auto& replayed = replayed_[Any(2)];
    if (replayed < log_.size()) replayed += 1 + Any(log_.size() - replayed);
  }
  void Complete() {
    if (committing_.empty()) return;
    const auto at = committing_.begin() + Any(committing_.size());
    completed_.insert(*at);
    const auto last = last_of_.count(*at) != 0 ? last_of_[*at] : *at;
    latest_ = std::max(latest_, last);
    committing_.erase(at);
  }
  Running Snapshot(Xid until) {
    Running running{{}, latest_ + 1, until};
    for (const auto* list : {&running_, &committing_})
      for (const auto xid : *list)
        if (xid <= latest_) running.listed.push_back(xid);
    std::sort(running.listed.begin(), running.listed.end());
    return running;
  }
  void AskPrimary() {
    if (!asked_) {
      if (settle_.AskAt() > now_) return;
      settle_.Asked();
      asked_ = true;
      until_.reset();
      snapshot_.reset();
    } else if (!until_) {
      until_ = next_;
    } else if (!snapshot_) {
      snapshot_ = Snapshot(*until_);
    } else {
      asked_ = false;
      settle_.OnRunning(*snapshot_, kReplicas, now_);
      Check();
    }
  }
  void AnswerReplica() {
    for (std::size_t i = 0; i < kReplicas.size(); ++i) {
      auto& answer = answers_[i];
      if (!answer && settle_.Owes(kReplicas[i])) {
        settle_.ReplicaAsked(kReplicas[i]);
        answer = Shown(i);
      } else if (answer && Any(2) == 0) {
        settle_.OnShown(kReplicas[i], answer->shown, answer->more, now_);
        answer.reset();
        Check();
      }
    }
  }
  Answer Shown(std::size_t replica) {
    const auto& asked = settle_.question();
    Answer answer{settle_.begun(), {}, false};
    std::vector<Xid> all(log_.begin(), log_.begin() + static_cast<std::ptrdiff_t>(replayed_[replica]));
    std::sort(all.begin(), all.end());
    for (const auto xid : all) {
      if (!std::binary_search(asked.listed.begin(), asked.listed.end(), xid) && !(xid >= asked.from && xid < asked.until))
        continue;
      if (answer.shown.size() < 3) answer.shown.push_back(xid);
    }
    answer.more = answer.shown.size() == 3;
    return answer;
  }
  void Read() {
    const auto furthest = std::max(replayed_[0], replayed_[1]);
    Waiting read{settle_.Join(), {log_.begin(), log_.begin() + static_cast<std::ptrdiff_t>(furthest)}, false};
    read.behind = !Shows(read.seen);
    reads_.push_back(std::move(read));
  }
  bool Shows(const std::set<Xid>& seen) { return std::includes(completed_.begin(), completed_.end(), seen.begin(), seen.end()); }
  void Check() {
    while (!reads_.empty() && reads_.front().round <= settle_.settled()) {
      const auto& read = reads_.front();
      CHECK(Shows(read.seen));
      ++settled_;
      waited_ += read.behind ? 1 : 0;
      reads_.pop_front();
    }
  }
  // The connection to the primary broke; the servers are what they were.
  void Void() {
    settle_.Void();
    asked_ = false;
    reads_.clear();
    answers_ = {};
  }

  std::mt19937 random_;
  TimePoint now_ = kStart;
  Settle settle_;
  Xid next_ = 100, latest_ = 99;
  std::vector<Xid> running_, committing_;
  std::map<Xid, Xid> last_of_;  // the last of its subtransactions
  std::vector<Xid> log_;        // commits in their order
  std::set<Xid> completed_;
  std::array<std::size_t, 2> replayed_{};
  bool asked_ = false;
  std::optional<Xid> until_;
  std::optional<Running> snapshot_;
  std::array<std::optional<Answer>, 2> answers_;
  std::deque<Waiting> reads_;
  int settled_ = 0, waited_ = 0;
};

}  // namespace

TEST_CASE("no read that has settled misses what a replica had shown before", "[routing][settle]") {
  int settled = 0;
  int waited = 0;
  for (unsigned seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    Model model(seed);
    for (int i = 0; i < 1'500; ++i) model.Step();
    model.End();
    settled += model.settled();
    waited += model.waited();
  }
  CHECK(settled > 10'000);
  CHECK(waited > 1'000);  // who would have gone back
}

}  // namespace waypost
