// PostgreSQL's own parse tree of a text, and a walk over it that needs no stack. Internal to the
// SQL analyser: nobody else includes this, for it brings the node headers of PostgreSQL.
//
// PostgreSQL reports errors by longjmp. What may raise one is called only inside
// pg_query_raw_parse, which catches it; everything here reads fields, and calls
// raw_expression_tree_walker for tags that it is known to accept. Source:
// src/backend/nodes/nodeFuncs.c of PostgreSQL 15, raw_expression_tree_walker
#pragma once

#include <string>
#include <vector>

extern "C" {
#include <postgres.h>
// postgres.h first
#include <nodes/nodeFuncs.h>
#include <nodes/parsenodes.h>
#include <pg_query.h>
#include <pg_query/pg_query_internal.h>
}

namespace waypost {

// One parsed text; its nodes live as long as it does. Any thread, but the one that made it must end
// it.
class RawTree {
 public:
  explicit RawTree(const char* sql);
  ~RawTree();
  RawTree(const RawTree&) = delete;
  RawTree& operator=(const RawTree&) = delete;

  [[nodiscard]] bool ok() const { return result_.error == nullptr; }
  // What the grammar says is wrong; only when not ok().
  [[nodiscard]] std::string error() const { return result_.error->message; }
  // The RawStmt nodes in order; none for an empty text. Only when ok().
  [[nodiscard]] List* statements() const { return result_.tree; }

 private:
  MemoryContext context_;
  PgQueryInternalParsetreeAndError result_;
};

// The node as what its tag says it is; the caller has looked at the tag.
template <class T>
[[nodiscard]] const T* As(const void* node) {
  return static_cast<const T*>(node);
}

// Lists of PostgreSQL may be null, which is the empty one.
[[nodiscard]] inline int ListSize(const List* list) { return list == nullptr ? 0 : list->length; }
[[nodiscard]] inline const Node* ListAt(const List* list, int index) {
  return static_cast<const Node*>(list->elements[index].ptr_value);
}
[[nodiscard]] inline const char* StringAt(const List* list, int index) {
  const Node* node = ListAt(list, index);
  return node != nullptr && node->type == T_String ? As<String>(node)->sval : nullptr;
}

// SQL/JSON, as far as the headers have it: such a node does nothing but by the nodes that it holds.
[[nodiscard]] bool IsSqlJson(NodeTag tag);

// Appends the direct children of `node` that hold expressions or queries to `children`.
// False: a tag that this walk does not know, `children` is unchanged.
[[nodiscard]] bool AppendChildren(const Node* node, std::vector<const Node*>& children);

// Appends every node that a field of `node`, of any tag, points to; the elements of a list.
void AppendEveryChild(const Node* node, std::vector<const Node*>& children);

}  // namespace waypost
