// One batch of a client: its messages, what they say, and what they will do to the session once the server agrees.
// Kept and reused by the worker; worker thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/release.h"
#include "core/base/time.h"
#include "parser/sql/facts.h"
#include "parser/sql/verdict.h"
#include "parser/wire/frame.h"
#include "routing/decide.h"
#include "routing/prepared.h"
#include "routing/rules.h"
#include "routing/statement_names.h"

namespace waypost {

struct BatchMessage {
  char type = 0;
  std::uint32_t offset = 0, size = 0;  // in Batch::bytes, header included
  SqlRef sql;               // Q, E: set if a statement of it changes the session
  StatementRef statement;   // P, and B, D or C of a statement: which one
  StatementRef existing;    // P: the name is taken, by this one: an error
  StatementNames::Place place = 0;  // of its session's names: what was planned before it
  bool refused = false;     // by Waypost, with Batch::refusal
  std::uint64_t sequence = 0;  // in the ledger, once it is sent: of the last that went for it
};

// What a message does to the session when its answer says that it succeeded.
struct Effect {
  enum class Kind : std::uint8_t {
    kRan,       // Q, E: the facts of `sql`, one a CommandComplete
    kParsed,    // P: `name` is `statement` now
    kInjected,  // our own P: only undone if it fails
    kTried,     // the same, in a series of its own: nothing else is skipped if it fails
    kClosed,    // C: `name` is no more; empty: the unnamed statement
    kDescribed,  // D, the client's or our own: `statement`, named so, takes and returns what the answer says
  };
  Kind kind = Kind::kRan;
  std::uint64_t sequence = 0;  // in the ledger
  std::uint32_t next = 0;      // kRan: the statement that runs now
  SqlRef sql;
  std::string name;
  StatementRef statement;
  bool sent = false;           // kParsed, kInjected: the server was asked to parse it
  bool taints = false;         // kInjected: if it fails, the connection is not what it is taken for
  std::optional<ParsedThere> before{};  // kParsed, kInjected: what the server keeps instead if it skips this
  bool unnamed = false;        // kDescribed: it is the unnamed statement
  bool tells = false;          // kDescribed: the client is told, as of its own Parse
  std::string types{};         // kDescribed: of the parameters, from the first half of the answer
  // What the unnamed statement was, the client's and the server's, before this was sent to change it: the server keeps it
  // if it skips this.
  StatementRef unnamed_before{}, server_unnamed_before{};
  // kRan of a Query: how many statements of ours stand behind each of the client's; empty: none.
  std::vector<std::uint32_t> aside{};
  std::uint32_t aside_left = 0;  // of those that run now
  // The unnamed statement of the server is what it changes.
  [[nodiscard]] bool OfUnnamed() const {
    return kind == Kind::kDescribed ? unnamed : kind == Kind::kInjected ? !statement : kind != Kind::kRan && name.empty();
  }
};

// The transaction block is over behind it, and no other begins.
[[nodiscard]] inline bool EndsBlock(const Facts& facts) {
  const bool ends = facts.kind == StatementKind::kCommit || facts.kind == StatementKind::kRollback;
  return facts.prepares || (ends && !facts.chain);
}

// What a server says of the statement that stands in place of a refused one: undefined_function.
inline constexpr std::string_view kRefusedState = "42883";

struct Portal {
  SqlRef sql;
  PinReason pin = PinReason::kNone;
  bool unlisted = false;  // kUnknownState: by its text it may set what an audit cannot find
  bool audit = false;     // it may end a pin
  DigestNote note = 0;
};

// What goes in place of a part of a client's text.
struct TextEdit {
  std::size_t at = 0, size = 0;  // in bytes
  std::string text;
};

// Portals by their names. The unnamed one, which most clients use alone, takes no memory of its own.
class Portals {
 public:
  // nullptr: there is none of that name.
  [[nodiscard]] const Portal* Find(std::string_view name) const {
    if (name.empty()) return unnamed_ ? &*unnamed_ : nullptr;
    const auto found = named_.find(name);
    return found == named_.end() ? nullptr : &found->second;
  }
  // In place of one of the same name.
  void Bind(std::string_view name, Portal portal) {
    if (name.empty()) unnamed_ = std::move(portal);
    else named_.insert_or_assign(std::string(name), std::move(portal));
  }
  void Close(std::string_view name) {
    if (name.empty()) unnamed_.reset();
    else if (const auto found = named_.find(name); found != named_.end()) named_.erase(found);
  }
  // The named ones of `other` in place of those of the same names.
  void Merge(Portals&& other) {
    if (other.named_.empty()) return;
    if (named_.empty()) named_.swap(other.named_);
    else
      for (auto& [name, portal] : other.named_) named_.insert_or_assign(name, std::move(portal));
  }
  [[nodiscard]] std::size_t named() const { return named_.size(); }
  void Clear() {
    unnamed_.reset();
    if (!named_.empty()) Release(named_);
  }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const { return std::hash<std::string_view>()(name); }
  };
  std::optional<Portal> unnamed_;
  std::unordered_map<std::string, Portal, Hash, std::equal_to<>> named_;
};

