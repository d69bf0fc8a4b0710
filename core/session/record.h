// What there is of a session between two of its batches, without ties: enough to go on on another worker, or in another process
// that takes the place of this one, the client none the wiser. Nothing in it belongs to a thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/result.h"
#include "core/base/time.h"
#include "core/env/client_count.h"
#include "core/server/login.h"
#include "parser/sql/facts.h"
#include "parser/sql/verdict.h"
#include "routing/decide.h"
#include "routing/prepared.h"
#include "routing/settings.h"

namespace waypost {

// A prepared statement that the client has named; "": the unnamed one.
struct NamedStatement {
  std::string name;
  SqlRef sql;         // of its own: nobody else has it
  std::string types;  // see Statement
  SettingSet settings;
  std::optional<Shape> shape;
};

// What is remembered for those who look: see SessionRow.
struct SessionPast {
  std::uint64_t number = 0;  // see SessionId
  TimePoint connected{};
  TimePoint rested{};        // when its last batch ended, or it was logged in
  std::shared_ptr<const std::string> statement;  // what ran last, if that was on another worker
  std::optional<Target> target;                  // where it went
  Reason reason = Reason::kNotUnderstood;
  std::uint64_t statements = 0;  // batches that were answered
};

struct SessionRecord {
  std::string user, database, peer;
  CountedClient counted_as;      // in ClientCount, which counts it as before
  std::string listener;          // its name
  std::uint32_t cancel_pid = 0;  // the key that the client was told
  std::string secret;
  SettingSet startup, session;
  std::shared_ptr<const Parameters> greeted;
  Parameters told, only_at_start;
  std::string application;
  Lexing lexing;
  bool starts_read_committed = false;
  std::uint64_t defaults = 0;              // see Waiter
  std::vector<NamedStatement> statements;  // in the order in which they were named
  SessionPast past;  // not for another process: there it is a new one
};

// As bytes, for a process that knows the same version of them.
inline constexpr unsigned kRecordVersion = 1;
[[nodiscard]] std::string EncodeRecord(const SessionRecord& record);

// Reads them again; one after the other, so that equal texts are analysed once. One thread.
class RecordReader {
 public:
  // The error says what is wrong with the bytes; nothing in them does harm.
  [[nodiscard]] Result<SessionRecord> Read(std::string_view bytes);

 private:
  [[nodiscard]] SqlRef Analysed(std::string text, Lexing lexing);
  std::unordered_map<std::string, SqlRef> known_;
};

}  // namespace waypost
