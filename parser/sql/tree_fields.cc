// Every child of every node: the list of fields is made from the node headers by tree_fields.awk.
#include "parser/sql/tree.h"

namespace waypost {

void AppendEveryChild(const Node* node, std::vector<const Node*>& children) {
  const auto push = [&](const void* child) {
    if (child != nullptr) children.push_back(static_cast<const Node*>(child));
  };
  switch (node->type) {  // NOLINT(clang-diagnostic-switch-enum): what is not listed has no children
    case T_List:
      for (int i = 0; i < ListSize(As<List>(node)); ++i) push(ListAt(As<List>(node), i));
      return;
#include "tree_fields.inc"
    default: return;
  }
}

}  // namespace waypost
