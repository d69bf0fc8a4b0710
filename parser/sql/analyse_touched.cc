// Which relations, functions and types a statement that is no query names: for rules. What becomes of them
// is nothing that routing asks. The walk sees every node; what is said here is only where a name
// stands that is not a RangeVar.
#include <algorithm>

#include "parser/sql/analyse_walk.h"

namespace waypost {
namespace {

constexpr auto kRelation = NameRef::Kind::kRelation;
constexpr auto kFunction = NameRef::Kind::kFunction;
constexpr auto kType = NameRef::Kind::kType;
constexpr int kNoRelation = -1;

bool IsQuery(const Node* node) {
  switch (node->type) {
    case T_SelectStmt:
    case T_InsertStmt:
    case T_UpdateStmt:
    case T_DeleteStmt:
    case T_MergeStmt: return true;
    default: return false;
  }
}

// What DROP TYPE names is no table: a table's type goes with the table.
bool IsDropOfTypes(const Node* node) {
  if (node->type != T_DropStmt) return false;
  const auto type = As<DropStmt>(node)->removeType;
  return type == OBJECT_TYPE || type == OBJECT_DOMAIN;
}

// The query that is all there is to `stmt`; null if there is none.
const Node* HeldQuery(const Node* stmt) {
  switch (stmt->type) {
    case T_ExplainStmt: return As<ExplainStmt>(stmt)->query;
    case T_PrepareStmt: return As<PrepareStmt>(stmt)->query;
    case T_DeclareCursorStmt: return As<DeclareCursorStmt>(stmt)->query;
    default: return nullptr;
  }
}

// How many parts of an object's name stand behind the name of its relation: "payroll" itself,
// "payroll.id". kNoRelation: what it names is in no relation.
int PartsBehindRelation(ObjectType type) {
  switch (type) {
    case OBJECT_TABLE:
    case OBJECT_VIEW:
    case OBJECT_MATVIEW:
    case OBJECT_FOREIGN_TABLE:
    case OBJECT_SEQUENCE:
    case OBJECT_INDEX: return 0;
    case OBJECT_COLUMN:
    case OBJECT_TABCONSTRAINT:
    case OBJECT_TRIGGER:
    case OBJECT_RULE:
    case OBJECT_POLICY: return 1;
    default: return kNoRelation;
  }
}

bool IsOperator(std::string_view name) {
  return !name.empty() && name.find_first_not_of("+-*/<>=~!@#%^&|`?") == std::string_view::npos;
}

class TouchedWalk {
 public:
  std::vector<NameRef> Walk(const Node* stmt);

 private:
  void Visit(const Node* node);
  void Query(const Node* query);
  void Relation(const RangeVar* relation);
  void Option(const DefElem* option);
  void Object(ObjectType type, const Node* object);
  // A list of name parts: "name", "schema.name", "database.schema.name". `behind`: so many parts at
  // the end name something within it.
  void Name(NameRef::Kind kind, const List* parts, int behind = 0);
  void Add(NameRef::Kind kind, const char* schema, const char* name);

