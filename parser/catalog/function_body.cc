#include "parser/catalog/function_body.h"

#include <string>
#include <utility>

namespace waypost {
namespace {

std::string_view Phrase(Reason why) {
  switch (why) {
    case Reason::kWrite: return " writes";
    case Reason::kDdl: return " runs DDL";
    case Reason::kLockClause: return " locks rows or tables";
    case Reason::kModifyingCte: return " writes in a WITH clause";
    case Reason::kSelectInto: return " runs SELECT INTO";
    case Reason::kSession:
    case Reason::kTransaction: return " changes the session or the transaction";
    case Reason::kServerLocal: return " reads settings of this server";
    default: return " has a body that Waypost does not understand";
  }
}

}  // namespace

void Body::Refuse(Reason reason, std::string reason_words, PinReason leaves) {
  if (why == Reason::kReadSafe) {
    why = reason;
    words = std::move(reason_words);
  }
  if (pin == PinReason::kNone || leaves == PinReason::kUnknownState) pin = leaves;
}

Body ReadSqlBody(std::string_view source) {
  Body body;
  if (source.size() > kMaxBodyBytes) {
    body.Refuse(Reason::kNotUnderstood, " has a body that is too long to look into", PinReason::kUnknownState);
    return body;
  }
  const FactsList list = Analyse(source, Lexing{});
  for (const Facts& facts : *list) {
    body.names.insert(body.names.end(), facts.names.begin(), facts.names.end());
    // Settings that a statement of the client makes are seen by its session; these are not.
    const bool unseen = facts.state_unknown || !facts.settings.empty() || facts.catalog != CatalogChange::kNone;
    const PinReason pin = unseen ? PinReason::kUnknownState : facts.pin;
    if (facts.writes_by_form) {
      body.Refuse(facts.form_reason, std::string(Phrase(facts.form_reason)), pin);
    } else if (pin != PinReason::kNone && (body.pin == PinReason::kNone || pin == PinReason::kUnknownState)) {
      body.pin = pin;
    }
  }
  return body;
}

}  // namespace waypost
