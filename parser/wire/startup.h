// The first packet of a connection: start-up, cancel, SSL and GSS requests. Pure.
// Wire layout: length:int32 (counts itself), code:int32, then by code.
// Source: https://www.postgresql.org/docs/15/protocol-message-formats.html
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/bytes.h"

namespace waypost {

// MAX_STARTUP_PACKET_LENGTH, postgres src/include/libpq/pqcomm.h
inline constexpr std::uint32_t kMaxStartupBytes = 10'000;
// The newest minor version of protocol 3 that Waypost speaks, and the first with long cancel keys.
inline constexpr std::uint16_t kNewestMinor = 2, kLongKeysMinor = 2;
inline constexpr std::size_t kMaxCancelSecretBytes = 256;

enum class StartupKind : std::uint8_t {
  kNeedMore,
  kMalformed,        // see `fault`
  kStartup,
  kCancel,
  kSslRequest,
  kGssRequest,
  kUnsupportedMajor  // a protocol that is not 3.x
};

struct StartupPacket {
  StartupKind kind = StartupKind::kNeedMore;
  std::string_view fault;      // kMalformed: PostgreSQL's words for it
  std::uint16_t minor = 0;     // kStartup: the minor version asked for
  std::uint16_t major = 3;     // kUnsupportedMajor
  std::string user, database, replication, options;
  // Every other parameter, in the order sent; `_pq_.` options are in `unknown_options`.
  std::vector<std::pair<std::string, std::string>> parameters;
  std::vector<std::string> unknown_options;
  std::uint32_t cancel_pid = 0;  // kCancel
  std::string cancel_secret;     // kCancel: 4 bytes, or up to 256 since protocol 3.2
};

// Reads one packet off the front of `input` (removed unless kNeedMore or kMalformed). `database` defaults to `user`.
[[nodiscard]] StartupPacket ReadStartup(Bytes& input);

// The settings in a start-up `options` string: "-c name=value", "-cname=value", "--name=value" with backslash escapes, as
// pg_split_opts and process_postgres_switches read it. False at the first word that is none of these.
[[nodiscard]] bool ReadOptions(std::string_view options, std::vector<std::pair<std::string, std::string>>& settings);

}  // namespace waypost
