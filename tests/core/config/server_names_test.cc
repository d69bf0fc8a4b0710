#include "core/config/server_names.h"

#include <catch2/catch.hpp>

namespace waypost {

TEST_CASE("what the servers call a client's database, and whom it goes on as", "[core][config]") {
  Config config;
  config.databases.resize(3);
  config.databases[0].name = "app";
  config.databases[0].server_name = "openfire";
  config.databases[1].name = "shared";
  config.databases[1].user = "somebody";
  config.databases[2].name = "plain";
  const auto names = [&](const char* database) {
    const auto found = NamesOnServers(config, database, "alice");
    return found.user + "@" + found.database;
  };
  CHECK(names("app") == "alice@openfire");
  CHECK(names("shared") == "somebody@shared");
  CHECK(names("plain") == "alice@plain");
  CHECK(names("unknown") == "alice@unknown");
}

}  // namespace waypost
