// EXPLAIN ROUTE: the client's Query or Parse is replaced by one that any server answers with the rows wanted. From then on
// it is a statement like every other, in a transaction, a pipeline or under a name.
#include "core/observe/explain_route.h"
#include "core/session/session.h"
#include "parser/catalog/resolve.h"
#include "parser/sql/explain_text.h"
#include "parser/sql/tokens.h"
#include "parser/wire/encode.h"
#include "parser/wire/frontend.h"

namespace waypost {
namespace {

std::string TooLongToExplain(std::size_t bytes) {
  return ErrorMessage({.sqlstate = "54000",
                       .message = "the statement is too long for EXPLAIN ROUTE",
                       .detail = "It has " + std::to_string(bytes) + " bytes. Up to " + std::to_string(kMaxRouteQuestionBytes) +
                                 " bytes and " + std::to_string(kMaxRouteStatements) + " statements are explained.",
                       .hint = "\"waypost route --offline\" explains longer ones."});
}

}  // namespace

// What would become of `question` if it stood here, under all that the session and the batch so far are in.
std::string Session::RouteAnswerFor(std::string_view question) {
  // The data path itself decides, on a batch that is thrown away.
  auto asking = common_.batches.Take();
  static_cast<BatchFlags&>(*asking) = *batch_;
  const auto place = names_.place();
  std::swap(asking, batch_);
  const auto& found = Look(question);
  const auto list = found.sql->facts;
  const auto whole = found.verdict;
  const auto rules = RulesOf(found);
  BatchMessage stands_in;
  if (Treat(stands_in, found, true)) ClassifyStatement(found, true);
  NotePin(stands_in, whole.pin, false);
  const auto decision = stands_in.refused ? Decision{Target::kRefuse, Reason::kRefused} : DecideBatch();
  names_.Unplan(place);
  std::swap(asking, batch_);
  common_.batches.Give(std::move(asking));

  auto each = ResolveEach(*list, name_context_.catalog(), FindPlace().outlook);
  if (each.size() == 1) each.front() = whole;  // what was learnt of it counts
  for (std::size_t i = 0; i < each.size(); ++i)
    if (rules[i] != nullptr) each[i].path.push_back(RuleWords(*rules[i]));
  auto answer = DescribeRoute(question, each, whole, decision, env_.view());
  if (decision.target == Target::kHeld && connection_ != nullptr) answer.server = connection_->server().name;
  return RouteRows(answer, HighestParameter(question, lexing_), lexing_);
}

// `message`, the last of its batch, is replaced if it asks for a route. `body`: its own, outside the batch.
bool Session::AnswerRouteQuestion(BatchMessage& message, Bytes body) {
  const auto parse = message.type == 'P' ? ReadParse(body) : std::nullopt;
  const auto sql = parse ? parse->sql : ReadQuery(body).value_or("");
  const auto question = RouteQuestionIn(sql, lexing_);
  if (!question) return false;
  if (question->size() > kMaxRouteQuestionBytes || Look(*question).facts().size() > kMaxRouteStatements) {
    RefuseTooMuch(message, TooLongToExplain(question->size()));
    return true;
  }
  const auto answer = RouteAnswerFor(*question);
  auto& bytes = batch_->bytes;
  bytes.resize(message.offset);
  if (parse) waypost::AppendParse(bytes, parse->name, answer, parse->types);
  else AppendQuery(bytes, answer);
  message.size = static_cast<std::uint32_t>(bytes.size()) - message.offset;
  const std::string own(bytes, message.offset + kHeaderBytes);
  Classify(message, AsBytes(own));
  return true;
}

}  // namespace waypost
