#include "core/process/successor.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "core/base/bytes.h"
#include "core/process/predecessor.h"

extern char** environ;

namespace waypost {
namespace {

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (auto& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

Command OwnCommand() {
  Command command;
  std::array<char, 4096> path{};
  const auto length = readlink("/proc/self/exe", path.data(), path.size());
  if (length > 0) command.program.assign(path.data(), static_cast<std::size_t>(length));
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  for (std::string argument; std::getline(file, argument, '\0');) command.arguments.push_back(argument);
  return command;
}

Result<std::unique_ptr<Successor>> Successor::Start(const Command& command,
                                                    const std::vector<std::shared_ptr<ListeningSocket>>& sockets,
                                                    OnCancel on_cancel) {
  const auto ends = HandoverLink::Pair();
  if (!ends) return Error{ends.error()};
  auto arguments = command.arguments;
  std::vector<std::string> environment;
  for (auto** variable = environ; *variable != nullptr; ++variable) environment.emplace_back(*variable);
  environment.push_back(std::string(kHandoverVariable) + "=" + std::to_string(kHandoverDescriptor));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends->second, kHandoverDescriptor);
  posix_spawn_file_actions_addclosefrom_np(&actions, kHandoverDescriptor + 1);  // clients' sockets above all
  pid_t pid = 0;
  const int failed =
      posix_spawn(&pid, command.program.c_str(), &actions, nullptr, Pointers(arguments).data(), Pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  close(ends->second);
  if (failed != 0) {
    close(ends->first);
    return Error{"cannot start " + command.program + ": " + std::strerror(failed)};
  }
  std::unique_ptr<Successor> successor(new Successor(ends->first, pid, std::move(on_cancel)));
  for (const auto& socket : sockets)
    successor->link_.Send(HandoverKind::kListener, socket->where() + (socket->owns_file() ? kWithFile : ""), socket->fd());
  successor->link_.Send(HandoverKind::kListenersEnd);
  return successor;
}

Successor::Successor(int fd, pid_t pid, OnCancel on_cancel)
    : link_(fd), pid_(pid), on_cancel_(std::move(on_cancel)), listener_([this] { Listen(); }), sender_([this] {
        SendQueued();
      }) {}

Successor::~Successor() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (state() != State::kReady) kill(pid_, SIGKILL);
  sender_.join();
  link_.Shut();
  listener_.join();
  if (state() != State::kReady) waitpid(pid_, nullptr, 0);
  for (const auto& [record, fd] : queue_) close(fd);
}

void Successor::Listen() {
  while (const auto message = link_.Receive()) {
    if (message->fd >= 0) close(message->fd);
    if (message->kind == HandoverKind::kReady && message->body == std::to_string(kRecordVersion)) {
      state_.store(State::kReady, std::memory_order_release);
    } else if (message->kind == HandoverKind::kCancel && message->body.size() > sizeof(std::uint32_t)) {
      on_cancel_(ReadU32(AsBytes(message->body).data()), message->body.substr(sizeof(std::uint32_t)));
    } else {
      break;
    }
  }
  auto starting = State::kStarting;
  state_.compare_exchange_strong(starting, State::kFailed);
}

void Successor::Hand(SessionRecord record, int fd) {
  {
    const std::scoped_lock lock(mutex_);
    queue_.emplace_back(std::move(record), fd);
  }
  changed_.notify_all();
}

void Successor::SendQueued() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return ending_ || !queue_.empty(); });
    if (queue_.empty()) return;
    auto [record, fd] = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    const bool sent = link_.Send(HandoverKind::kSession, EncodeRecord(record), fd);
    close(fd);
    lock.lock();
    if (!sent) return;
  }
}

}  // namespace waypost
