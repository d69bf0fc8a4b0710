// A batch on its way to the server: settings ahead in the same write, statement names rewritten, every message noted in
// the ledger.
#include <algorithm>

#include "core/session/session.h"
#include "parser/wire/encode.h"
#include "parser/wire/fields.h"
#include "parser/wire/frontend.h"

namespace waypost {
namespace {

// Prepared statements kept on one server connection, and bytes of texts parsed there; one more, and it is cleaned of them
// ahead of the next batch.
constexpr std::size_t kMaxStatementsPerConnection = 1000;
constexpr std::size_t kMaxStatementBytesPerConnection = 8 << 20;

// What is sent of a batch whose end is not known is kept up to this, for the names in it.
constexpr std::size_t kKeepSentBytes = 64 * 1024;
constexpr std::size_t kKeepSentMessages = 4096;

}  // namespace

void Session::Send() {
  auto& b = *batch_;
  if (b.shape_wait == ShapeWait::kAsked) return;
  auto& out = env_.scratch_in();
  out.clear();
  if (!b.begun) {
    b.begun = true;
    // A batch that was kept waiting is older than its sending.
    b.sent_at = b.waited ? env_.ExactNow() : b.started;
    const bool idle = connection_->ledger().Idle();
    TrimStatements(out);
    if (b.lists_prepared && idle) TakeOwnNames(out);
    ParseAsBefore(out);
    AppendSettings(out);
    AppendSequences(out);
    if (std::get<Relaying>(state_).opens) AppendBegin(out);
    env_.metrics().Count(Counter::kBackendQueries, connection_->id(), b.simple ? QueryKind::kSimple : QueryKind::kExtended);
  }
  ClaimDatabases();
  for (; b.sent < b.messages.size(); ++b.sent) {
    auto& message = b.messages[b.sent];
    const auto fate = FateOf(out, b.sent);
    if (fate == Fate::kWait) return SendToServer(AsBytes(out));
    if (fate == Fate::kRefuse) RefuseReshaped(out);
    else Append(out, message);
    message.sequence = connection_->ledger().NextSequence() - 1;
  }
  if (!out.empty()) SendToServer(AsBytes(out));
  const bool much = b.bytes.size() > kKeepSentBytes || b.messages.size() > kKeepSentMessages;
  if (much && !b.facts.end_known) {  // it will not be sent again
    b.bytes.clear();
    b.messages.clear();
    b.sent = 0;
    names_.ForgetPlaces();
  }
  if (connection_ != nullptr && connection_->ledger().ReadyForQueryDue() == 0) connection_->FlushSynthesised();
}

void Session::SendToServer(Bytes bytes) {
  if (!connection_->Send(bytes)) stream_->Pause(Stream::kPeerSlow);
}

void Session::OnServerDrained() noexcept { stream_->Resume(Stream::kPeerSlow); }

void Session::AddEffect(Effect effect) {
  if (effect.sequence != 0) batch_->effects.push_back(std::move(effect));
}

// A server connection outlives its clients and what they close: it begins anew from time to time. In a failed block nothing
// that is gone could be parsed again. What bears another client's names goes at once.
void Session::TrimStatements(std::string& out) {
  auto& connection = *connection_;
  const bool enough = connection.statements.size() >= kMaxStatementsPerConnection ||
                      connection.statement_bytes >= kMaxStatementBytesPerConnection ||
                      (!lease_.own_names() && !connection.own_names.empty());
  if (enough && connection.ledger().Idle() && connection.status() != 'E') CloseStatements(out);
}

void Session::CloseStatements(std::string& out) {
  auto& connection = *connection_;
  if (connection.own_names.empty() && !lease_.own_names())
    for (const auto& [id, there] : connection.statements) connection.CloseAside(out, there.as->server_name);
  for (const auto& [name, there] : connection.own_names) connection.CloseAside(out, name);
  connection.own_names.clear();
  lease_.UseOwnNames(false);
  connection.statements.clear();
  connection.statement_bytes = 0;
}

void Session::Append(std::string& out, BatchMessage& message) {
  auto& ledger = connection_->ledger();
  if (message.refused) return AppendRefused(out, message.type);
  const auto body = batch_->BodyOf(message);
  switch (message.type) {
    case 'Q': return AppendQueryMessage(out, message);
    case 'P': return AppendParse(out, message, body);
    case 'B': return AppendBind(out, message, body);
    case 'D':
    case 'C': return AppendTarget(out, message, body);
    default: {
      const auto sequence = ledger.Sent(message.type, Reply::kForward);
      out.append(batch_->bytes, message.offset, message.size);
      if (!message.sql) return;
      AddEffect({Effect::Kind::kRan, sequence, 0, message.sql, {}, {}});
      if (message.type == 'E' && sequence != 0) AppendRestores(out, *message.sql);
    }
  }
}

void Session::AppendQueryMessage(std::string& out, BatchMessage& message) {
  auto& ledger = connection_->ledger();
  Effect effect{Effect::Kind::kRan, 0, 0, message.sql, {}, {}};
  std::string changed;
  if (message.sql) {
    const auto text = *ReadQuery(batch_->BodyOf(message));
    auto edits = ServerNamesIn(out, message, *message.sql, text);
    AddRestores(*message.sql, edits, effect.aside);
    changed = Edited(text, std::move(edits));
  }
  const auto sequence = ledger.Sent('Q', Reply::kForward);
  RenamedIn(sequence);
  if (changed.empty()) out.append(batch_->bytes, message.offset, message.size);
  else AppendQuery(out, changed);
  effect.sequence = sequence;
  if (message.sql) AddEffect(std::move(effect));
  if (sequence == 0) return;  // the server skips it
  // A Query destroys the unnamed statement.
  connection_->unnamed.reset();
  names_.SetUnnamed(nullptr);
}

void Session::AppendParse(std::string& out, BatchMessage& message, Bytes body) {
  auto& connection = *connection_;
  ++traffic_->server_parses;
  const auto parse = ReadParse(body);
  if (!parse || !message.statement) {  // malformed: the server says so
    connection.ledger().Sent('P', Reply::kForward);
    out.append(batch_->bytes, message.offset, message.size);
    return;
  }
  const auto& statement = message.statement;
  const std::string name(parse->name);
  if (name.empty()) {
    const auto renamed = Edited(parse->sql, ServerNamesIn(out, message, *statement->sql, parse->sql));
    const auto sequence = connection.ledger().Sent('P', Reply::kForward);
    RenamedIn(sequence);
    Effect effect{Effect::Kind::kParsed, sequence, 0, {}, name, statement, true};
    if (sequence != 0) {  // 0: the server skips it
      effect.server_unnamed_before = std::exchange(connection.unnamed, statement);
      effect.unnamed_before = names_.FindAt({}, message.place);  // of this batch too
      names_.SetUnnamed(nullptr);  // a Parse that fails leaves none
    }
    if (!renamed.empty()) waypost::AppendParse(out, "", renamed, parse->types);
    else out.append(batch_->bytes, message.offset, message.size);
    AddEffect(std::move(effect));
    return;
  }
  if (message.existing) {
    // The server must say so itself: it is given the statement that it has under that name.
    const auto& old = message.existing;
    EnsureStatement(out, old, name);
    connection.ledger().Sent('P', Reply::kForward);
    waypost::AppendParse(out, NameThere(*old, name), parse->sql, parse->types);
    return;
  }
  const auto known = Before(statement->id);
  if (known && !lease_.own_names() &&
      connection.status() == 'E') {  // a failed block refuses it, unless the batch has ended or mended that by then
    const auto sequence = connection.ledger().Sent('P', Reply::kForward);
    connection.unnamed.reset();
    waypost::AppendParse(out, "", parse->sql, parse->types);
    AddEffect({Effect::Kind::kParsed, sequence, 0, {}, name, statement});
    return;
  }
  // What is there may have been parsed before DDL that changed what it returns, or that it can be parsed at all.
  if (lease_.own_names() ? connection.own_names.contains(std::string(KeptName(name))) : known.has_value())
    connection.CloseAside(out, NameThere(*statement, name));
  const auto sequence = connection.ledger().Sent('P', Reply::kForward);
  if (sequence != 0) AddStatement(statement, name, sequence);
  waypost::AppendParse(out, NameThere(*statement, name), parse->sql, parse->types);
  Effect effect{Effect::Kind::kParsed, sequence, 0, {}, name, statement, true};
  effect.before = known;
  AddEffect(std::move(effect));
  const auto* next = &message == &batch_->messages.back() ? nullptr : &message + 1;
  const bool asks = next != nullptr && next->type == 'D' && next->statement == statement && NameIn(*batch_, *next) == name;
  if (sequence != 0 && !asks && WantsShape(*statement)) AskShape(out, statement, name, true);
}

// What the connection has of the statement `id`, should the server keep it.
std::optional<ParsedThere> Session::Before(std::uint64_t id) const {
  const auto found = connection_->statements.find(id);
  if (found == connection_->statements.end()) return std::nullopt;
  return ParsedThere{found->second.as, 0, found->second.stale, found->second.parsed};
}

// `taints`: should it fail, the connection is not what it is taken for.
void Session::EnsureStatement(std::string& out, const StatementRef& statement, std::string_view name, bool taints) {
  auto& connection = *connection_;
  if (HasStatement(statement, name) || connection.ledger().Skipping()) return;
  auto known = Before(statement->id);
  if (known || lease_.own_names()) connection.CloseAside(out, NameThere(*statement, name));
  const auto sequence = connection.ledger().Sent('P', Reply::kSwallow);
  if (sequence == 0) return;  // the server skips what comes
  ++traffic_->server_parses;
  const bool unsure = MayBeReshaped(*statement);
  AddStatement(unsure ? Open(statement) : statement, name, sequence);
  waypost::AppendParse(out, NameThere(*statement, name), statement->sql->text, AsBytes(statement->parse_types()));
  Effect effect{Effect::Kind::kInjected, sequence, 0, {}, std::string(name), statement, true};
  effect.taints = taints;
  effect.before = std::move(known);
  AddEffect(std::move(effect));
  if (unsure) AskShape(out, Open(statement), name, false);
  env_.metrics().Count(Counter::kReprepares);
}

void Session::EnsureUnnamed(std::string& out) {
  auto& connection = *connection_;
  const auto& unnamed = names_.unnamed();
  if (connection.unnamed && Serves(connection.unnamed, unnamed)) return;
  const auto sequence = connection.ledger().Sent(unnamed ? 'P' : 'C', Reply::kSwallow);
  if (sequence == 0) return;  // the server skips what comes
  const bool unsure = unnamed && MayBeReshaped(*unnamed);
  auto before = std::exchange(connection.unnamed, unsure ? Open(unnamed) : unnamed);
  if (unnamed) {
    waypost::AppendParse(out, "", unnamed->sql->text, AsBytes(unnamed->parse_types()));
    Effect effect{Effect::Kind::kInjected, sequence, 0, {}, {}, nullptr, true};
    effect.server_unnamed_before = std::move(before);
    AddEffect(std::move(effect));
    if (unsure) AskShape(out, Open(unnamed), {}, false);
    return;
  }
  // There is none, and what another client left there must not run.
  MessageBuilder(out, 'C').Byte('S').CString("");
}

// True for what takes no parameters and returns no rows, if it would have to be parsed on a server connection whose block
// has failed: that refuses to parse it, but goes on describing it to who has it.
bool Session::DescribedAsRollback(const StatementRef& statement, bool unnamed) const {
  if (connection_->status() != 'E' || !statement || statement->by_sql() ||
      (unnamed ? Serves(connection_->unnamed, statement) : connection_->statements.contains(statement->id)) ||
      statement->sql->facts->size() != 1 || statement->types.size() != sizeof(std::uint16_t))
    return false;
  switch (statement->sql->facts->front().kind) {
    case StatementKind::kBegin:
    case StatementKind::kCommit:
    case StatementKind::kRollback:
    case StatementKind::kSavepoint:
    case StatementKind::kRollbackTo:
    case StatementKind::kRelease:
    case StatementKind::kSet:
    case StatementKind::kReset: return true;
    default: return false;
  }
}

// The unnamed statement is one that a failed block parses too.
void Session::EnsureRollback(std::string& out) {
  if (connection_->ledger().Sent('P', Reply::kSwallow) == 0) return;
  connection_->unnamed.reset();
  waypost::AppendParse(out, "", "ROLLBACK", AsBytes(std::string_view("\0\0", 2)));
}

void Session::AppendBind(std::string& out, BatchMessage& message, Bytes body) {
  auto& ledger = connection_->ledger();
  const auto bind = ReadBind(body);
  const bool unnamed = bind && bind->statement.empty();
  const auto statement = message.statement ? Retold(message.statement) : nullptr;
  const bool parsed_here = unnamed && statement && Serves(connection_->unnamed, statement);
  if (unnamed && !parsed_here) EnsureUnnamed(out);
  if (!bind || unnamed || !message.statement) {
    ledger.Sent('B', Reply::kForward);
    out.append(batch_->bytes, message.offset, message.size);
    return;
  }
  EnsureStatement(out, statement, bind->statement);
  ledger.Sent('B', Reply::kForward);
  MessageBuilder(out, 'B').CString(bind->portal).CString(NameThere(*statement, bind->statement)).Raw(bind->rest);
}

void Session::AppendTarget(std::string& out, BatchMessage& message, Bytes body) {
  auto& ledger = connection_->ledger();
  const auto target = ReadTarget(body);
  const bool statement = target && target->kind == 'S';
  const bool by_own_name = lease_.own_names() || (message.statement && message.statement->by_sql());
  if (statement && !target->name.empty() && message.type == 'C' && by_own_name) {
    const auto sequence = ledger.Sent('C', Reply::kForward);
    out.append(batch_->bytes, message.offset, message.size);
    AddEffect({Effect::Kind::kClosed, sequence, 0, {}, std::string(target->name), nullptr});
    return;
  }
  if (statement && !target->name.empty() && message.type == 'C') {
    // The server keeps it for others; for this client it is gone.
    const auto sequence = ledger.Sent('C', Reply::kSynthesise);
    AddEffect({Effect::Kind::kClosed, sequence, 0, {}, std::string(target->name), nullptr});
    return;
  }
  if (statement && target->name.empty()) {
    if (message.type == 'C') {
      Effect effect{Effect::Kind::kClosed, ledger.Sent('C', Reply::kForward), 0, {}, {}, nullptr, true};
      if (effect.sequence != 0) {
        effect.unnamed_before = message.statement;
        names_.SetUnnamed(nullptr);
        effect.server_unnamed_before = std::exchange(connection_->unnamed, nullptr);
      }
      AddEffect(std::move(effect));
      out.append(batch_->bytes, message.offset, message.size);
      return;
    }
    if (DescribedAsRollback(message.statement, true)) {
      EnsureRollback(out);
    } else if (!message.statement || !Serves(connection_->unnamed, Retold(message.statement))) {
      EnsureUnnamed(out);
    }
    const auto sequence = ledger.Sent('D', Reply::kForward);
    out.append(batch_->bytes, message.offset, message.size);
    if (message.statement && connection_->unnamed == message.statement && WantsShape(*message.statement))
      NoteShape(message.statement, true, target->name, sequence);
    return;
  } else if (statement && DescribedAsRollback(message.statement, false)) {
    EnsureRollback(out);
    ledger.Sent('D', Reply::kForward);
    MessageBuilder(out, 'D').Byte('S').CString("");
    return;
  } else if (statement && message.statement) {
    const auto described = Retold(message.statement);
    EnsureStatement(out, described, target->name);
    const auto sequence = ledger.Sent('D', Reply::kForward);
    MessageBuilder(out, 'D').Byte('S').CString(NameThere(*described, target->name));
    if (!described->by_sql() && WantsShape(*described)) NoteShape(described, false, target->name, sequence);
    return;
  }
  ledger.Sent(message.type, Reply::kForward);
  out.append(batch_->bytes, message.offset, message.size);
}

void Session::StreamLarge(FrameHeader header, Bytes body) {
  auto& out = env_.scratch_in();
  out.clear();
  auto length = header.body_bytes + 4;
  inbox_.Stream(header.body_bytes - static_cast<std::uint32_t>(body.size()));
  std::string names;
  if (header.type == 'P') {
    Fields fields(body);
    const std::string name(fields.CString());
    // Nothing is kept of it but its name, on this very connection, which its session keeps.
    auto statement = std::make_shared<Statement>();
    statement->sql = common_.unread_sql;
    statement->settings = settings_.parsing();
    statement->server_name = name;
    if (connection_->ledger().Skipping()) {
      // The server does not read it.
    } else if (!fields.ok() || name.empty()) {
      connection_->unnamed = statement;
      names_.SetUnnamed(std::move(statement));
    } else if (!names_.Find(name)) {
      names_.Set(name, std::move(statement));
    }
  }
  if (header.type == 'B') {
    Fields fields(body);
    const auto portal = fields.CString();
    const auto statement_name = fields.CString();
    const auto statement = fields.ok() ? names_.Find(statement_name) : nullptr;
    if (fields.ok() && statement_name.empty() && !(statement && Serves(connection_->unnamed, statement))) EnsureUnnamed(out);
    if (statement && !statement_name.empty() && !statement->by_sql()) {
      EnsureStatement(out, statement, statement_name);
      const auto name = NameThere(*statement, statement_name);
      names.append(portal).append(1, '\0').append(name).append(1, '\0');
      length = length + static_cast<std::uint32_t>(name.size() - statement_name.size());
      body = fields.rest();
    }
  }
  if (connection_->ledger().Sent(header.type, Reply::kForward) != 0 && header.type == 'Q') connection_->unnamed.reset();
  out += header.type;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) out += static_cast<char>(length >> shift);
  out += names;
  out += AsText(body);
  SendToServer(AsBytes(out));
}

}  // namespace waypost
