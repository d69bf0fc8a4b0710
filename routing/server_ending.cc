#include "routing/server_ending.h"

#include <algorithm>
#include <array>

namespace waypost {
namespace {

// idle_in_transaction_session_timeout, transaction_timeout; a broken protocol.
constexpr std::array<std::string_view, 3> kOfConduct{"25P03", "25P04", "08P01"};
// admin_shutdown, crash_shutdown, cannot_connect_now, database_dropped; and, to end it, a conflict with recovery.
constexpr std::array<std::string_view, 5> kOfServer{"57P01", "57P02", "57P03", "57P04", "40001"};
constexpr std::string_view kIdleSession = "57P05";

template <std::size_t N>
bool Holds(const std::array<std::string_view, N>& list, std::string_view sqlstate) {
  return std::find(list.begin(), list.end(), sqlstate) != list.end();
}

}  // namespace

ServerEnding EndingBy(std::string_view severity, std::string_view sqlstate) {
  if (severity == "PANIC" || Holds(kOfServer, sqlstate)) return ServerEnding::kServer;
  if (sqlstate == kIdleSession) return ServerEnding::kIdle;
  return Holds(kOfConduct, sqlstate) ? ServerEnding::kConduct : ServerEnding::kUnknown;
}

bool IsLastNotice(std::string_view sqlstate, std::string_view routine) {
  return routine == "quickdie" && (sqlstate == "57P01" || sqlstate == "57P02");
}

bool IsUnreplicated(std::string_view sqlstate, std::string_view routine) {
  return routine == "SyncRepWaitForLSN" && sqlstate == "01000";
}

}  // namespace waypost
