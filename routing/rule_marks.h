// Which rules a text matches: determined when the text is first seen, and kept with it. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "parser/catalog/sql_cache.h"
#include "parser/sql/facts.h"
#include "routing/rules.h"

namespace waypost {

// Sets hint and rules of `marks` for `text`, whose statements are `facts` under `catalog` (may be null). `comment_hints`: whether its comments count.
void MarkText(std::string_view text, Lexing lexing, const std::vector<Facts>& facts, const Catalog* catalog, const RuleSet& rules,
              bool comment_hints, TextMarks& marks);

}  // namespace waypost
