// Certificates, keys and CAs come in force with the configuration that names them, and again once their files have changed. What is
// wrong with one is logged, and what was in force before stays. Not thread-safe, but for what it gives out (TlsInForce).
#pragma once

#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "core/config/config.h"
#include "core/env/tls_in_force.h"
#include "core/process/file_watch.h"

namespace waypost {

class Certificates {
 public:
  // Between two looks. Certificates are renewed in days; a change counts at the second look.
  static constexpr milliseconds kInterval{2'000};

  // `in_force` outlives this.
  explicit Certificates(TlsInForce& in_force) : in_force_(in_force) {}

  // What `config` names comes in force. The error: it cannot, as nothing is in force in its place.
  [[nodiscard]] Result<bool> Load(const Config& config);
  // Whether it could; nothing changes.
  [[nodiscard]] static Result<bool> Try(const Config& config);
  // True once an interval: it is time to look.
  [[nodiscard]] bool IsDue(TimePoint now);
  // The files that `config`, which is in force, names are read if they have changed. True: what they are now is in force.
  [[nodiscard]] bool Look(const Config& config);

 private:
  TlsInForce& in_force_;
  FileWatch files_;
  TimePoint next_look_{};
};

// The files of `config` that it looks at.
[[nodiscard]] std::vector<std::string> TlsFilesOf(const Config& config);

}  // namespace waypost
