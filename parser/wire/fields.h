// Reads the fields of a message body in order. Pure; never reads past the end: a missing field makes ok() false for good.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "core/base/bytes.h"

namespace waypost {

class Fields {
 public:
  explicit Fields(Bytes body) : rest_(body) {}

  // False once a field was asked for that is not there.
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] Bytes rest() const { return rest_; }

  // A string ended by NUL, without it; points into the body.
  std::string_view CString() {
    const void* end = rest_.empty() ? nullptr : std::memchr(rest_.data(), 0, rest_.size());
    if (end == nullptr) return Fail<std::string_view>();
    const auto length = static_cast<std::size_t>(static_cast<const std::byte*>(end) - rest_.data());
    const auto text = AsText(rest_.first(length));
    rest_ = rest_.subspan(length + 1);
    return text;
  }
  char Byte() {
    if (rest_.empty()) return Fail<char>();
    const auto value = static_cast<char>(rest_[0]);
    rest_ = rest_.subspan(1);
    return value;
  }
  std::uint16_t U16() {
    if (rest_.size() < 2) return Fail<std::uint16_t>();
    const auto value = ReadU16(rest_.data());
    rest_ = rest_.subspan(2);
    return value;
  }
  std::uint32_t U32() {
    if (rest_.size() < 4) return Fail<std::uint32_t>();
    const auto value = ReadU32(rest_.data());
    rest_ = rest_.subspan(4);
    return value;
  }
  Bytes Take(std::size_t count) {
    if (rest_.size() < count) return Fail<Bytes>();
    const auto taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }

 private:
  template <class T>
  T Fail() {
    ok_ = false;
    rest_ = {};
    return T{};
  }

  Bytes rest_;
  bool ok_ = true;
};

}  // namespace waypost
