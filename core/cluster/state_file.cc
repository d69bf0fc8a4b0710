#include "core/cluster/state_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

namespace waypost {
namespace {

constexpr std::string_view kMark = "waypost-state-1";
constexpr std::size_t kRecords = 2;

// FNV-1a: against a torn or a foreign record, not against malice.
std::uint64_t Checksum(std::string_view text) {
  std::uint64_t sum = 14695981039346656037ULL;
  for (const char c : text) sum = (sum ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return sum;
}

// The next word of `text`, taken from it.
std::string_view Word(std::string_view& text) {
  const auto end = text.find(' ');
  const auto word = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return word;
}

// The number in the next word, "KEY=NUMBER".
template <class N>
bool Take(std::string_view& text, std::string_view key, N& number) {
  const auto word = Word(text);
  if (!word.starts_with(key) || word.size() <= key.size() || word[key.size()] != '=') return false;
  const auto* end = word.data() + word.size();
  return std::from_chars(word.data() + key.size() + 1, end, number).ptr == end;
}

}  // namespace

std::string FormatRecord(const StateRecord& record) {
  const auto& state = record.state;
  std::string text = std::string(kMark) + " serial=" + std::to_string(record.serial) +
                     " system=" + std::to_string(state.accepted.system_identifier) +
                     " timeline=" + std::to_string(state.accepted.timeline) +
                     " void_up_to=" + std::to_string(state.accepted.void_up_to) +
                     " by_operator=" + std::to_string(state.by_operator ? 1 : 0) + " primary=" + state.primary;
  text += " checksum=" + std::to_string(Checksum(text));
  text.resize(kRecordBytes - 1, ' ');
  return text + "\n";
}

std::optional<StateRecord> ParseRecord(std::string_view text) {
  if (text.size() != kRecordBytes || text.back() != '\n') return std::nullopt;
  text.remove_suffix(1);
  text = text.substr(0, text.find_last_not_of(' ') + 1);
  constexpr std::string_view kSum = " checksum=";
  const auto at = text.rfind(kSum);
  if (at == std::string_view::npos) return std::nullopt;
  auto sum_word = text.substr(at + 1);
  std::uint64_t sum = 0;
  text = text.substr(0, at);
  if (!Take(sum_word, "checksum", sum) || sum != Checksum(text)) return std::nullopt;
  StateRecord record;
  auto& accepted = record.state.accepted;
  unsigned by_operator = 0;
  if (Word(text) != kMark || !Take(text, "serial", record.serial) || !Take(text, "system", accepted.system_identifier) ||
      !Take(text, "timeline", accepted.timeline) || !Take(text, "void_up_to", accepted.void_up_to) ||
      !Take(text, "by_operator", by_operator) || !text.starts_with("primary="))
    return std::nullopt;
  record.state.by_operator = by_operator != 0;
  record.state.primary = text.substr(std::strlen("primary="));
  return record;
}

StateFile::StateFile(StateFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), serial_(other.serial_), saved_(std::move(other.saved_)) {}

StateFile::~StateFile() {
  if (fd_ >= 0) close(fd_);
}

Error StateFile::Failed(const char* what) const {
  return Error{"state_file " + path_ + ": cannot " + what + ": " + std::strerror(errno)};
}

Result<StateFile> StateFile::Open(const std::string& path) {
  StateFile file(path, open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
  if (file.fd_ < 0) return file.Failed("open or create it");
  if (const auto read = file.Read(); !read) return Error{read.error()};
  if (file.saved_) return file;
  // The space that it will ever need is taken while there is some.
  const std::string blank(kRecordBytes * kRecords, '\n');
  if (pwrite(file.fd_, blank.data(), blank.size(), 0) != static_cast<ssize_t>(blank.size()) || fsync(file.fd_) != 0)
    return file.Failed("write to it");
  return file;
}

Result<bool> StateFile::Read() {
  std::array<char, kRecordBytes * kRecords> bytes{};
  const auto size = pread(fd_, bytes.data(), bytes.size(), 0);
  if (size < 0) return Failed("read it");
  const std::string_view text(bytes.data(), static_cast<std::size_t>(size));
  std::optional<StateRecord> newest;
  for (std::size_t i = 0; i < kRecords && (i + 1) * kRecordBytes <= text.size(); ++i) {
    auto record = ParseRecord(text.substr(i * kRecordBytes, kRecordBytes));
    if (record && (!newest || record->serial > newest->serial)) newest = std::move(record);
  }
  const bool blank = text.find_first_not_of('\n') == std::string_view::npos;
  if (!newest && !blank)
    return Error{"state_file " + path_ +
                 ": it holds something else than Waypost's state, or is damaged: expected two records of " +
                 std::to_string(kRecordBytes) +
                 " bytes, each with its checksum. Without it a deposed primary may be accepted: "
                 "remove it only if you know which server is the primary"};
  if (newest) {
    serial_ = newest->serial;
    saved_ = std::move(newest->state);
  }
  return true;
}

Result<bool> StateFile::Save(const SavedState& state) {
  const auto serial = serial_ + 1;
  const auto text = FormatRecord({serial, state});
  const auto at = static_cast<off_t>(serial % kRecords * kRecordBytes);
  if (pwrite(fd_, text.data(), text.size(), at) != static_cast<ssize_t>(text.size()) || fdatasync(fd_) != 0)
    return Failed("write to it");
  serial_ = serial;
  saved_ = state;
  return true;
}

}  // namespace waypost
