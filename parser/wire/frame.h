// Incremental framing of the PostgreSQL v3 protocol: the header is announced as soon as its 5 bytes are there, the body
// streams behind it in any pieces. Pure: no I/O, no allocation, never throws.
// Wire layout: type:byte1, length:int32 (counts itself, not the type), body.
// Source: https://www.postgresql.org/docs/15/protocol-message-formats.html
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/bytes.h"

namespace waypost {

inline constexpr std::size_t kHeaderBytes = 5;
// MaxAllocSize - 1, the longest body that PostgreSQL sends, and the longest message that it takes, with its length word:
// PQ_LARGE_MESSAGE_LIMIT, src/include/libpq/libpq.h
inline constexpr std::uint32_t kMaxMessageBytes = 0x3FFFFFFE;
// PQ_SMALL_MESSAGE_LIMIT, src/include/libpq/libpq.h: for messages that carry names and numbers only
inline constexpr std::uint32_t kMaxSmallMessageBytes = 10'000;

enum class FrameStatus : std::uint8_t { kHeader, kNeedMore, kMalformed };

struct FrameHeader {
  char type = 0;
  std::uint32_t body_bytes = 0;
};

// Takes the next header off the front of `input`.
//   kHeader     `header` is set and its 5 bytes are removed from `input`; `header.body_bytes` bytes of body follow
//   kNeedMore   both untouched; call again with more bytes
//   kMalformed  both untouched; a length below 4, or a body above kMaxMessageBytes: the peer broke the protocol
[[nodiscard]] FrameStatus NextHeader(Bytes& input, FrameHeader& header);

// What PostgreSQL checks of a client's header (SocketBackend, src/backend/tcop/postgres.c).
enum class FrontendFault : std::uint8_t { kNone, kUnknownType, kTooLong };
[[nodiscard]] FrontendFault CheckFrontendHeader(FrameHeader header);

}  // namespace waypost
