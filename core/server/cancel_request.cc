#include "core/server/cancel_request.h"

#include "core/process/worker.h"
#include "parser/wire/encode.h"

namespace waypost {

CancelRequest::CancelRequest(Worker& worker, ServerConnection& connection)
    : worker_(worker),
      connection_(&connection),
      deadline_(worker.Now() + connection.server().connect_timeout) {
  AppendCancelRequest(message_, connection.login().pid(), connection.login().secret());
  connection.CancelStarted();
  stream_ = TcpStream::Connect(worker.loop(), connection.server().host, connection.server().port, *this);
}

CancelRequest::~CancelRequest() = default;

void CancelRequest::OnConnected() noexcept { stream_->Write(AsBytes(message_)); }

void CancelRequest::OnClosed(const std::string&) noexcept {
  if (auto* connection = std::exchange(connection_, nullptr)) connection->CancelEnded();
  worker_.CancelDone(*this);  // destroys this
}

void CancelRequest::Sweep(TimePoint now) {
  if (now > deadline_) OnClosed("no answer within connect_timeout");
}

}  // namespace waypost
