#include "parser/sql/analyse_walk.h"

#include <algorithm>
#include <string>

#include "core/base/ascii.h"
#include "parser/sql/server_local.h"
#include "parser/sql/set_statement.h"

namespace waypost {
namespace {

// More CTEs than this in one statement are looked up in the catalogue like tables, so that a text
// cannot cost the square of its length. Nothing is lost but a replica.
constexpr int kMaxScopedCtes = 1000;

constexpr char kTemporary = 't';  // RELPERSISTENCE_TEMP, catalog/pg_class.h

bool IsTemporarySchema(std::string_view schema) { return schema == "pg_temp" || schema.starts_with("pg_temp_"); }

bool IsModifying(NodeTag tag) { return tag == T_InsertStmt || tag == T_UpdateStmt || tag == T_DeleteStmt || tag == T_MergeStmt; }

const WithClause* WithOf(const Node* node) {
  switch (node->type) {
    case T_SelectStmt: return As<SelectStmt>(node)->withClause;
    case T_InsertStmt: return As<InsertStmt>(node)->withClause;
    case T_UpdateStmt: return As<UpdateStmt>(node)->withClause;
    case T_DeleteStmt: return As<DeleteStmt>(node)->withClause;
    case T_MergeStmt: return As<MergeStmt>(node)->withClause;
    default: return nullptr;
  }
}

// The last two parts of a possibly qualified name; a database before them is the server's to check.
struct Qualified {
  std::string_view schema, name;
};

Qualified Split(const List* parts) {
  const int size = ListSize(parts);
  Qualified result;
  if (size > 0 && StringAt(parts, size - 1) != nullptr) result.name = StringAt(parts, size - 1);
  if (size > 1 && StringAt(parts, size - 2) != nullptr) result.schema = StringAt(parts, size - 2);
  return result;
}

// -1: VARIADIC may stand for any number. WITHIN GROUP hands over its ORDER BY too.
int ArgumentsOf(const FuncCall* call) {
  if (call->func_variadic) return -1;
  return ListSize(call->args) + (call->agg_within_group ? ListSize(call->agg_order) : 0);
}

// SELECT a, b, c and nothing else: each target runs exactly once.
bool RunsTargetsOnce(const SelectStmt* select) {
  return select->fromClause == nullptr && select->whereClause == nullptr && select->groupClause == nullptr &&
         select->havingClause == nullptr && select->distinctClause == nullptr && select->limitCount == nullptr &&
         select->limitOffset == nullptr && select->sortClause == nullptr && select->op == SETOP_NONE &&
         select->withClause == nullptr;
}

}  // namespace

void QueryWalk::Query(const Node* query, bool runs) {
  root_ = query;
  runs_ = runs;
  scopes_.assign(1, Scope{.outer = 0, .with = nullptr, .count = 0});
  sure_calls_.clear();
  if (query->type == T_SelectStmt && RunsTargetsOnce(As<SelectStmt>(query))) {
    const List* targets = As<SelectStmt>(query)->targetList;
    for (int i = 0; i < ListSize(targets); ++i) {
      sure_calls_.push_back(As<ResTarget>(ListAt(targets, i))->val);
    }
    std::sort(sure_calls_.begin(), sure_calls_.end());
  }
  stack_.push_back({.node = query, .scope = 0, .in_call = false});
  while (!stack_.empty()) {
    const Item item = stack_.back();
    stack_.pop_back();
    Visit(item);
  }
}

void QueryWalk::Visit(const Item& item) {
  const Node* node = item.node;
  if (const WithClause* with = WithOf(node); with != nullptr) {
    Children({.node = node, .scope = Enter(with, item.scope), .in_call = item.in_call});
  } else if (node->type == T_WithClause) {
    return VisitWith(As<WithClause>(node), item);
  } else if (node->type == T_CommonTableExpr) {
    return VisitCte(As<CommonTableExpr>(node), item);
  } else {
    const bool calls = node->type == T_FuncCall || IsSqlJson(node->type);
    Children({.node = node, .scope = item.scope, .in_call = item.in_call || calls});
  }
  if (IsModifying(node->type) && node != root_) Refuse(Reason::kModifyingCte);

  switch (node->type) {
    case T_SelectStmt: return VisitSelect(As<SelectStmt>(node));
    case T_RangeVar: return VisitRangeVar(As<RangeVar>(node), item.scope);
    case T_FuncCall: return VisitCall(As<FuncCall>(node));
    case T_A_Expr: return VisitOperator(As<A_Expr>(node));
    case T_A_Const:
      if (item.in_call) facts_.literals_matter = true;
      return;
    case T_TypeCast: {
      const Node* argument = As<TypeCast>(node)->arg;
      if (argument != nullptr && argument->type == T_A_Const) facts_.literals_matter = true;
      return;
    }
    case T_TypeName: return AddQualified(NameRef::Kind::kType, As<TypeName>(node)->names);
    case T_RangeTableFuncCol:  // the walker leaves its type out
      if (As<RangeTableFuncCol>(node)->typeName != nullptr) {
        AddQualified(NameRef::Kind::kType, As<RangeTableFuncCol>(node)->typeName->names);
      }
      return;
    case T_SubLink: {
      const auto* link = As<SubLink>(node);
      if (link->operName != nullptr) return AddQualified(NameRef::Kind::kOperator, link->operName);
      if (link->subLinkType == ANY_SUBLINK) Add(NameRef::Kind::kOperator, "", "=");  // IN
      return;
    }
    case T_CaseExpr:  // CASE x WHEN y compares
      if (As<CaseExpr>(node)->arg != nullptr) Add(NameRef::Kind::kOperator, "", "=");
      return;
    case T_SortBy:
      if (As<SortBy>(node)->useOp != nullptr) {
        AddQualified(NameRef::Kind::kOperator, As<SortBy>(node)->useOp);
      }
      return;
    case T_JoinExpr: return VisitJoin(As<JoinExpr>(node));
    case T_RangeTableSample: return VisitSample(As<RangeTableSample>(node));
    case T_ColumnRef:  // x.f may be the function f of the row x
      return VisitFields(As<ColumnRef>(node)->fields, 1);
    case T_A_Indirection: return VisitFields(As<A_Indirection>(node)->indirection, 0);
    case T_SQLValueFunction:  // CURRENT_SCHEMA looks at the catalogue, the others do not
      if (As<SQLValueFunction>(node)->op == SVFOP_CURRENT_SCHEMA) {
        Add(NameRef::Kind::kFunction, "pg_catalog", "current_schema", 0);
      }
      return;
    case T_CurrentOfExpr:  // a cursor of the session
      return Refuse(Reason::kSession);
    default: return;
  }
}

void QueryWalk::Children(const Item& item) {
  children_.clear();
  if (!AppendChildren(item.node, children_)) {
    // Nobody has looked at what it holds: it may call anything.
    facts_.state_unknown = true;
    Pin(PinReason::kUnknownState);
    return Refuse(Reason::kUnknownSyntax);
  }
  for (const Node* child : children_) {
    stack_.push_back({.node = child, .scope = item.scope, .in_call = item.in_call});
  }
}

std::size_t QueryWalk::Enter(const WithClause* with, std::size_t outer) {
  scopes_.push_back({.outer = outer, .with = with, .count = ListSize(with->ctes)});
  ctes_ += ListSize(with->ctes);
  return scopes_.size() - 1;
}

// A CTE sees those before it, and under RECURSIVE all of them.
void QueryWalk::VisitWith(const WithClause* with, const Item& item) {
  for (int i = 0; i < ListSize(with->ctes); ++i) {
    std::size_t scope = item.scope;
    if (!with->recursive && ctes_ <= kMaxScopedCtes) {
      scopes_.push_back({.outer = scopes_[item.scope].outer, .with = with, .count = i});
      scope = scopes_.size() - 1;
    }
    stack_.push_back({.node = ListAt(with->ctes, i), .scope = scope, .in_call = item.in_call});
  }
}

void QueryWalk::VisitCte(const CommonTableExpr* cte, const Item& item) {
  const auto push = [&](const Node* node) {
    if (node != nullptr) {
      stack_.push_back({.node = node, .scope = item.scope, .in_call = item.in_call});
    }
  };
  push(cte->ctequery);
  if (cte->cycle_clause != nullptr) {
    push(cte->cycle_clause->cycle_mark_value);
    push(cte->cycle_clause->cycle_mark_default);
    Add(NameRef::Kind::kOperator, "", "=");
  }
}

bool QueryWalk::IsCte(std::string_view name, std::size_t scope) const {
  if (ctes_ > kMaxScopedCtes) return false;
  for (; scope != 0; scope = scopes_[scope].outer) {
    const Scope& here = scopes_[scope];
    for (int i = 0; i < here.count; ++i) {
      if (name == As<CommonTableExpr>(ListAt(here.with->ctes, i))->ctename) return true;
    }
  }
  return false;
}

void QueryWalk::VisitSelect(const SelectStmt* select) {
  if (select->lockingClause != nullptr) Refuse(Reason::kLockClause);
  if (select->intoClause == nullptr) return;
  Refuse(Reason::kSelectInto);
  const RangeVar* target = select->intoClause->rel;
  if (target != nullptr && target->relpersistence == kTemporary) {
    Pin(PinReason::kTemporaryTable);
  }
}

void QueryWalk::VisitRangeVar(const RangeVar* relation, std::size_t scope) {
  if (relation->schemaname == nullptr && IsCte(relation->relname, scope)) return;
  Relation(relation);
}

void QueryWalk::Relation(const RangeVar* relation) {
  if (relation->relpersistence == kTemporary) Pin(PinReason::kTemporaryTable);
  Add(NameRef::Kind::kRelation, relation->schemaname != nullptr ? relation->schemaname : "", relation->relname);
}

void QueryWalk::VisitCall(const FuncCall* call) {
  const auto [schema, name] = Split(call->funcname);
  Add(NameRef::Kind::kFunction, schema, name, ArgumentsOf(call));
  if (!runs_ || (!schema.empty() && schema != "pg_catalog")) return;
  if (name == "set_config") return VisitSetConfig(call);
  if (const PinReason pin = PinOfBuiltIn(name); pin != PinReason::kNone) Pin(pin);
}

// What it sets is known only if it runs once, with constants. Otherwise the setting is unknown from
// then on.
void QueryWalk::VisitSetConfig(const FuncCall* call) {
  const auto unknown = [&] {
    facts_.state_unknown = true;
    Pin(PinReason::kUnknownState);
  };
  const char* name = ListSize(call->args) == 3 ? ConstantText(ListAt(call->args, 0)) : nullptr;
  if (name == nullptr) return unknown();
  const Node* local = ListAt(call->args, 2);
  if (local->type != T_A_Const) return unknown();
  const auto* flag = As<A_Const>(local);
  if (flag->isnull || flag->val.node.type != T_Boolean) return unknown();
  const bool is_local = flag->val.boolval.boolval;
  const auto lower = AsciiLower(name);
  if (lower.starts_with("transaction_")) return unknown();
  const auto unknown_value = [&] {
    if (!is_local) return unknown();
    facts_.settings.push_back({.kind = SettingEffect::Kind::kUnknownLocal, .name = lower, .sql = {}, .value = {}});
  };
  const bool sure = std::binary_search(sure_calls_.begin(), sure_calls_.end(),
                                       reinterpret_cast<const Node*>(call));  // NOLINT
  const char* value = ConstantText(ListAt(call->args, 1));
  if (!sure || value == nullptr) return unknown_value();
  SettingEffect effect{
      .kind = is_local ? SettingEffect::Kind::kSetLocal : SettingEffect::Kind::kSet, .name = lower, .sql = {}, .value = value};
  effect.sql = SetStatement(effect.name, effect.value, is_local);
  if (effect.sql.empty()) return unknown_value();
  facts_.settings.push_back(std::move(effect));
}

void QueryWalk::VisitOperator(const A_Expr* expr) {
  switch (expr->kind) {
    case AEXPR_BETWEEN:
    case AEXPR_NOT_BETWEEN:
    case AEXPR_BETWEEN_SYM:
    case AEXPR_NOT_BETWEEN_SYM:  // the name is a phrase; these are what it means
      for (const char* name : {"<", "<=", ">", ">="}) Add(NameRef::Kind::kOperator, "", name);
      return;
    default: return AddQualified(NameRef::Kind::kOperator, expr->name);
  }
}

void QueryWalk::VisitJoin(const JoinExpr* join) {
  if (join->isNatural || join->usingClause != nullptr) Add(NameRef::Kind::kOperator, "", "=");
}

// The built-in methods are in pg_proc as volatile functions, which says nothing of the sample.
void QueryWalk::VisitSample(const RangeTableSample* sample) {
  const auto [schema, name] = Split(sample->method);
  const bool built_in = name == "bernoulli" || name == "system";
  if (!built_in) Add(NameRef::Kind::kFunction, schema, name);
}

void QueryWalk::VisitFields(const List* fields, int first) {
  for (int i = first; i < ListSize(fields); ++i) {
    if (const char* name = StringAt(fields, i); name != nullptr) {
      Add(NameRef::Kind::kAttribute, "", name);
    }
  }
}

void QueryWalk::AddQualified(NameRef::Kind kind, const List* name) {
  const auto [schema, last] = Split(name);
  if (!last.empty()) Add(kind, schema, last);
}

void QueryWalk::Add(NameRef::Kind kind, std::string_view schema, std::string_view name, int args) {
  if (IsTemporarySchema(schema)) Pin(PinReason::kTemporaryTable);
  auto& names = facts_.names;
  if (!names.empty() && names.back().kind == kind && names.back().name == name && names.back().schema == schema &&
      names.back().args == args) {
    return;
  }
  names.push_back({.kind = kind, .schema = std::string(schema), .name = std::string(name), .args = args});
  if (names.size() >= compact_at_) Compact();
}

// Keeps the list as short as the statement's vocabulary, however often it repeats itself.
void QueryWalk::Compact() {
  auto& names = facts_.names;
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  compact_at_ = std::max<std::size_t>(64, names.size() * 2);
}

void QueryWalk::Finish() { Compact(); }

// The first reason found stays: it is as good as any other.
void QueryWalk::Refuse(Reason why) {
  if (facts_.writes_by_form) return;
  facts_.writes_by_form = true;
  facts_.form_reason = why;
}

void QueryWalk::Pin(PinReason why) {
  if (runs_ && facts_.pin == PinReason::kNone) facts_.pin = why;
}

}  // namespace waypost
