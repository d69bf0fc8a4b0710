#include "core/catalog/loader.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <memory>
#include <span>
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

  // The results of `query`, in order: as many as there is room for.
  Result<bool> Ask(const std::string& query, std::span<Rows> results) {
    if (PQsendQuery(connection_.get(), query.c_str()) == 0) return Failure("catalogue: cannot ask", connection_.get());
    for (std::size_t next = 0;; ++next) {
      while (PQisBusy(connection_.get()) != 0) {
        if (!Wait(POLLIN)) return Error{"catalogue: no answer within the time allowed"};
        if (PQconsumeInput(connection_.get()) == 0) return Failure("catalogue: connection lost", connection_.get());
      }
      Rows rows(PQgetResult(connection_.get()));
      if (rows == nullptr) {
        if (next < results.size()) return Error{"catalogue: the answer ended early"};
        return true;
      }
      const ExecStatusType status = PQresultStatus(rows.get());
      if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        return Failure("catalogue: cannot read", connection_.get());
      }
      if (next < results.size()) results[next] = std::move(rows);
    }
  }

  std::string Quoted(const std::string& text) {
    const std::unique_ptr<char, void (*)(void*)> quoted(PQescapeLiteral(connection_.get(), text.data(), text.size()), PQfreemem);
    return quoted == nullptr ? "NULL" : quoted.get();
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
  CatalogParts parts;
  if (const auto read = reader.Ask(CatalogQuery(), parts); !read) return Error{read.error()};
  LoadedCatalog loaded;
  loaded.fingerprint = Fingerprint(parts);
  loaded.defaults = Fingerprint({&parts[static_cast<std::size_t>(CatalogPart::kSettings)], 1});
  if (loaded.fingerprint != known) loaded.catalog = std::make_shared<const Catalog>(ReadCatalog(parts));
  return loaded;
}

bool DatabaseIsGone(const std::string& conninfo, const std::string& database, milliseconds timeout) {
  Reader reader(timeout);
  std::array<Rows, 1> found;
  return reader.Connect(conninfo) && reader.Ask("SELECT 1 FROM pg_database WHERE datname = " + reader.Quoted(database), found) &&
         PQntuples(found[0].get()) == 0;
}

}  // namespace waypost
