#include <algorithm>
#include <string>

#include "core/base/ascii.h"
#include "parser/sql/analyse_walk.h"
#include "parser/sql/facts.h"
#include "parser/sql/scan_cost.h"
#include "parser/sql/tree.h"

namespace waypost {
namespace {

Facts Unreadable(Reason why) {
  Facts facts;
  facts.form_reason = why;
  facts.catalog = CatalogChange::kNow;
  facts.state_unknown = true;
  facts.pin = PinReason::kUnknownState;
  return facts;
}

// The server may cut this text into other tokens than the grammar here does.
bool LexedOtherwise(std::string_view sql, Lexing lexing) {
  if (!lexing.standard_strings && sql.find('\\') != std::string_view::npos) return true;
  const auto high = [](char c) { return static_cast<unsigned char>(c) >= 0x80; };
  return !lexing.ascii_safe_encoding && std::any_of(sql.begin(), sql.end(), high);
}

// Whatever is made in pg_temp, by name or by search_path, belongs to one server connection.
bool SpeaksOfTemporarySchema(std::string_view sql) {
  constexpr std::string_view kName = "pg_temp";
  const auto same = [](char a, char b) { return (a | 0x20) == b || a == b; };
  return std::search(sql.begin(), sql.end(), kName.begin(), kName.end(), same) != sql.end();
}

// A temporary object is its own session's, which is pinned. A plain table is as good to read as one
// of the same name that it may stand before in somebody's search_path.
CatalogChange ChangeBy(const RangeVar* relation, bool is_table) {
  constexpr char kTemporary = 't', kPermanent = 'p';  // RELPERSISTENCE_*, catalog/pg_class.h
  if (relation == nullptr) return CatalogChange::kNow;
  if (relation->relpersistence == kTemporary) return CatalogChange::kNone;
  return is_table && relation->relpersistence == kPermanent ? CatalogChange::kLater : CatalogChange::kNow;
}

// Of what is not a query. What is not named here may change anything.
CatalogChange ChangeOf(const Node* stmt) {
  switch (stmt->type) {
    case T_CreateStmt: return ChangeBy(As<CreateStmt>(stmt)->relation, true);
    case T_CreateSeqStmt: return ChangeBy(As<CreateSeqStmt>(stmt)->sequence, false);
    case T_ViewStmt: return ChangeBy(As<ViewStmt>(stmt)->view, false);
    case T_CreateTableAsStmt: {
      const IntoClause* into = As<CreateTableAsStmt>(stmt)->into;
      return ChangeBy(into == nullptr ? nullptr : into->rel, true);
    }
    case T_DropStmt:  // of two objects of one name both were looked at before
    case T_DropRoleStmt:
    case T_DropdbStmt: return CatalogChange::kLater;
    case T_TruncateStmt:
    case T_VacuumStmt:
    case T_CheckPointStmt:
    case T_ClusterStmt:
    case T_ReindexStmt:
    case T_RefreshMatViewStmt:
    case T_CommentStmt:
    case T_SecLabelStmt:
    case T_GrantStmt:
    case T_GrantRoleStmt:
    case T_AlterDefaultPrivilegesStmt:
    case T_IndexStmt:
    case T_CreateStatsStmt:
    case T_AlterStatsStmt: return CatalogChange::kNone;
    case T_AlterRoleSetStmt:
    case T_AlterDatabaseSetStmt: return CatalogChange::kDefaults;
    default: return CatalogChange::kNow;
  }
}

// What a utility returns, if anything, DDL does not change.
bool ResultVaries(const Node* stmt) {
  switch (stmt->type) {
    case T_SelectStmt:
    case T_MergeStmt:  // with RETURNING in some grammars
      return true;
    case T_InsertStmt: return As<InsertStmt>(stmt)->returningList != nullptr;
    case T_UpdateStmt: return As<UpdateStmt>(stmt)->returningList != nullptr;
    case T_DeleteStmt: return As<DeleteStmt>(stmt)->returningList != nullptr;
    default: return false;
  }
}

// One statement of a text. Statements nest at most three deep: EXPLAIN, CREATE TABLE AS or DECLARE,
// a query.
class Statement {
 public:
  Facts Analyse(const Node* stmt);

