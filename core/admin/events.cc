#include "core/admin/events.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/admin/json.h"

namespace waypost {

nlohmann::json EventJson(const AdminEvent& event) {
  return {{"id", event.id},     {"time", Rfc3339(event.time)},
          {"kind", event.kind}, {"level", event.level},
          {"text", event.text}, {"server", event.server.empty() ? nlohmann::json(nullptr) : nlohmann::json(event.server)}};
}

void AdminEvents::Add(std::string kind, std::string level, std::string text, std::string server) {
  {
    const std::scoped_lock lock(mutex_);
    events_.push_back(
        {++last_, std::chrono::system_clock::now(), std::move(kind), std::move(level), std::move(text), std::move(server)});
    if (take_) take_(events_.back());
    if (events_.size() > kKept) events_.pop_front();
  }
  const std::scoped_lock lock(telling_);
  if (told_) told_();
}

std::vector<AdminEvent> AdminEvents::After(std::uint64_t id, std::size_t limit) const {
  const std::scoped_lock lock(mutex_);
  const auto first = std::find_if(events_.begin(), events_.end(), [&](const auto& event) { return event.id > id; });
  const auto count = std::min(limit, static_cast<std::size_t>(events_.end() - first));
  return {first, first + static_cast<std::ptrdiff_t>(count)};
}

std::uint64_t AdminEvents::last() const {
  const std::scoped_lock lock(mutex_);
  return last_;
}

void AdminEvents::Tell(std::function<void()> told) {
  const std::scoped_lock lock(telling_);
  told_ = std::move(told);
}

}  // namespace waypost
