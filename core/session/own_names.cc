// pg_prepared_statements shows what the server connection at hand has prepared. What asks for it finds the client's statements
// there, those that the protocol prepared too, under the client's own names, and no others: they are parsed ahead of the
// batch, and the connection goes on with these names until it changes hands.
#include <algorithm>

#include "core/session/session.h"
#include "parser/wire/encode.h"

namespace waypost {

// True if one of the statements executes, by name, one that asks for it.
bool Session::ExecutesListing(const std::vector<Facts>& list) {
  return std::any_of(list.begin(), list.end(), [this](const Facts& facts) {
    const bool names =
        facts.kind == StatementKind::kExecute || facts.kind == StatementKind::kExplain || facts.kind == StatementKind::kDdl;
    if (!names || facts.object.empty()) return false;
    const auto executed = names_.Find(facts.object);
    return executed && Look(executed->sql).verdict.lists_prepared;
  });
}

void Session::TakeOwnNames(std::string& out) {
  auto& connection = *connection_;
  if (connection.status() == 'E') return;  // it answers nothing
  if (!lease_.own_names()) CloseStatements(out);
  lease_.UseOwnNames(true);
  for (const auto& [name, statement] : names_.InOrder()) {
    const auto own = connection.own_names.find(std::string(name));
    if (!statement->by_sql() && (own == connection.own_names.end() || own->second == 0)) TryStatement(out, statement, name);
  }
}

// Parses it in a series of its own, and in a block behind a savepoint: DDL may have made an error of it.
void Session::TryStatement(std::string& out, const StatementRef& statement, std::string_view name) {
  auto& connection = *connection_;
  SetAsBefore(out, *statement);
  const auto sequence = connection.ledger().Sent('P', Reply::kTry);
  Effect effect{Effect::Kind::kTried, sequence, 0, {}, std::string(name), statement, true};
  effect.before = Before(statement->id);
  const bool unsure = MayBeReshaped(*statement);
  AddStatement(unsure ? Open(statement) : statement, name, sequence);
  waypost::AppendParse(out, name, statement->sql->text, AsBytes(statement->parse_types()));
  AddEffect(std::move(effect));
  if (unsure) AskShape(out, Open(statement), name, false);
  AppendEmpty(out, 'S');
  (void)connection.ledger().Sent('S', Reply::kSwallow);
  if (connection.status() == 'T') SetAsNow(out);
  env_.metrics().Count(Counter::kReprepares);
}

// What the connection at hand calls what the client calls `name`.
std::string_view Session::NameThere(const Statement& statement, std::string_view name) const {
  return lease_.own_names() ? name : std::string_view(statement.server_name);
}

// The Parse `sequence`, which makes `statement`, is on its way there.
void Session::AddStatement(const StatementRef& statement, std::string_view name, std::uint64_t sequence) {
  connection_->AddStatement(statement->id, statement, sequence);
  if (lease_.own_names()) connection_->own_names.insert_or_assign(std::string(KeptName(name)), sequence);
}

// What is answered now has ended what bore that name, unless it was parsed anew behind that.
void Session::ForgetOwnName(std::string_view name) {
  if (!lease_.own_names()) return;
  const auto own = connection_->own_names.find(std::string(KeptName(name)));
  if (own != connection_->own_names.end() && own->second < Answered()) connection_->own_names.erase(own);
}

}  // namespace waypost
