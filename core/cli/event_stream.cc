#include "core/cli/event_stream.h"

#include <algorithm>
#include <utility>

namespace waypost {
namespace {

constexpr std::size_t kMaxEventBytes = 1U << 20U;
constexpr std::string_view kData = "data:";

}  // namespace

std::vector<std::string> EventStream::Take(std::string_view part) {
  std::vector<std::string> whole;
  while (!part.empty()) {
    const auto end = part.find('\n');
    const auto some = part.substr(0, end);
    if (line_.size() + some.size() <= kMaxEventBytes) line_ += some;
    part.remove_prefix(std::min(some.size() + 1, part.size()));
    if (end == std::string_view::npos) break;
    TakeLine(line_, whole);
    line_.clear();
  }
  return whole;
}

void EventStream::TakeLine(std::string_view line, std::vector<std::string>& whole) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty() && !data_.empty()) whole.push_back(std::exchange(data_, {}));
  if (!line.starts_with(kData)) return;
  line.remove_prefix(kData.size());
  if (line.starts_with(' ')) line.remove_prefix(1);
  if (data_.size() + line.size() > kMaxEventBytes) return data_.clear();
  data_ += (data_.empty() ? "" : "\n") + std::string(line);
}

}  // namespace waypost
