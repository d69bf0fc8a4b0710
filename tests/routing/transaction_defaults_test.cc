#include "routing/transaction_defaults.h"

#include <catch2/catch.hpp>
#include <string>

#include "parser/sql/set_statement.h"

namespace waypost {
namespace {

TransactionDefaults With(const std::string& name, const std::string& sql, bool starts_read_committed = true) {
  return TransactionDefaultsIn({{name, sql}}, starts_read_committed);
}

TransactionDefaults ReadOnly(const std::string& value) {
  return With("default_transaction_read_only", SetStatement("default_transaction_read_only", value, false));
}

TransactionDefaults Isolation(const std::string& value) {
  return With("default_transaction_isolation", SetStatement("default_transaction_isolation", value, false));
}

}  // namespace

TEST_CASE("without settings transactions are as they were at log-in", "[routing][transaction_defaults]") {
  CHECK(TransactionDefaultsIn({}, true) == TransactionDefaults{.read_committed = true});
  CHECK(TransactionDefaultsIn({}, false) == TransactionDefaults{});
}

TEST_CASE("read only is what PostgreSQL takes for true", "[routing][transaction_defaults]") {
  for (const char* value : {"on", "ON", "true", "tru", "t", "yes", "Y", "1"}) {
    CAPTURE(value);
    CHECK(ReadOnly(value).read_only);
  }
  for (const char* value : {"off", "of", "OFF", "false", "f", "no", "N", "0", "o", "", "2", "true ", "it's on"}) {
    CAPTURE(value);
    CHECK_FALSE(ReadOnly(value).read_only);
  }
  CHECK(With("default_transaction_read_only", "SET default_transaction_read_only TO 1").read_only);
  CHECK_FALSE(With("default_transaction_read_only", "SET default_transaction_read_only TO 0").read_only);
}

TEST_CASE("the level of isolation in any case of letters", "[routing][transaction_defaults]") {
  CHECK(Isolation("Serializable") == TransactionDefaults{.serializable = true});
  CHECK(Isolation("repeatable read") == TransactionDefaults{});
  CHECK(Isolation("READ COMMITTED") == TransactionDefaults{.read_committed = true});
  CHECK(Isolation("read uncommitted") == TransactionDefaults{.read_committed = true});
}

TEST_CASE("what only the server knows belongs on the primary", "[routing][transaction_defaults]") {
  CHECK_FALSE(With("default_transaction_read_only", "").read_only);
  CHECK(With("default_transaction_isolation", "") == TransactionDefaults{.serializable = true});
  CHECK(With("default_transaction_isolation", "SELECT pg_catalog.set_config('default_transaction_isolation','x',false)")
            .serializable);
}

TEST_CASE("the value of a SET comes back as it was set", "[routing][transaction_defaults]") {
  for (const char* value : {"", "a", "it's", "'", "back\\slash", "\\'", "a, b", " "}) {
    CAPTURE(value);
    CHECK(ValueSet("a.b", SetStatement("a.b", value, false)) == std::string(value));
  }
  CHECK(ValueSet("a", "SET a TO -1.5") == std::string("-1.5"));
  CHECK(ValueSet("a", "SET a TO 'x', 'y'") == std::nullopt);
  CHECK(ValueSet("a", "SET a TO 1, 2") == std::nullopt);
  CHECK(ValueSet("a", "SET b TO 'x'") == std::nullopt);
  CHECK(ValueSet("timezone", "SET TIME ZONE INTERVAL '1' HOUR") == std::nullopt);
  CHECK(ValueSet("a", "SET a TO '") == std::nullopt);
  CHECK(ValueSet("a", "") == std::nullopt);
}

}  // namespace waypost
