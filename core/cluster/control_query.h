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

// The libpq connection string for `database` on `server`, encrypted as its data connections are. `statement_timeout` bounds
// each query there and the connecting itself. Contains the password: never log it.
[[nodiscard]] std::string MonitorConninfo(const MonitorConfig& monitor, const ServerConfig& server, std::string_view database,
                                          milliseconds statement_timeout);

// True for "192.0.2.1" or "2001:db8::1": nothing has to be looked up.
[[nodiscard]] bool IsAddress(const std::string& host);

// What goes behind MonitorConninfo() of a server given by a host name, so that these addresses of it are tried in turn and
// nothing is looked up.
[[nodiscard]] std::string AtAddresses(const ServerConfig& server, const std::vector<std::string>& addresses);

// Blocks: the same after a look-up, where libpq's own would not do because the certificate is for another name than `host`. Empty
// where it will do, and if nothing is found within `timeout`.
[[nodiscard]] std::string AtAddressesIfNamedOtherwise(const ServerConfig& server, milliseconds timeout);

// Keeps `message` fit for one line of log or JSON: its first line, without control characters, 300
// bytes at most.
[[nodiscard]] std::string FirstLine(std::string_view message);

}  // namespace waypost
