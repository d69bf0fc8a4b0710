// What statements ran and what became of them, by class of text: libpg_query's fingerprint, database and user. Bounded.
// One table per worker, its thread only; the admin threads get a copy, merged. In steady state a call costs no
// allocation and no look-up: whoever has the statement at hand keeps the place of its entry (DigestNote).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/base/time.h"
#include "parser/catalog/sql_cache.h"
#include "parser/sql/verdict.h"
#include "routing/decide.h"

namespace waypost {

struct DigestCounts {
  std::uint64_t calls = 0;  // a Query, or an Execute
  std::uint64_t rows = 0;   // as CommandComplete says
  std::uint64_t errors = 0;
  std::uint64_t on_primary = 0, on_replica = 0;
  std::uint64_t held = 0;        // of both: on the connection that the session held
  std::uint64_t fallbacks = 0;   // reads that no replica could take
  std::uint64_t reruns = 0;      // run again on the primary after a replica failed
  std::uint64_t would_move = 0;  // read_from = "none": a replica could have taken it
  // From the batch received to its answer; a batch of n statements counts an nth for each.
  Duration total{}, max{};
};

struct Digest : DigestCounts {
  std::optional<std::uint64_t> fingerprint;  // nothing: the text is too long, or did not parse
  std::shared_ptr<const std::string> text;   // without its literals, at most kMaxDigestTextBytes
  std::string database, user;
  Class cls = Class::kWrite;
  Reason verdict = Reason::kNotUnderstood;
  std::shared_ptr<const std::string> path;  // how the verdict was reached
  Reason last_reason = Reason::kNotUnderstood;
  TimePoint last_seen{};
};

inline constexpr std::size_t kMaxDigestTextBytes = 1024;

// All workers' tables together.
struct DigestReport {
  std::vector<Digest> digests;
  std::size_t max = 0;         // entries per worker; 0: switched off
  std::uint64_t evicted = 0;   // entries that made room for others
  std::uint64_t uncounted = 0;  // calls of texts that came too fast to be looked into
  unsigned workers_missing = 0;  // how many did not answer in time

  void Add(DigestReport other);
};

class Digests {
 public:
  // `max` entries; 0: off, everything is forgotten.
  void SetLimit(std::size_t max);
  [[nodiscard]] bool on() const { return max_ > 0; }

  struct Caller {
    const std::string& database;
    const std::string& user;
    TimePoint now;
  };
  // The entry of `found`, made if there is none; 0 if it is not counted. `found.note` remembers it.
  [[nodiscard]] DigestNote Note(const CachedStatement& found, const Caller& caller) {
    if (max_ == 0) return 0;
    if (const auto* known = Find(found.note); known != nullptr && known->user == caller.user) return found.note;
    return found.note = Enter(found, caller);
  }
  // nullptr if it made room for another meanwhile. Valid until the next Note().
  [[nodiscard]] Digest* Find(DigestNote note) {
    const auto index = (note & 0xFFFFFFFFU) - 1;
    if (note == 0 || index >= entries_.size()) return nullptr;
    auto& entry = entries_[index];
    return entry.generation == note >> 32U ? &entry : nullptr;
  }

  // From time to time: new texts may be looked into again, for so long in all.
  void Replenish(Duration budget) { budget_ = budget; }
  // Those that were called.
  [[nodiscard]] DigestReport Report() const;
  [[nodiscard]] std::size_t size() const { return index_.size(); }

 private:
  struct Entry : Digest {
    std::uint32_t generation = 1;
    bool used = false;
    double usage = 0;  // calls at the last eviction, of which older ones count less
    std::uint64_t calls_then = 0;
    std::string key;
  };

  [[nodiscard]] DigestNote Enter(const CachedStatement& found, const Caller& caller);
  void Fingerprinted(const SqlText& sql);
  void MakeRoom();

  std::size_t max_ = 0;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_;
  std::unordered_map<std::string, std::uint32_t> index_;
  Duration budget_{};
  std::uint64_t evicted_ = 0, uncounted_ = 0;
};

}  // namespace waypost
