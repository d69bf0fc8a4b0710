#include "core/catalog/loader.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "core/catalog/loader_rows.h"

namespace waypost {
namespace {

struct CloseConnection {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
using Connection = std::unique_ptr<PGconn, CloseConnection>;

// "message" without the newline that libpq ends it with.
Error Failure(std::string_view what, const PGconn* connection) {
  std::string message(what);
  message += ": ";
  message += PQerrorMessage(connection);
  while (message.ends_with('\n')) message.pop_back();
  return Error{std::move(message)};
}

// One connection with one deadline for all that is done with it.
class Reader {
 public:
  explicit Reader(milliseconds timeout) : deadline_(std::chrono::steady_clock::now() + timeout) {}

  Result<bool> Connect(const std::string& conninfo) {
    connection_.reset(PQconnectStart(conninfo.c_str()));
    if (connection_ == nullptr) return Error{"catalogue: out of memory"};
    PostgresPollingStatusType wanted = PGRES_POLLING_WRITING;
    while (wanted != PGRES_POLLING_OK) {
      if (wanted == PGRES_POLLING_FAILED || PQstatus(connection_.get()) == CONNECTION_BAD) {
        return Failure("catalogue: cannot connect", connection_.get());
      }
      if (!Wait(wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT)) {
        return Error{"catalogue: no connection within the time allowed"};
      }
      wanted = PQconnectPoll(connection_.get());
    }
    return true;
  }

  // All results of CatalogQuery(), in order.
  Result<CatalogParts> Read() {
    const std::string query = CatalogQuery();
    if (PQsendQuery(connection_.get(), query.c_str()) == 0) return Failure("catalogue: cannot ask", connection_.get());
    CatalogParts parts;
    for (std::size_t next = 0;; ++next) {
      while (PQisBusy(connection_.get()) != 0) {
        if (!Wait(POLLIN)) return Error{"catalogue: no answer within the time allowed"};
        if (PQconsumeInput(connection_.get()) == 0) return Failure("catalogue: connection lost", connection_.get());
      }
      Rows rows(PQgetResult(connection_.get()));
      if (rows == nullptr) {
        if (next < parts.size()) return Error{"catalogue: the answer ended early"};
        return parts;
      }
      const ExecStatusType status = PQresultStatus(rows.get());
      if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        return Failure("catalogue: cannot read", connection_.get());
      }
      if (next < parts.size()) parts[next] = std::move(rows);
    }
  }

 private:
  // False: the deadline passed.
  bool Wait(short events) {
    for (;;) {
      const auto left = std::chrono::ceil<milliseconds>(deadline_ - std::chrono::steady_clock::now());
      if (left.count() <= 0) return false;
      pollfd socket{.fd = PQsocket(connection_.get()), .events = events, .revents = 0};
      const int ready = poll(&socket, 1, static_cast<int>(std::min<long>(left.count(), 60'000)));
      if (ready > 0) return true;
      if (ready < 0 && errno != EINTR) return true;  // libpq will say what is wrong
    }
  }

  std::chrono::steady_clock::time_point deadline_;
  Connection connection_;
};

}  // namespace

Result<LoadedCatalog> LoadCatalog(const std::string& conninfo, milliseconds timeout, std::uint64_t known) {
  Reader reader(timeout);
  // Without the search_path that the control plane sets: what the server's own is, is asked.
  const std::string own_path = conninfo + " options='-c jit=off -c statement_timeout=" + std::to_string(timeout.count()) + "'";
  if (const auto connected = reader.Connect(own_path); !connected) return Error{connected.error()};
  const auto parts = reader.Read();
  if (!parts) return Error{parts.error()};
  LoadedCatalog loaded;
  loaded.fingerprint = Fingerprint(*parts);
  loaded.defaults = Fingerprint({&(*parts)[static_cast<std::size_t>(CatalogPart::kSettings)], 1});
  if (loaded.fingerprint != known) loaded.catalog = std::make_shared<const Catalog>(ReadCatalog(*parts));
  return loaded;
}

}  // namespace waypost
