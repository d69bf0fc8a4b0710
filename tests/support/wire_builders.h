// Wire messages as text, for tests: Message('Q', CString("SELECT 1")). Written apart from
// parser/wire/encode.h, so that the one can be held against the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace waypost::wire {

inline std::string U16(std::uint16_t value) { return {static_cast<char>(value >> 8U), static_cast<char>(value & 0xFFU)}; }

inline std::string U32(std::uint32_t value) {
  return U16(static_cast<std::uint16_t>(value >> 16U)) + U16(static_cast<std::uint16_t>(value & 0xFFFFU));
}

inline std::string CString(std::string_view text) { return std::string(text) + '\0'; }

// A type byte and a length that need not be true.
inline std::string Header(char type, std::uint32_t length) { return type + U32(length); }

inline std::string Message(char type, std::string_view body = {}) {
  return Header(type, static_cast<std::uint32_t>(body.size() + 4)).append(body);
}

inline std::string Query(std::string_view sql) { return Message('Q', CString(sql)); }

// A message without a type byte.
inline std::string Packet(std::string_view body) { return U32(static_cast<std::uint32_t>(body.size() + 4)).append(body); }

constexpr std::uint32_t kProtocol30 = 196608;  // 3.0
constexpr std::uint32_t kCancelCode = 80877102;
constexpr std::uint32_t kSslCode = 80877103;
constexpr std::uint32_t kGssCode = 80877104;

inline std::string Startup(std::initializer_list<std::pair<std::string_view, std::string_view>> parameters,
                           std::uint32_t version = kProtocol30) {
  std::string body = U32(version);
  for (const auto& [name, value] : parameters) body += CString(name) + CString(value);
  return Packet(body + '\0');
}

}  // namespace waypost::wire
