// The beginning of a message that is not whole yet, kept from one read of a stream to the next.
#pragma once

#include <string>
#include <utility>

#include "core/base/bytes.h"

namespace waypost {

class Stash {
 public:
  [[nodiscard]] bool empty() const { return kept_.empty(); }
  void Keep(Bytes rest) { kept_ = AsText(rest); }
  void Drop() { kept_.clear(); }
  // What was kept, followed by `data`; nothing is kept any more. Valid as long as `data` and `joined` are, which is the
  // caller's and empty.
  [[nodiscard]] Bytes Join(Bytes data, std::string& joined) {
    if (kept_.empty()) return data;
    joined = std::exchange(kept_, {});
    joined += AsText(data);
    return AsBytes(joined);
  }

 private:
  std::string kept_;
};

}  // namespace waypost
