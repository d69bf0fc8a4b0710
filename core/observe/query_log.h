// Which statements are logged: [log] queries. While it is off, a statement costs one test of a flag. Worker thread only.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/time.h"
#include "core/config/config.h"

namespace waypost {

// Of a statement's text in the log; then "...".
inline constexpr std::size_t kMaxLoggedTextBytes = 4096;

class QueryLog {
 public:
  void Configure(const QueryLogConfig& config);

  [[nodiscard]] bool on() const { return on_; }
  // Whether one that took so long is logged. `random`: any number, evenly spread; the sample is drawn by it.
  [[nodiscard]] bool Wants(Duration took, std::uint32_t random) const { return took >= slow_ || random < sampled_; }
  // Its text is logged as it is.
  [[nodiscard]] bool literals() const { return literals_; }

 private:
  bool on_ = false;
  bool literals_ = false;
  Duration slow_{};
  std::uint64_t sampled_ = 0;  // of 2^32
};

}  // namespace waypost