  std::vector<NameRef> names_;
  std::vector<const Node*> stack_;
};

std::vector<NameRef> TouchedWalk::Walk(const Node* stmt) {
  stack_.push_back(stmt);
  while (!stack_.empty()) {
    const Node* node = stack_.back();
    stack_.pop_back();
    if (IsQuery(node)) {
      Query(node);
      continue;
    }
    Visit(node);
    if (IsDropOfTypes(node)) continue;
    AppendEveryChild(node, stack_);
  }
  std::sort(names_.begin(), names_.end());
  names_.erase(std::unique(names_.begin(), names_.end()), names_.end());
  return std::move(names_);
}

// A query has names of its own (WITH), which are no relations.
void TouchedWalk::Query(const Node* query) {
  Facts facts;
  QueryWalk walk(facts);
  walk.Query(query, false);
  for (NameRef& name : facts.names)
    if (name.kind == kRelation || name.kind == kFunction || name.kind == kType) names_.push_back(std::move(name));
}

void TouchedWalk::Visit(const Node* node) {
  switch (node->type) {
    case T_RangeVar: return Relation(As<RangeVar>(node));
    case T_FuncCall: return Name(kFunction, As<FuncCall>(node)->funcname);
    case T_ObjectWithArgs:  // operators too
      return Name(kFunction, As<ObjectWithArgs>(node)->objname);
    case T_CreateFunctionStmt: return Name(kFunction, As<CreateFunctionStmt>(node)->funcname);
    case T_CreateTrigStmt: return Name(kFunction, As<CreateTrigStmt>(node)->funcname);
    case T_CreateEventTrigStmt: return Name(kFunction, As<CreateEventTrigStmt>(node)->funcname);
    case T_TypeName: {
      const auto* type = As<TypeName>(node);
      return type->pct_type ? Name(kRelation, type->names, 1) : Name(kType, type->names);  // payroll.id%TYPE
    }
    case T_DefElem: return Option(As<DefElem>(node));
    case T_DropStmt: {
      const auto* drop = As<DropStmt>(node);
      for (int i = 0; i < ListSize(drop->objects); ++i) Object(drop->removeType, ListAt(drop->objects, i));
      return;
    }
    case T_CommentStmt: return Object(As<CommentStmt>(node)->objtype, As<CommentStmt>(node)->object);
    case T_SecLabelStmt: return Object(As<SecLabelStmt>(node)->objtype, As<SecLabelStmt>(node)->object);
    case T_AlterExtensionContentsStmt: {
      const auto* alter = As<AlterExtensionContentsStmt>(node);
      return Object(static_cast<ObjectType>(alter->objtype), alter->object);
    }
    case T_AlterObjectDependsStmt: {
      const auto* alter = As<AlterObjectDependsStmt>(node);
      return Object(alter->objectType, alter->object);
    }
    default: return;
  }
}

void TouchedWalk::Relation(const RangeVar* relation) { Add(kRelation, relation->schemaname, relation->relname); }

// Of a sequence: OWNED BY payroll.id, SEQUENCE NAME payroll_id_seq.
void TouchedWalk::Option(const DefElem* option) {
  if (option->arg == nullptr || option->arg->type != T_List) return;
  const std::string_view name = option->defname;
  if (name == "owned_by") Name(kRelation, As<List>(option->arg), 1);
  if (name == "sequence_name") Name(kRelation, As<List>(option->arg));
}

void TouchedWalk::Object(ObjectType type, const Node* object) {
  const int behind = PartsBehindRelation(type);
  if (behind == kNoRelation || object == nullptr || object->type != T_List) return;
  Name(kRelation, As<List>(object), behind);
}

void TouchedWalk::Name(NameRef::Kind kind, const List* parts, int behind) {
  const int last = ListSize(parts) - 1 - behind;
  if (last < 0 || StringAt(parts, last) == nullptr) return;
  if (kind == kFunction && IsOperator(StringAt(parts, last))) return;
  Add(kind, last > 0 ? StringAt(parts, last - 1) : nullptr, StringAt(parts, last));
}

void TouchedWalk::Add(NameRef::Kind kind, const char* schema, const char* name) {
  if (name == nullptr) return;
  names_.push_back({.kind = kind, .schema = schema == nullptr ? "" : schema, .name = name});
}

}  // namespace

std::vector<NameRef> NamesTouchedBy(const Node* stmt) {
  const Node* held = HeldQuery(stmt);
  if (IsQuery(stmt)) return {};
  if (held != nullptr && IsQuery(held)) {
    const List* types = stmt->type == T_PrepareStmt ? As<PrepareStmt>(stmt)->argtypes : nullptr;
    return types == nullptr ? std::vector<NameRef>() : TouchedWalk().Walk(reinterpret_cast<const Node*>(types));
  }
  return TouchedWalk().Walk(stmt);
}

}  // namespace waypost
