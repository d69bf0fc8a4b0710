#include "core/server/cancel_request.h"

#include <string>
#include <utility>

#include "core/env/env.h"
#include "core/server/connect.h"
#include "core/server/connection.h"
#include "parser/wire/encode.h"

namespace waypost {

class CancelRequests::Request final : public StreamUser {
 public:
  Request(CancelRequests& owner, ServerConnection& connection)
      : owner_(owner), connection_(&connection), deadline_(owner.env_.Now() + connection.server().connect_timeout) {
    AppendCancelRequest(message_, connection.login().pid(), connection.login().secret());
    connection.CancelStarted();
    stream_ = ConnectTo(owner.env_, connection.server(), *this);
  }
  ~Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  void Orphan(const ServerConnection& connection) {
    if (connection_ == &connection) connection_ = nullptr;
  }
  void Sweep(TimePoint now) {
    if (now > deadline_) OnClosed("no answer within connect_timeout");
  }

  void OnConnected() noexcept override { stream_->Write(AsBytes(message_)); }
  void OnData(Bytes) noexcept override {}
  void OnClosed(const std::string&) noexcept override {
    if (auto* connection = std::exchange(connection_, nullptr)) connection->CancelEnded();
    owner_.Done(*this);  // destroys this
  }

 private:
  CancelRequests& owner_;
  ServerConnection* connection_;
  TimePoint deadline_;
  std::string message_;
  std::unique_ptr<Stream> stream_;
};

CancelRequests::CancelRequests(Env& env) : env_(env) {}
CancelRequests::~CancelRequests() = default;

void CancelRequests::Send(ServerConnection& connection) { requests_.push_back(std::make_unique<Request>(*this, connection)); }

void CancelRequests::Orphan(const ServerConnection& connection) {
  for (auto& request : requests_) request->Orphan(connection);
}

void CancelRequests::Clear() { requests_.clear(); }

void CancelRequests::Sweep(TimePoint now) {
  for (auto i = requests_.size(); i-- > 0;) requests_[i]->Sweep(now);
}

void CancelRequests::Done(Request& request) {
  std::erase_if(requests_, [&](const auto& owned) { return owned.get() == &request; });
}

}  // namespace waypost
