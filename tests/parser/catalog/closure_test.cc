#include "parser/catalog/closure.h"

#include <catch2/catch.hpp>

namespace waypost {
namespace {

ObjectGraph::Truth Unsafe(Reason why) { return {.why = why, .words = " is so"}; }

}  // namespace

TEST_CASE("what reaches an unsafe object is unsafe, by the shortest way", "[parser][closure]") {
  ObjectGraph graph;
  const auto a = graph.Add("a", true), b = graph.Add("b", true), c = graph.Add("c", true), d = graph.Add("d", true);
  graph.truth(d) = Unsafe(Reason::kServerLocal);
  graph.Edge(a, b);
  graph.Edge(b, c);
  graph.Edge(c, d);
  graph.Edge(a, c);
  graph.Close();
  CHECK(graph.truth(a).why == Reason::kServerLocal);
  CHECK(graph.next(a) == c);
  CHECK(graph.next(c) == d);
  CHECK(graph.next(d) == ObjectGraph::kNone);
}

TEST_CASE("a cycle is as safe as its members", "[parser][closure]") {
  const bool unsafe = GENERATE(false, true);
  ObjectGraph graph;
  const auto a = graph.Add("a", true), b = graph.Add("b", true), c = graph.Add("c", true);
  graph.Edge(a, b);
  graph.Edge(b, a);
  graph.Edge(b, c);
  graph.Edge(c, c);
  if (unsafe) graph.truth(c) = Unsafe(Reason::kWrite);
  graph.Close();
  CHECK((graph.truth(a).why == Reason::kReadSafe) == !unsafe);
  CHECK((graph.truth(b).why == Reason::kReadSafe) == !unsafe);
}

TEST_CASE("unsafe is not handed down to what is reached", "[parser][closure]") {
  ObjectGraph graph;
  const auto a = graph.Add("a", true), b = graph.Add("b", true);
  graph.truth(a) = Unsafe(Reason::kWrite);
  graph.Edge(a, b);
  graph.Close();
  CHECK(graph.truth(b).why == Reason::kReadSafe);
}

TEST_CASE("of two things left behind that counts which covers the other", "[parser][closure]") {
  ObjectGraph graph;
  const auto a = graph.Add("a", true), lock = graph.Add("lock", true), any = graph.Add("any", true), b = graph.Add("b", true);
  graph.truth(lock).pin = PinReason::kAdvisoryLock;
  graph.truth(any).pin = PinReason::kUnknownState;
  graph.truth(any).fence = true;
  graph.Edge(a, lock);
  graph.Edge(a, any);
  graph.Edge(b, lock);
  graph.Close();
  CHECK(graph.truth(a).pin == PinReason::kUnknownState);
  CHECK(graph.truth(b).pin == PinReason::kAdvisoryLock);
  CHECK(graph.truth(a).fence);
  CHECK_FALSE(graph.truth(b).fence);
}

}  // namespace waypost
