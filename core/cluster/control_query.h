// How the control plane reaches a server through libpq: as the monitor, with a fixed search_path,
// never by the environment's defaults. Thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/time.h"
#include "core/config/config.h"

namespace waypost {

// The libpq connection string for `database` on the server at host:port. `statement_timeout` bounds
// each query there and the connecting itself. Contains the password: never log it.
[[nodiscard]] std::string MonitorConninfo(const MonitorConfig& monitor, std::string_view host, std::uint16_t port,
                                          std::string_view database, milliseconds statement_timeout);

// True for "192.0.2.1" or "2001:db8::1": nothing has to be looked up.
[[nodiscard]] bool IsAddress(const std::string& host);

// What goes behind MonitorConninfo() of a host name, so that these addresses of it are tried in turn and nothing is looked up.
[[nodiscard]] std::string AtAddresses(const std::string& host, const std::vector<std::string>& addresses);

// Keeps `message` fit for one line of log or JSON: its first line, without control characters, 300
// bytes at most.
[[nodiscard]] std::string FirstLine(std::string_view message);

}  // namespace waypost
