#include "tests/consistency/history.h"

#include <catch2/catch.hpp>

using consistency::Fault;
using consistency::Findings;
using consistency::List;
using consistency::Register;

namespace {

// Everything found, as "stale 1, backward 1".
std::string Found(const Findings& findings) {
  std::string out;
  for (std::size_t i = 0; i < static_cast<std::size_t>(Fault::kCount); ++i) {
    const auto fault = static_cast<Fault>(i);
    if (findings.Count(fault) == 0) continue;
    out += (out.empty() ? "" : ", ") + std::string(Name(fault)) + ' ' + std::to_string(findings.Count(fault));
  }
  return out;
}

}  // namespace

TEST_CASE("a register's read is held against what was acknowledged and seen before it began", "[consistency][history]") {
  Register reg;
  Findings findings;
  reg.Acknowledge(5);
  const Register::Before before = reg.Begin();
  SECTION("what was acknowledged, or newer") {
    reg.End(before, 5, 1, "read", findings);
    reg.End(before, 6, 1, "read", findings);
    CHECK(Found(findings).empty());
  }
  SECTION("what is acknowledged after it began it need not see") {
    reg.Acknowledge(6);
    reg.End(before, 5, 1, "read", findings);
    CHECK(Found(findings).empty());
  }
  SECTION("older is stale") {
    reg.End(before, 4, 1, "read", findings);
    CHECK(Found(findings) == "stale 1");
  }
  SECTION("older than acknowledged and seen is backward as well") {
    reg.End(before, 5, 1, "read", findings);
    reg.End(reg.Begin(), 4, 2, "read", findings);
    CHECK(Found(findings) == "stale 1, backward 1");
  }
  SECTION("seen, but not yet acknowledged: it matters where the later read ran") {
    reg.End(before, 6, 1, "read", findings);
    const Register::Before later = reg.Begin();
    reg.End(later, 5, 2, "read", findings);
    CHECK(Found(findings) == "replica_backward 1");
    reg.End(later, 5, consistency::kPrimary, "read", findings);
    CHECK(Found(findings) == "replica_backward 1, unacked_backward 1");
  }
  SECTION("a read that began before another ended need not see what that saw") {
    reg.End(before, 9, 1, "read", findings);
    reg.End(before, 5, 2, "read", findings);
    CHECK(Found(findings).empty());
  }
}

TEST_CASE("a list's read has every acknowledged append, no failed one, and the order of all others", "[consistency][history]") {
  List list;
  Findings findings;
  for (std::size_t number : {1U, 2U, 3U}) CHECK(list.Next() == number);
  list.Acknowledge(2);
  list.Acknowledge(1);
  list.Fail(3);
  const List::Before before = list.Begin();
  SECTION("all there, in any order") {
    list.End(before, ",2,1", 1, "read", findings);
    CHECK(Found(findings).empty());
  }
  SECTION("one is missing") {
    list.End(before, ",2", 1, "read", findings);
    CHECK(Found(findings) == "stale 1");
  }
  SECTION("a number that contains another is not it") {
    list.End(before, ",2,11", 1, "read", findings);
    CHECK(Found(findings) == "stale 1");
  }
  SECTION("a failed one") {
    list.End(before, ",2,1,3", 1, "read", findings);
    CHECK(Found(findings) == "phantom 1");
  }
  SECTION("two orders") {
    list.End(before, ",2,1", 1, "read", findings);
    list.End(before, ",1,2", 1, "read", findings);
    CHECK(Found(findings) == "order 1");
  }
  SECTION("shorter than seen before") {
    list.End(before, ",2,1,4", 1, "read", findings);
    list.End(list.Begin(), ",2,1", 2, "read", findings);
    CHECK(Found(findings) == "replica_backward 1");
  }
}

TEST_CASE("a list is full at some point", "[consistency][history]") {
  List list;
  for (std::size_t i = 1; i <= List::kLength; ++i) CHECK(list.Next() == i);
  CHECK(list.Next() == 0);
}
