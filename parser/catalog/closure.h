// What can be reached from what: the objects of one database, and which other objects running each
// of them may run. Close() spreads what is true of an object to everything that reaches it, once;
// afterwards each object's answer is there to be read. Cycles need no special care: an object
// is as unsafe as the nearest unsafe one that it reaches. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "parser/sql/verdict.h"

namespace waypost {

class ObjectGraph {
 public:
  using Node = std::uint32_t;
  static constexpr Node kNone = 0;  // no object

  // What an object is by itself, whatever it reaches.
  struct Truth {
    Reason why = Reason::kReadSafe;  // anything else: it must run on the primary
    std::string words;               // why so, to follow the object's name: " is volatile"
    PinReason pin = PinReason::kNone;  // what running it may leave behind in the session
    bool fence = false;                // its answer depends on the database
    bool lists_prepared = false;       // and on the prepared statements of its session
  };

  ObjectGraph();

  // `label`: its name in paths, "view public.v"; empty: it is left out of them.
  Node Add(std::string label, bool user_made);
  // Valid until the next Add().
  [[nodiscard]] Truth& truth(Node node) { return nodes_[node].truth; }
  [[nodiscard]] const Truth& truth(Node node) const { return nodes_[node].truth; }
  [[nodiscard]] const std::string& label(Node node) const { return nodes_[node].label; }
  [[nodiscard]] bool user_made(Node node) const { return nodes_[node].user_made; }
  // Running `from` may run `to`.
  void Edge(Node from, Node to);

  // Spreads the truths; nothing may be added after it.
  void Close();
  // After Close(): the next object on the shortest way to what makes `node` unsafe; kNone if that
  // is `node` itself, or if it is safe.
  [[nodiscard]] Node next(Node node) const { return nodes_[node].next; }
  [[nodiscard]] std::size_t size() const { return nodes_.size(); }

 private:
  struct Entry {
    std::string label;
    Truth truth;
    Node next = kNone;
    bool user_made = false;
  };
  struct Link {
    Node from, to;
  };

  template <class Seed, class Reach>
  void Spread(Seed seed, Reach reach);

  std::vector<Entry> nodes_;
  std::vector<Link> links_;            // after Close(): by `to`
  std::vector<std::uint32_t> starts_;  // where the links to each node start
  std::vector<Node> queue_;
};

}  // namespace waypost
