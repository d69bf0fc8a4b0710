// What the operator wants of the servers: kept in a file, put into every view, and ended when its time has come. Thread-safe.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "core/admin/api.h"
#include "core/base/result.h"
#include "routing/intents.h"

namespace waypost {

class Wishes {
 public:
  // Reads what was wanted before; `path` empty: it is not kept over restarts.
  [[nodiscard]] Result<bool> KeepIn(std::string path);
  // `view` as the operator wants it; null stays null.
  [[nodiscard]] View Apply(const View& view) const;
  // 409 if the server is the primary in `view`, 500 if it cannot be kept; then nothing has changed.
  [[nodiscard]] AdminChange Set(const ClusterView& view, const std::string& server, const IntentWish& wish);
  // Until when those that are drained may take their time.
  [[nodiscard]] Deadlines deadlines() const;
  // The servers whose deadline has passed, each once.
  [[nodiscard]] std::vector<std::string> TakeDue(std::chrono::system_clock::time_point now);

 private:
  mutable std::mutex mutex_;
  std::string path_;
  Intents intents_;
  Deadlines deadlines_;
  std::map<std::string, bool> ended_;  // of those in deadlines_: what ran there has been ended
};

}  // namespace waypost
