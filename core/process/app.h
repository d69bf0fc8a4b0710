// Waypost itself: workers, prober, catalogue keeper, admin port, signals.
#pragma once

#include "core/config/config.h"

namespace waypost {

// Serves until SIGTERM or SIGINT has drained it; SIGHUP loads config.path again. Main thread. The
// log is configured already. Returns the exit code of core/cli.h.
[[nodiscard]] int RunWaypost(Config config);

}  // namespace waypost
