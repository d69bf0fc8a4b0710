// What is counted of each statement for people to look at: digests, and what shadow mode would have done.
#include <algorithm>
#include <utility>

#include "core/session/session.h"

namespace waypost {
namespace {

constexpr std::size_t kMaxRunsCounted = 4096;  // of one batch

// The count at the end of a command tag: "SELECT 5", "INSERT 0 1".
std::uint64_t RowsOf(std::string_view tag) {
  constexpr std::size_t kMaxDigits = 19;
  std::uint64_t rows = 0;
  std::uint64_t unit = 1;
  if (!tag.empty() && tag.back() == '\0') tag.remove_suffix(1);
  for (std::size_t i = 0; i < kMaxDigits && i < tag.size(); ++i, unit *= 10) {
    const char c = tag[tag.size() - 1 - i];
    if (c < '0' || c > '9') break;
    rows += static_cast<std::uint64_t>(c - '0') * unit;
  }
  return rows;
}

}  // namespace

DigestNote Session::NoteOf(const CachedStatement& found) { return common_.digests.Note(found, {database_, user_, env_.Now()}); }

void Session::NoteRun(DigestNote note) {
  auto& ran = batch_->ran;
  if ((common_.digests.on() || common_.times_statements()) && ran.size() < kMaxRunsCounted) ran.push_back({note});
}

void Session::CountCompletion(const Answer& answer, char type, Bytes body) {
  if (!batch_ || answer.reply != Reply::kForward || batch_->ran_at >= batch_->ran.size()) return;
  auto& b = *batch_;
  if (type == 'C') b.ran[b.ran_at].rows += RowsOf(AsText(body));
  if (!b.simple) ++b.ran_at;
}

void Session::CountError(bool ours) {
  if (!batch_ || batch_->ran_at >= batch_->ran.size()) return;
  auto* digest = common_.digests.Find(batch_->ran[batch_->ran_at].note);
  if (digest == nullptr) return;
  ++digest->errors;
  if (ours) ++digest->calls;  // CountBatch does not see it
}

// A batch that the server has answered.
void Session::CountBatch(const Decision& decision, Duration took) {
  const auto& b = *batch_;
  if (b.ran.empty()) return;
  const auto runs = b.failed ? std::min(b.ran_at + 1, b.ran.size()) : b.ran.size();
  const auto each = took / static_cast<Duration::rep>(runs);
  const bool primary = !OnReplica();
  const bool fell_back = IsFallback(decision.reason);
  for (std::size_t i = 0; i < runs; ++i) {
    auto* digest = common_.digests.Find(b.ran[i].note);
    if (digest == nullptr) continue;
    ++digest->calls;
    digest->rows += b.ran[i].rows;
    ++(primary ? digest->on_primary : digest->on_replica);
    digest->held += decision.target == Target::kHeld ? 1 : 0;
    if (digest->verdict == Reason::kUnknownSyntax && !b.failed) env_.metrics().Count(Counter::kNewerSyntax);
    digest->fallbacks += fell_back ? 1 : 0;
    digest->reruns += decision.reason == Reason::kRerun ? 1 : 0;
    digest->would_move += b.would_move ? 1 : 0;
    digest->total += each;
    digest->max = std::max(digest->max, each);
    digest->last_reason = decision.reason;
    digest->last_seen = env_.Now();
  }
}

// A batch that the server has answered with `status`.
void Session::CountTraffic(char status, TimePoint now) {
  const auto started = batch_->started;
  if (transaction_began_ == TimePoint{}) transaction_began_ = started;
  ++traffic_->batches;
  traffic_->batch_time += now - started;
  if (status != 'I') return;
  ++traffic_->transactions;
  traffic_->transaction_time += now - std::exchange(transaction_began_, TimePoint{});
}

void Session::CountShadow(const Batch& running, const Decision& decision) {
  const bool runs = std::any_of(running.messages.begin(), running.messages.end(), [](const BatchMessage& message) {
    return message.type == 'Q' || message.type == 'E' || message.type == 'F';
  });
  if (!runs || !running.any_statement) return;
  auto session = FactsOfSession();
  if (decision.target == Target::kHeld && block_.could_read()) session.holds_why = Reason::kReadOnlyTransaction;
  const auto would = DecideAsIfReplicas(running.facts, session, policy_.routing);
  auto& b = *batch_;
  b.would_move = would.target == Target::kReplica;
  if (b.would_move && would.reason == Reason::kReadOnlyTransaction) block_.CouldRead();
  env_.metrics().Count(Counter::kShadowStatements, b.would_move ? Would::kReplica : Would::kPrimary, would.reason);
}

}  // namespace waypost
