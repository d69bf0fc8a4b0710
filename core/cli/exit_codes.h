// What the program's end says to a script. Pure.
#pragma once

namespace waypost {

// As in sysexits.h, where that has a code for it.
enum ExitCode : int {
  kExitOk = 0,
  kExitRefused = 1,       // the running Waypost does not do what was asked of it
  kExitUsage = 64,
  kExitUnavailable = 69,  // a port in use, no primary to ask, no Waypost there
  kExitBug = 70,
  kExitNotAllowed = 77,   // it takes another role
  kExitConfig = 78,
};

}  // namespace waypost
