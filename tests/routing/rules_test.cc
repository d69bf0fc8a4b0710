#include "routing/rules.h"

#include <catch2/catch.hpp>
#include <string>
#include <tuple>
#include <utility>

#include "parser/catalog/builder.h"
#include "parser/sql/fingerprint.h"

using namespace waypost;

namespace {

// The name of the first rule that matches; "" if none does.
std::string FirstOf(const RuleSet& rules, const std::string& sql, const Asker& asker = {}, const std::string& hint = "",
                    const Catalog* catalog = nullptr) {
  const auto facts = Analyse(sql, {});
  std::vector<std::uint64_t> fingerprints;
  if (const auto found = Fingerprint(sql)) fingerprints.push_back(*found);
  const auto mask = rules.StatementMask(facts->front(), catalog, fingerprints, hint) & rules.SessionMask(asker);
  const auto first = RuleSet::First(mask);
  return first ? rules.rules()[*first].name : "";
}

Rule Named(std::string name) {
  Rule rule;
  rule.name = std::move(name);
  return rule;
}

}  // namespace

TEST_CASE("the type of a table's rows names the table", "[routing][rules]") {
  auto named = Named("named"), any = Named("any");
  named.tables = {"payroll", "hr.salary"};
  any.tables = {"p*", "audit.*"};
  const RuleSet rules({named, any});
  CatalogBuilder builder;
  for (const auto* name : {"payroll", "pensions"}) builder.Relation({.schema = "public", .name = name});
  builder.Relation({.schema = "hr", .name = "salary"}).Relation({.schema = "audit", .name = "log"});
  builder.Type({.schema = "public", .name = "point3"}).Type({.schema = "audit", .name = "level"});
  const Catalog catalog = builder.Take();
  const auto [sql, known, unknown] = GENERATE(table<std::string, std::string, std::string>({
      {"SELECT NULL::payroll", "named", "named"},
      {"SELECT x::payroll[] FROM t", "named", "named"},
      {"SELECT * FROM json_to_record('{}') AS x (a hr.salary)", "named", "named"},
      {"CREATE TABLE t (x payroll)", "named", "named"},
      {"CREATE FUNCTION f(a int) RETURNS SETOF public.payroll LANGUAGE sql AS ''", "named", "named"},
      {"SELECT NULL::pensions", "any", ""},
      {"SELECT NULL::audit.log", "any", ""},
      {"SELECT NULL::point3", "", ""},
      {"SELECT NULL::audit.level", "", ""},
      {"SELECT 'p'::text, 1::int, now()::pg_catalog.timestamptz", "", ""},
  }));
  CAPTURE(sql);
  CHECK(FirstOf(rules, sql, {}, "", &catalog) == known);
  CHECK(FirstOf(rules, sql) == unknown);
}

TEST_CASE("'*' stands for any run of characters", "[routing][rules]") {
  const auto [pattern, text, matches] = GENERATE(table<std::string, std::string, bool>({
      {"", "", true},
      {"", "a", false},
      {"a", "a", true},
      {"a", "A", false},
      {"*", "", true},
      {"*", "abc", true},
      {"a*", "abc", true},
      {"*c", "abc", true},
      {"a*c", "abbc", true},
      {"a*c", "abcd", false},
      {"*b*", "abc", true},
      {"a**c", "ac", true},
      {"a*b*c", "axbxxbc", true},
      {"a*b*c", "acb", false},
      {"*aab", "aaab", true},
  }));
  CAPTURE(pattern, text);
  CHECK(MatchesGlob(pattern, text) == matches);
}

