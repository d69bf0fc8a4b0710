#include "core/process/service_notify.h"

#include <catch2/catch.hpp>
#include <functional>
#include <utility>
#include <vector>

using namespace waypost;

TEST_CASE("workers are alive while each does the task that it got last", "[core][notify]") {
  std::vector<std::vector<std::function<void()>>> tasks(2);
  Pulse pulse(2, [&](std::size_t worker, std::function<void()> task) { tasks[worker].push_back(std::move(task)); });
  const auto run = [&](std::size_t worker) {
    for (const auto& task : std::exchange(tasks[worker], {})) task();
  };
  CHECK(pulse.Take());  // none was due yet
  run(0);
  run(1);
  CHECK(pulse.Take());
  run(0);
  CHECK_FALSE(pulse.Take());  // worker 1 hangs
  run(0);
  CHECK_FALSE(pulse.Take());
  CHECK(tasks[1].size() == 1);  // its tasks do not pile up
  run(0);
  run(1);
  CHECK(pulse.Take());  // it goes on
}
