// Prepared statements: what a session named, and how it is called on the server connections, where equal statements of
// all sessions share one. Pure; one table per worker.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "parser/sql_cache.h"
#include "routing/settings.h"

namespace waypost {

using SqlRef = std::shared_ptr<const SqlText>;

// One text with its parameter types, parsed under one set of settings: under another DateStyle or search_path the same
// text means something else.
struct Statement {
  std::uint64_t id = 0;
  SqlRef sql;
  std::string types;  // as on the wire: count:int16, oid:int32 ...
  Settings settings;
  // Prepared by SQL on the one connection that its session is tied to: under the client's own name.
  [[nodiscard]] bool by_sql() const { return id == 0; }
  std::string server_name;  // "_wp<random>_<id>": no client can guess, and so use, another's
};
using StatementRef = std::shared_ptr<const Statement>;

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

 private:
  std::string prefix_;
  std::uint64_t next_id_ = 1;
  std::unordered_map<std::string, std::weak_ptr<const Statement>> statements_;
  std::string key_;
  std::size_t sweep_at_ = 1024;
};

}  // namespace waypost
