#include "core/base/log_writer.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace waypost {
namespace {

constexpr mode_t kFileMode = 0640;
// A reader that takes nothing for so long takes nothing. Only the writer's own thread waits for it.
constexpr milliseconds kReaderPatience{100};

std::uint64_t LinesIn(std::string_view text) { return static_cast<std::uint64_t>(std::count(text.begin(), text.end(), '\n')); }

class LogFile {
 public:
  LogFile() : descriptor_(STDERR_FILENO) {}
  explicit LogFile(int descriptor) : descriptor_(descriptor), own_(true) {}
  ~LogFile() {
    if (own_) close(descriptor_);
  }
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;

  // How many lines of `text` could not be written.
  std::uint64_t Append(std::string_view text, milliseconds patience) {
    if (torn_ && !PutAll("\n", patience).empty()) return LinesIn(text);
    torn_ = false;
    const auto left = PutAll(text, patience);
    torn_ = !left.empty() && left.size() < text.size() && text[text.size() - left.size() - 1] != '\n';
    return LinesIn(left);
  }

 private:
  // What could not be written of `text`.
  [[nodiscard]] std::string_view PutAll(std::string_view text, milliseconds patience) const {
    while (!text.empty()) {
      const auto put = write(descriptor_, text.data(), text.size());
      if (put >= 0) text.remove_prefix(static_cast<std::size_t>(put));
      else if (errno != EINTR && (errno != EAGAIN || !Ready(patience))) break;
    }
    return text;
  }

  [[nodiscard]] bool Ready(milliseconds patience) const {
    pollfd asked{descriptor_, POLLOUT, 0};
    return poll(&asked, 1, static_cast<int>(patience.count())) > 0 && (asked.revents & POLLOUT) != 0;
  }

  int descriptor_;
  bool own_ = false;
  bool torn_ = false;  // the last line was written in part
};

}  // namespace

struct LogWriter::State {
  mutable std::mutex mutex;
  std::condition_variable wake, written;
  std::shared_ptr<LogFile> file = std::make_shared<LogFile>();
  std::string pending;
  bool threaded = false;
  bool writing = false;  // the thread has lines that are not pending any more
  bool stop = false;
  bool failing = false;  // the last write
  Losses losses;
  std::uint64_t told = 0;

  void Note(std::uint64_t lost) {
    failing = lost > 0;
    losses.write += lost;
  }
};

LogWriter::LogWriter() : state_(std::make_shared<State>()) {}

LogWriter::~LogWriter() { StopThread(milliseconds(0)); }

bool LogWriter::Open(const std::string& file) {
  std::shared_ptr<LogFile> opened;
  if (file.empty()) {
    opened = std::make_shared<LogFile>();
  } else {
    // A pipe that nobody reads would keep a blocking open waiting.
    const int descriptor = open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, kFileMode);
    if (descriptor < 0) return false;
    opened = std::make_shared<LogFile>(descriptor);
  }
  const std::scoped_lock lock(state_->mutex);
  state_->file = std::move(opened);
  return true;
}

void LogWriter::Write(std::string_view lines) {
  auto& state = *state_;
  const std::scoped_lock lock(state.mutex);
  if (!state.threaded) {
    state.Note(state.file->Append(lines, milliseconds(0)));
    return;
  }
  if (state.pending.size() + lines.size() > kMaxPendingBytes) {
    state.losses.queue += LinesIn(lines);
    return;
  }
  state.pending += lines;
  state.wake.notify_one();
}

void LogWriter::StartThread() {
  if (thread_.joinable()) return;
  {
    const std::scoped_lock lock(state_->mutex);
    state_->threaded = true;
    state_->stop = false;
  }
  thread_ = std::thread([state = state_] { Run(state); });
}

void LogWriter::Run(const std::shared_ptr<State>& state) {
  std::string lines;
  std::unique_lock lock(state->mutex);
  for (;;) {
    state->wake.wait(lock, [&] { return state->stop || !state->pending.empty(); });
    if (state->pending.empty()) return;
    lines.clear();
    lines.swap(state->pending);
    state->writing = true;
    const auto file = state->file;
    lock.unlock();
    const auto lost = file->Append(lines, kReaderPatience);
    lock.lock();
    state->Note(lost);
    state->writing = false;
    state->written.notify_all();
  }
}

bool LogWriter::StopThread(Duration patience) {
  if (!thread_.joinable()) return true;
  bool all = false;
  {
    std::unique_lock lock(state_->mutex);
    state_->stop = true;
    state_->wake.notify_one();
    all = state_->written.wait_for(lock, patience, [&] { return state_->pending.empty() && !state_->writing; });
    // What is logged from now on is few, and whoever logs it has time; unless the file takes nothing.
    state_->threaded = !all;
  }
  if (all) thread_.join();
  else thread_.detach();
  return all;
}

LogWriter::Losses LogWriter::losses() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->losses;
}

std::uint64_t LogWriter::TakeUntold() {
  const std::scoped_lock lock(state_->mutex);
  if (state_->failing || state_->pending.size() > kMaxPendingBytes / 2) return 0;
  const auto lost = state_->losses.queue + state_->losses.write;
  return lost - std::exchange(state_->told, lost);
}

}  // namespace waypost
