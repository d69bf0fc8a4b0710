// Server-sent events, taken apart as they come. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace waypost {

class EventStream {
 public:
  // The data of each event that is whole now. Of an event that is longer than 1 MiB nothing is kept.
  [[nodiscard]] std::vector<std::string> Take(std::string_view part);

 private:
  void TakeLine(std::string_view line, std::vector<std::string>& whole);

  std::string line_, data_;
};

}  // namespace waypost
