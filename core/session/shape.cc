// What a prepared statement takes and returns is fixed when it is parsed: behind DDL that changed it PostgreSQL answers 0A000
// until the client parses it again, and a driver counts on that: it describes a statement once and reads all later rows by
// that. Here a statement is parsed again on any connection that lacks it. So what the client was told goes with it (Shape):
//   - where the client parses a statement, it is described as well, by the client or behind its back;
//   - a server connection that has it of that very shape says itself when DDL has changed it;
//   - on one that lacks it, or has it of another shape, it is parsed and described first, and what uses it is sent when the
//     answer is there: of the same shape it goes on; of another it goes on if the client asks what comes, and else an error
//     stands in its place, which fails the batch and the block as PostgreSQL's own would.
// What returns no rows by its form needs no such question: its parameters' types are given with the Parse.
#include <optional>

#include "core/session/session.h"
#include "parser/sql/tokens.h"
#include "parser/wire/backend.h"
#include "parser/wire/encode.h"
#include "parser/wire/fields.h"
#include "parser/wire/frontend.h"

namespace waypost {
namespace {

constexpr std::uint32_t kUnknownType = 705;  // UNKNOWNOID, postgres src/include/catalog/pg_type.dat

bool ResultVaries(const Statement& statement) {
  const auto& list = *statement.sql->facts;
  return !list.empty() && (list.size() > 1 || list.front().result_varies);
}

// True if the Parse leaves no type for the server to find out.
bool GivesAllTypes(const Statement& statement, Lexing lexing) {
  Fields types(AsBytes(statement.types));
  const unsigned count = types.U16();
  for (unsigned i = 0; i < count; ++i)
    if (const auto type = types.U32(); type == 0 || type == kUnknownType) return false;
  return count >= HighestParameter(statement.sql->text, lexing);
}

// True if it came whole.
bool IsTypes(std::string_view types) {
  Fields fields(AsBytes(types));
  const std::size_t count = fields.U16();
  return fields.ok() && fields.rest().size() == count * sizeof(std::uint32_t);
}

}  // namespace

// As PostgreSQL says it; drivers know it by code and routine.
void Session::AppendReshaped(std::string& out) {
  MessageBuilder(out, 'E')
      .Byte('S')
      .CString("ERROR")
      .Byte('V')
      .CString("ERROR")
      .Byte('C')
      .CString("0A000")
      .Byte('M')
      .CString("cached plan must not change result type")
      .Byte('F')
      .CString("plancache.c")
      .Byte('R')
      .CString("RevalidateCachedQuery")
      .Byte('\0');
}

bool Session::WantsShape(const Statement& statement) const {
  return !statement.shape && (ResultVaries(statement) || !GivesAllTypes(statement, lexing_));
}

// True if the client was told what it returns, and that may be something else by now.
bool Session::MayBeReshaped(const Statement& statement) { return statement.shape && ResultVaries(statement); }

// What `statement` of a message is by now: the batch may have asked what it returns.
StatementRef Session::Retold(const StatementRef& statement) const {
  if (batch_->retold.empty()) return statement;
  const auto found = batch_->retold.find(statement);
  return found == batch_->retold.end() ? statement : found->second;
}

// True if the connection at hand has it as the client knows it, or it will turn out whether it does. A failed block parses
// nothing.
bool Session::HasStatement(const StatementRef& statement, std::string_view name) const {
  if (statement->by_sql()) return true;  // on the connection that the session is tied to
  if (lease_.own_names()) {
    const auto own = connection_->own_names.find(std::string(KeptName(name)));
    if (own == connection_->own_names.end() || own->second == 0) return false;
  }
  const auto found = connection_->statements.find(statement->id);
  if (found == connection_->statements.end()) return false;
  const auto& there = found->second;
  return there.asked != 0 || connection_->status() == 'E' || (!there.stale && Serves(there.as, statement));
}

// The Describe `sequence` says what `statement`, of no shape, takes and returns. `told`: the client has parsed it by this name,
// and so has it from then on.
void Session::NoteShape(const StatementRef& statement, bool unnamed, std::optional<std::string_view> told,
                        std::uint64_t sequence) {
  Effect effect{Effect::Kind::kDescribed, sequence, 0, {}, std::string(told.value_or("")), statement};
  effect.unnamed = unnamed;
  effect.tells = told.has_value();
  AddEffect(std::move(effect));
}

// The same, asked behind the client's back, which calls it `name`.
void Session::AskShape(std::string& out, const StatementRef& statement, std::string_view name, bool tells) {
  auto& connection = *connection_;
  const auto sequence = connection.ledger().Sent('D', Reply::kSwallow);
  if (sequence == 0) return;  // the server skips it
  const bool unnamed = name.empty();
  MessageBuilder(out, 'D').Byte('S').CString(unnamed ? std::string_view() : NameThere(*statement, name));
  (unnamed ? connection.unnamed_asked : connection.statements[statement->id].asked) = sequence;
  NoteShape(statement, unnamed, tells ? std::optional(name) : std::nullopt, sequence);
}

// The answer to a Describe has come.
void Session::Described(const Effect& effect, char type, Bytes body) {
  auto& connection = *connection_;
  Shape shape{effect.types, std::nullopt};
  bool whole = IsTypes(shape.types);
  if (type == 'T') {
    shape.columns = ReadColumns(body);
    whole = whole && shape.columns;
  }
  const auto told = whole ? env_.statements().Told(effect.statement, std::move(shape)) : effect.statement;
  if (effect.unnamed) {
    if (connection.unnamed == effect.statement) connection.unnamed = told;
  } else if (const auto there = connection.statements.find(effect.statement->id);
             there != connection.statements.end() && there->second.as == effect.statement) {
    there->second.as = told;
  }
  if (effect.tells) names_.Tell(effect.name, effect.statement, told);
  EndAsking(effect);
}

// The Describe was answered, or never will be.
void Session::EndAsking(const Effect& effect) {
  const auto end = [&](std::uint64_t& asked) {
    if (asked == effect.sequence) asked = 0;
  };
  if (effect.unnamed) end(connection_->unnamed_asked);
  else if (const auto there = connection_->statements.find(effect.statement->id); there != connection_->statements.end())
    end(there->second.asked);
  if (batch_->shape_wait == ShapeWait::kAsked && batch_->shape_asked == effect.sequence)
    batch_->shape_wait = ShapeWait::kAnswered;
}

// True if the client asks what the Bind at `index` of the batch returns, before it gets it, and the Bind fits whatever that is:
// one that gives a format for each column that it was told of does not.
bool Session::AsksShape(std::size_t index) const {
  const auto& messages = batch_->messages;
  if (messages[index].type == 'D') return true;
  if (index + 1 >= messages.size() || messages[index + 1].type != 'D') return false;
  const auto bind = ReadBind(batch_->BodyOf(messages[index]));
  const auto target = ReadTarget(batch_->BodyOf(messages[index + 1]));
  return bind && target && target->kind == 'P' && target->name == bind->portal && CountResultFormats(bind->rest).value_or(0) <= 1;
}

// What becomes of a message of the batch, now that it is its turn.
Session::Fate Session::FateOf(std::string& out, std::size_t index) {
  const auto& message = batch_->messages[index];
  if ((message.type != 'B' && message.type != 'D') || message.refused || !message.statement) return Fate::kSend;
  return FateOf(out, Retold(message.statement), NameIn(*batch_, message), AsksShape(index));
}

// Of one that uses `wanted`, which the client calls `name`.
Session::Fate Session::FateOf(std::string& out, const StatementRef& wanted, std::string_view name, bool asks) {
  auto& b = *batch_;
  auto& connection = *connection_;
  const bool answered = b.shape_wait == ShapeWait::kAnswered;
  b.shape_wait = ShapeWait::kNone;
  if (!wanted->shape) return Fate::kSend;
  const bool unnamed = name.empty();
  if (!answered) {
    if (unnamed ? Serves(connection.unnamed, wanted) : !IsAsked(wanted) && HasStatement(wanted, name)) return Fate::kSend;
    if (!MayBeReshaped(*wanted) || connection.status() == 'E' || connection.ledger().Skipping()) return Fate::kSend;
    if (unnamed) EnsureUnnamed(out);
    else EnsureStatement(out, wanted, name);
    b.shape_asked = unnamed ? connection.unnamed_asked : connection.statements[wanted->id].asked;
    if (b.shape_asked == 0) return Fate::kSend;
    AppendEmpty(out, 'H');
    (void)connection.ledger().Sent('H', Reply::kSwallow);
    b.shape_wait = ShapeWait::kAsked;
    return Fate::kWait;
  }
  const auto found = connection.statements.find(wanted->id);
  const auto there = unnamed ? connection.unnamed : found == connection.statements.end() ? nullptr : found->second.as;
  if (!there || !there->shape || Serves(there, wanted)) return Fate::kSend;
  if (!asks) return Fate::kRefuse;
  b.retold[wanted] = there;
  names_.Tell(name, wanted, there);
  return Fate::kSend;
}

// Of a Bind too large to gather, of which `names` is the beginning: nobody knows yet whether a Describe follows it.
Session::Fate Session::FateOfLarge(Bytes names) {
  Fields fields(names);
  (void)fields.CString();  // the portal
  const auto name = fields.CString();
  const auto statement = fields.ok() ? names_.Find(name) : nullptr;
  if (!statement) return Fate::kSend;
  auto& out = env_.scratch_in();
  out.clear();
  const auto fate = FateOf(out, Retold(statement), name, false);
  if (fate == Fate::kRefuse) RefuseReshaped(out);
  if (!out.empty()) SendToServer(AsBytes(out));
  return fate;
}

bool Session::IsAsked(const StatementRef& statement) const {
  const auto found = connection_->statements.find(statement->id);
  return found != connection_->statements.end() && found->second.asked != 0;
}

// The server has said that DDL changed what the statement of `message` returns: it is to be parsed again.
void Session::MarkStale(const BatchMessage& message) {
  if (NameIn(*batch_, message).empty()) return connection_->unnamed.reset();
  if (const auto there = connection_->statements.find(message.statement->id); there != connection_->statements.end())
    there->second.stale = true;
}

}  // namespace waypost
