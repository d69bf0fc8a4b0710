#include "routing/rule_marks.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "parser/sql/explain_text.h"
#include "parser/sql/fingerprint.h"

namespace waypost {

void MarkText(std::string_view text, Lexing lexing, const std::vector<Facts>& facts, const Catalog* catalog, const RuleSet& rules,
              bool comment_hints, TextMarks& marks) {
  const auto hint = comment_hints ? HintIn(text, lexing) : std::string();
  marks.hint = HintOf(hint);
  marks.rules.clear();
  marks.rules.reserve(facts.size());
  // A statement goes by its own fingerprint and by that of the whole text.
  std::array<std::uint64_t, 2> fingerprints{};
  const auto add = [&](std::size_t count, std::string_view sql) {
    if (!rules.asks_for_fingerprints()) return count;
    if (const auto made = Fingerprint(sql)) fingerprints[count++] = *made;
    return count;
  };
  const auto whole = add(0, text);
  const bool apart = facts.size() > 1 && rules.asks_for_fingerprints();
  const auto texts = apart ? SplitStatements(text) : std::vector<std::string_view>();
  for (std::size_t i = 0; i < facts.size(); ++i) {
    const auto count = texts.size() == facts.size() ? add(whole, texts[i]) : whole;
    marks.rules.push_back(rules.StatementMask(facts[i], catalog, {fingerprints.data(), count}, hint));
  }
}

}  // namespace waypost
