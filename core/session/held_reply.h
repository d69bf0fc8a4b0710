// The answer of a batch that the client does not get yet, because it may have to be thrown away: an error of a replica, a proof that
// fails, a check. Pure; the session says what happens and writes what is let go.
//
//   state      what comes of the answer      until
//   kNone      goes to the client
//   kHeld      is kept                       it is taken: from the first row on, past kMostBytes, or whole if it is checked
//   kUnproved  is kept                       it is proved; past kMostBytes the rest is not read
//   kDue       is kept                       it is proved; but for that it would have been let go
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "core/base/bytes.h"
#include "core/base/release.h"

namespace waypost {

class HeldReply {
 public:
  static constexpr std::size_t kMostBytes = 64 * 1024;

  // The batch is sent before it is proved: its answer is held until Proved().
  void AwaitProof() { state_ = State::kUnproved; }
  // Its answer is held.
  void Hold() {
    if (state_ == State::kNone) state_ = State::kHeld;
  }

  [[nodiscard]] bool holding() const { return state_ != State::kNone; }
  [[nodiscard]] bool unproved() const { return state_ == State::kUnproved || state_ == State::kDue; }
  [[nodiscard]] bool too_long() const { return bytes_.size() > kMostBytes; }

  // While it is held.
  void Keep(Bytes bytes) { bytes_ += AsText(bytes); }
  // Nothing of it stands against letting it go any more. True if it may go now; if not, it goes once it is proved.
  [[nodiscard]] bool MayGo() {
    if (unproved()) state_ = State::kDue;
    return state_ == State::kHeld;
  }
  // It is what it must be. True if it is to be let go now.
  [[nodiscard]] bool Proved() {
    const bool due = state_ == State::kDue || too_long();
    state_ = State::kHeld;
    return due;
  }

  // What was kept; what still comes goes to the client.
  [[nodiscard]] std::string Take() {
    state_ = State::kNone;
    return TakeBytes();
  }
  // The same, and what still comes is held.
  [[nodiscard]] std::string TakeBytes() { return std::exchange(bytes_, {}); }
  // In its place another answer is held.
  void Replace(std::string bytes) {
    state_ = State::kHeld;
    bytes_ = std::move(bytes);
  }
  // What was kept is thrown away, and no proof is waited for. Returns the status with which the batch ended, if it has.
  std::optional<char> Drop() {
    state_ = State::kNone;
    Release(bytes_);
    return TakeEnd();
  }
  // The same of what was kept alone.
  void Clear() { Release(bytes_); }

  // All of it is here: the batch has ended with `status`, and the session is not to hear so before TakeEnd().
  void End(char status) { end_ = status; }
  [[nodiscard]] bool ended() const { return end_.has_value(); }
  [[nodiscard]] std::optional<char> TakeEnd() { return std::exchange(end_, std::nullopt); }

 private:
  enum class State : std::uint8_t { kNone, kHeld, kUnproved, kDue };
  State state_ = State::kNone;
  std::string bytes_;
  std::optional<char> end_;
};

}  // namespace waypost
