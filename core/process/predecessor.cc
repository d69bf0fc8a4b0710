#include "core/process/predecessor.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "core/base/bytes.h"
#include "core/base/log.h"

namespace waypost {

std::unique_ptr<Predecessor> Predecessor::FromEnvironment() {
  if (std::getenv(kHandoverVariable) == nullptr) return nullptr;
  (void)unsetenv(kHandoverVariable);
  (void)fcntl(kHandoverDescriptor, F_SETFD, FD_CLOEXEC);
  auto predecessor = std::make_unique<Predecessor>(kHandoverDescriptor);
  return predecessor->TakeSockets() ? std::move(predecessor) : nullptr;
}

Predecessor::~Predecessor() {
  link_.Shut();
  if (listener_.joinable()) listener_.join();
}

bool Predecessor::TakeSockets() {
  while (auto message = link_.Receive()) {
    if (message->kind != HandoverKind::kListener || message->fd < 0) return message->kind == HandoverKind::kListenersEnd;
    auto where = message->body;
    const bool with_file = where.ends_with(kWithFile);
    if (with_file) where.resize(where.size() - kWithFile.size());
    auto socket = ListeningSocket::Adopt(message->fd, where);
    if (with_file) with_file_.push_back(socket);
    sockets_.emplace(where, std::move(socket));
  }
  return false;
}

std::shared_ptr<ListeningSocket> Predecessor::SocketOf(const std::string& where) const {
  const auto found = sockets_.find(where);
  return found == sockets_.end() ? nullptr : found->second;
}

void Predecessor::Ready(OnKeys on_keys, OnSession on_session) {
  for (const auto& socket : with_file_) socket->OwnFile(true);
  with_file_.clear();
  sockets_.clear();
  link_.Send(HandoverKind::kReady, std::to_string(kRecordVersion));
  listener_ =
      std::thread([this, on_keys = std::move(on_keys), on_session = std::move(on_session)] { Listen(on_keys, on_session); });
}

void Predecessor::Listen(const OnKeys& on_keys, const OnSession& on_session) {
  RecordReader reader;
  while (auto message = link_.Receive()) {
    if (message->kind == HandoverKind::kReleased) released_.store(true, std::memory_order_release);
    if (message->kind == HandoverKind::kKeys) on_keys(message->body);
    if (message->fd < 0) continue;
    auto record =
        message->kind == HandoverKind::kSession ? reader.Read(message->body) : Result<SessionRecord>(Error{"not a session"});
    if (record) {
      on_session(std::move(*record), message->fd);
      continue;
    }
    Log(LogLevel::kError, "session_not_taken", {{"error", record.error()}});
    close(message->fd);
  }
  released_.store(true, std::memory_order_release);
}

void Predecessor::Cancel(std::uint32_t pid, std::string_view secret) {
  std::string body;
  for (const unsigned shift : {24U, 16U, 8U, 0U}) body += static_cast<char>(pid >> shift & 0xFFU);
  link_.Send(HandoverKind::kCancel, body + std::string(secret));
}

}  // namespace waypost
