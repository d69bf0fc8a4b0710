#include "core/process/progress.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using namespace waypost;

TEST_CASE("the line of status says what is waited for, and only when that changes", "[core][progress]") {
  std::vector<std::string> told;
  Progress progress("Serving on 127.0.0.1:6432", [&](const std::string& status) { told.push_back(status); });
  CHECK(progress.status() == "Serving on 127.0.0.1:6432");
  const auto start = TimePoint{} + seconds{100};
  for (int second = 0; second < 5; ++second)
    progress.Look({.primary = "", .why_none = "pg0: down", .loading = {}}, start + seconds{second});
  CHECK(told == std::vector<std::string>{"Serving on 127.0.0.1:6432; waiting for a primary"});
  progress.Look({.primary = "pg0", .why_none = "", .loading = {}}, start + seconds{5});
  CHECK(told.size() == 2);
  CHECK(progress.status() == "Serving on 127.0.0.1:6432; the primary is pg0");
  progress.Drain(3, start + seconds{30}, start + seconds{6});
  CHECK(progress.status() == "Draining: clients left: 3, closed in 24 s at the latest");
  progress.Drain(1, start + seconds{30}, start + seconds{40});
  CHECK(progress.status() == "Draining: clients left: 1, closed in 0 s at the latest");
}
