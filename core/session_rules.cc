// What rules and comment hints make of the statements of a batch: where it may go, how long it may take, and what does
// not run at all.
#include <algorithm>
#include <array>
#include <utility>

#include "core/session.h"
#include "core/worker.h"
#include "parser/encode.h"
#include "parser/explain_text.h"
#include "parser/fingerprint.h"

namespace waypost {
namespace {

// A cancel that came too early is asked for again after this.
constexpr milliseconds kCancelAgain{1'000};

// The server itself must raise the error of a denied statement, so that it undoes what it would undo. This fails on every
// server (nobody makes functions in pg_catalog), but not before a failed transaction block is told to be one.
constexpr std::string_view kDeniedFunction = "waypost_denies_this";
constexpr std::string_view kDeniedSql = "SELECT pg_catalog.waypost_denies_this()";
constexpr std::string_view kDeniedState = "42883";  // undefined_function
constexpr std::string_view kDeniedName = "waypost_denied";  // never stored, and the unnamed statement is left alone

}  // namespace

const TextMarks& Session::MarksOf(const CachedStatement& found) {
  auto& marks = found.marks;
  const auto generation = worker_.rules_generation();
  if (marks.generation == generation) return marks;
  const auto& config = worker_.config();
  const auto& text = found.sql->text;
  const auto& list = found.facts();
  const auto hint = config.comment_hints ? HintIn(text, lexing_) : std::string();
  marks.generation = generation;
  marks.hint = HintOf(hint);
  marks.rules.clear();
  // A statement goes by its own fingerprint and by that of the whole text.
  std::array<std::uint64_t, 2> fingerprints{};
  const auto add = [&](std::size_t count, std::string_view sql) {
    if (const auto made = config.rules.asks_for_fingerprints() ? Fingerprint(sql) : std::nullopt)
      fingerprints[count++] = *made;
    return count;
  };
  const auto whole = add(0, text);
  const auto texts = list.size() > 1 ? SplitStatements(text) : std::vector<std::string_view>();
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto count = texts.size() == list.size() ? add(whole, texts[i]) : whole;
    marks.rules.push_back(config.rules.StatementMask(list[i], {fingerprints.data(), count}, hint));
  }
  return marks;
}

// What is to be done with a statement of the batch at hand. False: it must not run.
bool Session::Treat(const CachedStatement& found, bool runs) {
  const auto& config = worker_.config();
  if (config.rules.empty() && !config.comment_hints) return true;
  auto& b = *batch_;
  const auto& marks = MarksOf(found);
  bool any = b.any_statement;
  for (const auto mask : marks.rules) {
    const auto first = RuleSet::First(mask & session_rules_);
    const auto* rule = first ? &config.rules.rules()[*first] : nullptr;
    const bool denied = rule != nullptr && rule->route == RuleRoute::kDeny;
    if (rule != nullptr && (runs || denied)) CountRule(*first);
    if (denied) {
      if (b.denial.empty()) b.denial = DenialBy(*rule);
      return false;
    }
    const bool ordinary = rule == nullptr && marks.hint == Hint::kNone;
    const bool first_here = !std::exchange(any, true);
    if (ordinary && !b.handling) continue;
    auto handling = HandlingOf(routing_, marks.hint, rule);
    if (!runs) handling.timeout = milliseconds{0};
    if (!b.handling && !first_here) b.handling = HandlingOf(routing_, Hint::kNone, nullptr);
    b.handling = b.handling ? Both(*b.handling, handling) : handling;
  }
  return true;
}

void Session::CountRule(std::size_t index) {
  if (batch_->dispatched) worker_.metrics().Count(Counter::kRuleMatches, worker_.RuleId(index));
  else batch_->rules |= RuleMask{1} << index;
}

// The rule that each statement of `found` goes by; null: none.
std::vector<const Rule*> Session::RulesOf(const CachedStatement& found) {
  std::vector<const Rule*> rules;
  const auto& config = worker_.config();
  if (config.rules.empty()) return std::vector<const Rule*>(found.facts().size());
  for (const auto mask : MarksOf(found).rules) {
    const auto first = RuleSet::First(mask & session_rules_);
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

// `message`, the last of its batch, is replaced by one that fails.
void Session::Deny(BatchMessage& message) {
  auto& b = *batch_;
  b.denied_at_once = b.messages.size() == 1;
  b.bytes.resize(message.offset);
  if (message.type == 'Q') {
    AppendQuery(b.bytes, kDeniedSql);
  } else {
    message.type = 'P';
    waypost::AppendParse(b.bytes, kDeniedName, kDeniedSql, {});
  }
  message.size = static_cast<std::uint32_t>(b.bytes.size()) - message.offset;
  message.sql.reset();
  message.statement.reset();
  message.existing.reset();
  CombineClass(Class::kWrite, Reason::kDenied);
}

// The client's own error, if `error` is what the server says of a denied statement.
bool Session::IsDenial(std::string_view sqlstate, Bytes error) const {
  return batch_ && !batch_->denial.empty() && sqlstate == kDeniedState &&
         AsText(error).find(kDeniedFunction) != std::string_view::npos;
}

// --- time-outs

void Session::WatchTimeout() {
  const auto& b = *batch_;
  if (!b.handling || b.handling->timeout.count() == 0 || b.timed_out) return;
  deadline_ = std::min(deadline_, worker_.Now() + b.handling->timeout);
  if (!watched_) worker_.Watch(slot_);
  watched_ = true;
}

bool Session::CheckDeadline(TimePoint now) {
  if (closed_ || deadline_ == TimePoint::max()) return watched_ = false;
  if (now < deadline_) return true;
  if (waiting_in_ != nullptr || homeless_) {
    StopWaiting("canceling statement due to statement timeout");
    return watched_ = deadline_ != TimePoint::max();
  }
  if (batch_ && connection_ != nullptr && !connection_->ledger().Idle()) {
    batch_->timed_out = true;
    deadline_ = now + kCancelAgain;
    worker_.SendCancel(*connection_);
  }
  return true;
}

// What the server says of a batch that we had it cancel, in the words of its own statement_timeout.
bool Session::IsTimeout(std::string_view sqlstate) const {
  return batch_ && batch_->timed_out && sqlstate == "57014";
}

void Session::AppendTimeout(std::string& out) const {
  AppendError(out, {.sqlstate = "57014", .message = "canceling statement due to statement timeout"});
}

}  // namespace waypost
