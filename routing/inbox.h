// Where a session is in what its client sends: within a message whose beginning was looked at, or at the head of one, and then what is
// to become of that. Pure: no bytes are kept here; its session's.
//
//   rest of a message    what becomes of it                     ends with
//   kNone                there is none: a header comes next
//   kDropped             nobody wants it                        its last byte
//   kStreamed            goes on to the server in pieces        its last byte; kDropped when the server is lost
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "core/base/bytes.h"

namespace waypost {

class Inbox {
 public:
  enum class Rest : std::uint8_t { kNone, kDropped, kStreamed };

  // --- the rest of a message

  // The next `bytes` are dropped; 0: there are none.
  void Drop(std::uint32_t bytes) { SetRest(Rest::kDropped, bytes); }
  // They go on to the server.
  void Stream(std::uint32_t bytes) { SetRest(Rest::kStreamed, bytes); }
  // What was to go to the server is dropped. True if there was anything: the server has half a message.
  bool LoseServer() {
    if (rest_ != Rest::kStreamed) return false;
    rest_ = Rest::kDropped;
    return true;
  }
  [[nodiscard]] Rest rest() const { return rest_; }
  // As much of it as is here, off the front of `in`.
  [[nodiscard]] Bytes TakeRest(Bytes& in) {
    const auto piece = in.first(std::min<std::size_t>(left_, in.size()));
    in = in.subspan(piece.size());
    SetRest(rest_, left_ - static_cast<std::uint32_t>(piece.size()));
    return piece;
  }

  // --- the message at the head

  // It is too large to gather, of this type, and waits to be passed on to a server.
  void AwaitServer(char large_type) { large_ = large_type; }
  // It is on its way, or its batch has ended.
  void EndLarge() { large_.reset(); }
  [[nodiscard]] bool large() const { return large_.has_value(); }
  // It is a batch of its own.
  [[nodiscard]] bool LargeQuery() const { return large_ == 'Q' || large_ == 'F'; }

  // Its answer was given: it is to be dropped, or not.
  void DropNext(bool drop) { drop_next_ = drop; }
  // True, once, if it is to be.
  [[nodiscard]] bool TakeDropNext() { return std::exchange(drop_next_, false); }

  // After an error of ours all messages up to Sync are dropped, or not.
  void SkipToSync(bool skip) { skip_to_sync_ = skip; }
  [[nodiscard]] bool skips_to_sync() const { return skip_to_sync_; }

  // The next message begins a new life: no part of one is dropped, sent or waited for.
  [[nodiscard]] bool fresh() const { return rest_ == Rest::kNone && !large_ && !drop_next_ && !skip_to_sync_; }

 private:
  void SetRest(Rest rest, std::uint32_t bytes) {
    rest_ = bytes > 0 ? rest : Rest::kNone;
    left_ = bytes;
  }

  Rest rest_ = Rest::kNone;
  std::uint32_t left_ = 0;  // bytes of the rest; 0 in kNone only
  std::optional<char> large_;
  bool drop_next_ = false;
  bool skip_to_sync_ = false;
};

}  // namespace waypost
