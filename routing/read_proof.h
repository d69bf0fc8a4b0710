// How far the proof of one read on a replica has come, in the session that waits for it: all of it goes when the session leaves the
// fence. What proves it: routing/fence.h. Pure.
#pragma once

#include <cstdint>

#include "routing/fence.h"

namespace waypost {

class ReadProof {
 public:
  // The primary has said what the read must see.
  void NoteIndex() { index_known_ = true; }
  [[nodiscard]] bool index_known() const { return index_known_; }

  // A replica was found to show it, in this incarnation of the connection on which it said so.
  void ProvedIn(std::uint32_t incarnation) { incarnation_ = incarnation; }
  // That still holds for a replica of which `seen` is known.
  [[nodiscard]] bool HoldsFor(const Fence::Seen& seen) const { return seen.incarnation == incarnation_; }

  // It was sent before it was proved, to a replica that had shown `seen`.
  void SentUnproved(const Fence::Seen& seen) { seen_at_send_ = seen; }
  [[nodiscard]] const Fence::Seen& seen_at_send() const { return seen_at_send_; }

  void Clear() { *this = ReadProof(); }

 private:
  bool index_known_ = false;
  std::uint32_t incarnation_ = 0;
  Fence::Seen seen_at_send_;
};

}  // namespace waypost
