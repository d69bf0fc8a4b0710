// What takes long is told while it takes: waiting for a primary, reading a catalogue, draining. In the log, and as one line of
// status for the service manager. Main thread.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "core/base/time.h"
#include "core/catalog/keeper.h"

namespace waypost {

class Progress {
 public:
  // `tell` gets the line of status whenever it has changed.
  Progress(std::string serving, std::function<void(const std::string& status)> tell)
      : serving_(std::move(serving)), tell_(std::move(tell)) {}

  struct Seen {
    std::string primary;   // its name; "": none is known
    std::string why_none;  // if none is known
    std::optional<CatalogLoad> loading;
  };
  // While it serves, as often as it suits.
  void Look(const Seen& seen, TimePoint now);

  // While it drains, as often as it suits: `clients` are left, and are closed at `deadline`.
  void Drain(std::size_t clients, TimePoint deadline, TimePoint now);

  // The line of status as it was told last, or is to be told first.
  [[nodiscard]] const std::string& status() const { return status_.empty() ? serving_ : status_; }

 private:
  void Tell(std::string status);
  void LookForPrimary(const Seen& seen, TimePoint now);

  const std::string serving_;  // "Serving on ADDRESS:PORT"
  const std::function<void(const std::string& status)> tell_;
  std::string status_;
  std::optional<TimePoint> no_primary_since_, no_primary_told_, drain_told_;
  std::optional<CatalogLoad> load_told_;
};

}  // namespace waypost
