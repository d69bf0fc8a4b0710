// Where a statement would go, and why, in words: for `waypost route`, POST /api/v1/route and EXPLAIN ROUTE. All three
// show what the classifier and Decide() say; nothing is judged here.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/config.h"
#include "parser/catalog/catalog.h"
#include "parser/sql/facts.h"
#include "parser/sql/verdict.h"
#include "routing/cluster_view.h"
#include "routing/decide.h"

namespace waypost {

// "Where would this go, and why?"
struct RouteQuestion {
  std::string sql;
  std::string database;
  std::string user;
  std::string search_path;  // as SET search_path TO ... would take it; empty: the server's default
  std::string application_name;
};

struct RouteStatement {
  std::string sql;
  std::string cls, reason;        // ClassName, ReasonName: of only this statement
  std::vector<std::string> path;  // how the verdict was reached, in words
  std::string pin;                // PinReasonName of what it would tie the session for; empty: nothing
};

// Of all statements together, since a Query runs as one.
struct RouteAnswer {
  std::string target;  // TargetName
  std::string server;  // by name; empty if none can take it now
  std::string cls, reason;
  std::vector<std::string> path;
  std::string pin;
  std::vector<std::string> no_replica;  // a read, but: each server and why it may not be read from
  std::vector<RouteStatement> statements;
};

// What was decided, put into words. `each`: the verdict of each statement of `sql`; `whole`: of all of them.
[[nodiscard]] RouteAnswer DescribeRoute(std::string_view sql, std::span<const Verdict> each, const Verdict& whole,
                                        const Decision& decision, const ClusterView& view);

// The answer to a session that has just begun. `view`: null for an answer by only the policy, as if a replica could be
// read from. `catalog`: null if not loaded. Parses the whole text, without the caches of the workers. Any thread.
[[nodiscard]] RouteAnswer ExplainRoute(const RouteQuestion& question, const Config& config, const ClusterView* view,
                                       const Catalog* catalog, TimePoint now);

// The answer as a query that gives it as rows, one a statement: statement, class, verdict, target, server, reason, path,
// pin. `parameters`: how many the question has.
[[nodiscard]] std::string RouteRows(const RouteAnswer& answer, unsigned parameters, Lexing lexing);

}  // namespace waypost