// A name in a SQL text that went to the server as another one.
struct RenamedHere {
  std::uint64_t sequence = 0;  // in the ledger: of the message
  std::size_t end = 0;         // of the client's name, in characters of its text
  std::ptrdiff_t longer = 0;   // the server's name, by so many characters
};

// The next message of a batch cannot be sent before it is known what its statement returns on this server connection.
enum class ShapeWait : std::uint8_t {
  kNone,
  kAsked,     // the server is asked
  kAnswered,  // it has answered, or it skips to the Sync: the rest may be sent
};

// A Query or an Execute, as it is counted once the batch is answered.
struct CountedRun {
  DigestNote note = 0;
  std::uint64_t rows = 0;
};

struct BatchFlags {
  std::size_t effect = 0;  // the first effect that is not done
  std::size_t sent = 0;    // messages sent
  std::size_t copied_bytes = 0;  // of settings, about, by the changes that it makes
  std::size_t restored_bytes = 0;  // of settings, about, set again behind its RESETs
  std::size_t ran_at = 0;  // in `ran`: the one that is answered next
  BatchFacts facts{.needs_fence = false};
  PinReason pin = PinReason::kNone;
  CatalogChange catalog = CatalogChange::kNone;  // the greatest of its statements
  bool any_statement = false;
  const SqlText* opening = nullptr;  // the BEGIN READ ONLY that it begins with; only to be compared
  bool changes_settings = false;
  bool unseen = false;           // it may have changed the session in a way that its text does not show,
  bool unlisted = false;         // and that an audit cannot find
  bool writes = false;           // it may take values from sequences, at least by a trigger,
  bool advances = false;         // and is likely to
  bool reads_sequence = false;   // currval(), lastval()
  bool lists_prepared = false;   // pg_prepared_statements
  bool stays = false;            // it may leave something in its block that lives on its server
  bool audit = false;            // it may have begun or ended what ties the session
  bool resets = false;           // RESET, DISCARD ALL: back to the start-up values
  bool discards = false;         // DISCARD ALL
  std::optional<Handling> handling{};  // if rules or hints have a say: of all its statements
  RuleMask rules = 0;            // what matched
  bool cut_short = false;        // a run of it that does not count was cancelled
  bool timed_out = false;        // we asked the server to cancel it
  bool cancelled = false;        // so did the client
  bool simple = false;      // a Query, not the extended protocol
  bool executes = false;    // an Execute is among its messages
  bool failed = false;      // an error was answered
  bool error_told = false;  // and the client has it
  bool unreplicated = false;  // its commit is not on any standby, as far as the server knows
  bool heard = false;       // the client has got something of its answer
  bool fenced = false;      // it had to be proved fresh
  bool lost = false;        // with its server, once
  bool holds_off = false;   // before it is sent again: its server's other connections may be lost as well
  bool ran_any = false;     // something of it was answered as only what ran is
  bool begins = false;      // BEGIN,
  TransactionModes begin_modes;   // the first of them,
  bool begins_otherwise = false;  // and there is one of another level of isolation
  bool keeps_snapshot = false;  // its block may go on reading the snapshot of its first statement
  bool commits = false;     // COMMIT
  bool prepares = false;    // PREPARE TRANSACTION
  bool sets_transaction = false;  // SET TRANSACTION
  std::uint64_t refusal_sequence = 0;  // in the ledger: what stands for the refused message
  ShapeWait shape_wait = ShapeWait::kNone;
  std::uint64_t shape_asked = 0;  // in the ledger: the Describe that it waits for
  bool reshaped = false;  // what was refused is a statement that returns something else than the client was told
  std::uint64_t begin_sequence = 0;  // in the ledger: the BEGIN that goes ahead of it
  bool ends_block = false;  // COMMIT or ROLLBACK: what a failed block waits for
  bool ran_end = false;     // an Execute ends the block, as far as was sent
  bool goes_on = false;     // it is the first part of the client's: no ReadyForQuery ends it, unless it fails
  bool dispatched = false;
  bool begun = false;       // its first bytes were sent
  bool would_move = false;  // read_from = "none": a replica could have taken it
  bool waited = false;      // for a server connection, or to be sent again
  TimePoint started{}, sent_at{};
  // For the log of statements and their spans. What it waits for is timed only while one of them is on.
  enum class Wait : std::uint8_t { kPool, kFence };
  Wait waits_for = Wait::kPool;
  TimePoint waits_since{};  // {}: it does not wait
  TimePoint pool_since{}, fence_since{};  // the first time; {}: never
  Duration pool_wait{};     // for a server connection, or for a primary
  Duration fence_wait{};    // to be proved fresh, or to settle
  std::optional<Decision> went{};   // where, at last
  std::optional<ServerId> ran_on{};
  std::array<char, 5> sqlstate{};   // of the first error that was answered
  std::uint64_t answered_bytes = 0;
};

