#include "core/cli/screen.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>

namespace waypost {
namespace {

constexpr const char* kBegin = "\x1B[?1049h\x1B[?25l";  // the other screen, no cursor
constexpr const char* kEnd = "\x1B[?25h\x1B[?1049l";
constexpr char kControlC = 3, kControlD = 4;
constexpr std::size_t kFewestColumns = 20, kFewestRows = 5;

bool Put(const std::string& text) { return std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0; }

}  // namespace

bool Screen::Possible() { return isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1; }

Screen::Screen() {
  sigset_t taken;
  sigemptyset(&taken);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH}) sigaddset(&taken, signal);
  pthread_sigmask(SIG_BLOCK, &taken, &unblocked_);
  signals_ = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
  tcgetattr(STDIN_FILENO, &before_);
  auto raw = before_;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
  tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  (void)Put(kBegin);
}

Screen::~Screen() {
  (void)Put(kEnd);
  tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  if (signals_ >= 0) close(signals_);
  pthread_sigmask(SIG_SETMASK, &unblocked_, nullptr);
}

TopSize Screen::size() const {
  winsize found{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &found) != 0 || found.ws_col == 0 || found.ws_row == 0) return {80, 24};
  return {std::max<std::size_t>(found.ws_col, kFewestColumns), std::max<std::size_t>(found.ws_row, kFewestRows)};
}

bool Screen::Draw(const std::vector<TopLine>& lines) {
  std::string frame = "\x1B[H";
  const auto shown = std::min(lines.size(), size().rows);
  for (std::size_t i = 0; i < shown; ++i) {
    const auto& line = lines[i];
    frame += (line.heading ? "\x1B[7m" + line.text + "\x1B[0m" : line.text) + "\x1B[K";
    if (i + 1 < shown) frame += "\r\n";
  }
  return Put(frame + "\x1B[J");
}

Screen::Turn Screen::Await(std::chrono::milliseconds patience) {
  std::array<pollfd, 2> sources{{{STDIN_FILENO, POLLIN, 0}, {signals_, POLLIN, 0}}};
  const auto end = std::chrono::steady_clock::now() + patience;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (poll(sources.data(), sources.size(), static_cast<int>(std::max<std::int64_t>(0, left.count()))) <= 0) return Turn::kTime;
    const auto turn = sources[1].revents != 0 ? OnSignal() : OnKey();
    if (turn != Turn::kTime) return turn;
  }
}

// kTime: one that says nothing.
Screen::Turn Screen::OnKey() {
  char key = 0;
  if (read(STDIN_FILENO, &key, 1) != 1) return Turn::kQuit;
  if (key == 'q' || key == 'Q' || key == kControlC || key == kControlD) return Turn::kQuit;
  return key == ' ' || key == '\n' || key == '\r' ? Turn::kRefresh : Turn::kTime;
}

Screen::Turn Screen::OnSignal() {
  signalfd_siginfo signal{};
  if (read(signals_, &signal, sizeof signal) != static_cast<ssize_t>(sizeof signal)) return Turn::kTime;
  return signal.ssi_signo == SIGWINCH ? Turn::kResized : Turn::kQuit;
}

}  // namespace waypost