TEST_CASE("a rule for a table matches what the statement names", "[routing][rules]") {
  const auto [pattern, sql, matches] = GENERATE(table<std::string, std::string, bool>({
      {"orders", "SELECT * FROM orders", true},
      {"orders", "SELECT * FROM x.orders", true},
      {"orders", "SELECT * FROM ORDERS", true},
      {"orders", "SELECT * FROM \"Orders\"", false},
      {"orders", "SELECT 1 WHERE EXISTS (SELECT FROM a JOIN orders o ON o.id = a.id)", true},
      {"orders", "WITH orders AS (SELECT 1) SELECT * FROM orders", false},
      {"orders", "INSERT INTO orders VALUES (1)", true},
      {"orders", "UPDATE a SET x = (SELECT max(y) FROM orders)", true},
      {"orders", "DELETE FROM a USING orders", true},
      {"orders", "SELECT orders FROM a", false},
      {"orders", "SELECT 'orders'", false},
      {"orders", "COPY orders TO STDOUT", true},
      {"orders", "EXPLAIN SELECT * FROM orders", true},
      {"orders", "PREPARE p AS SELECT * FROM orders", true},
      {"orders", "TRUNCATE a, orders", true},
      {"orders", "LOCK TABLE orders IN SHARE MODE", true},
      {"orders", "DROP TABLE IF EXISTS a, x.orders CASCADE", true},
      {"orders", "DROP TYPE orders", false},
      {"orders", "DROP TRIGGER t ON orders", true},
      {"t", "DROP TRIGGER t ON orders", false},
      {"orders", "ALTER TABLE orders ADD COLUMN x int", true},
      {"orders", "ALTER TABLE orders RENAME COLUMN x TO y", true},
      {"orders", "ALTER TABLE orders SET SCHEMA x", true},
      {"orders", "ALTER TABLE a RENAME TO orders", false},
      {"orders", "CREATE INDEX ON orders (x)", true},
      {"orders", "CREATE TRIGGER t AFTER INSERT ON orders EXECUTE FUNCTION f()", true},
      {"orders", "CREATE RULE r AS ON INSERT TO orders DO NOTHING", true},
      {"orders", "CREATE POLICY p ON orders", true},
      {"orders", "REFRESH MATERIALIZED VIEW orders", true},
      {"orders", "CLUSTER orders", true},
      {"orders", "CLUSTER", false},
      {"orders", "REINDEX TABLE orders", true},
      {"orders", "REINDEX SCHEMA orders", false},
      {"orders", "VACUUM FULL a, orders (x)", true},
      {"orders", "VACUUM", false},
      {"orders", "GRANT SELECT ON orders TO x", true},
      {"orders", "GRANT SELECT ON ALL TABLES IN SCHEMA orders TO x", false},
      {"orders", "ALTER SEQUENCE orders RESTART", true},
      {"orders", "CREATE VIEW v AS SELECT * FROM orders", true},
      {"orders", "CREATE VIEW v AS WITH orders AS (SELECT 1) SELECT * FROM orders", false},
      {"orders", "CREATE TABLE a (LIKE orders)", true},
      {"orders", "CREATE TABLE a () INHERITS (orders)", true},
      {"orders", "COMMENT ON COLUMN orders.id IS ''", true},
      {"audit.*", "COMMENT ON TABLE audit.log IS ''", true},
      {"audit.*", "COMMENT ON COLUMN audit.log.id IS ''", true},
      {"audit.*", "SELECT * FROM audit.log", true},
      {"audit.*", "SELECT * FROM sales.log", false},
      {"audit.log", "SELECT * FROM log", true},  // it may be found there
      {"audit.*", "SELECT * FROM log", false},
      {"sales.item*", "SELECT * FROM sales.items", true},
      {"sales.item*", "SELECT * FROM other.items", false},
  }));
  CAPTURE(pattern, sql);
  auto rule = Named("r");
  rule.tables = {"nothing", pattern};
  CHECK((FirstOf(RuleSet({rule}), sql) == "r") == matches);
}

TEST_CASE("a rule for a function matches what is called, dropped, or called as a procedure", "[routing][rules]") {
  const auto [sql, matches] = GENERATE(table<std::string, bool>({
      {"SELECT pay(1)", true},
      {"CALL pay(1)", true},
      {"CREATE VIEW v AS SELECT pay(1)", true},
      {"CREATE INDEX ON a (pay(x))", true},
      {"COMMENT ON FUNCTION pay(int) IS ''", true},
      {"CALL other.pay()", true},
      {"CALL paid()", false},
      {"DROP FUNCTION pay(int)", true},
      {"DROP PROCEDURE IF EXISTS a, pay", true},
      {"DROP TABLE pay", false},
  }));
  CAPTURE(sql);
  auto rule = Named("r");
  rule.functions = {"pay"};
  CHECK((FirstOf(RuleSet({rule}), sql) == "r") == matches);
}

TEST_CASE("conditions of one rule must all hold, by one value each", "[routing][rules]") {
  auto rule = Named("r");
  rule.tables = {"a", "b"};
  rule.functions = {"lower"};
  rule.users = {"app", "web*"};
  rule.databases = {"d"};
  rule.applications = {"*report*"};
  rule.listeners = {"main"};
  const RuleSet rules({rule});
  const Asker asker{.user = "web3", .database = "d", .application = "a report", .listener = "main"};
  CHECK(FirstOf(rules, "SELECT lower(x) FROM b", asker) == "r");
  CHECK(FirstOf(rules, "SELECT lower(x) FROM c", asker).empty());
  CHECK(FirstOf(rules, "SELECT upper(x) FROM b", asker).empty());
  for (auto Asker::* part : {&Asker::user, &Asker::database, &Asker::application, &Asker::listener}) {
    auto other = asker;
    other.*part = "else";
    CHECK(FirstOf(rules, "SELECT lower(x) FROM b", other).empty());
  }
}

TEST_CASE("the first rule that matches counts", "[routing][rules]") {
  auto narrow = Named("narrow");
  narrow.users = {"admin"};
  auto wide = Named("wide");
  auto never = Named("never");
  const RuleSet rules({narrow, wide, never});
  CHECK(FirstOf(rules, "SELECT 1", {.user = "admin"}) == "narrow");
  CHECK(FirstOf(rules, "SELECT 1", {.user = "app"}) == "wide");
  CHECK_FALSE(RuleSet::First(0));
}

