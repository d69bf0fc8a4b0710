// A terminal that is written over and over, and gives keys: raw, on its other screen; as it was again in the end, also after a signal that ends the
// program. Main thread, and no other threads are running when it is made: it takes their signals.
#pragma once

#include <termios.h>

#include <chrono>
#include <csignal>
#include <vector>

#include "core/cli/top.h"

namespace waypost {

class Screen {
 public:
  // Standard input and output are terminals.
  [[nodiscard]] static bool Possible();

  Screen();
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  [[nodiscard]] TopSize size() const;
  // Those that fit. False: nobody sees it any more.
  [[nodiscard]] bool Draw(const std::vector<TopLine>& lines);

  enum class Turn { kTime, kResized, kRefresh, kQuit };
  // What comes first: `patience` has passed; the size is another one; a blank or Enter; q, Ctrl+C, the end of the input or a signal that
  // ends programs.
  [[nodiscard]] Turn Await(std::chrono::milliseconds patience);

 private:
  [[nodiscard]] Turn OnKey();
  [[nodiscard]] Turn OnSignal();

  termios before_{};
  sigset_t unblocked_{};
  int signals_ = -1;
};

}  // namespace waypost
