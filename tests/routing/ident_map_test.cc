#include "routing/ident_map.h"

#include <catch2/catch.hpp>
#include <string>

namespace waypost {
namespace {

std::string FaultOf(const std::string& file) {
  const auto map = IdentMap::Read(file);
  INFO(file);
  REQUIRE_FALSE(map);
  return map.error();
}

}  // namespace

TEST_CASE("without a map a user of the system is the user of that name", "[routing][ident_map]") {
  CHECK(IdentMap().Lets("", "openfire", "openfire"));
  CHECK_FALSE(IdentMap().Lets("", "root", "openfire"));
  CHECK_FALSE(IdentMap().Lets("m", "openfire", "openfire"));
}

TEST_CASE("a map lets in whom one of its lines names", "[routing][ident_map]") {
  const auto map = IdentMap::Read(
      "# who is who\n"
      "m  root      openfire\n"
      "m  \"of ad\"  openfire  # a space\n"
      "n  root      other\n"
      "a  admin     all\n"
      "q  admin     \"all\"\n");
  REQUIRE(map);
  CHECK(map->Lets("m", "root", "openfire"));
  CHECK(map->Lets("m", "of ad", "openfire"));
  CHECK_FALSE(map->Lets("m", "root", "other"));
  CHECK(map->Lets("n", "root", "other"));
  CHECK_FALSE(map->Lets("m", "openfire", "openfire"));
  CHECK_FALSE(map->Lets("", "root", "openfire"));
  CHECK(map->Lets("a", "admin", "anybody"));
  CHECK_FALSE(map->Lets("q", "admin", "anybody"));
  CHECK(map->Lets("q", "admin", "all"));
}

TEST_CASE("every fault of a file of maps is named, with its line", "[routing][ident_map]") {
  CHECK(FaultOf("\nm root\nm /^r openfire\n") ==
        "2: found the end of the line, expected a user of PostgreSQL\n"
        "3: found \"/^r\", expected a user of the system: regular expressions are not read");
  CHECK(FaultOf("m").starts_with("1: found the end of the line, expected a user of the system"));
  CHECK(FaultOf("m r /o").starts_with("1: found \"/o\", expected a user of PostgreSQL: regular expressions are not read"));
  CHECK(FaultOf("m r +staff").starts_with("1: found \"+staff\", expected a user of PostgreSQL: members of roles"));
  CHECK(FaultOf("m r @staff").starts_with("1: found \"@staff\", expected the names themselves"));
  CHECK(FaultOf("include x").starts_with("1: found include, expected entries"));
  CHECK(FaultOf("m a,b o").starts_with("1: found several words, expected a user of the system"));
  CHECK(FaultOf("m a o p").starts_with("1: found \"p\", expected the end of the line"));
}

}  // namespace waypost
