#include "parser/catalog/sql_cache.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "parser/catalog/resolve.h"
#include "parser/sql/literal_key.h"

namespace waypost {
namespace {

// What a list of facts takes besides itself, roughly: short strings live inside their objects.
std::size_t BytesOf(const std::vector<Facts>& list) {
  const auto heap = [](const std::string& s) { return s.capacity() > 15 ? s.capacity() + 1 : 0; };
  std::size_t bytes = list.capacity() * sizeof(Facts);
  for (const Facts& facts : list) {
    bytes += facts.names.capacity() * sizeof(NameRef) + heap(facts.object);
    for (const NameRef& ref : facts.names) bytes += heap(ref.name) + heap(ref.schema);
    bytes += facts.settings.capacity() * sizeof(SettingEffect);
    for (const SettingEffect& effect : facts.settings) {
      bytes += heap(effect.name) + heap(effect.sql) + heap(effect.value);
    }
  }
  return bytes;
}

std::size_t BytesOf(const Verdict& verdict) {
  std::size_t bytes = verdict.path.capacity() * sizeof(std::string);
  for (const std::string& step : verdict.path) bytes += step.capacity() + 1;
  return bytes;
}

bool NotUnderstood(const std::vector<Facts>& list) {
  return std::any_of(list.begin(), list.end(), [](const Facts& facts) { return facts.kind == StatementKind::kUnknown; });
}

bool LiteralsMatter(const std::vector<Facts>& list) { return list.size() != 1 || list.front().literals_matter; }

}  // namespace

ContextId ContextTable::Intern(std::string_view database, std::uint64_t catalog_version, std::string_view role,
                               std::string_view search_path) {
  // NUL is in no name; what is forgotten here only costs that its statements are resolved again.
  constexpr std::size_t kMaxContexts = 4096;
  constexpr std::size_t kMaxContextBytes = 4 << 20;
  scratch_.assign(database).push_back('\0');
  scratch_.append(std::to_string(catalog_version)).push_back('\0');
  scratch_.append(role).push_back('\0');
  scratch_.append(search_path);
  if (const auto found = ids_.find(scratch_); found != ids_.end()) return found->second;
  bytes_ += scratch_.size();
  if (ids_.size() >= kMaxContexts || bytes_ > kMaxContextBytes) {
    ids_.clear();
    bytes_ = scratch_.size();
  }
  ids_.emplace(scratch_, next_);
  return next_++;
}

SqlCache::SqlCache(SqlCacheLimits limits, std::uint64_t seed) : limits_(limits), seed_(seed) {
  limits_.max_entries = std::max<std::size_t>(limits_.max_entries, 1);
}

std::uint64_t SqlCache::Hash(std::string_view text, Lexing lexing) const {
  const std::uint64_t seed = seed_ ^ (lexing.standard_strings ? 1U : 0U) ^ (lexing.ascii_safe_encoding ? 2U : 0U);
  return XXH3_64bits_withSeed(text.data(), text.size(), seed) & limits_.hash_mask;
}

std::uint32_t SqlCache::FindExact(std::string_view text, Lexing lexing, std::uint64_t hash) const {
  const auto found = exact_.find(hash);
  if (found == exact_.end()) return kNone;
  const Slot& slot = *slots_[found->second];
  return slot.sql->text == text && slot.lexing == lexing ? found->second : kNone;
}

std::uint32_t SqlCache::FindByLiterals(Lexing lexing, std::uint64_t hash) const {
  const auto found = literal_.find(hash);
  if (found == literal_.end()) return kNone;
  const Slot& slot = *slots_[found->second];
  return slot.literal_key == key_ && slot.lexing == lexing ? found->second : kNone;
}

const CachedStatement* SqlCache::Find(std::string_view text, Lexing lexing, ContextId context, const Catalog* catalog,
                                      Outlook outlook) {
  const Setting setting{.context = context, .catalog = catalog, .outlook = outlook};
  if (text.size() > limits_.max_text_bytes) {
    if (IsUncached(text, lexing)) {
      ++counters_.hits;
      return Answer(uncached_, setting, false);
    }
    return Miss(text, lexing, setting, nullptr, std::nullopt);
  }
  const std::uint64_t hash = Hash(text, lexing);
  if (const std::uint32_t index = FindExact(text, lexing, hash); index != kNone) {
    ++counters_.hits;
    return Answer(*slots_[index], setting, false);
  }
  std::optional<std::uint64_t> literal_hash;
  if (LiteralKey(text, lexing, key_)) {
    literal_hash = Hash(key_, lexing);
    if (const std::uint32_t index = FindByLiterals(lexing, *literal_hash); index != kNone) {
      ++counters_.literal_hits;
      return Answer(*slots_[index], setting, true);
    }
  }
  return Miss(text, lexing, setting, nullptr, literal_hash);
}

bool SqlCache::IsUncached(std::string_view text, Lexing lexing) const {
  return uncached_.sql != nullptr && uncached_.lexing == lexing && uncached_.sql->text == text;
}

bool SqlCache::Answers(const Slot& slot, ContextId context) {
  for (std::size_t i = 0; i < kContexts; ++i)
    if (slot.contexts[i] == context && slot.answers[i].sql != nullptr) return true;
  return false;
}

bool SqlCache::Knows(std::string_view text, Lexing lexing, ContextId context) {
  if (text.size() > limits_.max_text_bytes) return IsUncached(text, lexing) && Answers(uncached_, context);
  auto index = FindExact(text, lexing, Hash(text, lexing));
  if (index == kNone && LiteralKey(text, lexing, key_)) index = FindByLiterals(lexing, Hash(key_, lexing));
  return index != kNone && Answers(*slots_[index], context);
}

bool SqlCache::KnowsKept(const std::shared_ptr<const SqlText>& kept, Lexing lexing, ContextId context) const {
  if (kept->text.size() <= limits_.max_text_bytes) {
    const std::uint32_t index = FindExact(kept->text, lexing, Hash(kept->text, lexing));
    if (index != kNone) return Answers(*slots_[index], context);
  }
  return uncached_.sql == kept && uncached_.lexing == lexing && Answers(uncached_, context);
}

const CachedStatement* SqlCache::FindRead(const ReadText& read, ContextId context, const Catalog* catalog, Outlook outlook) {
  const auto& text = read.sql->text;
  if (NotUnderstood(*read.sql->facts)) ++counters_.parse_errors;
  std::optional<std::uint64_t> literal_hash;
  if (text.size() <= limits_.max_text_bytes && LiteralKey(text, read.lexing, key_)) {
    literal_hash = Hash(key_, read.lexing);
  }
  return Miss(text, read.lexing, {.context = context, .catalog = catalog, .outlook = outlook, .read = &read}, read.sql,
              literal_hash);
}

const CachedStatement* SqlCache::FindKept(const std::shared_ptr<const SqlText>& kept, Lexing lexing, ContextId context,
                                          const Catalog* catalog, Outlook outlook) {
  const Setting setting{.context = context, .catalog = catalog, .outlook = outlook};
  if (kept->text.size() <= limits_.max_text_bytes) {
    const std::uint32_t index = FindExact(kept->text, lexing, Hash(kept->text, lexing));
    if (index != kNone) {
      ++counters_.hits;
      return Answer(*slots_[index], setting, false);
    }
  }
  // Too long to be cached: described or bound again and again, it is looked into once.
  if (uncached_.sql == kept && uncached_.lexing == lexing) return Answer(uncached_, setting, false);
  return Miss(kept->text, lexing, setting, kept, std::nullopt);
}

const CachedStatement* SqlCache::Answer(Slot& slot, const Setting& setting, bool by_literals) {
  slot.referenced = true;
  for (std::size_t i = 0; i < kContexts; ++i) {
    if (slot.contexts[i] == setting.context && slot.answers[i].sql != nullptr) {
      slot.answers[i].by_literals = by_literals;
      return &slot.answers[i];
    }
  }
  ++counters_.resolved;
  const std::size_t place = slot.next_context;
  slot.next_context = static_cast<std::uint8_t>((place + 1) % kContexts);
  CachedStatement& answer = slot.answers[place];
  const std::size_t before = BytesOf(answer.verdict);
  answer.sql = slot.sql;
  const bool known = setting.read != nullptr && setting.read->context == setting.context;
  answer.verdict = known ? setting.read->verdict : ResolveAll(*slot.sql->facts, setting.catalog, setting.outlook);
  answer.marks = known ? setting.read->marks : TextMarks{};
  answer.by_literals = by_literals;
  answer.lexing = slot.lexing;
  answer.note = 0;
  if (slot.taught) MarkTaught(answer.verdict);
  slot.contexts[place] = setting.context;
  if (slot.used) Account(slot, slot.bytes - before + BytesOf(answer.verdict));
  return &answer;
}

const CachedStatement* SqlCache::Miss(std::string_view text, Lexing lexing, const Setting& setting,
                                      std::shared_ptr<const SqlText> kept, std::optional<std::uint64_t> literal_hash) {
  ++counters_.misses;
  if (kept == nullptr) {
    FactsList facts = Analyse(text, lexing);
    if (NotUnderstood(*facts)) ++counters_.parse_errors;
    kept = std::make_shared<const SqlText>(SqlText{std::string(text), std::move(facts)});
  }
  const bool by_literals = literal_hash.has_value() && !LiteralsMatter(*kept->facts);
  const std::size_t bytes =
      sizeof(Slot) + sizeof(SqlText) + kept->text.capacity() + BytesOf(*kept->facts) + (by_literals ? key_.size() : 0);
  if (text.size() > limits_.max_text_bytes || bytes > limits_.max_bytes) {
    uncached_ = Slot{};
    uncached_.sql = std::move(kept);
    uncached_.lexing = lexing;
    return Answer(uncached_, setting, false);
  }
  const std::uint32_t index = TakeSlot(bytes);
  Slot& slot = *slots_[index];
  slot.sql = std::move(kept);
  slot.lexing = lexing;
  slot.hash = Hash(slot.sql->text, lexing);
  Place(exact_, slot.hash, index);
  if (by_literals) {
    slot.literal_key = key_;
    slot.literal_hash = *literal_hash;
    Place(literal_, slot.literal_hash, index);
  }
  Account(slot, bytes);
  return Answer(slot, setting, false);
}

// Two texts of one hash: the newer one stays, the older one would not be found any more.
void SqlCache::Place(Index& index, std::uint64_t hash, std::uint32_t slot) {
  if (const auto found = index.find(hash); found != index.end()) Evict(found->second);
  index.emplace(hash, slot);
}

// A slot that is not in use, after making room for `bytes`.
std::uint32_t SqlCache::TakeSlot(std::size_t bytes) {
  while (counters_.entries > 0 && (counters_.entries >= limits_.max_entries || counters_.bytes + bytes > limits_.max_bytes)) {
    hand_ = (hand_ + 1) % static_cast<std::uint32_t>(slots_.size());
    Slot& slot = *slots_[hand_];
    if (!slot.used) continue;
    if (std::exchange(slot.referenced, false)) continue;
    Evict(hand_);
  }
  std::uint32_t index = kNone;
  if (free_.empty()) {
    index = static_cast<std::uint32_t>(slots_.size());
    slots_.push_back(std::make_unique<Slot>());
  } else {
    index = free_.back();
    free_.pop_back();
  }
  slots_[index]->used = true;
  ++counters_.entries;
  return index;
}

void SqlCache::Evict(std::uint32_t index) {
  Slot& slot = *slots_[index];
  exact_.erase(slot.hash);
  if (!slot.literal_key.empty()) literal_.erase(slot.literal_hash);
  counters_.bytes -= slot.bytes;
  --counters_.entries;
  ++counters_.evictions;
  slot = Slot{};
  free_.push_back(index);
}

void SqlCache::Account(Slot& slot, std::size_t bytes) {
  counters_.bytes = counters_.bytes - slot.bytes + bytes;
  slot.bytes = bytes;
}

std::shared_ptr<const SqlText> SqlCache::Keep(const CachedStatement& found, std::string_view text) {
  if (!found.by_literals || found.sql->text == text) return found.sql;
  return std::make_shared<const SqlText>(SqlText{std::string(text), found.sql->facts});
}

void SqlCache::MarkTaught(Verdict& verdict) {
  if (verdict.cls != Class::kRead) return;
  verdict.cls = Class::kWrite;
  verdict.why = Reason::kTaught;
  verdict.repeatable = false;
}

void SqlCache::Teach(std::string_view text, Lexing lexing) {
  if (text.size() > limits_.max_text_bytes) return;
  std::uint32_t index = FindExact(text, lexing, Hash(text, lexing));
  if (index == kNone && LiteralKey(text, lexing, key_)) index = FindByLiterals(lexing, Hash(key_, lexing));
  if (index == kNone) return;
  Slot& slot = *slots_[index];
  slot.taught = true;
  for (CachedStatement& answer : slot.answers) MarkTaught(answer.verdict);
}

void SqlCache::Clear() {
  exact_.clear();
  literal_.clear();
  slots_.clear();
  free_.clear();
  hand_ = 0;
  uncached_ = Slot{};
  counters_.entries = 0;
  counters_.bytes = 0;
}

}  // namespace waypost
