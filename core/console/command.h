// What the console is asked: one statement of PgBouncer's language, in any case, with or without a semicolon. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace waypost {

enum class Verb : std::uint8_t {
  kNothing,      // an empty statement, or only a comment
  kShow,
  kReload,
  kPause,
  kResume,
  kDisable,
  kEnable,
  kKill,
  kKillClient,
  kReconnect,
  kWaitClose,
  kShutdown,
  kSet,          // of what clients set as they log in: heard, and without effect
  kBegin,        // drivers open a block and end it: without effect
  kEnd,
  kUnsupported,  // PgBouncer has it, Waypost does not
  kUnknown,
};

struct ConsoleCommand {
  Verb verb = Verb::kUnknown;
  std::string tag;       // what CommandComplete says: "SHOW", "BEGIN"
  std::string
      subject;  // kShow: what, in lower case; kPause to kKill, kReconnect, kWaitClose: a database as it was written, or ""; kKillClient: whom; kShutdown: "" or WAIT_FOR_...
  std::string trouble;  // kUnsupported, kUnknown: the message
};

[[nodiscard]] ConsoleCommand ReadCommand(std::string_view sql);

}  // namespace waypost
