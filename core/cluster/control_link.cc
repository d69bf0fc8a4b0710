#include "core/cluster/control_link.h"

#include <libpq-fe.h>
#include <poll.h>

#include <array>
#include <cerrno>
#include <utility>

#include "core/cluster/control_query.h"

namespace waypost {

void ControlLink::FreeResult::operator()(pg_result* result) const { PQclear(result); }
void ControlLink::CloseConnection::operator()(pg_conn* connection) const { PQfinish(connection); }

Result<bool> ControlLink::Connect(const std::string& conninfo) {
  connection_.reset(PQconnectStart(conninfo.c_str()));
  if (connection_ == nullptr) return Error{"out of memory"};
  PostgresPollingStatusType wanted = PGRES_POLLING_WRITING;
  while (wanted != PGRES_POLLING_OK) {
    if (wanted == PGRES_POLLING_FAILED || PQstatus(connection_.get()) == CONNECTION_BAD) return Failure();
    if (!Wait(wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT)) return Late();
    wanted = PQconnectPoll(connection_.get());
  }
  return true;
}

Result<ControlLink::Answer> ControlLink::Ask(const std::string& query, const std::string* parameter) {
  const std::array<const char*, 1> values = {parameter == nullptr ? nullptr : parameter->c_str()};
  if (PQsendQueryParams(connection_.get(), query.c_str(), parameter == nullptr ? 0 : 1, nullptr, values.data(), nullptr, nullptr,
                        0) == 0)
    return Failure();
  Answer last;
  for (;;) {
    while (PQisBusy(connection_.get()) != 0) {
      if (!Wait(POLLIN)) return Late();
      if (PQconsumeInput(connection_.get()) == 0) return Failure();
    }
    Answer next(PQgetResult(connection_.get()));
    if (next == nullptr) break;
    last = std::move(next);
  }
  if (last == nullptr || PQstatus(connection_.get()) != CONNECTION_OK) return Failure();
  return last;
}

Error ControlLink::Failure() const { return Error{FirstLine(PQerrorMessage(connection_.get()))}; }
Error ControlLink::Late() const { return Error{"no answer within " + std::to_string(timeout_.count()) + " ms"}; }

bool ControlLink::Wait(short events) const {
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(deadline_ - Clock::now());
    if (left.count() <= 0) return false;
    pollfd socket{.fd = PQsocket(connection_.get()), .events = events, .revents = 0};
    const int ready = poll(&socket, 1, static_cast<int>(left.count()));
    if (ready > 0 || (ready < 0 && errno != EINTR)) return true;  // libpq will say what is wrong
  }
}

}  // namespace waypost
