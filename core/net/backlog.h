// Bytes that came and wait to be looked at, in order. Taking from the front moves what is left only when that is the smaller
// part, so that each byte is moved once however small the pieces are. Holds no memory while it is empty.
#pragma once

#include <cstddef>
#include <string>

#include "core/base/bytes.h"
#include "core/base/release.h"

namespace waypost {

class Backlog {
 public:
  void Append(Bytes bytes) {
    if (!bytes.empty()) kept_ += AsText(bytes);
  }
  // Valid until something is appended or taken.
  [[nodiscard]] Bytes bytes() const { return AsBytes(kept_).subspan(taken_); }
  [[nodiscard]] std::size_t size() const { return kept_.size() - taken_; }
  [[nodiscard]] bool empty() const { return size() == 0; }
  // Removes the first `count`, which must be there.
  void Take(std::size_t count) {
    taken_ += count;
    if (empty()) Release(kept_);
    else if (taken_ * 2 < kept_.size()) return;
    else kept_.erase(0, taken_);
    taken_ = 0;
  }

 private:
  std::string kept_;
  std::size_t taken_ = 0;
};

}  // namespace waypost
