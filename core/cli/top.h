// What `waypost top` shows: how much goes where each second, servers, pools, who waits, and the statements that take the time. Pure:
// it compares two samples of what the admin API says.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace waypost {

// Answers of one moment, as they came; one that did not come is empty.
struct TopSample {
  std::chrono::steady_clock::time_point at{};
  std::string status, cluster, servers, pools, sessions, digests;  // of the API; sessions: those that wait
  std::string metrics;  // of /metrics
};

struct TopSize {
  std::size_t columns = 80;
  std::size_t rows = 0;  // 0: as many as there are
};

struct TopLine {
  std::string text;  // at most `columns` characters, none of which steers a terminal
  bool heading = false;
};

// One JSON object, without the end of the line.
[[nodiscard]] std::string TopJson(const TopSample& before, const TopSample& now);
// At most `rows` lines; if there are more, each part is cut.
[[nodiscard]] std::vector<TopLine> TopScreen(const TopSample& before, const TopSample& now, TopSize size);

}  // namespace waypost
