// The name of a user of the system. The look-up may ask a directory on the network, so it has a thread of libuv's.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/net/loop.h"

namespace waypost {

// Worker thread. `done` is called in it, later, with the name; empty: there is no user of that number. It may outlive who asked.
void FindSystemUser(Loop& loop, std::uint32_t number, std::function<void(const std::string& name)> done);

}  // namespace waypost
