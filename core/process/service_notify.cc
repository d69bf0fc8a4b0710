#include "core/process/service_notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace waypost {
namespace {

std::string FromEnvironment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): before any thread is started
  return value == nullptr ? "" : value;
}

std::optional<std::int64_t> Number(const std::string& text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number > 0 ? std::optional(number) : std::nullopt;
}

std::int64_t Micros(Duration duration) { return std::chrono::duration_cast<std::chrono::microseconds>(duration).count(); }

}  // namespace

ServiceNotify::ServiceNotify(bool successor) : address_(FromEnvironment("NOTIFY_SOCKET")) {
  if (address_.empty()) return;
  socket_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const auto pid = FromEnvironment("WATCHDOG_PID");
  if (!successor && !pid.empty() && Number(pid) != getpid()) return;
  // Twice in the time that the manager waits.
  if (const auto usec = Number(FromEnvironment("WATCHDOG_USEC"))) watchdog_ = std::chrono::microseconds(*usec) / 2;
}

ServiceNotify::~ServiceNotify() {
  if (socket_ >= 0) close(socket_);
}

void ServiceNotify::Ready(std::string_view status) {
  Send("READY=1\nMAINPID=" + std::to_string(getpid()) + "\nSTATUS=" + std::string(status));
}

void ServiceNotify::Reloading() {
  Send("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(Micros(Clock::now().time_since_epoch())) + "\nSTATUS=Reloading");
}

void ServiceNotify::Stopping(Duration longest, std::string_view status) {
  Send("STOPPING=1\nEXTEND_TIMEOUT_USEC=" + std::to_string(Micros(longest)) + "\nSTATUS=" + std::string(status));
}

void ServiceNotify::Status(std::string_view status) { Send("STATUS=" + std::string(status)); }

void ServiceNotify::Alive() { Send("WATCHDOG=1"); }

void ServiceNotify::Send(const std::string& state) const {
  sockaddr_un to{};
  if (socket_ < 0 || address_.size() >= sizeof to.sun_path) return;
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, address_.data(), address_.size());
  if (address_.front() == '@') to.sun_path[0] = '\0';  // in the abstract namespace
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size());
  // A manager that takes nothing is not waited for.
  (void)sendto(socket_, state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&to), size);
}

bool Pulse::Take() {
  bool all = true;
  for (std::size_t i = 0; i < beats_.size(); ++i) {
    if (!*beats_[i]) {
      all = false;
      continue;
    }
    *beats_[i] = false;
    post_(i, [beat = beats_[i]] { *beat = true; });
  }
  return all;
}

}  // namespace waypost
