#include "core/cluster/name_lookup.h"

#include <netdb.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <system_error>
#include <thread>

namespace waypost {

struct NameLookup::State {
  State() : fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  ~State() {
    if (fd >= 0) close(fd);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void LookUp(const std::string& host) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int failed = getaddrinfo(host.c_str(), nullptr, &hints, &found); failed != 0) {
      error = "could not translate host name \"" + host + "\" to address: " + gai_strerror(failed);
      return;
    }
    for (const auto* one = found; one != nullptr; one = one->ai_next) {
      std::array<char, NI_MAXHOST> text{};
      if (getnameinfo(one->ai_addr, one->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0) continue;
      if (std::find(addresses.begin(), addresses.end(), text.data()) == addresses.end()) addresses.emplace_back(text.data());
    }
    freeaddrinfo(found);
  }
  void Finish() {
    done.store(true, std::memory_order_release);
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = write(fd, &one, sizeof one);
  }

  const int fd;
  std::vector<std::string> addresses;  // these two belong to the thread until it is done
  std::string error;
  std::atomic<bool> done{false};
};

NameLookup::NameLookup(const std::string& host) : state_(std::make_shared<State>()) {
  try {
    std::thread([state = state_, host] {
      state->LookUp(host);
      state->Finish();
    }).detach();
  } catch (const std::system_error& failed) {  // no thread to be had
    state_->error = failed.what();
    state_->Finish();
  }
}

int NameLookup::fd() const { return state_->fd; }
bool NameLookup::done() const { return state_->done.load(std::memory_order_acquire); }
const std::vector<std::string>& NameLookup::addresses() const { return state_->addresses; }
const std::string& NameLookup::error() const { return state_->error; }

}  // namespace waypost
