// The classifier against a second opinion: whatever text is called a read under the demo catalogue, PostgreSQL's own tree
// of it, printed by another path of libpg_query, names no statement that modifies, no lock and no function that writes.
// And what the cache answers, also by a text that differs in literals, is what a fresh look says.
#include <fuzzer/FuzzedDataProvider.h>

#include <pg_query.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/base/check.h"
#include "parser/catalog/resolve.h"
#include "parser/catalog/sql_cache.h"
#include "parser/sql/facts.h"
#include "tests/support/demo_catalog.h"

namespace waypost {
namespace {

constexpr std::size_t kMaxText = 1000;  // the printer of trees recurses
constexpr std::string_view kNeverInARead[] = {"InsertStmt",      "UpdateStmt",        "DeleteStmt",        "MergeStmt",
                                              "LockingClause",   "IntoClause",        "CreateTableAsStmt", "TransactionStmt",
                                              "VariableSetStmt", "DeclareCursorStmt", "ExecuteStmt",       "PrepareStmt",
                                              "DoStmt",          "CallStmt",          "LockStmt",          "TruncateStmt",
                                              "NotifyStmt",      "ListenStmt",        "VariableShowStmt"};
constexpr std::string_view kWriters[] = {"nextval",
                                         "setval",
                                         "set_config",
                                         "setseed",
                                         "pg_advisory_lock",
                                         "pg_notify",
                                         "lo_create",
                                         "txid_current",
                                         "pg_current_xact_id",
                                         "query_to_xml",
                                         "my_writer",
                                         "pg_is_in_recovery",
                                         "pg_terminate_backend",
                                         "currval"};

// In JSON a quotation mark inside a string is escaped: "Name": can only be a key.
bool HasNode(std::string_view json, std::string_view name) {
  return json.find('"' + std::string(name) + "\":") != std::string_view::npos;
}

bool Calls(std::string_view json, std::string_view name) {
  constexpr std::string_view kKey = "\"funcname\":[";
  const std::string last = "\"sval\":\"" + std::string(name) + "\"}}]";
  for (std::size_t at = 0; (at = json.find(kKey, at)) != std::string_view::npos; at += kKey.size()) {
    const auto end = json.find(']', at);
    if (end != std::string_view::npos && json.substr(at, end + 1 - at).ends_with(last)) return true;
  }
  return false;
}

// Only EXPLAIN may hold what would write, as long as it does not run it.
bool Explains(std::string_view json) { return HasNode(json, "ExplainStmt"); }

void SecondOpinion(const std::string& sql) {
  const PgQueryParseResult parsed = pg_query_parse(sql.c_str());
  WAYPOST_CHECK(parsed.error == nullptr);
  const std::string_view json = parsed.parse_tree;
  if (std::getenv("TRACE") != nullptr) std::fprintf(stderr, "%s\n%s\n", sql.c_str(), parsed.parse_tree);
  if (!Explains(json)) {
    for (const auto node : kNeverInARead) WAYPOST_CHECK(!HasNode(json, node));
    for (const auto name : kWriters) WAYPOST_CHECK(!Calls(json, name));
    if (HasNode(json, "CopyStmt")) WAYPOST_CHECK(json.find("\"is_from\":true") == std::string_view::npos);
    if (HasNode(json, "CopyStmt")) WAYPOST_CHECK(json.find("\"filename\":") == std::string_view::npos);
  }
  pg_query_free_parse_result(parsed);
}

void CheckSame(const Verdict& a, const Verdict& b) {
  WAYPOST_CHECK(a.cls == b.cls && a.why == b.why && a.pin == b.pin);
  WAYPOST_CHECK(a.needs_fence == b.needs_fence && a.repeatable == b.repeatable);
}

Verdict Check(const std::string& sql, const Catalog& catalog) {
  const auto facts = Analyse(sql, Lexing{});
  const Verdict verdict = ResolveAll(*facts, &catalog);
  if (verdict.cls == Class::kRead && sql.find('\0') == std::string::npos) SecondOpinion(sql);
  // What is known to be out of date proves nothing, and neither does no catalogue at all.
  if (verdict.cls != Class::kRead) {
    WAYPOST_CHECK(ResolveAll(*facts, &catalog, {.path = nullptr, .stale = true}).cls != Class::kRead);
    WAYPOST_CHECK(ResolveAll(*facts, nullptr).cls != Class::kRead);
  }
  return verdict;
}

}  // namespace
}  // namespace waypost

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace waypost;
  static const Catalog catalog = DemoCatalog();
  FuzzedDataProvider provider(data, size);
  SqlCache cache;
  constexpr ContextId kContext = 1;
  const std::string text = provider.ConsumeRandomLengthString(kMaxText);
  const Verdict verdict = Check(text, catalog);
  CheckSame(cache.Find(text, Lexing{}, kContext, &catalog)->verdict, verdict);
  // The same with other digits and letters in places, as texts that share a key would be.
  for (int i = 0; i < 3 && provider.remaining_bytes() > 1; ++i) {
    std::string other = text;
    const auto at = provider.ConsumeIntegralInRange<std::size_t>(0, other.size());
    other.replace(at, provider.ConsumeIntegralInRange<std::size_t>(0, 4), provider.ConsumeRandomLengthString(12));
    CheckSame(cache.Find(other, Lexing{}, kContext, &catalog)->verdict, Check(other, catalog));
  }
  CheckSame(cache.Find(text, Lexing{}, kContext, &catalog)->verdict, verdict);
  return 0;
}
