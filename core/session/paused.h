// What the operator's pause does to a batch that begins; see env/pause.h.
#pragma once

#include <string_view>

#include "core/env/env.h"
#include "core/env/shared.h"
#include "routing/decide.h"

namespace waypost {

// All that begins in `database` is held.
[[nodiscard]] inline bool AllHeld(Env& env, std::string_view database) {
  const auto now = env.Now();
  return env.shared().database_gates.Held(database, now) || env.shared().pause.At(now) == PauseScope::kAll;
}

// Of a read whose replica cannot be had, or that is held: where it could be read from may be another server when the pause ends.
[[nodiscard]] inline Decision PrimaryInstead(const Decision& decision) {
  return {.target = Target::kPrimary, .reason = Reason::kNoEligibleReplica, .settles = decision.settles};
}

}  // namespace waypost
