// Transaction blocks that no server has heard of yet: BEGIN is answered at once and kept, and so is SET TRANSACTION right
// behind it. The block's first other statement takes both to a server, in the same write; a COMMIT or ROLLBACK that comes
// instead costs no server connection.
#include "core/base/release.h"
#include "core/session/session.h"
#include "parser/wire/encode.h"
#include "parser/wire/fields.h"
#include "parser/wire/frontend.h"

namespace waypost {
namespace {

// Behind the names of a Bind: no parameters, and at most one format for what there is none of.
bool BindsNothing(Bytes rest) {
  Fields fields(rest);
  for (const bool values : {false, true, false}) {
    const auto count = fields.U16();
    if (count > (values ? 0 : 1)) return false;
    if (!values) (void)fields.Take(count * std::size_t{2});
  }
  return fields.ok() && fields.rest().empty();
}

bool NamesModesAlone(const Facts& facts) {
  return facts.kind == StatementKind::kSet && facts.settings.size() == 1 && facts.settings.front().name == "transaction";
}

}  // namespace

Session::Lone Session::LoneStatement() const {
  const auto& b = *batch_;
  if (!b.facts.end_known) return {};
  SqlRef sql;
  std::string_view text;
  for (const auto& message : b.messages) {
    if (message.type != 'Q' && message.type != 'E') continue;
    if (sql || !message.sql || message.sql->facts->size() != 1) return {};
    sql = message.sql;
    text = message.type == 'Q' ? *ReadQuery(b.BodyOf(message)) : std::string_view(sql->text);
  }
  if (!sql) return {};
  bool bound = false;
  for (const auto& message : b.messages) {
    const auto body = b.BodyOf(message);
    const auto same = [&] { return message.statement && message.statement->sql == sql; };
    switch (message.type) {
      case 'P': {
        const auto parse = ReadParse(body);
        if (!parse || !same() || message.existing || bound || parse->types.size() != sizeof(std::uint16_t)) return {};
        break;
      }
      case 'B': {
        const auto bind = ReadBind(body);
        if (!bind || !same() || bound || !bind->portal.empty() || !BindsNothing(bind->rest)) return {};
        if (message.statement->types.size() != sizeof(std::uint16_t)) return {};
        bound = true;
        break;
      }
      case 'D': {
        const auto target = ReadTarget(body);
        if (!target || (target->kind == 'P' ? !bound || !target->name.empty() : !same())) return {};
        break;
      }
      case 'C': {
        const auto target = ReadTarget(body);
        if (!target || bound || target->kind != 'S' || (message.statement && message.statement->by_sql())) return {};
        break;
      }
      case 'E':
        if (!bound || body.size() != 1 + sizeof(std::uint32_t)) return {};  // the portal without a name
        break;
      case 'Q':
      case 'S': break;
      default: return {};
    }
  }
  return {&sql->facts->front(), text};
}

bool Session::KeepBatch() {
  const bool begun = In<Begun>();
  if (!begun && (!In<Idle>() || !batch_->begins || !policy_.routing.lazy_begin || policy_.pool.mode != PoolMode::kTransaction))
    return false;
  const auto lone = LoneStatement();
  if (lone.facts == nullptr) return false;
  const auto& facts = *lone.facts;
  if (begun && NamesModesAlone(facts)) {
    block_.Add(lone.text, facts.modes);
  } else if (begun && (facts.kind == StatementKind::kCommit || facts.kind == StatementKind::kRollback) && !facts.chain) {
    env_.metrics().Count(Counter::kTransactions,
                         block_.IsReadOnly(transaction_defaults_) ? TransactionMode::kReadOnly : TransactionMode::kReadWrite,
                         facts.kind == StatementKind::kCommit ? TransactionOutcome::kCommit : TransactionOutcome::kRollback);
    Take(BlockEnded{});
    return true;
  } else if (!begun && facts.kind == StatementKind::kBegin) {
    block_.Begin(lone.text, facts.modes);
  } else {
    return false;
  }
  Take(Kept{});
  return true;
}

SessionFacts::Opens Session::Opens() const {
  using Opens = SessionFacts::Opens;
  if (!In<Begun>()) return Opens::kNothing;
  // What ties the session belongs on the primary, and so does a block that is not sure to stay as it was begun.
  return block_.SuitsReplica(transaction_defaults_) && policy_.pool.mode == PoolMode::kTransaction &&
                 batch_->pin == PinReason::kNone && !batch_->sets_transaction && !batch_->prepares
             ? Opens::kReadOnly
             : Opens::kReadWrite;
}

// ROLLBACK AND CHAIN of a block that failed on a replica. What it begins has PostgreSQL's own modes, not those of the failed
// one: it may write.
bool Session::ChainsBehindFailure() {
  const auto* block = std::get_if<InBlock>(&state_);
  if (block == nullptr || block->pin != PinReason::kNone || connection_->status() != 'E' || !OnReplica()) return false;
  const auto lone = LoneStatement();
  if (lone.facts == nullptr || !lone.facts->chain) return false;
  block_.Begin("BEGIN", {});
  ForgetTransaction();
  Take(Kept{});
  return true;
}

void Session::AnswerKept() {
  const auto& facts = *LoneStatement().facts;
  const auto kind = facts.kind;
  const std::string_view tag = kind == StatementKind::kBegin                    ? (facts.start ? "START TRANSACTION" : "BEGIN")
                               : kind == StatementKind::kSet                    ? "SET"
                               : kind == StatementKind::kCommit && !facts.chain ? "COMMIT"
                                                                                : "ROLLBACK";
  std::string out;
  AppendOwnAnswers(out, tag);
  if (!batch_->goes_on) AppendReadyForQuery(out, In<Begun>() ? 'T' : 'I');
  if (!In<Begun>()) block_.ForgetBegin();
  WriteClient(AsBytes(out));
  EndBatch();
}

// Ahead of the first batch of the block: what was kept.
void Session::AppendBegin(std::string& out) { batch_->begin_sequence = connection_->AskAside(out, block_.begin()); }

}  // namespace waypost