TEST_CASE("a rule for a fingerprint matches whatever the constants are", "[routing][rules]") {
  auto rule = Named("r");
  rule.fingerprints = {Fingerprint("SELECT x FROM t WHERE id = 1").value()};
  const RuleSet rules({rule});
  CHECK(rules.asks_for_fingerprints());
  CHECK(FirstOf(rules, "select x from t where id = $1") == "r");
  CHECK(FirstOf(rules, "SELECT y FROM t WHERE id = 1").empty());
}

TEST_CASE("a rule for a hint matches no text without one", "[routing][rules]") {
  auto rule = Named("r");
  rule.hints = {"*"};
  const RuleSet rules({rule});
  CHECK(FirstOf(rules, "SELECT 1", {}, "nightly") == "r");
  CHECK(FirstOf(rules, "SELECT 1").empty());
}

TEST_CASE("a rule has the last word, a hint the one before", "[routing][rules]") {
  RoutingPolicy session;
  session.consistency = Consistency::kPrimary;
  session.read_from_primary = ReadFromPrimary::kAlways;
  auto rule = Named("r");
  SECTION("nothing is said") {
    const auto handling = HandlingOf(session, Hint::kNone, nullptr);
    CHECK(handling.policy.consistency == Consistency::kPrimary);
    CHECK_FALSE(handling.to_primary);
  }
  SECTION("a hint") {
    CHECK(HandlingOf(session, Hint::kPrimary, nullptr).to_primary == Reason::kHint);
    CHECK(HandlingOf(session, Hint::kEventual, nullptr).policy.consistency == Consistency::kEventual);
    CHECK(HandlingOf(session, Hint::kReplica, nullptr).policy.consistency == Consistency::kStrict);
    CHECK(HandlingOf(session, Hint::kReplica, nullptr).policy.read_from_primary == ReadFromPrimary::kFallback);
  }
  SECTION("a rule over a hint") {
    rule.route = RuleRoute::kReplica;
    CHECK_FALSE(HandlingOf(session, Hint::kPrimary, &rule).to_primary);
    rule.route = RuleRoute::kPrimary;
    CHECK(HandlingOf(session, Hint::kReplica, &rule).to_primary == Reason::kRule);
  }
  SECTION("a rule that sets the consistency") {
    rule.overrides.consistency = Consistency::kBounded;
    rule.overrides.max_lag = milliseconds(7);
    const auto handling = HandlingOf(session, Hint::kPrimary, &rule);
    CHECK(handling.policy.consistency == Consistency::kBounded);
    CHECK(handling.policy.max_lag == milliseconds(7));
    CHECK_FALSE(handling.to_primary);
    rule.overrides.consistency = Consistency::kPrimary;
    CHECK(HandlingOf(session, Hint::kNone, &rule).to_primary == Reason::kRule);
  }
  SECTION("a rule that has but a timeout leaves the hint") {
    rule.timeout = milliseconds(9);
    const auto handling = HandlingOf(session, Hint::kPrimary, &rule);
    CHECK(handling.to_primary == Reason::kHint);
    CHECK(handling.timeout == milliseconds(9));
  }
}

TEST_CASE("a batch is handled as its strictest statement", "[routing][rules]") {
  const auto with = [](Consistency consistency) {
    Handling handling;
    handling.policy.consistency = consistency;
    return handling;
  };
  const auto [one, other, both] = GENERATE(table<Consistency, Consistency, Consistency>({
      {Consistency::kEventual, Consistency::kEventual, Consistency::kEventual},
      {Consistency::kEventual, Consistency::kBounded, Consistency::kBounded},
      {Consistency::kBounded, Consistency::kStrict, Consistency::kStrict},
      {Consistency::kStrict, Consistency::kPrimary, Consistency::kPrimary},
  }));
  CHECK(Both(with(one), with(other)).policy.consistency == both);
  CHECK(Both(with(other), with(one)).policy.consistency == both);

  auto bounded = with(Consistency::kBounded);
  bounded.policy.max_lag = milliseconds(5);
  bounded.policy.max_lag_bytes = 0;
  bounded.timeout = milliseconds(0);
  auto closer = bounded;
  closer.policy.max_lag = milliseconds(3);
  closer.policy.max_lag_bytes = 100;
  closer.timeout = milliseconds(8);
  closer.to_primary = Reason::kRule;
  for (const auto& [a, b] : {std::pair(bounded, closer), std::pair(closer, bounded)}) {
    const auto handling = Both(a, b);
    CHECK(handling.policy.max_lag == milliseconds(3));
    CHECK(handling.policy.max_lag_bytes == 100);
    CHECK(handling.timeout == milliseconds(8));
    CHECK(handling.to_primary == Reason::kRule);
  }
}
