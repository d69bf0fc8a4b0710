// The command line: `waypost --config FILE`, `waypost check`, `waypost route`; what asks a running Waypost is in core/cli. Main
// thread.
#pragma once

#include "core/cli/exit_codes.h"

namespace waypost {

// Does what the arguments say and returns the exit code. Never throws.
[[nodiscard]] int RunCommandLine(int argc, const char* const* argv) noexcept;

}  // namespace waypost
