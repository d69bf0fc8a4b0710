#include "routing/rules.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "core/base/check.h"

namespace waypost {
namespace {

bool MatchesAny(const std::vector<std::string>& patterns, std::string_view text) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) { return MatchesGlob(pattern, text); });
}

bool HoldsFor(const std::vector<std::string>& patterns, std::string_view text) {
  return patterns.empty() || MatchesAny(patterns, text);
}

bool Names(std::string_view pattern, const NameRef& ref) {
  const auto dot = pattern.find('.');
  if (dot == std::string_view::npos) return MatchesGlob(pattern, ref.name);
  const auto name = pattern.substr(dot + 1);
  if (ref.schema.empty()) return name != "*" && MatchesGlob(name, ref.name);
  return MatchesGlob(pattern.substr(0, dot), ref.schema) && MatchesGlob(name, ref.name);
}

template <class Named>
bool AnyName(const Facts& facts, Named named) {
  return std::any_of(facts.names.begin(), facts.names.end(), named) ||
         std::any_of(facts.touched.begin(), facts.touched.end(), named);
}

bool NamesFunction(const std::vector<std::string>& patterns, const Facts& facts) {
  const auto names = [&](const NameRef& ref) {
    return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) { return Names(pattern, ref); });
  };
  return patterns.empty() ||
         AnyName(facts, [&](const NameRef& ref) { return ref.kind == NameRef::Kind::kFunction && names(ref); });
}

// Each relation has a type of its name, that of its rows.
bool NamesTable(const std::vector<std::string>& patterns, const Facts& facts, const Catalog* catalog) {
  if (patterns.empty()) return true;
  return AnyName(facts, [&](const NameRef& ref) {
    const bool type = ref.kind == NameRef::Kind::kType;
    if (!type && ref.kind != NameRef::Kind::kRelation) return false;
    const auto names = [&](const std::string& pattern) {
      return Names(pattern, ref) && (!type || catalog != nullptr || pattern.find('*') == std::string::npos);
    };
    if (std::none_of(patterns.begin(), patterns.end(), names)) return false;
    return !type || catalog == nullptr ||
           catalog->Find({.kind = NameRef::Kind::kRelation, .schema = ref.schema, .name = ref.name}, nullptr).known;
  });
}

// The stricter the higher.
int Strictness(Consistency consistency) {
  switch (consistency) {
    case Consistency::kEventual: return 0;
    case Consistency::kBounded: return 1;
    case Consistency::kStrict: return 2;
    case Consistency::kPrimary: return 3;
  }
  return 3;
}

// A read may leave the primary, where it was the policy alone that kept it there.
void AllowReplica(RoutingPolicy& policy) {
  if (policy.consistency == Consistency::kPrimary) policy.consistency = Consistency::kStrict;
  if (policy.read_from_primary == ReadFromPrimary::kAlways) policy.read_from_primary = ReadFromPrimary::kFallback;
}

void ApplyHint(Hint hint, Handling& handling) {
  auto& policy = handling.policy;
  switch (hint) {
    case Hint::kPrimary: handling.to_primary = Reason::kHint; return;
    case Hint::kReplica: return AllowReplica(policy);
    case Hint::kStrict: policy.consistency = Consistency::kStrict; return;
    case Hint::kBounded: policy.consistency = Consistency::kBounded; return;
    case Hint::kEventual: policy.consistency = Consistency::kEventual; return;
    case Hint::kNone:
    case Hint::kOther: return;
  }
}

}  // namespace

