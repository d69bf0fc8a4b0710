// What the queries inside one statement contain: names, locks, nested writes, calls that change the
// session. Internal to the SQL analyser. Pure; the walk keeps its own stack, so depth costs heap
// and never the thread's stack.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "parser/sql/facts.h"
#include "parser/sql/tree.h"

namespace waypost {

// Adds what it finds to `facts`. One object per statement.
class QueryWalk {
 public:
  explicit QueryWalk(Facts& facts) : facts_(facts) {}

  // Walks one query (SELECT, INSERT, UPDATE, DELETE, MERGE). Its own kind is not judged, only what
  // it contains. `runs`: false for a query that is only planned (EXPLAIN) or kept (PREPARE, a
  // view), so that what its calls would do to the session does not happen.
  void Query(const Node* query, bool runs);
  void Relation(const RangeVar* relation);
  // Sorts the names found so far and removes duplicates. Once, at the end.
  void Finish();

 private:
  // The CTEs that a part of the tree can see: the first `count` of `with`, then those of `outer`.
  struct Scope {
    std::size_t outer;
    const WithClause* with;
    int count;
  };
  struct Item {
    const Node* node;
    std::size_t scope;
    bool in_call;
  };

  void Visit(const Item& item);
  void VisitWith(const WithClause* with, const Item& item);
  void VisitCte(const CommonTableExpr* cte, const Item& item);
  void VisitCall(const FuncCall* call);
  void VisitSetConfig(const FuncCall* call);
  void VisitOperator(const A_Expr* expr);
  void VisitSelect(const SelectStmt* select);
  void VisitJoin(const JoinExpr* join);
  void VisitRangeVar(const RangeVar* relation, std::size_t scope);
  void VisitSample(const RangeTableSample* sample);
  void VisitFields(const List* fields, int first);
  void Children(const Item& item);
  void Add(NameRef::Kind kind, std::string_view schema, std::string_view name, int args = -1);
  void AddQualified(NameRef::Kind kind, const List* name);
  void Refuse(Reason why);
  void Pin(PinReason why);
  void Compact();
  [[nodiscard]] std::size_t Enter(const WithClause* with, std::size_t outer);
  [[nodiscard]] bool IsCte(std::string_view name, std::size_t scope) const;

  Facts& facts_;
  std::vector<Item> stack_;
  std::vector<const Node*> children_;
  std::vector<Scope> scopes_;
  const Node* root_ = nullptr;
  std::vector<const Node*> sure_calls_;  // set_config calls that run exactly once when the statement runs
  std::size_t compact_at_ = 64;
  int ctes_ = 0;
  bool runs_ = true;
};

// The text of a string constant, also under a cast ('x'::text); null for anything else.
[[nodiscard]] const char* ConstantText(const Node* node);

// "SET name TO value, ..." from constants; empty when a value cannot be written down.
[[nodiscard]] std::string SetStatement(std::string_view name, const List* values, bool local);

// The relations, functions and types that a statement other than a query names, wherever they stand in it;
// sorted, no duplicates. Nothing for a query, and the types alone for what only holds one (EXPLAIN, PREPARE,
// DECLARE): the walk over it has them all.
[[nodiscard]] std::vector<NameRef> NamesTouchedBy(const Node* stmt);

// Null for what uses no database as a whole.
[[nodiscard]] std::shared_ptr<const DatabaseUse> DatabasesUsedBy(const Node* stmt);

// BEGIN, SET and RESET statements.
void AnalyseTransaction(const TransactionStmt* stmt, Facts& facts);
void AnalyseSet(const VariableSetStmt* stmt, Facts& facts);

}  // namespace waypost
