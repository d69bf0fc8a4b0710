// The command line: `waypost --config FILE`, `waypost check`, `waypost route`. Main thread.
#pragma once

namespace waypost {

// As in sysexits.h.
enum ExitCode : int {
  kExitOk = 0,
  kExitUsage = 64,
  kExitUnavailable = 69,  // a port in use, no primary to ask
  kExitBug = 70,
  kExitConfig = 78,
};

// Does what the arguments say and returns the exit code. Never throws.
[[nodiscard]] int RunCommandLine(int argc, const char* const* argv) noexcept;

}  // namespace waypost
