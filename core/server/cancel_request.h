// CancelRequests on their way to servers: each connects, sends one message, waits until the server closes. Until then the
// connection that it is meant for does not change hands. Worker thread only.
#pragma once

#include <memory>
#include <vector>

#include "core/base/time.h"

namespace waypost {

class Env;
class ServerConnection;

class CancelRequests {
 public:
  explicit CancelRequests(Env& env);
  ~CancelRequests();
  CancelRequests(const CancelRequests&) = delete;
  CancelRequests& operator=(const CancelRequests&) = delete;

  // Cancels what runs there; the connection hears CancelStarted() at once and CancelEnded() later.
  void Send(ServerConnection& connection);
  // The connection is gone; the end need not be reported.
  void Orphan(const ServerConnection& connection);
  // Their ends are not reported.
  void Clear();
  // Gives up those that their servers do not end.
  void Sweep(TimePoint now);

 private:
  class Request;
  void Done(Request& request);

  Env& env_;
  std::vector<std::unique_ptr<Request>> requests_;
};

}  // namespace waypost
