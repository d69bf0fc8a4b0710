// Between a process and the one that takes its place: messages over a Unix socket, each with a descriptor if need be.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/result.h"

namespace waypost {

// The first letter of each message.
enum class HandoverKind : char {
  kListener = 'L',   // to the new one: "address:port", and its socket
  kListenersEnd = 'l',
  kReady = 'R',      // to the old one: it takes clients from now on; the version of records that it reads
  kReleased = 'A',   // to the new one: the admin port is free
  kKeys = 'K',  // to the new one, before the first session: what logs in to the servers as one user; see Credentials::Hand()
  kSession = 'S',  // to the new one: a record, and the client's socket
  kCancel = 'C',  // to the old one: a cancel key that the new one does not know: pid, 4 bytes in network order, then the secret
};

struct HandoverMessage {
  HandoverKind kind;
  std::string body;
  int fd = -1;  // the receiver's; -1: none
};

class HandoverLink {
 public:
  // Both ends, closed by their owners. The error is for the log.
  [[nodiscard]] static Result<std::pair<int, int>> Pair();
  explicit HandoverLink(int fd) : fd_(fd) {}
  ~HandoverLink();
  HandoverLink(const HandoverLink&) = delete;
  HandoverLink& operator=(const HandoverLink&) = delete;

  // Any thread; waits until the other end has room. False: it is gone. `fd` stays the caller's.
  bool Send(HandoverKind kind, std::string_view body = {}, int fd = -1);
  // One thread; waits. Nothing: the other end is gone, or says what is no message.
  [[nodiscard]] std::optional<HandoverMessage> Receive();
  // Any thread: whoever waits for this end or the other one waits no longer.
  void Shut();

 private:
  bool SendAll(std::string_view bytes);
  bool ReceiveAll(char* bytes, std::size_t size);
  const int fd_;
  std::mutex sending_;
};

}  // namespace waypost
