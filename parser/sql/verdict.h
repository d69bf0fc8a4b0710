// What a statement is and why: the words that routing, metrics and `waypost route` share. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace waypost {

enum class Class : std::uint8_t { kRead, kWrite, kSession, kTransaction };

// Why a statement or batch goes where it goes. A metric label and the answer of `waypost route`.
// The first that applies, in this order of strength: what the session is in, what the statement is, what routing found.
enum class Reason : std::uint8_t {
  kReadSafe,             // proved a read, a replica may take it
  kReadOnlyTransaction,  // BEGIN READ ONLY
  kWrite,                // INSERT, UPDATE, DELETE, MERGE, COPY FROM
  kDdl,                  // CREATE, ALTER, DROP and every other utility statement
  kLockClause,           // SELECT ... FOR UPDATE/SHARE, LOCK
  kModifyingCte,         // WITH x AS (INSERT ...)
  kSelectInto,           // SELECT ... INTO
  kVolatileFunction,     // calls a function that pg_proc says is volatile
  kUnknownFunction,      // calls a function that the catalogue does not know
  kServerLocal,          // answers differently on another server: pg_stat_*, advisory locks, SHOW, sequences as tables
  kPinnedRelation,       // a temporary or unlogged table
  kNotUnderstood,        // view, policy, user-defined operator, cast or aggregate: not followed (yet)
  kUnknownRelation,      // a relation that the catalogue does not know (created since?)
  kSession,              // SET, RESET, DISCARD, LISTEN, PREPARE, DECLARE ...
  kTransaction,          // BEGIN, COMMIT, SAVEPOINT ...
  kSerializable,         // isolation that no replica can give
  kMultiStatement,       // several statements in one Query, not all of them reads
  kParseError,           // the server may lex it differently
  kUnknownSyntax,        // not understood by the grammar, which may be older than the server's
  kTooLarge,             // too large to keep, or too much to parse
  kNoCatalog,            // the catalogue of this database has not been read, or is being read again
  kTaught,               // a replica refused it with 25006 before
  kInTransaction,        // inside a read-write transaction
  kSessionPinned,        // the session is tied to its server connection
  kOpenEnded,            // a batch whose end is not known: sent with Flush, in parts or unfinished
  kProtocol,             // FunctionCall, or a statement or portal that this session does not know
  kNoEligibleReplica,    // a read, but no replica may be read from now
  kReplicaBehind,        // a read, but no replica caught up within fence_wait
  kConsistencyPrimary,   // a read, but `consistency = "primary"` or `read_from = "none"`
  kRule,                 // a read, but a rule says the primary
  kHint,                 // a read, but its comment says the primary
  kPrimaryShare,         // a read, taken by the primary because read_from_primary = "always"
  kRerun,                // run again on the primary after a replica failed
  kSelfCheck,            // run again on the primary to compare what a replica answered
  kSessionMode,          // session pooling: the session's own primary connection
  kRefused,              // not allowed by the configuration
  kCount
};

// "read_safe", "volatile_function" ...: the metric label.
[[nodiscard]] std::string_view ReasonName(Reason reason);
[[nodiscard]] std::string_view ClassName(Class cls);

// What ties a session to its server connection after a statement.
enum class PinReason : std::uint8_t {
  kNone,
  kTemporaryTable,
  kListen,
  kHoldCursor,
  kAdvisoryLock,
  kSqlPrepare,
  kLoad,
  kSequenceValue,  // currval, lastval
  kSetSeed,
  kSessionMode,    // session pooling: not a statement but the policy ties it
  kUnknownState,   // unparsed SQL, DO, CALL, functions that may set what we cannot see
  kCount
};
[[nodiscard]] std::string_view PinReasonName(PinReason reason);
// True if a rollback undoes what the pin is for; trivially so for kNone.
[[nodiscard]] constexpr bool EndsWithTransaction(PinReason reason) {
  return reason == PinReason::kNone || reason == PinReason::kTemporaryTable || reason == PinReason::kListen ||
         reason == PinReason::kHoldCursor;
}

// True if only the end of the connection ends what the pin is for.
[[nodiscard]] constexpr bool IsForGood(PinReason reason) { return reason == PinReason::kLoad || reason == PinReason::kSetSeed; }

// One statement under one catalogue, search_path and role.
struct Verdict {
  Class cls = Class::kWrite;
  Reason why = Reason::kNotUnderstood;
  PinReason pin = PinReason::kNone;
  bool needs_fence = true;   // false: touches no relation and nothing that changes, e.g. SELECT 1
  bool lists_prepared = false;  // it shows the prepared statements of its session
  bool repeatable = false;   // running it twice gives no other effect than running it once
  std::vector<std::string> path;  // how the verdict was reached, in words: "function f(int) is volatile"
};

}  // namespace waypost
