// What rules and comment hints make of the statements of a batch: where it may go, how long it may take, and what does
// not run at all.
#include <algorithm>
#include <optional>
#include <utility>

#include "core/session/session.h"
#include "parser/wire/encode.h"
#include "routing/rule_marks.h"

namespace waypost {
namespace {

// A cancel that came too early is asked for again after this.
constexpr milliseconds kCancelAgain{1'000};
// A fingerprint takes as long as it takes to look so often into its text.
constexpr std::size_t kFingerprintCosts = 16;

}  // namespace

const TextMarks& Session::MarksOf(const CachedStatement& found) {
  auto& marks = found.marks;
  const auto generation = env_.rules_generation();
  if (marks.generation == generation) return marks;
  marks.generation = generation;
  const auto& config = env_.config();
  if (config.rules.asks_for_fingerprints()) looked_into_ += found.sql->text.size() * kFingerprintCosts;
  MarkText(found.sql->text, lexing_, found.facts(), name_context_.catalog(), config.rules, config.comment_hints, marks);
  return marks;
}

// What is to be done with what `message` parses or runs. False: it must not, and is refused.
bool Session::Treat(BatchMessage& message, const CachedStatement& found, bool runs) {
  const auto& config = env_.config();
  if (config.rules.empty() && !config.comment_hints) return true;
  auto& b = *batch_;
  const auto& marks = MarksOf(found);
  bool any = b.any_statement;
  for (const auto mask : marks.rules) {
    const auto first = RuleSet::First(mask & policy_.rules);
    const auto* rule = first ? &config.rules.rules()[*first] : nullptr;
    const bool denied = rule != nullptr && rule->route == RuleRoute::kDeny;
    if (rule != nullptr && (runs || denied)) CountRule(*first);
    if (denied) {
      Refuse(message, DenialBy(*rule));
      CombineClass(Class::kWrite, Reason::kRefused);
      return false;
    }
    const bool ordinary = rule == nullptr && marks.hint == Hint::kNone;
    const bool first_here = !std::exchange(any, true);
    if (ordinary && !b.handling) continue;
    auto handling = HandlingOf(policy_.routing, marks.hint, rule);
    if (!runs) handling.timeout = milliseconds{0};
    if (!b.handling && !first_here) b.handling = HandlingOf(policy_.routing, Hint::kNone, nullptr);
    b.handling = b.handling ? Both(*b.handling, handling) : handling;
  }
  return true;
}

void Session::CountRule(std::size_t index) {
  if (batch_->dispatched) env_.metrics().Count(Counter::kRuleMatches, env_.RuleId(index));
  else batch_->rules |= RuleMask{1} << index;
}

// The rule that each statement of `found` goes by; null: none.
std::vector<const Rule*> Session::RulesOf(const CachedStatement& found) {
  std::vector<const Rule*> rules;
  const auto& config = env_.config();
  if (config.rules.empty()) return std::vector<const Rule*>(found.facts().size());
  for (const auto mask : MarksOf(found).rules) {
    const auto first = RuleSet::First(mask & policy_.rules);
    rules.push_back(first ? &config.rules.rules()[*first] : nullptr);
  }
  return rules;
}

std::string Session::DenialBy(const Rule& rule) const {
  std::string denial;
  AppendError(denial, {.sqlstate = "42501",
                       .message = rule.message.empty() ? "this statement is not allowed here" : std::string_view(rule.message),
                       .detail = "Rule \"" + rule.name + "\" of Waypost denies it."});
  return denial;
}

// --- time-outs

void Session::WatchTimeout() {
  const auto& b = *batch_;
  if (!b.handling || b.handling->timeout.count() == 0 || b.timed_out) return;
  WatchUntil(env_.Now() + b.handling->timeout);
}

void Session::WatchUntil(TimePoint deadline) {
  deadline_.Limit(deadline);
  if (deadline_.Watch()) common_.host.Watch(slot_);
}

// What was sent only now may not have begun on its server when the request comes there, and then that does nothing.
void Session::CancelUntilEnded() {
  if (!closed_ && CancelBatch() && batch_ && batch_->cancelled) WatchUntil(env_.Now() + kCancelAgain);
}

bool Session::CheckDeadline(TimePoint now) {
  if (check_ != nullptr && now >= check_->deadline) GiveUpCheck();
  const bool checks = check_ != nullptr && check_->deadline != TimePoint::max();
  if (closed_ || (!deadline_.set() && !checks)) return deadline_.Looked(false);
  if (!deadline_.Passed(now)) return true;
  if (wait_.waits()) {
    StopWaiting("canceling statement due to statement timeout");
    return deadline_.Looked(deadline_.set());
  }
  if (SettlesHere()) return true;  // for a moment
  if (Proving()) {
    GiveUpFence("57014", "canceling statement due to statement timeout");
    return deadline_.Looked(deadline_.set());
  }
  if (batch_ && connection_ != nullptr && !connection_->ledger().Idle()) {
    batch_->timed_out = !batch_->cancelled;
    deadline_.Postpone(now + kCancelAgain);
    common_.cancels.Send(*connection_);
  }
  return true;
}

}  // namespace waypost
