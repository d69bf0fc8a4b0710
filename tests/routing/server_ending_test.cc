#include "routing/server_ending.h"

#include <catch2/catch.hpp>
#include <string>
#include <tuple>

namespace waypost {

TEST_CASE("why a server ends a connection", "[routing][server_ending]") {
  const auto [severity, sqlstate, ending] = GENERATE(table<std::string, std::string, ServerEnding>({
      {"FATAL", "57P01", ServerEnding::kServer},
      {"FATAL", "57P02", ServerEnding::kServer},
      {"FATAL", "57P04", ServerEnding::kServer},
      {"FATAL", "40001", ServerEnding::kServer},
      {"PANIC", "XX000", ServerEnding::kServer},
      {"FATAL", "57P05", ServerEnding::kIdle},
      {"FATAL", "25P03", ServerEnding::kConduct},
      {"FATAL", "25P04", ServerEnding::kConduct},
      {"FATAL", "08P01", ServerEnding::kConduct},
      {"FATAL", "XX000", ServerEnding::kUnknown},
      {"FATAL", "53200", ServerEnding::kUnknown},
      {"FATAL", "", ServerEnding::kUnknown},
  }));
  CAPTURE(severity, sqlstate);
  CHECK(EndingBy(severity, sqlstate) == ending);
}

TEST_CASE("only a backend that dies at once says so by a notice", "[routing][server_ending]") {
  CHECK(IsLastNotice("57P02", "quickdie"));
  CHECK(IsLastNotice("57P01", "quickdie"));
  CHECK_FALSE(IsLastNotice("57P02", "exec_stmt_raise"));  // RAISE WARNING USING ERRCODE = '57P02'
  CHECK_FALSE(IsLastNotice("57P01", "SyncRepWaitForLSN"));
  CHECK_FALSE(IsLastNotice("00000", "quickdie"));
}

}  // namespace waypost
