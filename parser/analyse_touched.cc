// Which tables and procedures a statement that is no query names: for rules. What becomes of them
// is nothing that routing asks.
#include "parser/analyse_walk.h"

namespace waypost {
namespace {

class Touched {
 public:
  explicit Touched(std::vector<NameRef>& names) : names_(names) {}

  void Relation(const RangeVar* relation) {
    if (relation == nullptr) return;
    Add(NameRef::Kind::kRelation, relation->schemaname, relation->relname);
  }
  void Relations(const List* relations) {
    for (int i = 0; i < ListSize(relations); ++i) Relation(As<RangeVar>(ListAt(relations, i)));
  }
  // A list of name parts: "name", "schema.name", "database.schema.name". `behind`: so many parts at
  // the end name something within it.
  void Name(NameRef::Kind kind, const List* parts, int behind = 0) {
    const int last = ListSize(parts) - 1 - behind;
    if (last < 0 || StringAt(parts, last) == nullptr) return;
    Add(kind, last > 0 ? StringAt(parts, last - 1) : nullptr, StringAt(parts, last));
  }

 private:
  void Add(NameRef::Kind kind, const char* schema, const char* name) {
    NameRef& ref = names_.emplace_back();
    ref.kind = kind;
    ref.schema = schema == nullptr ? "" : schema;
    ref.name = name;
  }

  std::vector<NameRef>& names_;
};

constexpr auto kRelation = NameRef::Kind::kRelation;

void Drop(const DropStmt* stmt, Touched& touched) {
  const auto names = [&](NameRef::Kind kind, int behind) {
    for (int i = 0; i < ListSize(stmt->objects); ++i)
      touched.Name(kind, As<List>(ListAt(stmt->objects, i)), behind);
  };
  switch (stmt->removeType) {
    case OBJECT_TABLE:
    case OBJECT_VIEW:
    case OBJECT_MATVIEW:
    case OBJECT_FOREIGN_TABLE:
    case OBJECT_SEQUENCE:
    case OBJECT_INDEX:
      return names(kRelation, 0);
    case OBJECT_TRIGGER:  // ON table: the table's name, then its own
    case OBJECT_RULE:
    case OBJECT_POLICY:
      return names(kRelation, 1);
    case OBJECT_FUNCTION:
    case OBJECT_PROCEDURE:
    case OBJECT_ROUTINE:
    case OBJECT_AGGREGATE:
      for (int i = 0; i < ListSize(stmt->objects); ++i)
        touched.Name(NameRef::Kind::kFunction,
                     As<ObjectWithArgs>(ListAt(stmt->objects, i))->objname);
      return;
    default:
      return;
  }
}

}  // namespace

void NameTouched(const Node* stmt, std::vector<NameRef>& names) {
  Touched touched(names);
  switch (stmt->type) {
    case T_TruncateStmt:
      return touched.Relations(As<TruncateStmt>(stmt)->relations);
    case T_LockStmt:
      return touched.Relations(As<LockStmt>(stmt)->relations);
    case T_DropStmt:
      return Drop(As<DropStmt>(stmt), touched);
    case T_AlterTableStmt:
      return touched.Relation(As<AlterTableStmt>(stmt)->relation);
    case T_RenameStmt:
      return touched.Relation(As<RenameStmt>(stmt)->relation);
    case T_AlterObjectSchemaStmt:
      return touched.Relation(As<AlterObjectSchemaStmt>(stmt)->relation);
    case T_IndexStmt:
      return touched.Relation(As<IndexStmt>(stmt)->relation);
    case T_CreateTrigStmt:
      return touched.Relation(As<CreateTrigStmt>(stmt)->relation);
    case T_RuleStmt:
      return touched.Relation(As<RuleStmt>(stmt)->relation);
    case T_CreatePolicyStmt:
      return touched.Relation(As<CreatePolicyStmt>(stmt)->table);
    case T_AlterPolicyStmt:
      return touched.Relation(As<AlterPolicyStmt>(stmt)->table);
    case T_RefreshMatViewStmt:
      return touched.Relation(As<RefreshMatViewStmt>(stmt)->relation);
    case T_ClusterStmt:
      return touched.Relation(As<ClusterStmt>(stmt)->relation);
    case T_ReindexStmt:
      return touched.Relation(As<ReindexStmt>(stmt)->relation);
    case T_AlterSeqStmt:
      return touched.Relation(As<AlterSeqStmt>(stmt)->sequence);
    case T_VacuumStmt: {
      const List* relations = As<VacuumStmt>(stmt)->rels;
      for (int i = 0; i < ListSize(relations); ++i)
        touched.Relation(As<VacuumRelation>(ListAt(relations, i))->relation);
      return;
    }
    case T_GrantStmt: {
      const auto* grant = As<GrantStmt>(stmt);
      if (grant->targtype == ACL_TARGET_OBJECT &&
          (grant->objtype == OBJECT_TABLE || grant->objtype == OBJECT_SEQUENCE))
        touched.Relations(grant->objects);
      return;
    }
    case T_CallStmt:
      return touched.Name(NameRef::Kind::kFunction, As<CallStmt>(stmt)->funccall->funcname);
    default:
      return;
  }
}

}  // namespace waypost
