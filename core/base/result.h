// A value or the reason why there is none. For everything off the hot path.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace waypost {

// What went wrong, in words for the user: what, where, what was expected.
struct Error {
  std::string message;
};

// `E` may be a type of your own that has a `message`, where the caller must tell faults apart: see fault().
template <class T, class E = Error>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}      // NOLINT: meant to convert
  Result(E error) : state_(std::move(error)) {}  // NOLINT: meant to convert

  [[nodiscard]] bool ok() const { return std::holds_alternative<T>(state_); }
  explicit operator bool() const { return ok(); }

  // Only when ok().
  [[nodiscard]] T& value() { return std::get<T>(state_); }
  [[nodiscard]] const T& value() const { return std::get<T>(state_); }
  [[nodiscard]] T* operator->() { return &value(); }
  [[nodiscard]] const T* operator->() const { return &value(); }
  [[nodiscard]] T& operator*() { return value(); }
  [[nodiscard]] const T& operator*() const { return value(); }

  // Only when not ok().
  [[nodiscard]] const std::string& error() const { return std::get<E>(state_).message; }
  [[nodiscard]] const E& fault() const { return std::get<E>(state_); }

 private:
  std::variant<T, E> state_;
};

}  // namespace waypost
