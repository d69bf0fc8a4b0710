// What clients say to PostgreSQL, one packet after the other, each said when the one before is answered.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/wire_builders.h"

namespace waypost {

inline std::string ParseMessage(std::string_view name, std::string_view sql) {
  return wire::Message('P', wire::CString(name) + wire::CString(sql) + wire::U16(0));
}
inline std::string BindMessage(std::string_view portal, std::string_view statement) {
  return wire::Message('B', wire::CString(portal) + wire::CString(statement) + wire::U16(0) + wire::U16(0) + wire::U16(0));
}
inline std::string DescribeMessage(char kind, std::string_view name) { return wire::Message('D', kind + wire::CString(name)); }
inline std::string ExecuteMessage(std::string_view portal = {}) {
  return wire::Message('E', wire::CString(portal) + wire::U32(0));
}
inline std::string SyncMessage() { return wire::Message('S'); }
// A whole batch for one statement, as drivers send it.
inline std::string ExtendedBatch(std::string_view sql) {
  return ParseMessage("", sql) + BindMessage("", "") + DescribeMessage('P', "") + ExecuteMessage() + SyncMessage();
}

struct Conversation {
  std::string name;
  std::vector<std::string> packets;
};

inline std::vector<Conversation> Conversations() {
  using wire::Query;
  const auto named = BindMessage("", "s") + ExecuteMessage() + SyncMessage();
  return {
      {"simple read", {Query("SELECT two FROM t")}},
      {"simple write", {Query("INSERT INTO t VALUES (1)")}},
      {"two statements in one query", {Query("SELECT 1; SELECT two FROM t")}},
      {"a write behind a read in one query", {Query("SELECT 1; INSERT INTO t VALUES (1)")}},
      {"a statement that fails", {Query("SELECT boom FROM t"), Query("SELECT 1")}},
      {"extended read", {ExtendedBatch("SELECT two FROM t")}},
      {"extended write", {ExtendedBatch("INSERT INTO t VALUES (1)")}},
      {"a write that fails in a pipeline", {ExtendedBatch("UPDATE t SET boom = 1") + ExtendedBatch("INSERT INTO t VALUES (1)")}},
      {"named statement",
       {ParseMessage("s", "SELECT two FROM t") + DescribeMessage('S', "s") + SyncMessage(), named, named,
        wire::Message('C', 'S' + wire::CString("s")) + SyncMessage()}},
      {"pipelined batches",
       {ExtendedBatch("SELECT 1") + ExtendedBatch("INSERT INTO t VALUES (1)") + ExtendedBatch("SELECT two FROM t")}},
      {"pipelined queries", {Query("SELECT 1") + Query("INSERT INTO t VALUES (1)") + Query("SELECT 1")}},
      {"a block", {Query("BEGIN"), Query("INSERT INTO t VALUES (1)"), Query("SELECT two FROM t"), Query("COMMIT")}},
      {"an extended block",
       {ExtendedBatch("BEGIN"), ExtendedBatch("INSERT INTO t VALUES (1)"), ExtendedBatch("SELECT two FROM t"),
        ExtendedBatch("COMMIT")}},
      {"a block that fails", {Query("BEGIN"), Query("UPDATE t SET boom = 1"), Query("SELECT 1"), Query("ROLLBACK")}},
      {"a READ ONLY block", {Query("BEGIN READ ONLY"), Query("SELECT two FROM t"), Query("SELECT 1"), Query("COMMIT")}},
      {"a READ ONLY block that ends within a query",
       {Query("BEGIN READ ONLY"), Query("SELECT two FROM t"), Query("SELECT 1; COMMIT; INSERT INTO t VALUES (1)"),
        Query("SELECT 1")}},
      {"a READ ONLY block that ends within a series",
       {Query("BEGIN READ ONLY"), Query("SELECT two FROM t"),
        ParseMessage("", "COMMIT") + BindMessage("", "") + ExecuteMessage() + ExtendedBatch("INSERT INTO t VALUES (1)")}},
      {"a READ ONLY block that fails ahead of its end",
       {Query("BEGIN READ ONLY"), Query("SELECT two FROM t"), Query("SELECT boom; COMMIT; INSERT INTO t VALUES (1)"),
        Query("ROLLBACK")}},
      {"a block in one query", {Query("BEGIN; INSERT INTO t VALUES (1); COMMIT")}},
      {"a setting", {Query("SET work_mem = '1MB'"), Query("SELECT two FROM t"), Query("INSERT INTO t VALUES (1)")}},
      {"copy", {Query("COPY t FROM STDIN"), wire::Message('d', "1\n") + wire::Message('c')}},
  };
}

}  // namespace waypost
