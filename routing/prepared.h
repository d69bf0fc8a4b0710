// Prepared statements: what a session named, and what it is called on the server connections, where equal statements of
// all sessions share one name. Pure; one table per worker.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/base/weak_table.h"
#include "parser/catalog/sql_cache.h"
#include "routing/settings.h"

namespace waypost {

using SqlRef = std::shared_ptr<const SqlText>;

// What a statement takes and returns. PostgreSQL fixes it when the statement is parsed: if DDL changes it, what was prepared
// before is an error from then on.
struct Shape {
  std::string types;                   // of its parameters, none of them left open; as on the wire
  std::optional<std::string> columns;  // see ReadColumns; empty: it returns no rows
  bool operator==(const Shape&) const = default;
};

struct Statement;
using StatementRef = std::shared_ptr<const Statement>;

// One text with its parameter types, parsed under one set of settings: under another DateStyle or search_path the same
// text means something else. After DDL it may also take or return something else; `shape` is what a client was told when it
// parsed it.
struct Statement {
  std::uint64_t id = 0;
  SqlRef sql;
  std::string types;  // as on the wire: count:int16, oid:int32 ...
  Settings settings;
  // Prepared by SQL on the one connection that its session is tied to: under the client's own name.
  [[nodiscard]] bool by_sql() const { return id == 0; }
  std::string server_name;  // "_wp<random>_<id>": no client can guess, and so use, another's
  std::optional<Shape> shape{};  // empty: not known, or nothing that could change
  StatementRef open{};           // the same, of no shape; null: this is that one

  // With what to parse it so that it takes what it took.
  [[nodiscard]] const std::string& parse_types() const { return shape ? shape->types : types; }
};

// The same, without a shape.
[[nodiscard]] inline const StatementRef& Open(const StatementRef& statement) {
  return statement->open ? statement->open : statement;
}

// A statement as a server connection has it.
struct ParsedThere {
  StatementRef as;          // of no shape: that is not known
  std::uint64_t asked = 0;  // in the ledger: a Describe of it that is not answered yet
  bool stale = false;       // DDL has changed what it returns
  std::uint64_t parsed = 0;  // in the ledger: the Parse that made it
};

// True if what is there is `wanted`, and takes and returns what that does. A shape that no client was told may be anything.
[[nodiscard]] inline bool Serves(const StatementRef& there, const StatementRef& wanted) {
  return there == wanted || (there && wanted && !wanted->shape && Open(there) == wanted);
}

// What `sql`, a PREPARE, makes.
[[nodiscard]] inline StatementRef PreparedBySql(const SqlRef& sql, const std::string& name, const Settings& settings) {
  return std::make_shared<const Statement>(Statement{.sql = sql, .types = {}, .settings = settings, .server_name = name});
}

class StatementTable {
 public:
  // `random` makes the names of this process unguessable.
  explicit StatementTable(std::string_view random) : prefix_("_wp" + std::string(random) + "_") {}
  // What every server name begins with.
  [[nodiscard]] const std::string& prefix() const { return prefix_; }
  // The one statement of this text, types and settings.
  [[nodiscard]] StatementRef Intern(const SqlRef& sql, std::string_view types, const Settings& settings);
  // The one of this text, types, settings and shape: a statement of its own, under the same name on the servers.
  [[nodiscard]] StatementRef Told(const StatementRef& statement, Shape shape);

 private:
  std::string prefix_;
  std::uint64_t next_id_ = 1;
  WeakTable<Statement> statements_;
};

}  // namespace waypost
