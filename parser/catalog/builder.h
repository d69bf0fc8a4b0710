// Collects the objects of a database, in any order, and makes a Catalog of them: what the bodies,
// expressions and definitions of objects refer to becomes edges of a graph, and the closure of each
// object becomes the finding of its name. Pure; for the control plane's threads, since it parses
// every SQL function of the database.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "parser/catalog/catalog.h"
#include "parser/catalog/closure.h"
#include "parser/catalog/function_body.h"

namespace waypost {

using ObjectId = std::uint32_t;  // an oid; 0: none

enum class Language : std::uint8_t {
  kNative,   // C and internal: at its word
  kSql,      // followed
  kPlpgsql,  // followed
  kOther     // at its word, and it may read tables
};

// A row of pg_proc.
struct FunctionSpec {
  ObjectId id = 0;
  std::string_view schema = {}, name = {};
  std::string_view arguments = {};  // as shown: "integer, text"
  std::uint8_t min_args = 0, max_args = NameTable::kAnyArguments;
  char volatility = 'v';
  char kind = 'f';  // prokind
  bool built_in = false;
  bool row_argument = false;  // takes a row, perhaps, and nothing else: "t.f" may call it
  Language language = Language::kNative;
  std::string_view source = {};       // of kSql and kPlpgsql
  std::string_view tree = {};         // prosqlbody
  std::string_view defaults = {};     // proargdefaults
  std::string_view search_path = {};  // that it sets for itself; empty: it does not
};

struct OperatorSpec {
  ObjectId id = 0;
  std::string_view schema = {}, name = {};
  ObjectId function = 0;
  bool built_in = false;
};

// A row of pg_class; temporary ones are left out.
struct RelationSpec {
  ObjectId id = 0;
  std::string_view schema = {}, name = {};
  char kind = 'r';         // relkind
  char persistence = 'p';  // relpersistence
  bool built_in = false;
};

// A row of pg_type, but for arrays.
struct TypeSpec {
  ObjectId id = 0;
  std::string_view schema = {}, name = {};
  char kind = 'b';  // typtype
  bool built_in = false;
};

struct CastSpec {
  std::string_view source, target;  // as shown
  ObjectId target_type = 0;
  ObjectId function = 0;
  bool implicit = false;
  bool built_in_target = false;
};

class CatalogBuilder {
 public:
  // What an id is of. kType: a value of it is made; kOutput: a value of it is shown or compared.
  enum class Class : std::uint8_t { kFunction, kOperator, kRelation, kType, kOutput };
  struct Object {
    Class cls;
    ObjectId id;
  };

  CatalogBuilder();
  CatalogBuilder& Function(const FunctionSpec& spec);
  CatalogBuilder& Operator(const OperatorSpec& spec);
  CatalogBuilder& Relation(const RelationSpec& spec);
  CatalogBuilder& Type(const TypeSpec& spec);
  CatalogBuilder& ArrayType(ObjectId array, ObjectId element);
  // A user-made cast that calls a function.
  CatalogBuilder& Cast(const CastSpec& spec);
  // Running `from` may run `to`. An unknown one counts as not understood if it is a function,
  // operator or relation.
  CatalogBuilder& Link(Object from, Object to);
  // Running `from` evaluates an expression that the server stores, `tree` (pg_node_tree): the query
  // of a view (`label` empty), a policy, a check ("check c of domain public.d").
  CatalogBuilder& Expression(Object from, std::string label, std::string_view tree);
  // Reading `relation` reads `child` too: a partition, or a table that inherits. Told of foreign and
  // unlogged ones.
  CatalogBuilder& Child(ObjectId relation, ObjectId child);
  // The search_path of `role` in this database; "": of all roles. The first told of a role counts.
  CatalogBuilder& RolePath(std::string_view role, std::string_view value);
  CatalogBuilder& DefaultPath(std::string_view value);
  // Ends it.
  [[nodiscard]] Catalog Take();

 private:
  using Node = ObjectGraph::Node;
  struct Named {
    std::string schema, name;
    std::uint8_t min_args = 0, max_args = NameTable::kAnyArguments;
    bool row_argument = false;
    Node node = ObjectGraph::kNone;
  };
  using Names = std::vector<Named>;
  // Positions in a list of names, by name.
  using Index = std::unordered_map<std::string_view, std::vector<std::uint32_t>>;
  struct PendingBody {
    Node node;
    Body body;
    SearchPath path;
  };
  struct PendingLink {
    Object from, to;
  };

  void UserFunction(const FunctionSpec& spec, Node node);
  void Bury(Node node, Body body, SearchPath path);
  [[nodiscard]] Node Find(Object object) const;
  [[nodiscard]] std::vector<Node> Find(const NameRef& ref, const SearchPath& path) const;
  // A node that reaches all that `ref` may stand for; kNone if that is nothing and `optional`.
  Node NodeOf(const NameRef& ref, const SearchPath& path, bool optional);
  void Resolve(PendingBody& pending);
  void LinkId(Node from, Object to);
  [[nodiscard]] Finding FindingOf(Node node);
  [[nodiscard]] std::uint32_t StepOf(Node node);
  [[nodiscard]] NameTable TableOf(Names& names);

  ObjectGraph graph_;
  Names functions_, operators_, relations_, types_;
  Index function_index_, operator_index_, relation_index_, type_index_;
  std::unordered_map<ObjectId, Node> function_ids_, operator_ids_, relation_ids_, type_ids_;
  std::unordered_map<ObjectId, ObjectId> elements_;  // of array types
  std::vector<PendingBody> bodies_;
  std::vector<PendingLink> links_;
  std::vector<std::pair<Node, ObjectId>> targets_;  // casts, by their target
  std::unordered_map<std::string, Node> name_nodes_;
  std::vector<Node> implicit_casts_;
  std::vector<std::uint32_t> step_of_;
  Node built_in_casts_;  // reaches the user-made casts to types that are not
  Catalog catalog_;
};

}  // namespace waypost
