// How the control plane reaches a server through libpq: as the monitor, with a fixed search_path,
// never by the environment's defaults. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/time.h"
#include "core/config/config.h"

namespace waypost {

// The libpq connection string for `database` on the server at host:port. `statement_timeout` bounds
// each query there and the connecting itself. Contains the password: never log it.
[[nodiscard]] std::string MonitorConninfo(const MonitorConfig& monitor, std::string_view host,
                                          std::uint16_t port, std::string_view database,
                                          milliseconds statement_timeout);

// Keeps `message` fit for one line of log or JSON: its first line, without control characters, 300
// bytes at most.
[[nodiscard]] std::string FirstLine(std::string_view message);

}  // namespace waypost
