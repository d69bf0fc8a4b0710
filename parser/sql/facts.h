// What the parse tree of one statement says, from its text alone: no catalogue, no session. Pure, immutable, shared
// by every session that sends the same text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "parser/sql/verdict.h"

namespace waypost {

enum class StatementKind : std::uint8_t {
  kSelect,    // SELECT, VALUES, TABLE
  kExplain,
  kShow,
  kCopyTo,
  kCopyFrom,
  kInsert,
  kUpdate,
  kDelete,
  kMerge,
  kDdl,       // and every other utility statement not named here
  kBegin,     // BEGIN, START TRANSACTION
  kCommit,    // COMMIT, END; also AND CHAIN
  kRollback,  // ROLLBACK, ABORT; also AND CHAIN
  kSavepoint,
  kRollbackTo,
  kRelease,
  kTwoPhase,  // PREPARE TRANSACTION, COMMIT PREPARED, ROLLBACK PREPARED
  kSet,       // SET, SET LOCAL, SET ROLE, SET SESSION AUTHORIZATION, SET TRANSACTION, SET SESSION CHARACTERISTICS
  kReset,     // RESET x, RESET ALL, SET x TO DEFAULT
  kDiscard,
  kPrepare,
  kExecute,
  kDeallocate,
  kDeclare,
  kFetch,     // FETCH, MOVE
  kClose,
  kListen,
  kUnlisten,
  kNotify,
  kLock,
  kDo,
  kCall,
  kLoad,
  kUnknown,   // did not parse
};

// A name in the tree that the catalogue must explain.
struct NameRef {
  enum class Kind : std::uint8_t {
    kFunction,
    kRelation,   // never the name of a CTE in scope
    kType,
    kOperator,
    kAttribute,  // the last part of "x.y": a column, or a function of one composite argument called as if it were one
  };
  Kind kind;
  std::string schema;  // empty if not qualified
  std::string name;    // folded as PostgreSQL folds it
  int args = -1;       // kFunction: how many arguments the call gives; -1: not known
  auto operator<=>(const NameRef&) const = default;
};

// What a statement does to the session's settings when it succeeds.
struct SettingEffect {
  enum class Kind : std::uint8_t {
    kSet,          // until the end of the session (or of the transaction, if that rolls back)
    kSetLocal,     // until the end of the transaction
    kResetLocal,   // SET LOCAL x TO DEFAULT: the start-up value, until the end of the transaction
    kUnknownLocal, // set_config('x', $1, true): until the end of the transaction, to what only the server knows
    kReset,        // back to the start-up value
    kResetAll,     // RESET ALL
    kDiscardAll,   // DISCARD ALL: settings, prepared statements, temporary tables, locks, channels
    kTransaction,  // SET TRANSACTION ...: this transaction only
  };
  Kind kind;
  std::string
      name;  // lower case; "role", "session_authorization", "timezone" (also for TIME ZONE), "client_encoding" (also for NAMES); empty for the All kinds
  std::string
      sql;  // kSet, kSetLocal: a statement that sets the same again on another connection ("SET datestyle TO 'ISO'"); always a SET, without comments or semicolon
  std::string value;  // the constant, where there is just one, as text ("off"); else empty
};

// What BEGIN and SET TRANSACTION / SET SESSION CHARACTERISTICS say of the transaction.
struct TransactionModes {
  std::optional<bool> read_only;
  std::optional<bool> serializable;  // true: SERIALIZABLE; false: a lower level was named
  std::optional<bool> repeatable_read;
};

// What a statement does to the picture that Waypost has of the database's catalogue.
enum class CatalogChange : std::uint8_t {
  kNone,
  kLater,  // a plain table is new, or something is gone: what is known of the rest still holds
  kNow,  // a name may mean something else: nothing is a read until the catalogue has been read again
  kDefaults,  // the same, and new sessions start with other settings
};

// What a statement does with whole databases.
struct DatabaseUse {
  std::string alone;  // it fails with 55006 while others are connected to this one
  std::vector<std::string> renewed;  // if it succeeds, these names stand for nothing or for another database
};

struct Facts {
  StatementKind kind = StatementKind::kUnknown;
  bool writes_by_form = true;  // the tree itself proves that it is not a read
  Reason form_reason = Reason::kParseError;  // why, if writes_by_form
  bool repeatable = false;  // running it twice is harmless, as far as the tree tells
  bool result_varies = true;  // which columns it returns is for the catalogue to say: a query, RETURNING, what did not parse
  bool state_unknown = false;  // may change session state that the tree does not show (DO, CALL, unparsed)
  PinReason pin = PinReason::kNone;  // by form: CREATE TEMP, LISTEN, DECLARE WITH HOLD, PREPARE, LOAD
  std::vector<NameRef> names;  // sorted, no duplicates
  std::vector<NameRef>
      touched;  // relations, functions and types that a statement other than a query names (TRUNCATE, CREATE VIEW, COMMENT ...); for rules
  std::vector<SettingEffect> settings;  // also set_config('x', 'constant', ...) in a SELECT list
  CatalogChange catalog = CatalogChange::kNone;
  std::shared_ptr<const DatabaseUse> databases;  // DROP DATABASE and the like; else null
  TransactionModes modes;  // kBegin, kSet of transaction modes
  bool chain = false;  // kCommit, kRollback: AND CHAIN
  bool prepares = false;  // kTwoPhase: PREPARE TRANSACTION
  bool start = false;  // kBegin: by START TRANSACTION, and answered as such
  std::uint32_t end = 0;  // where it ends in the text, in bytes, before the semicolon
  std::string object;  // PREPARE / EXECUTE / DEALLOCATE / DECLARE / FETCH / CLOSE / SAVEPOINT / LISTEN: the name ("" = ALL);
      // kTwoPhase: the transaction's identifier; kUnknown: what the grammar says is wrong
  bool literals_matter = true;  // false: the same tree with other number and string literals has the same facts and verdict
  // SET SESSION CHARACTERISTICS AS TRANSACTION ... arrives as settings default_transaction_*.
};

// How the lexer must read the text; part of the cache key.
struct Lexing {
  bool standard_strings = true;  // standard_conforming_strings
  bool ascii_safe_encoding = true;  // client_encoding is none of SJIS, BIG5, GBK, UHC, GB18030, JOHAB, SHIFT_JIS_2004
  auto operator<=>(const Lexing&) const = default;
};

// The statements of one Query or Parse text, in order; empty list: an empty query (comments and blanks alone).
// Never throws, never aborts, needs little stack: a text that does not parse is one Facts of kUnknown with
// Reason::kUnknownSyntax (kParseError: the server may lex it otherwise); one longer than kMaxAnalysedBytes or too costly (scan_cost.h)
// is not looked at and is kUnknown with Reason::kTooLarge. All of them pin by kUnknownState: nobody knows what such a text leaves behind.
inline constexpr std::size_t kMaxAnalysedBytes = 2 << 20;  // the tree of "1+1+..." takes some 120 bytes for each of text
using FactsList = std::shared_ptr<const std::vector<Facts>>;
[[nodiscard]] FactsList Analyse(std::string_view sql, Lexing lexing);

// The major of PostgreSQL whose grammar this is: "15".
[[nodiscard]] std::string_view GrammarMajor();

}  // namespace waypost
