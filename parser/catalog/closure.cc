#include "parser/catalog/closure.h"

#include <algorithm>
#include <utility>

namespace waypost {

ObjectGraph::ObjectGraph() : nodes_(1) {}

ObjectGraph::Node ObjectGraph::Add(std::string label, bool user_made) {
  Entry& entry = nodes_.emplace_back();
  entry.label = std::move(label);
  entry.user_made = user_made;
  return static_cast<Node>(nodes_.size() - 1);
}

void ObjectGraph::Edge(Node from, Node to) {
  if (from != kNone && to != kNone && from != to) links_.push_back({.from = from, .to = to});
}

// Breadth first, against the direction of the links, from all nodes that `seed` takes. `reach` is
// told of each link on the way and says whether its origin is new.
template <class Seed, class Reach>
void ObjectGraph::Spread(Seed seed, Reach reach) {
  queue_.clear();
  for (Node node = 1; node < nodes_.size(); ++node) {
    if (seed(nodes_[node])) queue_.push_back(node);
  }
  for (std::size_t at = 0; at < queue_.size(); ++at) {
    const Node to = queue_[at];
    for (std::uint32_t i = starts_[to]; i < starts_[to + 1]; ++i) {
      if (reach(links_[i].from, to)) queue_.push_back(links_[i].from);
    }
  }
}

void ObjectGraph::Close() {
  starts_.assign(nodes_.size() + 1, 0);
  for (const Link& link : links_) ++starts_[link.to + 1];
  for (std::size_t i = 1; i < starts_.size(); ++i) starts_[i] += starts_[i - 1];
  std::vector<Link> sorted(links_.size());
  std::vector<std::uint32_t> fill(starts_.begin(), starts_.end() - 1);
  for (const Link& link : links_) sorted[fill[link.to]++] = link;
  links_ = std::move(sorted);

  Spread([](const Entry& entry) { return entry.truth.why != Reason::kReadSafe; },
         [this](Node from, Node to) {
           Entry& entry = nodes_[from];
           if (entry.truth.why != Reason::kReadSafe) return false;
           entry.truth.why = nodes_[to].truth.why;
           entry.next = to;
           return true;
         });
  Spread([](const Entry& entry) { return entry.truth.fence; },
         [this](Node from, Node) { return !std::exchange(nodes_[from].truth.fence, true); });
  Spread([](const Entry& entry) { return entry.truth.lists_prepared; },
         [this](Node from, Node) { return !std::exchange(nodes_[from].truth.lists_prepared, true); });
  // What may leave anything behind comes first: it covers the rest.
  std::vector<PinReason> pins = {PinReason::kUnknownState};
  for (const Entry& entry : nodes_) {
    const PinReason pin = entry.truth.pin;
    if (pin != PinReason::kNone && std::find(pins.begin(), pins.end(), pin) == pins.end()) {
      pins.push_back(pin);
    }
  }
  for (const PinReason pin : pins) {
    Spread([pin](const Entry& entry) { return entry.truth.pin == pin; },
           [this, pin](Node from, Node) {
             PinReason& known = nodes_[from].truth.pin;
             if (known == pin || known == PinReason::kUnknownState) return false;
             if (known != PinReason::kNone && pin != PinReason::kUnknownState) return false;
             known = pin;
             return true;
           });
  }
}

}  // namespace waypost
