// What must outlive the process: the newest term in which a primary was accepted. One small file, written in place, so that it
// needs no free space; two records take turns, so that one is whole whenever the process or the machine stops. Each is a line
// of text with a checksum.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "routing/cluster_view.h"

namespace waypost {

struct SavedState {
  AcceptedTerm accepted;
  bool by_operator = false;  // he accepted it, and it was not seen as the primary since
  std::string primary;       // the server's name, for people
};

class StateFile {
 public:
  // Opens or creates `path` and reads it. An error is one line for the administrator: the path, and what is wrong with it.
  [[nodiscard]] static Result<StateFile> Open(const std::string& path);
  ~StateFile();
  StateFile(StateFile&& other) noexcept;
  StateFile& operator=(StateFile&&) = delete;

  // The newest record; nothing in a new file.
  [[nodiscard]] const std::optional<SavedState>& saved() const { return saved_; }
  // Reads it again: an operator's command may have written it.
  [[nodiscard]] Result<bool> Read();
  // On disk when it returns. After an error what was saved before is still there.
  [[nodiscard]] Result<bool> Save(const SavedState& state);

 private:
  StateFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  [[nodiscard]] Error Failed(const char* what) const;

  std::string path_;
  int fd_ = -1;
  std::uint64_t serial_ = 0;  // of the newest record; it stands at serial_ % 2
  std::optional<SavedState> saved_;
};

// One record as text, kRecordBytes long; and what is in such a text, nothing if it is not whole. For StateFile and its test.
inline constexpr std::size_t kRecordBytes = 512;  // a sector: disks write it as a whole
struct StateRecord {
  std::uint64_t serial = 0;
  SavedState state;
};
[[nodiscard]] std::string FormatRecord(const StateRecord& record);
[[nodiscard]] std::optional<StateRecord> ParseRecord(std::string_view text);

}  // namespace waypost
