#include "core/catalog_loader.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace waypost {
namespace {

struct CloseConnection {
  void operator()(PGconn* connection) const { PQfinish(connection); }
};
struct ClearResult {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Connection = std::unique_ptr<PGconn, CloseConnection>;
using Rows = std::unique_ptr<PGresult, ClearResult>;

// What each statement below reads, in their order.
enum Part : std::size_t {
  kBegin,
  kPath,
  kFunctions,
  kOperators,
  kRelations,
  kParents,
  kTypes,
  kCasts,
  kSettings,
  kParts
};

// One round trip, one snapshot. With an empty search_path only pg_catalog is searched for operators
// and functions, so that nobody's objects are taken for the system's. 16384 is FirstNormalObjectId
// of access/transam.h: what initdb made is below.
constexpr const char* kQuery = R"(
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL search_path TO '';
SELECT n.nspname, p.proname, p.provolatile, p.oid >= 16384,
       l.lanname NOT IN ('internal', 'c'), p.oid IN (
         SELECT a.aggfnoid FROM pg_catalog.pg_aggregate a
           JOIN pg_catalog.pg_proc f ON f.oid = ANY (ARRAY[
                a.aggtransfn::oid, a.aggfinalfn, a.aggcombinefn, a.aggserialfn,
                a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn])
           JOIN pg_catalog.pg_language fl ON fl.oid = f.prolang
          WHERE a.aggfnoid >= 16384
            AND (f.provolatile = 'v' OR (fl.lanname NOT IN ('internal', 'c') AND f.oid >= 16384))),
       p.oid >= 16384 AND t.typtype IN ('c', 'd', 'p')
         AND (p.pronargs - p.pronargdefaults) <= 1
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
  LEFT JOIN pg_catalog.pg_type t ON p.pronargs > 0 AND t.oid = p.proargtypes[0];
SELECT n.nspname, o.oprname, p.provolatile, o.oid >= 16384,
       l.lanname NOT IN ('internal', 'c') AND p.oid >= 16384
  FROM pg_catalog.pg_operator o
  JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
  JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang;
SELECT n.nspname, c.relname, c.relkind, c.relpersistence, c.relrowsecurity, c.oid >= 16384
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't';
WITH RECURSIVE up AS (
  SELECT i.inhparent, c.relkind, c.relpersistence FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
   WHERE c.relkind = 'f' OR c.relpersistence = 'u'
  UNION
  SELECT i.inhparent, up.relkind, up.relpersistence FROM up
    JOIN pg_catalog.pg_inherits i ON i.inhrelid = up.inhparent)
SELECT n.nspname, c.relname, up.relkind, up.relpersistence FROM up
  JOIN pg_catalog.pg_class c ON c.oid = up.inhparent
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace;
SELECT n.nspname, t.typname, t.typtype, t.oid >= 16384,
       p.provolatile = 'v' OR l.lanname NOT IN ('internal', 'c')
  FROM pg_catalog.pg_type t
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_catalog.pg_proc p ON p.oid = t.typinput
  LEFT JOIN pg_catalog.pg_language l ON l.oid = p.prolang
 WHERE t.typcategory <> 'A'
   AND (t.typtype <> 'c' OR t.oid >= 16384);
SELECT n.nspname, t.typname, c.castcontext = 'i' OR t.typname IN ('json', 'jsonb')
  FROM pg_catalog.pg_cast c
  JOIN pg_catalog.pg_proc p ON p.oid = c.castfunc
  JOIN pg_catalog.pg_language l ON l.oid = p.prolang
  JOIN pg_catalog.pg_type a ON a.oid = c.casttarget
  JOIN pg_catalog.pg_type t ON t.oid =
       CASE WHEN a.typcategory = 'A' THEN a.typelem ELSE a.oid END
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
 WHERE c.oid >= 16384
   AND (p.provolatile = 'v'
        OR (l.lanname NOT IN ('internal', 'c') AND p.oid >= 16384));
SELECT 1 FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) AS one(setting)
 WHERE (s.setdatabase = 0 OR s.setdatabase =
        (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))
   AND one.setting ~~ 'synchronous\_commit=%'
   AND one.setting <> 'synchronous_commit=remote_apply' LIMIT 1;
COMMIT)";

