// What one worker remembers of the texts that its clients send: text -> facts, and (facts, context)
// -> verdict. Bounded in entries and bytes. Worker thread only: no locks. A hit allocates nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "parser/catalog/catalog.h"
#include "parser/catalog/resolve.h"
#include "parser/sql/facts.h"
#include "parser/sql/hints.h"
#include "parser/sql/verdict.h"

namespace waypost {

// Stands for (database, version of its catalogue, user or role, search_path). See ContextTable.
using ContextId = std::uint32_t;

// Gives each context a number that is never given to another. Worker thread only.
class ContextTable {
 public:
  // `catalog_version`: 0 while there is no catalogue; another number whenever another Catalog is
  // used.
  // `role` and `search_path`: whatever decides how names are looked up.
  [[nodiscard]] ContextId Intern(std::string_view database, std::uint64_t catalog_version, std::string_view role,
                                 std::string_view search_path);

 private:
  std::unordered_map<std::string, ContextId> ids_;
  std::size_t bytes_ = 0;
  ContextId next_ = 1;
  std::string scratch_;
};

// A text and what it says; what a session keeps of a prepared statement, beyond the life of a cache
// entry.
struct SqlText {
  std::string text;
  FactsList facts;
  // For digests and rules; made when it is first wanted. Only the thread of the cache may look.
  mutable bool fingerprint_known = false;
  mutable std::optional<std::uint64_t> fingerprint{};
};

// What the caller found out about a text and wants to find again: kept with the entry, and forgotten with it.
struct TextMarks {
  std::uint64_t generation = 0;       // of what it was found out by; 0: nothing is there
  Hint hint = Hint::kNone;
  std::vector<std::uint64_t> rules;   // one mask a statement
};
// Where the digests count this statement; 0: nowhere yet. The cache keeps it and does not look at it.
using DigestNote = std::uint64_t;

// What the cache answers.
struct CachedStatement {
  // Its facts are those of the text that was asked for. Its text is that text, or, if
  // `by_literals`, one that differs from it in literals.
  std::shared_ptr<const SqlText> sql;
  Verdict verdict;  // of all statements of the text together
  bool by_literals = false;
  mutable TextMarks marks{};
  Lexing lexing;
  mutable DigestNote note = 0;

  [[nodiscard]] const std::vector<Facts>& facts() const { return *sql->facts; }
};

// A text that was looked into elsewhere, on another thread perhaps: what it says, and what the cache would answer in `context`.
struct ReadText {
  std::shared_ptr<const SqlText> sql;  // null: none was
  Lexing lexing;
  ContextId context = 0;
  Verdict verdict;
  TextMarks marks;  // under that context, if any were made
};

struct SqlCacheLimits {
  std::size_t max_entries = 8192;
  std::size_t max_bytes = 32 << 20;
  std::size_t max_text_bytes = 16 << 10;        // of longer texts only the last one is known
  std::uint64_t hash_mask = ~std::uint64_t{0};  // for tests: fewer bits make texts collide
};

class SqlCache {
 public:
  explicit SqlCache(SqlCacheLimits limits = {}, std::uint64_t seed = 0);

  struct Counters {
    std::uint64_t hits = 0;          // by the exact text
    std::uint64_t literal_hits = 0;  // by the text without its literals
    std::uint64_t misses = 0;        // parsed
    std::uint64_t evictions = 0;
    std::uint64_t parse_errors = 0;  // texts, among the misses, with a statement that was not understood
    std::uint64_t resolved = 0;  // verdicts made: misses, and hits in a context not seen lately
    std::size_t entries = 0;
    std::size_t bytes = 0;  // about what the entries take
  };

  // Facts and verdict of `text` in `context`, which stands for `catalog` (may be null: not loaded)
  // and `outlook`. Never null. Valid until the next call of a function that is not const; copy `sql` (no
  // allocation) or the verdict to keep them.
  [[nodiscard]] const CachedStatement* Find(std::string_view text, Lexing lexing, ContextId context, const Catalog* catalog,
                                            Outlook outlook = {});

