// Views of bytes and the big-endian numbers of the wire. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace waypost {

// A view of bytes that somebody else owns; valid while that buffer is unchanged.
using Bytes = std::span<const std::byte>;

// The same memory, seen as text or as bytes.
[[nodiscard]] inline std::string_view AsText(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
[[nodiscard]] inline Bytes AsBytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// The big-endian number at `at`, where 2 or 4 bytes must follow.
[[nodiscard]] inline std::uint16_t ReadU16(const std::byte* at) {
  return static_cast<std::uint16_t>((std::to_integer<unsigned>(at[0]) << 8U) | std::to_integer<unsigned>(at[1]));
}
[[nodiscard]] inline std::uint32_t ReadU32(const std::byte* at) {
  return (std::to_integer<std::uint32_t>(at[0]) << 24U) | (std::to_integer<std::uint32_t>(at[1]) << 16U) |
         (std::to_integer<std::uint32_t>(at[2]) << 8U) | std::to_integer<std::uint32_t>(at[3]);
}

}  // namespace waypost
