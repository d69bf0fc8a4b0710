// Whether files have changed, by what the system says of them: they are not read. Main thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace waypost {

class FileWatch {
 public:
  // `files` are about to be read: what changes from now on is a change.
  void Take(const std::vector<std::string>& files);
  // To be called again and again. True once for a change: when `files` differ from what they were, and have not changed since the call
  // before, so that those that belong together are all there. Other `files` than in the call before are taken as they are.
  [[nodiscard]] bool HaveChanged(const std::vector<std::string>& files);

 private:
  struct Look {
    std::uint64_t device = 0, inode = 0;
    std::int64_t size = 0, seconds = 0, nanoseconds = 0;  // when its contents changed
    bool operator==(const Look&) const = default;
  };
  using Looks = std::vector<std::optional<Look>>;  // nothing: it is not there
  [[nodiscard]] static Looks LookAt(const std::vector<std::string>& files);

  std::vector<std::string> files_;
  Looks taken_;  // what was last said to have changed
  Looks last_;
};

}  // namespace waypost