bool MatchesGlob(std::string_view pattern, std::string_view text) {
  std::size_t at = 0;
  std::size_t star = std::string_view::npos;  // the last '*' passed, and what it has taken up to
  std::size_t taken = 0;
  std::size_t p = 0;
  while (at < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = at;
    } else if (p < pattern.size() && pattern[p] == text[at]) {
      ++p;
      ++at;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      at = ++taken;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

RuleSet::RuleSet(std::vector<Rule> rules) : rules_(std::move(rules)) {
  WAYPOST_CHECK(rules_.size() <= kMaxRules);
  asks_for_fingerprints_ = std::any_of(rules_.begin(), rules_.end(), [](const Rule& rule) { return !rule.fingerprints.empty(); });
}

RuleMask RuleSet::StatementMask(const Facts& facts, const Catalog* catalog, std::span<const std::uint64_t> fingerprints,
                                std::string_view hint) const {
  RuleMask mask = 0;
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    const Rule& rule = rules_[i];
    const bool known =
        rule.fingerprints.empty() || std::find_first_of(rule.fingerprints.begin(), rule.fingerprints.end(), fingerprints.begin(),
                                                        fingerprints.end()) != rule.fingerprints.end();
    if (known && NamesTable(rule.tables, facts, catalog) && NamesFunction(rule.functions, facts) &&
        (rule.hints.empty() || (!hint.empty() && MatchesAny(rule.hints, hint))))
      mask |= RuleMask{1} << i;
  }
  return mask;
}

RuleMask RuleSet::SessionMask(const Asker& asker) const {
  RuleMask mask = 0;
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    const Rule& rule = rules_[i];
    if (HoldsFor(rule.users, asker.user) && HoldsFor(rule.databases, asker.database) &&
        HoldsFor(rule.applications, asker.application) && HoldsFor(rule.listeners, asker.listener))
      mask |= RuleMask{1} << i;
  }
  return mask;
}

std::optional<std::size_t> RuleSet::First(RuleMask mask) {
  if (mask == 0) return std::nullopt;
  return static_cast<std::size_t>(std::countr_zero(mask));
}

std::string RuleWords(const Rule& rule) {
  std::string words;
  const auto add = [&](std::string_view word) { words.append(words.empty() ? "" : ", ").append(word); };
  if (rule.route == RuleRoute::kDeny) add("deny");
  if (rule.route == RuleRoute::kPrimary) add("primary");
  if (rule.route == RuleRoute::kReplica) add("replica");
  if (rule.overrides.consistency) {
    static constexpr std::array<std::string_view, 4> kNames = {"strict", "bounded", "eventual", "primary"};
    add("consistency " + std::string(kNames[static_cast<std::size_t>(*rule.overrides.consistency)]));
  }
  if (rule.timeout.count() > 0) add("timeout " + std::to_string(rule.timeout.count()) + " ms");
  return "rule " + rule.name + ": " + (words.empty() ? "nothing" : words);
}

Handling HandlingOf(const RoutingPolicy& session, Hint hint, const Rule* rule) {
  Handling handling{.policy = session, .to_primary = std::nullopt, .timeout = milliseconds{0}};
  ApplyHint(hint, handling);
  if (rule == nullptr) return handling;
  handling.timeout = rule->timeout;
  if (rule->route == RuleRoute::kPrimary) handling.to_primary = Reason::kRule;
  if (rule->route == RuleRoute::kReplica) {
    handling.to_primary.reset();
    AllowReplica(handling.policy);
  }
  Apply(rule->overrides, handling.policy);
  if (rule->overrides.consistency == Consistency::kPrimary) handling.to_primary = Reason::kRule;
  else if (rule->overrides.consistency && rule->route != RuleRoute::kPrimary) handling.to_primary.reset();
  return handling;
}

Handling Both(const Handling& one, const Handling& other) {
  const bool stricter = Strictness(other.policy.consistency) > Strictness(one.policy.consistency);
  Handling both = stricter ? other : one;
  const auto& looser = stricter ? one : other;
  if (both.policy.consistency == Consistency::kBounded && looser.policy.consistency == Consistency::kBounded) {
    const auto least = [](std::uint64_t a, std::uint64_t b) { return a == 0 || (b != 0 && b < a) ? b : a; };
    both.policy.max_lag = std::min(both.policy.max_lag, looser.policy.max_lag);
    both.policy.max_lag_bytes = least(both.policy.max_lag_bytes, looser.policy.max_lag_bytes);
  }
  if (!both.to_primary) both.to_primary = looser.to_primary;
  if (both.timeout.count() == 0 || (looser.timeout.count() != 0 && looser.timeout < both.timeout)) both.timeout = looser.timeout;
  return both;
}

}  // namespace waypost