  // True if Find() will not have to look into `text`, nor FindKept() into `kept`.
  [[nodiscard]] bool Knows(std::string_view text, Lexing lexing, ContextId context);
  [[nodiscard]] bool KnowsKept(const std::shared_ptr<const SqlText>& kept, Lexing lexing, ContextId context) const;

  // Find() of a text that was not known and has been looked into elsewhere since.
  [[nodiscard]] const CachedStatement* FindRead(const ReadText& read, ContextId context, const Catalog* catalog,
                                                Outlook outlook = {});

  // The verdict of a text kept earlier (a prepared statement) in a context of now. Valid until the
  // next call.
  [[nodiscard]] const CachedStatement* FindKept(const std::shared_ptr<const SqlText>& kept, Lexing lexing, ContextId context,
                                                const Catalog* catalog, Outlook outlook = {});

  // `found` under its own text: `found.sql` itself if the texts are equal, else a new one that
  // shares the facts.
  [[nodiscard]] static std::shared_ptr<const SqlText> Keep(const CachedStatement& found, std::string_view text);

  // A replica refused this text with 25006: it is a write from now on (Reason::kTaught), as long as
  // it is cached.
  void Teach(std::string_view text, Lexing lexing);

  // Forgets everything but the counters.
  void Clear();

  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  static constexpr std::size_t kContexts = 4;  // remembered per entry
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  struct Slot {
    std::uint64_t hash = 0;
    std::uint64_t literal_hash = 0;
    std::string literal_key;  // empty: only found by its text
    Lexing lexing;
    bool used = false;
    bool referenced = false;  // since the hand of the clock passed
    bool taught = false;
    std::uint8_t next_context = 0;
    std::size_t bytes = 0;
    std::shared_ptr<const SqlText> sql;
    std::array<ContextId, kContexts> contexts{};
    std::array<CachedStatement, kContexts> answers{};
  };
  using Index = std::unordered_map<std::uint64_t, std::uint32_t>;

  [[nodiscard]] std::uint64_t Hash(std::string_view text, Lexing lexing) const;
  [[nodiscard]] std::uint32_t FindExact(std::string_view text, Lexing lexing, std::uint64_t hash) const;
  [[nodiscard]] std::uint32_t FindByLiterals(Lexing lexing, std::uint64_t hash) const;
  [[nodiscard]] bool IsUncached(std::string_view text, Lexing lexing) const;
  // What a verdict is made in.
  struct Setting {
    ContextId context;
    const Catalog* catalog;
    Outlook outlook;
    const ReadText* read = nullptr;  // what may be known already
  };
  [[nodiscard]] static bool Answers(const Slot& slot, ContextId context);
  [[nodiscard]] const CachedStatement* Answer(Slot& slot, const Setting& setting, bool by_literals);
  // `kept`: the text with its facts, if they are known; `literal_hash`: of key_, if `text` has a
  // literal key.
  [[nodiscard]] const CachedStatement* Miss(std::string_view text, Lexing lexing, const Setting& setting,
                                            std::shared_ptr<const SqlText> kept, std::optional<std::uint64_t> literal_hash);
  void Place(Index& index, std::uint64_t hash, std::uint32_t slot);
  static void MarkTaught(Verdict& verdict);
  [[nodiscard]] std::uint32_t TakeSlot(std::size_t bytes);
  void Evict(std::uint32_t index);
  void Account(Slot& slot, std::size_t bytes);

  SqlCacheLimits limits_;
  std::uint64_t seed_;
  Counters counters_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<std::uint32_t> free_;
  Index exact_, literal_;
  std::uint32_t hand_ = 0;
  std::string key_;  // the literal key of the text at hand
  Slot uncached_;    // the answer for the last text that was too long to keep
};

}  // namespace waypost
