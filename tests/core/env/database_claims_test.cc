#include "core/env/database_claims.h"

#include <catch2/catch.hpp>

using namespace waypost;

using Databases = std::vector<std::string>;

TEST_CASE("a claimed database is deserted once its clients have left", "[core][databases]") {
  DatabaseClaims claims;
  CHECK(claims.Deserted().empty());
  claims.ClientCame("dd1");
  claims.ClientCame("dd1");
  claims.Claim("dd1", "postgres");
  CHECK(claims.Claimed("dd1"));
  CHECK_FALSE(claims.Claimed("postgres"));
  CHECK(claims.Deserted().empty());
  claims.ClientLeft("dd1");
  CHECK(claims.Deserted().empty());
  claims.ClientLeft("dd1");
  CHECK(claims.Deserted() == Databases{"dd1"});
  claims.ClientCame("dd1");
  CHECK(claims.Deserted().empty());
  claims.ClientLeft("dd1");
  claims.Yield("dd1", "postgres");
  CHECK_FALSE(claims.Claimed("dd1"));
  CHECK(claims.Deserted().empty());
}

TEST_CASE("who claims the database that he is in is alone there by himself", "[core][databases]") {
  DatabaseClaims claims;
  claims.ClientCame("dd1");
  claims.Claim("dd1", "dd1");
  CHECK(claims.Deserted() == Databases{"dd1"});
  claims.ClientCame("dd1");
  CHECK(claims.Deserted().empty());
}

TEST_CASE("who may be connected to any database leaves a claimed one for another", "[core][databases]") {
  DatabaseClaims claims;
  CHECK(claims.InsteadOf("postgres") == "postgres");
  claims.Claim("postgres", "app");
  CHECK(claims.MustLeave("postgres"));
  CHECK(claims.InsteadOf("postgres") == "template1");
  CHECK(claims.InsteadOf("monitor") == "monitor");
  claims.Claim("template1", "app");
  CHECK(claims.InsteadOf("postgres") == "postgres");
  claims.Yield("template1", "app");
  claims.ClientCame("postgres");
  CHECK_FALSE(claims.MustLeave("postgres"));
  CHECK(claims.InsteadOf("postgres") == "postgres");
}

TEST_CASE("two may claim one database", "[core][databases]") {
  DatabaseClaims claims;
  claims.Claim("template1", "a");
  claims.Claim("template1", "b");
  claims.Yield("template1", "a");
  CHECK(claims.Deserted() == Databases{"template1"});
  claims.Yield("template1", "b");
  CHECK(claims.Deserted().empty());
}
