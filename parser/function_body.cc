#include "parser/function_body.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace waypost {
namespace {

void Refuse(Body& body, Reason why, std::string words, PinReason pin) {
  if (body.why == Reason::kReadSafe) {
    body.why = why;
    body.words = std::move(words);
  }
  if (body.pin == PinReason::kNone || pin == PinReason::kUnknownState) body.pin = pin;
}

std::string_view Phrase(Reason why) {
  switch (why) {
    case Reason::kWrite:
      return " writes";
    case Reason::kDdl:
      return " runs DDL";
    case Reason::kLockClause:
      return " locks rows or tables";
    case Reason::kModifyingCte:
      return " writes in a WITH clause";
    case Reason::kSelectInto:
      return " runs SELECT INTO";
    case Reason::kSession:
    case Reason::kTransaction:
      return " changes the session or the transaction";
    case Reason::kServerLocal:
      return " asks for settings of this server";
    default:
      return " has a body that is not understood";
  }
}

// The tokens of a node tree: words between blanks and brackets. A blank, bracket or backslash
// within a string stands behind a backslash.
class NodeTokens {
 public:
  explicit NodeTokens(std::string_view tree) : rest_(tree) {}

  // Empty at the end.
  std::string_view Next() {
    std::size_t start = 0;
    while (start < rest_.size() && IsBreak(rest_[start])) ++start;
    std::size_t end = start;
    while (end < rest_.size() && !IsBreak(rest_[end])) end += rest_[end] == '\\' ? 2 : 1;
    end = std::min(end, rest_.size());
    const std::string_view token = rest_.substr(start, end - start);
    rest_.remove_prefix(end);
    return token;
  }

 private:
  static bool IsBreak(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '(' || c == ')' || c == '{' || c == '}' ||
           c == '[' || c == ']';
  }
  std::string_view rest_;
};

std::optional<std::uint32_t> Number(std::string_view token) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
  if (error != std::errc{} || end != token.data() + token.size()) return std::nullopt;
  return value;
}

void AddId(std::string_view token, std::vector<std::uint32_t>& ids) {
  if (const auto id = Number(token); id && *id != 0) ids.push_back(*id);
}

void Sort(std::vector<std::uint32_t>& ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

enum class Field : std::uint8_t { kNone, kFunction, kOperator, kRelation, kType, kCommand };

Field FieldOf(std::string_view token) {
  if (token == ":funcid" || token == ":aggfnoid" || token == ":winfnoid" ||
      token == ":tsmhandler" || token == ":startInRangeFunc" || token == ":endInRangeFunc") {
    return Field::kFunction;
  }
  if (token == ":opno" || token == ":eqop" || token == ":sortop" || token == ":cycle_mark_neop") {
    return Field::kOperator;
  }
  if (token == ":relid") return Field::kRelation;
  if (token == ":resulttype") return Field::kType;
  return token == ":commandType" ? Field::kCommand : Field::kNone;
}

}  // namespace

Body ReadSqlBody(std::string_view source) {
  Body body;
  if (source.size() > kMaxBodyBytes) {
    Refuse(body, Reason::kNotUnderstood, " has a body that is too long to look into",
           PinReason::kUnknownState);
    return body;
  }
  const FactsList list = Analyse(source, Lexing{});
  for (const Facts& facts : *list) {
    body.names.insert(body.names.end(), facts.names.begin(), facts.names.end());
    // Settings that a statement of the client makes are seen by its session; these are not.
    const bool unseen =
        facts.state_unknown || !facts.settings.empty() || facts.catalog != CatalogChange::kNone;
    const PinReason pin = unseen ? PinReason::kUnknownState : facts.pin;
    if (facts.writes_by_form) {
      Refuse(body, facts.form_reason, std::string(Phrase(facts.form_reason)), pin);
    } else if (pin != PinReason::kNone &&
               (body.pin == PinReason::kNone || pin == PinReason::kUnknownState)) {
      body.pin = pin;
    }
  }
  return body;
}

Body ReadNodeTree(std::string_view tree) {
  constexpr std::string_view kSelect = "1";  // CMD_SELECT, nodes/nodes.h
  Body body;
  NodeTokens tokens(tree);
  for (std::string_view token = tokens.Next(); !token.empty(); token = tokens.Next()) {
    if (token.front() != ':') {
      if (token == "ROWMARKCLAUSE") {
        Refuse(body, Reason::kLockClause, " locks rows", PinReason::kNone);
      } else if (token == "NEXTVALUEEXPR") {
        Refuse(body, Reason::kVolatileFunction, " takes a value from a sequence", PinReason::kNone);
      }
      continue;
    }
    if (token == ":opnos") {  // (o 96 97)
      (void)tokens.Next();
      // The list ends at the next field.
      for (NodeTokens ahead = tokens;; tokens = ahead) {
        const std::string_view id = ahead.Next();
        if (id.empty() || !Number(id)) break;
        AddId(id, body.ids.operators);
      }
      continue;
    }
    const Field field = FieldOf(token);
    if (field == Field::kNone) continue;
    const std::string_view value = tokens.Next();
    switch (field) {
      case Field::kFunction:
        AddId(value, body.ids.functions);
        break;
      case Field::kOperator:
        AddId(value, body.ids.operators);
        break;
      case Field::kRelation:
        AddId(value, body.ids.relations);
        break;
      case Field::kType:
        AddId(value, body.ids.types);
        break;
      case Field::kCommand:
        if (value != kSelect) Refuse(body, Reason::kWrite, " writes", PinReason::kNone);
        break;
      case Field::kNone:
        break;
    }
  }
  Sort(body.ids.functions);
  Sort(body.ids.operators);
  Sort(body.ids.relations);
  Sort(body.ids.types);
  return body;
}

}  // namespace waypost
