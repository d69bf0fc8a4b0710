#include "core/base/log_limit.h"

namespace waypost {
namespace {

// Names of events are written in the source; should one ever be made up, memory stays bounded.
constexpr std::size_t kMaxKinds = 1'000;
constexpr std::string_view kOtherKinds = "other";

}  // namespace

std::optional<std::uint64_t> LogLimit::Admit(LogLevel level, std::string_view event, TimePoint now) {
  const auto most = level <= LogLevel::kDebug ? kDebugLinesPerWindow : kLinesPerWindow;
  const std::scoped_lock lock(mutex_);
  auto& windows = windows_[static_cast<std::size_t>(level)];
  auto found = windows.find(event);
  if (found == windows.end()) {
    const auto name = windows.size() < kMaxKinds ? event : kOtherKinds;
    found = windows.try_emplace(std::string(name), Window{.since = now}).first;
  }
  auto& window = found->second;
  std::uint64_t left_out = 0;
  if (now - window.since >= kLogWindow) {
    left_out = window.left_out;
    window = {.since = now};
  }
  if (window.written < most) {
    ++window.written;
    return left_out;
  }
  ++window.left_out;
  return std::nullopt;
}

std::vector<LogLimit::LeftOut> LogLimit::TakeLeftOut(TimePoint now) {
  std::vector<LeftOut> all;
  const std::scoped_lock lock(mutex_);
  for (std::size_t level = 0; level < windows_.size(); ++level) {
    for (auto& [event, window] : windows_[level]) {
      if (window.left_out == 0 || now - window.since < kLogWindow) continue;
      all.push_back({static_cast<LogLevel>(level), event, window.left_out});
      window = {.since = now};
    }
  }
  return all;
}

}  // namespace waypost
