#include "core/observe/digests.h"

#include <algorithm>
#include <map>
#include <utility>

#include "parser/sql/fingerprint.h"
#include "parser/sql/tokens.h"

namespace waypost {
namespace {

// A longer text has its beginning for a fingerprint: the true one may cost 3 us a byte.
constexpr std::size_t kMaxFingerprintedBytes = 4096;
// When there is no room, this share of the entries goes, and what was used before counts less.
constexpr std::size_t kEvictedOf = 20;
constexpr double kDecay = 0.9;

std::string Joined(const std::vector<std::string>& steps) {
  std::string text;
  for (const auto& step : steps) {
    if (!text.empty()) text += "; ";
    text += step;
  }
  return text;
}

std::string KeyOf(const Digest& digest) {
  std::string key = digest.fingerprint ? FingerprintText(*digest.fingerprint) : "-" + *digest.text;
  key.append(1, '\0').append(digest.database).append(1, '\0').append(digest.user);
  return key;
}

void Sum(Digest& into, const Digest& from) {
  into.calls += from.calls;
  into.rows += from.rows;
  into.errors += from.errors;
  into.on_primary += from.on_primary;
  into.on_replica += from.on_replica;
  into.held += from.held;
  into.fallbacks += from.fallbacks;
  into.reruns += from.reruns;
  into.would_move += from.would_move;
  into.total += from.total;
  into.max = std::max(into.max, from.max);
  if (from.last_seen < into.last_seen) return;
  into.last_seen = from.last_seen;
  into.last_reason = from.last_reason;
  into.cls = from.cls;
  into.verdict = from.verdict;
  into.path = from.path;
}

}  // namespace

void DigestReport::Add(DigestReport other) {
  max = std::max(max, other.max);
  evicted += other.evicted;
  uncounted += other.uncounted;
  workers_missing += other.workers_missing;
  std::map<std::string, std::size_t> known;
  for (std::size_t i = 0; i < digests.size(); ++i) known.emplace(KeyOf(digests[i]), i);
  for (auto& digest : other.digests) {
    const auto found = known.find(KeyOf(digest));
    if (found != known.end()) Sum(digests[found->second], digest);
    else digests.push_back(std::move(digest));
  }
}

void Digests::SetLimit(std::size_t max) {
  if (max == max_) return;
  max_ = max;
  // Generations go on, so that no old note finds a new entry.
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    if (!entries_[i].used) continue;
    const auto generation = entries_[i].generation;
    entries_[i] = Entry{};
    entries_[i].generation = generation + 1;
    free_.push_back(i);
  }
  index_.clear();
}

void Digests::Fingerprinted(const SqlText& sql) {
  if (sql.fingerprint_known) return;
  sql.fingerprint_known = true;
  if (sql.text.size() <= kMaxFingerprintedBytes) sql.fingerprint = Fingerprint(sql.text);
}

DigestNote Digests::Enter(const CachedStatement& found, const Caller& caller) {
  if (budget_ <= Duration::zero()) {
    ++uncounted_;
    return 0;
  }
  const auto started = Clock::now();
  Fingerprinted(*found.sql);
  Digest fresh;
  fresh.fingerprint = found.sql->fingerprint;
  const auto shown = std::string_view(found.sql->text).substr(0, 4 * kMaxDigestTextBytes);
  fresh.text = std::make_shared<const std::string>(WithoutLiterals(shown, found.lexing, kMaxDigestTextBytes));
  fresh.database = caller.database;
  fresh.user = caller.user;
  auto key = KeyOf(fresh);
  auto place = index_.find(key);
  if (place == index_.end()) {
    if (index_.size() >= max_) MakeRoom();
    std::uint32_t index = 0;
    if (free_.empty()) {
      index = static_cast<std::uint32_t>(entries_.size());
      entries_.emplace_back();
    } else {
      index = free_.back();
      free_.pop_back();
    }
    auto& entry = entries_[index];
    static_cast<Digest&>(entry) = std::move(fresh);
    entry.used = true;
    entry.last_seen = caller.now;
    entry.key = key;
    place = index_.emplace(std::move(key), index).first;
  }
  auto& entry = entries_[place->second];
  entry.cls = found.verdict.cls;
  entry.verdict = found.verdict.why;
  entry.path = std::make_shared<const std::string>(Joined(found.verdict.path));
  budget_ -= Clock::now() - started;
  return (static_cast<DigestNote>(entry.generation) << 32U) | (place->second + 1);
}

// The least used go, and of those the ones that were not seen for longest.
void Digests::MakeRoom() {
  std::vector<std::uint32_t> used;
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    auto& entry = entries_[i];
    if (!entry.used) continue;
    entry.usage = entry.usage * kDecay + static_cast<double>(entry.calls - entry.calls_then);
    entry.calls_then = entry.calls;
    used.push_back(i);
  }
  const auto goes = std::max<std::size_t>(used.size() / kEvictedOf, 1);
  std::partial_sort(
      used.begin(), used.begin() + static_cast<std::ptrdiff_t>(goes), used.end(), [this](std::uint32_t a, std::uint32_t b) {
        return std::pair(entries_[a].usage, entries_[a].last_seen) < std::pair(entries_[b].usage, entries_[b].last_seen);
      });
  used.resize(goes);
  for (const auto index : used) {
    auto& entry = entries_[index];
    index_.erase(entry.key);
    const auto generation = entry.generation;
    entry = Entry{};
    entry.generation = generation + 1;
    free_.push_back(index);
  }
  evicted_ += goes;
}

DigestReport Digests::Report() const {
  DigestReport report;
  report.max = max_;
  report.evicted = evicted_;
  report.uncounted = uncounted_;
  report.digests.reserve(index_.size());
  for (const auto& entry : entries_)
    if (entry.used && entry.calls > 0) report.digests.push_back(entry);
  return report;
}

}  // namespace waypost
