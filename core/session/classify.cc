// What a batch says: each message adds what it reads, writes, names and changes to the facts of its batch.
#include <algorithm>

#include "core/session/session.h"
#include "parser/sql/explain_text.h"
#include "parser/sql/server_local.h"
#include "parser/wire/frontend.h"

namespace waypost {
namespace {

bool ChangesSession(const std::vector<Facts>& list) {
  for (const auto& facts : list) {
    if (!facts.settings.empty() || facts.catalog != CatalogChange::kNone) return true;
    if (facts.kind == StatementKind::kExplain && !facts.object.empty()) return true;  // it names a prepared statement
    switch (facts.kind) {
      case StatementKind::kBegin:
      case StatementKind::kCommit:
      case StatementKind::kRollback:
      case StatementKind::kSavepoint:
      case StatementKind::kRollbackTo:
      case StatementKind::kRelease:
      case StatementKind::kTwoPhase:
      case StatementKind::kSet:
      case StatementKind::kReset:
      case StatementKind::kDiscard:
      case StatementKind::kDeallocate:
      case StatementKind::kDdl:
      case StatementKind::kExecute:
      case StatementKind::kPrepare: return true;
      default: break;
    }
  }
  return false;
}

// SELECT nextval(...) and the like.
bool LooksAtNothing(const Facts& facts) {
  return facts.kind == StatementKind::kSelect && std::all_of(facts.names.begin(), facts.names.end(), [](const NameRef& ref) {
           const bool built_in = ref.schema.empty() || ref.schema == "pg_catalog";
           if (ref.kind == NameRef::Kind::kType) return built_in;  // regclass
           return ref.kind == NameRef::Kind::kFunction && built_in && LooksAtNoRows(ref.name);
         });
}

// What a statement has left in its block that the next ones may need. What it asks of its server (pg_is_in_recovery()) is
// nothing, unless it is a lock.
bool LeavesSomething(const CachedStatement& found) {
  if (found.verdict.cls == Class::kRead) return false;
  if (!found.facts().empty() && found.facts().back().prepares) return false;  // its block ends, whatever becomes of it
  if (found.verdict.why != Reason::kServerLocal)
    return found.facts().size() != 1 || found.facts().front().kind != StatementKind::kBegin;
  return std::any_of(found.facts().begin(), found.facts().end(), [](const Facts& facts) {
    return facts.writes_by_form || std::any_of(facts.names.begin(), facts.names.end(),
                                               [](const NameRef& ref) { return ref.name.find("advisory") != std::string::npos; });
  });
}

// Source: PlannedStmtRequiresSnapshot() in src/backend/tcop/pquery.c of PostgreSQL 18. FETCH goes on with one that was taken before.
bool TakesSnapshot(StatementKind kind) {
  switch (kind) {
    case StatementKind::kBegin:
    case StatementKind::kCommit:
    case StatementKind::kRollback:
    case StatementKind::kSavepoint:
    case StatementKind::kRollbackTo:
    case StatementKind::kRelease:
    case StatementKind::kSet:
    case StatementKind::kReset:
    case StatementKind::kShow:
    case StatementKind::kDeallocate:
    case StatementKind::kFetch:
    case StatementKind::kClose:
    case StatementKind::kListen:
    case StatementKind::kUnlisten: return false;
    default: return true;
  }
}

bool TakesSnapshot(const CachedStatement& found) {
  return std::any_of(found.facts().begin(), found.facts().end(), [](const Facts& facts) { return TakesSnapshot(facts.kind); });
}

bool SameLevel(const TransactionModes& one, const TransactionModes& other) {
  return one.repeatable_read == other.repeatable_read && one.serializable == other.serializable;
}

// False for what sees nothing that changes.
bool LooksAtData(const CachedStatement& found) {
  return found.verdict.needs_fence && std::any_of(found.facts().begin(), found.facts().end(), [&](const Facts& facts) {
           return TakesSnapshot(facts.kind) && (found.verdict.cls == Class::kRead || !LooksAtNothing(facts));
         });
}

}  // namespace

void Session::FindContext() {
  const NameContext::Moment now{env_.catalogs().generation(), env_.shared().catalog_clock.now()};
  if (name_context_.HoldsAt(now)) return;
  const auto* known = env_.catalogs().Find(database_);
  NameContext::Found found;
  // The bodies of functions were read as they are under standard_conforming_strings = on.
  if (known != nullptr && lexing_.standard_strings)
    found = {known->catalog.get(), known->version, known->as_of < env_.shared().catalog_clock.ChangedAt(database_)};
  name_context_.Renew(now, found, {user_, database_}, common_.contexts);
}

// Behind a SET of the same batch names may mean something else.
NamePlace Session::FindPlace() {
  FindContext();
  if (!batch_ || !batch_->changes_settings) return name_context_.Here();
  return name_context_.BehindSet(database_, common_.contexts);
}

const CachedStatement& Session::Look(std::string_view sql) {
  const auto place = FindPlace();
  if (Reads({sql, nullptr})) return *common_.cache.FindRead(read_, place.context, name_context_.catalog(), place.outlook);
  return *common_.cache.Find(sql, lexing_, place.context, name_context_.catalog(), place.outlook);
}

const CachedStatement& Session::Look(const SqlRef& sql) {
  looked_into_ += sql->text.size();
  const auto place = FindPlace();
  if (Reads({sql->text, sql})) return *common_.cache.FindRead(read_, place.context, name_context_.catalog(), place.outlook);
  return *common_.cache.FindKept(sql, lexing_, place.context, name_context_.catalog(), place.outlook);
}

void Session::CombineClass(Class cls, Reason why) {
  auto& b = *batch_;
  b.stays = b.stays || why == Reason::kProtocol;
  const bool first = !b.any_statement;
  b.any_statement = true;
  if (first) {
    b.facts.cls = cls;
    b.facts.why = why;
    return;
  }
  const bool so_far_read = b.facts.cls == Class::kRead || b.facts.begins_read_only;
  if (!so_far_read || cls == Class::kRead) return;
  b.facts.cls = cls;
  b.facts.why = why;
  b.facts.begins_read_only = false;
}

void Session::ClassifyStatement(const CachedStatement& found, bool runs) {
  auto& b = *batch_;
  const bool first = !b.any_statement;
  // The Bind of the BEGIN that was parsed in front says nothing new.
  const bool again = b.facts.begins_read_only && b.opening == found.sql.get();
  if (!found.facts().empty() && !again) CombineClass(found.verdict.cls, found.verdict.why);
  b.stays = b.stays || LeavesSomething(found);
  if (!found.verdict.repeatable && !again) b.facts.repeatable = false;
  if (LooksAtData(found)) b.facts.needs_fence = true;
  b.lists_prepared = b.lists_prepared || found.verdict.lists_prepared;
  // What EXECUTE runs may be a read.
  for (const auto& facts : found.facts()) b.facts.reads_by_form &= !facts.writes_by_form || facts.kind == StatementKind::kExecute;
  if (found.facts().empty()) return;
  const auto& opening = found.facts().front();
  if (first && opening.kind == StatementKind::kBegin && found.facts().size() == 1 &&
      Block::SuitsReplica(opening.modes, transaction_defaults_)) {
    b.facts.begins_read_only = true;
    b.opening = found.sql.get();
    b.facts.repeatable = true;
  }
  if (runs) {
    NoteSequences(found);
    for (const auto& facts : found.facts()) ClassifyEffect(facts);
  }
  // What it fixes is what the block reads from then on.
  if (b.keeps_snapshot && TakesSnapshot(found)) b.facts.needs_fence = true;
}

void Session::ClassifyEffect(const Facts& facts) {
  auto& b = *batch_;
  if (facts.kind == StatementKind::kBegin) {
    if (!b.begins) b.begin_modes = facts.modes;
    else if (!SameLevel(b.begin_modes, facts.modes)) b.begins_otherwise = true;
    b.begins = true;
    if (!Block::IsReadCommitted(facts.modes, transaction_defaults_)) b.keeps_snapshot = true;
  }
  if (facts.kind == StatementKind::kCommit) b.commits = true;
  if (facts.kind == StatementKind::kCommit || facts.kind == StatementKind::kRollback || facts.prepares) b.ends_block = true;
  if (facts.kind == StatementKind::kTwoPhase) b.prepares = true;
  if (!facts.settings.empty()) b.changes_settings = true;
  b.catalog = std::max(b.catalog, facts.catalog);
  for (const auto& setting : facts.settings) {
    if (setting.kind == SettingEffect::Kind::kTransaction) b.sets_transaction = b.keeps_snapshot = true;
    if (setting.kind == SettingEffect::Kind::kDiscardAll) b.discards = true;
    if (!b.resets && settings_.RestoringBytes(setting) > 0) b.resets = true;
  }
  if (facts.kind != StatementKind::kDeallocate || b.simple) return;
  if (facts.object.empty()) names_.PlanNone();
  else names_.Plan(facts.object, nullptr);
}

void Session::Classify(BatchMessage& message, Bytes body) {
  auto& b = *batch_;
  switch (message.type) {
    case 'Q': {
      b.simple = true;
      const auto sql = ReadQuery(body);
      if (!sql) return CombineClass(Class::kWrite, Reason::kProtocol);
      if (MayAskForRoute(*sql) && AnswerRouteQuestion(message, body)) return;
      const auto& found = Look(*sql);
      if (!Treat(message, found, true) || RefusesTooMuch(message, found.sql)) return;
      ClassifyStatement(found, true);
      NotePin(message, found.verdict.pin, Unlisted(found, *sql));
      if (MayEndPin(found.facts())) b.audit = true;
      if (!found.facts().empty()) NoteRun(NoteOf(found));
      if (ChangesSession(found.facts())) message.sql = found.sql;
      if (message.sql) b.lists_prepared = b.lists_prepared || ExecutesListing(*message.sql->facts);
      return;
    }
    case 'P': return ClassifyParse(message, body);
    case 'B': return ClassifyBind(message, body);
    case 'C': {
      const auto target = ReadTarget(body);
      if (!target) return;
      if (target->kind == 'P') return ClassifyClosePortal(target->name);
      message.statement = names_.Find(target->name);
      names_.Plan(target->name, nullptr);
      return;
    }
    case 'D': {
      const auto target = ReadTarget(body);
      if (!target || target->kind == 'P') return;  // the portal was bound from a statement seen before
      message.statement = names_.Find(target->name);
      if (!message.statement) return CombineClass(Class::kWrite, Reason::kProtocol);
      ClassifyStatement(Look(message.statement->sql), false);
      return;
    }
    case 'E': {
      b.executes = true;
      const auto portal = ReadExecutePortal(body);
      const auto* bound = portal ? b.portals.Find(*portal) : nullptr;
      if (portal && bound == nullptr) bound = portals_.Find(*portal);
      if (bound == nullptr) return CombineClass(Class::kWrite, Reason::kProtocol);
      if (bound->sql && RefusesTooMuch(message, bound->sql)) return;
      NotePin(message, bound->pin, bound->unlisted);
      if (bound->audit) b.audit = true;
      NoteRun(bound->note);
      message.sql = bound->sql;
      if (message.sql)
        for (const auto& facts : *message.sql->facts) {
          ClassifyEffect(facts);
          b.ran_end = b.ran_end || EndsBlock(facts);
          if (facts.kind == StatementKind::kPrepare)
            names_.Plan(facts.object, PreparedBySql(message.sql, facts.object, settings_.parsing()));
        }
      return;
    }
    case 'F': b.facts.needs_fence = true; return CombineClass(Class::kWrite, Reason::kProtocol);
    default: return;
  }
}

void Session::ClassifyParse(BatchMessage& message, Bytes body) {
  auto& b = *batch_;
  const auto parse = ReadParse(body);
  if (!parse) return CombineClass(Class::kWrite, Reason::kProtocol);
  ++traffic_->parses;
  if (MayAskForRoute(parse->sql) && AnswerRouteQuestion(message, body)) return;
  const auto& found = Look(parse->sql);
  if (!Treat(message, found, false)) return;
  ClassifyStatement(found, false);
  const auto sql = SqlCache::Keep(found, parse->sql);
  b.lists_prepared = b.lists_prepared || ExecutesListing(*sql->facts);
  // Parsed behind a SET of the same batch, it means what those settings make of it: nobody else may share it.
  const auto& parsing = settings_.parsing();
  const auto settings = b.changes_settings ? std::make_shared<const SettingSet>(*parsing) : parsing;
  message.statement = env_.statements().Intern(sql, AsText(parse->types), settings);
  if (!parse->name.empty()) message.existing = names_.Find(parse->name);
  if (message.existing) return;
  if (!parse->name.empty())
    if (auto error = WhyNoStatement(parse->sql.size()); !error.empty()) return RefuseTooMuch(message, std::move(error));
  names_.Plan(parse->name, message.statement);
}

void Session::ClassifyBind(BatchMessage& message, Bytes body) {
  auto& b = *batch_;
  const auto bind = ReadBind(body);
  if (!bind) return CombineClass(Class::kWrite, Reason::kProtocol);
  ++traffic_->binds;
  message.statement = names_.Find(bind->statement);
  if (!message.statement) return CombineClass(Class::kWrite, Reason::kProtocol);
  const auto& found = Look(message.statement->sql);
  if (!Treat(message, found, true)) return;
  ClassifyStatement(found, true);
  if (auto error = WhyNoPortal(bind->portal); !error.empty()) return RefuseTooMuch(message, std::move(error));
  b.portals.Bind(bind->portal, {ChangesSession(found.facts()) ? message.statement->sql : SqlRef(), found.verdict.pin,
                                Unlisted(found, message.statement->sql->text), MayEndPin(found.facts()), NoteOf(found)});
  b.lists_prepared = b.lists_prepared || ExecutesListing(*message.statement->sql->facts);
}

void Session::ClassifyClosePortal(std::string_view name) {
  auto& b = *batch_;
  b.portals.Close(name);
  if (portals_.Find(name) != nullptr) b.closed_portals.emplace(name);
}

}  // namespace waypost