std::string_view Text(const PGresult* rows, int row, int column) {
  return {PQgetvalue(rows, row, column), static_cast<std::size_t>(PQgetlength(rows, row, column))};
}
char Letter(const PGresult* rows, int row, int column) {
  const std::string_view text = Text(rows, row, column);
  return text.empty() ? '\0' : text.front();
}
bool IsTrue(const PGresult* rows, int row, int column) {
  return Letter(rows, row, column) == 't';
}

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

  // All results of kQuery, in order.
  Result<std::array<Rows, kParts>> Read() {
    if (PQsendQuery(connection_.get(), kQuery) == 0)
      return Failure("catalogue: cannot ask", connection_.get());
    std::array<Rows, kParts> parts;
    for (std::size_t next = 0;; ++next) {
      while (PQisBusy(connection_.get()) != 0) {
        if (!Wait(POLLIN)) return Error{"catalogue: no answer within the time allowed"};
        if (PQconsumeInput(connection_.get()) == 0)
          return Failure("catalogue: connection lost", connection_.get());
      }
      Rows rows(PQgetResult(connection_.get()));
      if (rows == nullptr) {
        if (next < kParts) return Error{"catalogue: the answer ended early"};
        return parts;
      }
      const ExecStatusType status = PQresultStatus(rows.get());
      if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        return Failure("catalogue: cannot read", connection_.get());
      }
      if (next < kParts) parts[next] = std::move(rows);
    }
  }

 private:
  // False: the deadline passed.
  bool Wait(short events) {
    for (;;) {
      const auto left =
          std::chrono::ceil<milliseconds>(deadline_ - std::chrono::steady_clock::now());
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

std::uint16_t Volatility(char provolatile) {
  if (provolatile == 's') return function_flag::kStable;
  return provolatile == 'i' ? std::uint16_t{0} : function_flag::kVolatile;
}

void AddFunctions(const PGresult* rows, CatalogBuilder& builder) {
  namespace flag = function_flag;
  for (int row = 0; row < PQntuples(rows); ++row) {
    unsigned flags = Volatility(Letter(rows, row, 2));
    const bool user = IsTrue(rows, row, 3);
    flags |= user ? flag::kUser : flag::kBuiltIn;
    if (user && IsTrue(rows, row, 4)) flags |= flag::kInterpreted;
    if (user && IsTrue(rows, row, 5)) flags |= flag::kAggregate;
    builder.Function(Text(rows, row, 0), Text(rows, row, 1), static_cast<std::uint16_t>(flags));
    constexpr unsigned kUnsafe = flag::kVolatile | flag::kInterpreted | flag::kAggregate;
    if (IsTrue(rows, row, 6) && (flags & kUnsafe) != 0) {
      builder.Attribute(Text(rows, row, 0), Text(rows, row, 1));
    }
  }
}

void AddOperators(const PGresult* rows, CatalogBuilder& builder) {
  namespace flag = function_flag;
  for (int row = 0; row < PQntuples(rows); ++row) {
    unsigned flags = Volatility(Letter(rows, row, 2));
    flags |= IsTrue(rows, row, 3) ? flag::kUser : flag::kBuiltIn;
    if (IsTrue(rows, row, 4)) flags |= flag::kInterpreted;
    builder.Operator(Text(rows, row, 0), Text(rows, row, 1), static_cast<std::uint16_t>(flags));
  }
}

void AddRelations(const PGresult* rows, CatalogBuilder& builder) {
  namespace flag = relation_flag;
  for (int row = 0; row < PQntuples(rows); ++row) {
    unsigned flags = 0;
    const char kind = Letter(rows, row, 2);
    const bool user = IsTrue(rows, row, 5);
    if (!user) flags |= flag::kSystem;
    if (kind == 'v' && user) flags |= flag::kUserView;
    if (kind == 'f') flags |= flag::kForeign;
    if (kind == 'S') flags |= flag::kSequence;
    if (Letter(rows, row, 3) != 'p') flags |= flag::kUnlogged;
    if (IsTrue(rows, row, 4)) flags |= flag::kRowPolicy;
    builder.Relation(Text(rows, row, 0), Text(rows, row, 1), static_cast<std::uint16_t>(flags));
  }
}

// Parents of foreign and unlogged tables: who reads the parent reads those.
void AddParents(const PGresult* rows, CatalogBuilder& builder) {
  for (int row = 0; row < PQntuples(rows); ++row) {
    unsigned flags = 0;
    if (Letter(rows, row, 2) == 'f') flags |= relation_flag::kForeign;
    if (Letter(rows, row, 3) == 'u') flags |= relation_flag::kUnlogged;
    builder.Relation(Text(rows, row, 0), Text(rows, row, 1), static_cast<std::uint16_t>(flags));
  }
}

std::uint16_t TypeFlags(char kind, bool user, bool unsafe_input, std::string_view name) {
  namespace flag = type_flag;
  if (!user) return name.starts_with("reg") ? flag::kLooksUp : std::uint16_t{0};
  unsigned flags = flag::kUser;
  if (kind == 'd') flags |= flag::kDomain;
  if (kind == 'b' && unsafe_input) flags |= flag::kUnsafeInput;
  if (kind != 'b' && kind != 'd' && kind != 'e') flags |= flag::kOpaque;
  return static_cast<std::uint16_t>(flags);
}

void AddTypes(const PGresult* rows, CatalogBuilder& builder) {
  for (int row = 0; row < PQntuples(rows); ++row) {
    const std::string_view name = Text(rows, row, 1);
    builder.Type(Text(rows, row, 0), name,
                 TypeFlags(Letter(rows, row, 2), IsTrue(rows, row, 3), IsTrue(rows, row, 4), name));
  }
}

// Casts that are not safe; the query leaves out the others.
void AddCasts(const PGresult* rows, CatalogBuilder& builder) {
  for (int row = 0; row < PQntuples(rows); ++row) {
    builder.Type(Text(rows, row, 0), Text(rows, row, 1), type_flag::kUnsafeCast);
    if (IsTrue(rows, row, 2))
      builder.UnsafeImplicitCast();  // to_json() looks for casts to json by itself
  }
}

}  // namespace

Result<std::shared_ptr<const Catalog>> LoadCatalog(const std::string& conninfo,
                                                   milliseconds timeout) {
  Reader reader(timeout);
  if (const auto connected = reader.Connect(conninfo); !connected) return Error{connected.error()};
  const auto parts = reader.Read();
  if (!parts) return Error{parts.error()};
  CatalogBuilder builder;
  AddFunctions((*parts)[kFunctions].get(), builder);
  AddOperators((*parts)[kOperators].get(), builder);
  AddRelations((*parts)[kRelations].get(), builder);
  AddParents((*parts)[kParents].get(), builder);
  AddTypes((*parts)[kTypes].get(), builder);
  AddCasts((*parts)[kCasts].get(), builder);
  if (PQntuples((*parts)[kSettings].get()) > 0) builder.SynchronousCommitOverridden();
  return std::make_shared<const Catalog>(builder.Take());
}

}  // namespace waypost