struct Batch : BatchFlags {
  std::string bytes;
  std::vector<BatchMessage> messages;
  std::vector<Effect> effects;
  Portals portals;                         // bound in this batch,
  std::unordered_set<std::string> closed_portals;  // and those of the transaction that it closes
  std::vector<CountedRun> ran;  // of each Query and Execute, while digests are on
  std::vector<RenamedHere> renamed;
  std::vector<std::string> claimed;  // databases that it wants to itself
  std::vector<std::string> renewed;  // and those that its success makes others
  std::string refusal;  // an ErrorResponse, if a message of it is refused
  // Statements that return something else than the client was told when it parsed them, which it asks for in this batch.
  std::unordered_map<StatementRef, StatementRef> retold;

  // Of one of its messages, without the header. Valid while nothing is added.
  [[nodiscard]] Bytes BodyOf(const BatchMessage& message) const {
    return AsBytes(bytes).subspan(message.offset + kHeaderBytes, message.size - kHeaderBytes);
  }

  // As new, but what memory it has it keeps, within reason.
  void Clear() {
    static constexpr std::size_t kKeepBytes = 64 * 1024;
    static_cast<BatchFlags&>(*this) = {};
    if (bytes.capacity() > kKeepBytes) Release(bytes);
    bytes.clear();
    Empty(messages);
    Empty(effects);
    portals.Clear();
    if (!closed_portals.empty()) Release(closed_portals);
    Empty(ran);
    Empty(renamed);
    claimed.clear();
    renewed.clear();
    refusal.clear();
    retold.clear();
  }

  // What is done of a list in order goes, once it is the greater part: then each is moved once, however many there are.
  template <class T>
  static void DropDone(std::vector<T>& list, std::size_t& done) {
    constexpr std::size_t kManyDone = 1024;
    if (done < kManyDone || done * 2 < list.size()) return;
    list.erase(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(done));
    done = 0;
  }

 private:
  template <class T>
  static void Empty(std::vector<T>& list) {
    static constexpr std::size_t kKeepItems = 256;
    if (list.capacity() > kKeepItems) Release(list);
    list.clear();
  }
};

}  // namespace waypost
