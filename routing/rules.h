// [[rule]]: conditions on a statement and on who sends it, and what is then done with it. Ordered; for each statement the
// first rule that matches counts, alone. Pure and immutable; any thread.
//
// What a rule asks of the statement depends on its text alone, and is found out once a text (StatementMasks); what it
// asks of the session, once a session (SessionMask). A statement then costs one `and`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "parser/catalog/catalog.h"
#include "parser/sql/facts.h"
#include "parser/sql/hints.h"
#include "parser/sql/verdict.h"
#include "routing/policy.h"

namespace waypost {

inline constexpr std::size_t kMaxRules = 64;
using RuleMask = std::uint64_t;  // one bit a rule, the first rule lowest

enum class RuleRoute : std::uint8_t { kPrimary, kReplica, kDeny };

struct Rule {
  std::string name;
  // Conditions: each that is not empty must hold, by one of its values. A '*' stands for any run of characters.
  std::vector<std::string> tables, functions;  // "name" in any schema, or "schema.name"
  std::vector<std::uint64_t> fingerprints;     // of the statement, or of the whole text it is in
  std::vector<std::string> hints;              // the value of a comment hint, in lower case
  std::vector<std::string> users, databases, applications, listeners;
  // Actions.
  std::optional<RuleRoute> route;
  std::string message;          // kDeny: for the client; empty: a general one
  milliseconds timeout{0};      // of the batch that the statement is in; 0: none
  RoutingOverrides overrides;   // consistency, max_lag, max_lag_bytes, fence_wait
};

class RuleSet {
 public:
  RuleSet() = default;
  // At most kMaxRules.
  explicit RuleSet(std::vector<Rule> rules);

  [[nodiscard]] bool empty() const { return rules_.empty(); }
  [[nodiscard]] bool asks_for_fingerprints() const { return asks_for_fingerprints_; }
  [[nodiscard]] const std::vector<Rule>& rules() const { return rules_; }

  // The rules whose conditions on statements hold. `fingerprints`: those that apply to it.
  // An unqualified name in the statement matches "schema.name" whatever search_path says, but never "schema.*".
  // The name of a type is that of a table where `catalog` has a relation of that name; null: where a rule names it without '*'.
  [[nodiscard]] RuleMask StatementMask(const Facts& facts, const Catalog* catalog, std::span<const std::uint64_t> fingerprints,
                                       std::string_view hint) const;
  // The rules whose conditions on sessions hold.
  [[nodiscard]] RuleMask SessionMask(const Asker& asker) const;
  // The index of the first rule that is in `mask`; nothing if none is.
  [[nodiscard]] static std::optional<std::size_t> First(RuleMask mask);

 private:
  std::vector<Rule> rules_;
  bool asks_for_fingerprints_ = false;
};

// In words: "rule nightly: consistency eventual, timeout 500 ms".
[[nodiscard]] std::string RuleWords(const Rule& rule);

// True if `text` is `pattern`, in which '*' stands for any run of characters.
[[nodiscard]] bool MatchesGlob(std::string_view pattern, std::string_view text);

// How a statement is to be run, and a batch of several.
struct Handling {
  RoutingPolicy policy;
  std::optional<Reason> to_primary;  // even if it is a read: why
  milliseconds timeout{0};  // 0: none
};

// Of one statement: the session's policy, changed by its comment hint, then by its rule (null: none).
[[nodiscard]] Handling HandlingOf(const RoutingPolicy& session, Hint hint, const Rule* rule);
// Of two statements of one batch: what does for both.
[[nodiscard]] Handling Both(const Handling& one, const Handling& other);

}  // namespace waypost
