#include "parser/sql/tree.h"

#include <cstdlib>
#include <type_traits>

namespace waypost {
namespace {

// The callback of raw_expression_tree_walker: collects, never descends, never stops.
bool Collect(Node* node, void* out) {
  if (node != nullptr) static_cast<std::vector<const Node*>*>(out)->push_back(node);
  return false;
}

// raw_expression_tree_walker raises an error, outside any handler, for a tag that it does not know.
bool WalkerKnows(NodeTag tag) {
  switch (tag) {
    case T_SetToDefault:
    case T_CurrentOfExpr:
    case T_SQLValueFunction:
    case T_Integer:
    case T_Float:
    case T_Boolean:
    case T_String:
    case T_BitString:
    case T_ParamRef:
    case T_A_Const:
    case T_A_Star:
    case T_Alias:
    case T_RangeVar:
    case T_GroupingFunc:
    case T_SubLink:
    case T_CaseExpr:
    case T_RowExpr:
    case T_CoalesceExpr:
    case T_MinMaxExpr:
    case T_XmlExpr:
    case T_NullTest:
    case T_BooleanTest:
    case T_JoinExpr:
    case T_IntoClause:
    case T_List:
    case T_InsertStmt:
    case T_DeleteStmt:
    case T_UpdateStmt:
    case T_MergeStmt:
    case T_MergeWhenClause:
    case T_SelectStmt:
    case T_A_Expr:
    case T_BoolExpr:
    case T_ColumnRef:
    case T_FuncCall:
    case T_NamedArgExpr:
    case T_A_Indices:
    case T_A_Indirection:
    case T_A_ArrayExpr:
    case T_ResTarget:
    case T_MultiAssignRef:
    case T_TypeCast:
    case T_CollateClause:
    case T_SortBy:
    case T_WindowDef:
    case T_RangeSubselect:
    case T_RangeFunction:
    case T_RangeTableSample:
    case T_RangeTableFunc:
    case T_RangeTableFuncCol:
    case T_TypeName:
    case T_ColumnDef:
    case T_IndexElem:
    case T_GroupingSet:
    case T_LockingClause:
    case T_XmlSerialize:
    case T_WithClause:
    case T_InferClause:
    case T_OnConflictClause:
    case T_CommonTableExpr: return true;
    default: return false;
  }
}

// libpg_query takes options besides since its version 16.
template <class Function>
PgQueryInternalParsetreeAndError Parse(Function parse, const char* sql) {
  if constexpr (std::is_invocable_v<Function, const char*>) return parse(sql);
  else return parse(sql, 0);
}

}  // namespace

RawTree::RawTree(const char* sql) : context_(pg_query_enter_memory_context()), result_(Parse(&pg_query_raw_parse, sql)) {}

RawTree::~RawTree() {
  std::free(result_.stderr_buffer);  // NOLINT(cppcoreguidelines-no-malloc): theirs
  if (result_.error != nullptr) pg_query_free_error(result_.error);
  pg_query_exit_memory_context(context_);
}

bool IsSqlJson(NodeTag tag) {
  switch (tag) {
#include "json_nodes.inc"
    default: return false;
  }
}

bool AppendChildren(const Node* node, std::vector<const Node*>& children) {
  if (IsSqlJson(node->type)) {
    AppendEveryChild(node, children);
    return true;
  }
  if (!WalkerKnows(node->type)) return false;
  // The walker is declared without parameter types, and takes what it does not change as not const.
  using Unprototyped = bool (*)();
  using AnyFunction = void (*)();  // the type that compilers let through between two others
  const auto walker = reinterpret_cast<Unprototyped>(reinterpret_cast<AnyFunction>(&Collect));  // NOLINT
  raw_expression_tree_walker(const_cast<Node*>(node), walker, &children);       // NOLINT
  return true;
}

}  // namespace waypost