 private:
  void Top(const Node* stmt, bool runs);
  void Select(const Node* stmt, bool runs);
  void Modify(const Node* stmt, StatementKind kind, bool runs);
  void Explain(const ExplainStmt* stmt);
  void Copy(const CopyStmt* stmt);
  void CreateTable(const RangeVar* relation);
  void CreateTableAs(const CreateTableAsStmt* stmt, bool runs);
  void Declare(const DeclareCursorStmt* stmt);
  void Discard(const DiscardStmt* stmt);
  void Session(StatementKind kind, const char* object);
  void Opaque(StatementKind kind, Reason why);
  void Utility(const Node* stmt);

  Facts facts_;
  QueryWalk walk_{facts_};
};

Facts Statement::Analyse(const Node* stmt) {
  facts_.kind = StatementKind::kDdl;
  facts_.form_reason = Reason::kDdl;
  facts_.result_varies = ResultVaries(stmt);
  Top(stmt, true);
  walk_.Finish();
  facts_.touched = NamesTouchedBy(stmt);
  if (facts_.kind == StatementKind::kDdl) {
    facts_.catalog = ChangeOf(stmt);
    facts_.databases = DatabasesUsedBy(stmt);
  }
  // What stands in a DO nobody sees.
  if (facts_.kind == StatementKind::kDo) facts_.catalog = CatalogChange::kNow;
  if (stmt->type == T_SelectStmt && facts_.form_reason == Reason::kSelectInto) {
    const IntoClause* into = As<SelectStmt>(stmt)->intoClause;
    facts_.catalog = ChangeBy(into == nullptr ? nullptr : into->rel, true);
  }
  return std::move(facts_);
}

void Statement::Top(const Node* stmt, bool runs) {
  switch (stmt->type) {
    case T_SelectStmt: return Select(stmt, runs);
    case T_InsertStmt: return Modify(stmt, StatementKind::kInsert, runs);
    case T_UpdateStmt: return Modify(stmt, StatementKind::kUpdate, runs);
    case T_DeleteStmt: return Modify(stmt, StatementKind::kDelete, runs);
    case T_MergeStmt: return Modify(stmt, StatementKind::kMerge, runs);
    case T_CreateTableAsStmt: return CreateTableAs(As<CreateTableAsStmt>(stmt), runs);
    case T_DeclareCursorStmt: return Declare(As<DeclareCursorStmt>(stmt));
    case T_ExplainStmt: return Explain(As<ExplainStmt>(stmt));
    case T_CopyStmt: return Copy(As<CopyStmt>(stmt));
    default: return Utility(stmt);
  }
}

void Statement::Select(const Node* stmt, bool runs) {
  facts_.kind = StatementKind::kSelect;
  facts_.writes_by_form = false;
  facts_.repeatable = true;
  facts_.literals_matter = false;
  walk_.Query(stmt, runs);
}

void Statement::Modify(const Node* stmt, StatementKind kind, bool runs) {
  facts_.kind = kind;
  facts_.form_reason = Reason::kWrite;
  facts_.literals_matter = false;
  walk_.Query(stmt, runs);
}

// True or absent argument: on. The last option of a name counts.
bool OptionIsOn(const DefElem* option) {
  if (option->arg == nullptr) return true;
  if (option->arg->type == T_Integer) return As<Integer>(option->arg)->ival != 0;
  if (option->arg->type == T_Boolean) return As<Boolean>(option->arg)->boolval;
  if (option->arg->type != T_String) return true;
  const std::string word = AsciiLower(As<String>(option->arg)->sval);
  return word != "false" && word != "off";
}

// Only EXPLAIN ANALYZE runs what it explains.
void Statement::Explain(const ExplainStmt* stmt) {
  bool analyze = false;
  for (int i = 0; i < ListSize(stmt->options); ++i) {
    const auto* option = As<DefElem>(ListAt(stmt->options, i));
    if (std::string_view(option->defname) == "analyze") analyze = OptionIsOn(option);
  }
  Top(stmt->query, analyze);
  // EXPLAIN EXECUTE speaks of a statement that only the session's server connection knows; EXPLAIN
  // DECLARE is rare.
  const bool planned = facts_.kind == StatementKind::kSelect || facts_.kind == StatementKind::kInsert ||
                       facts_.kind == StatementKind::kUpdate || facts_.kind == StatementKind::kDelete ||
                       facts_.kind == StatementKind::kMerge || stmt->query->type == T_CreateTableAsStmt;
  facts_.kind = StatementKind::kExplain;
  facts_.literals_matter = true;
  if (!planned || analyze) return;
  facts_.writes_by_form = false;
  facts_.repeatable = true;
}

void Statement::Copy(const CopyStmt* stmt) {
  facts_.kind = stmt->is_from ? StatementKind::kCopyFrom : StatementKind::kCopyTo;
  facts_.form_reason = Reason::kWrite;
  if (stmt->query != nullptr) {
    const StatementKind kind = facts_.kind;
    Top(stmt->query, true);
    facts_.kind = kind;
  } else {
    facts_.writes_by_form = stmt->is_from;
    facts_.repeatable = !stmt->is_from;
    walk_.Relation(stmt->relation);
  }
  facts_.literals_matter = true;
  if (stmt->is_program || stmt->filename != nullptr) {  // to or from the server's own machine
    facts_.writes_by_form = true;
    facts_.form_reason = Reason::kWrite;
    facts_.repeatable = false;
  }
}

void Statement::CreateTable(const RangeVar* relation) {
  if (relation != nullptr) walk_.Relation(relation);
}

void Statement::CreateTableAs(const CreateTableAsStmt* stmt, bool runs) {
  if (stmt->query != nullptr) Top(stmt->query, runs);
  if (stmt->into != nullptr && runs) CreateTable(stmt->into->rel);
  facts_.kind = StatementKind::kDdl;
  facts_.writes_by_form = true;
  facts_.form_reason = Reason::kDdl;
  facts_.repeatable = false;
  facts_.literals_matter = true;
}

void Statement::Declare(const DeclareCursorStmt* stmt) {
  Top(stmt->query, true);
  // set_config in a cursor's query runs when it is fetched from, or never.
  if (!facts_.settings.empty()) {
    facts_.settings.clear();
    facts_.state_unknown = true;
    facts_.pin = PinReason::kUnknownState;
  }
  Session(StatementKind::kDeclare, stmt->portalname);
  if ((stmt->options & CURSOR_OPT_HOLD) != 0) facts_.pin = PinReason::kHoldCursor;
}

void Statement::Discard(const DiscardStmt* stmt) {
  Session(StatementKind::kDiscard, nullptr);
  switch (stmt->target) {
    case DISCARD_ALL:
      facts_.settings.push_back({.kind = SettingEffect::Kind::kDiscardAll, .name = {}, .sql = {}, .value = {}});
      return;
    case DISCARD_PLANS: facts_.object = "plans"; return;
    case DISCARD_SEQUENCES: facts_.object = "sequences"; return;
    case DISCARD_TEMP: facts_.object = "temp"; return;
  }
}

void Statement::Session(StatementKind kind, const char* object) {
  facts_.kind = kind;
  facts_.writes_by_form = true;
  facts_.form_reason = Reason::kSession;
  facts_.repeatable = false;
  facts_.literals_matter = true;
  if (object != nullptr) facts_.object = object;
}

// Runs code that the tree does not show.
void Statement::Opaque(StatementKind kind, Reason why) {
  facts_.kind = kind;
  facts_.form_reason = why;
  facts_.state_unknown = true;
  facts_.pin = PinReason::kUnknownState;
}

// Everything that is not a query. What is not named here is DDL: the primary.
void Statement::Utility(const Node* stmt) {
  switch (stmt->type) {
    case T_TransactionStmt: return AnalyseTransaction(As<TransactionStmt>(stmt), facts_);
    case T_VariableSetStmt: return AnalyseSet(As<VariableSetStmt>(stmt), facts_);
    case T_VariableShowStmt:
      facts_.kind = StatementKind::kShow;
      facts_.form_reason = Reason::kServerLocal;
      facts_.repeatable = true;
      facts_.object = AsciiLower(As<VariableShowStmt>(stmt)->name);
      return;
    case T_DiscardStmt: return Discard(As<DiscardStmt>(stmt));
    case T_PrepareStmt:
      walk_.Query(As<PrepareStmt>(stmt)->query, false);
      Session(StatementKind::kPrepare, As<PrepareStmt>(stmt)->name);
      facts_.pin = PinReason::kSqlPrepare;
      return;
    case T_ExecuteStmt:
      Opaque(StatementKind::kExecute, Reason::kSession);
      facts_.object = As<ExecuteStmt>(stmt)->name;
      return;
    case T_DeallocateStmt: return Session(StatementKind::kDeallocate, As<DeallocateStmt>(stmt)->name);
    case T_FetchStmt: return Session(StatementKind::kFetch, As<FetchStmt>(stmt)->portalname);
    case T_ClosePortalStmt: return Session(StatementKind::kClose, As<ClosePortalStmt>(stmt)->portalname);
    case T_ListenStmt:
      Session(StatementKind::kListen, As<ListenStmt>(stmt)->conditionname);
      facts_.pin = PinReason::kListen;
      return;
    case T_UnlistenStmt: return Session(StatementKind::kUnlisten, As<UnlistenStmt>(stmt)->conditionname);
    case T_NotifyStmt:
      facts_.kind = StatementKind::kNotify;
      facts_.form_reason = Reason::kWrite;
      return;
    case T_LockStmt:
      facts_.kind = StatementKind::kLock;
      facts_.form_reason = Reason::kLockClause;
      return;
    case T_DoStmt: return Opaque(StatementKind::kDo, Reason::kWrite);
    case T_CallStmt: return Opaque(StatementKind::kCall, Reason::kWrite);
    case T_LoadStmt:
      Opaque(StatementKind::kLoad, Reason::kSession);
      facts_.pin = PinReason::kLoad;
      return;
    case T_CreateStmt: return CreateTable(As<CreateStmt>(stmt)->relation);
    case T_CreateSeqStmt: return CreateTable(As<CreateSeqStmt>(stmt)->sequence);
    case T_ViewStmt: return CreateTable(As<ViewStmt>(stmt)->view);
    default: return;
  }
}

}  // namespace

std::string_view GrammarMajor() { return PG_MAJORVERSION; }

FactsList Analyse(std::string_view sql, Lexing lexing) {
  auto list = std::make_shared<std::vector<Facts>>();
  if (sql.size() > kMaxAnalysedBytes || !ScansInTime(sql)) {
    list->push_back(Unreadable(Reason::kTooLarge));
    return list;
  }
  if (LexedOtherwise(sql, lexing) || sql.find('\0') != std::string_view::npos) {
    list->push_back(Unreadable(Reason::kParseError));
    return list;
  }
  const std::string text(sql);  // the grammar wants a NUL after it
  const RawTree tree(text.c_str());
  if (!tree.ok()) {
    list->push_back(Unreadable(Reason::kUnknownSyntax));
    list->back().object = tree.error();
    return list;
  }
  const bool temporary = SpeaksOfTemporarySchema(sql);
  const int count = ListSize(tree.statements());
  list->reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    const auto* raw = As<RawStmt>(ListAt(tree.statements(), i));
    list->push_back(Statement().Analyse(raw->stmt));
    Facts& facts = list->back();
    const auto end = raw->stmt_len > 0 ? static_cast<std::size_t>(raw->stmt_location + raw->stmt_len) : sql.size();
    facts.end = static_cast<std::uint32_t>(std::min(end, sql.size()));
    if (temporary && facts.pin == PinReason::kNone) facts.pin = PinReason::kTemporaryTable;
  }
  return list;
}

}  // namespace waypost
