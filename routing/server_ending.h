// What a server's last message says about why it ends a connection, and whom that concerns. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace waypost {

enum class ServerEnding : std::uint8_t {
  kUnsaid,   // it said nothing
  kServer,   // it goes away, or takes this backend away from whoever has it: the client need not go with it
  kIdle,     // the connection was idle for too long: the server did not look at what was sent meanwhile
  kConduct,  // because of what the client did or did not do: any PostgreSQL would have ended it
  kUnknown,  // something went wrong in that backend
};

// What a server said before it ended a connection.
struct LastWords {
  std::string error;  // an ErrorResponse, FATAL; empty: nothing
  ServerEnding ending = ServerEnding::kUnsaid;
};

// `severity`, `sqlstate`: of an ErrorResponse that is FATAL or PANIC.
[[nodiscard]] ServerEnding EndingBy(std::string_view severity, std::string_view sqlstate);

// True if a NoticeResponse with this SQLSTATE and routine is the last that the server says: PostgreSQL says it so when it
// was told to stop at once, and when another backend has crashed.
// Source: quickdie() in postgres src/backend/tcop/postgres.c
[[nodiscard]] bool IsLastNotice(std::string_view sqlstate, std::string_view routine);

// True if a NoticeResponse with this SQLSTATE and routine says that a commit is done here but no standby need have it: its wait
// for them was cancelled. The acknowledgement follows.
// Source: SyncRepWaitForLSN() in postgres src/backend/replication/syncrep.c
[[nodiscard]] bool IsUnreplicated(std::string_view sqlstate, std::string_view routine);

}  // namespace waypost
