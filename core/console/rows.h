// Rows of the console's listings that are a concept of their own, each in a file of its own, and how a cell is written. Of this room
// only; what lists them all is answers.cc.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "core/base/time.h"
#include "core/console/answers.h"
#include "core/console/table.h"

namespace waypost {

using ConsoleFactsRef = std::shared_ptr<const ConsoleFacts>;

inline std::string Text(auto number) { return std::to_string(number); }
inline std::string YesNo(bool yes) { return yes ? "yes" : "no"; }
inline auto Microseconds(Duration time) { return std::chrono::duration_cast<std::chrono::microseconds>(time).count(); }

// traffic_rows.cc: what PgBouncer counts of each database, and over all of them.
[[nodiscard]] Table ShowStats(const ConsoleFactsRef& facts);
[[nodiscard]] Table ShowStatsTotals(const ConsoleFactsRef& facts);
[[nodiscard]] Table ShowStatsAverages(const ConsoleFactsRef& facts);
[[nodiscard]] Table ShowTotals(const ConsoleFactsRef& facts);

// own_rows.cc: what PgBouncer has not: where statements went, what ties sessions, which took longest, which replicas are proved.
[[nodiscard]] Table ShowRoutes(const ConsoleFactsRef& facts);
[[nodiscard]] Table ShowPins(const ConsoleFactsRef& facts);
[[nodiscard]] Table ShowDigests(const ConsoleFactsRef& facts);
[[nodiscard]] Table ShowFence(const ConsoleFactsRef& facts);

}  // namespace waypost
