#include "core/session/self_check.h"

#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "core/base/ascii.h"
#include "parser/wire/fields.h"
#include "parser/wire/frame.h"
#include "routing/fence.h"

namespace waypost {
namespace {

// Also what comes without parentheses, and what a string may say: 'now'::timestamp.
constexpr std::string_view kClockAndChance[] = {
    "age",
    "clock_timestamp",
    "current_date",
    "current_time",
    "current_timestamp",
    "localtime",
    "localtimestamp",
    "now",
    "setseed",
    "statement_timestamp",
    "tablesample",
    "timeofday",
    "transaction_timestamp",
};
constexpr std::string_view kClockAndChancePrefixes[] = {"gen_random_", "gen_salt", "pg_sleep", "random", "uuid"};
// In a value of a date or time, also in one that comes as a parameter.
constexpr std::string_view kClockWords[] = {"now", "today", "tomorrow", "yesterday"};

bool IsClockOrChance(std::string_view name) {
  return std::find(std::begin(kClockAndChance), std::end(kClockAndChance), name) != std::end(kClockAndChance) ||
         std::any_of(std::begin(kClockAndChancePrefixes), std::end(kClockAndChancePrefixes),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

std::uint64_t Hash(std::string_view text, std::uint64_t seed) { return XXH3_64bits_withSeed(text.data(), text.size(), seed); }

}  // namespace

AnswerDigest DigestOf(std::string_view answer) {
  AnswerDigest digest;
  std::uint64_t rows = 0;  // of the statement at hand: a sum, so that their order does not count
  auto in = AsBytes(answer);
  FrameHeader header;
  while (NextHeader(in, header) == FrameStatus::kHeader && in.size() >= header.body_bytes) {
    const auto body = AsText(in.first(header.body_bytes));
    in = in.subspan(header.body_bytes);
    switch (header.type) {
      case 'D':
        rows += Hash(body, 'D');
        ++digest.rows;
        break;
      case 'C':
      case 'I':
      case 's':
      case 'T':  // its end, or what its rows look like
        digest.hash = Hash(body, digest.hash + rows * 31 + static_cast<unsigned char>(header.type));
        rows = 0;
        break;
      default: break;
    }
  }
  return digest;
}

bool SaysClock(std::string_view value) {
  const auto lower = AsciiLower(value);
  const auto letter = [&](std::size_t at) { return at < lower.size() && lower[at] >= 'a' && lower[at] <= 'z'; };
  for (const auto word : kClockWords)
    for (auto at = lower.find(word); at != std::string::npos; at = lower.find(word, at + 1))
      if (!letter(at - 1) && !letter(at + word.size())) return true;
  return false;
}

bool AsksClockOrChance(std::string_view sql, Lexing lexing) {
  Tokens tokens(sql, lexing);
  for (auto token = tokens.Next(); token.kind != Token::Kind::kEnd; token = tokens.Next()) {
    switch (token.kind) {
      case Token::Kind::kWord:
        if (IsClockOrChance(AsciiLower(token.text))) return true;
        break;
      case Token::Kind::kQuoted:
        if (token.text.size() > 2 && IsClockOrChance(token.text.substr(1, token.text.size() - 2))) return true;
        break;
      case Token::Kind::kString:
        if (SaysClock(token.text)) return true;
        break;
      default: break;
    }
  }
  return false;
}

std::optional<PrimaryNow> ReadPrimaryNow(Bytes row) {
  Fields fields(row);
  if (fields.U16() != 3) return std::nullopt;
  std::array<std::string_view, 3> values;
  for (auto& value : values) value = AsText(fields.Take(fields.U32()));
  const auto position = ParseLsn(values[0]);
  std::uint64_t segment = 0;
  const auto read = std::from_chars(values[1].data(), values[1].data() + values[1].size(), segment);
  if (!fields.ok() || !position || read.ec != std::errc()) return std::nullopt;
  return PrimaryNow{RecordEnd(*position, segment), values[2] != "0"};
}

bool SelfChecks::FirstOf(std::string_view sql) {
  const auto hash = Hash(sql, 0) | 1;
  return std::exchange(complained_[hash / 2 % kRemembered], hash) != hash;
}

SelfCheck::Next SelfCheck::End(SelfCheckOutcome outcome) {
  outcome_ = outcome;
  return Next::kAnswer;
}

SelfCheck::Next SelfCheck::OnAnswer(std::string answer) {
  switch (run_) {
    case Run::kReplica:
      replica_ = DigestOf(answer);
      replicas_ = std::move(answer);
      run_ = Run::kPrimary;
      return Next::kRunOnPrimary;
    case Run::kPrimary:
      if (failed_) return End(*failed_);
      primary_ = DigestOf(answer);
      primarys_ = std::move(answer);
      return replica_ == primary_ ? End(SelfCheckOutcome::kSame) : Next::kAskPosition;
    case Run::kPrimaryAgain:
      if (failed_) return End(*failed_);
      if (DigestOf(answer) != primary_) return End(SelfCheckOutcome::kUnsteady);
      return ++alike_ == kSteady ? End(SelfCheckOutcome::kStale) : Next::kRunOnPrimary;
  }
  return End(SelfCheckOutcome::kFailed);
}

SelfCheck::Next SelfCheck::OnPosition(std::optional<PrimaryNow> now, bool unsteady) {
  if (!now || !before_) return End(SelfCheckOutcome::kFailed);
  if (now->position != *before_ || now->writing) return End(SelfCheckOutcome::kChanged);
  if (unsteady) return End(SelfCheckOutcome::kUnsteady);
  run_ = Run::kPrimaryAgain;
  return Next::kRunOnPrimary;
}

std::string SelfCheck::TakeAnswer() {
  const bool told = outcome_ == SelfCheckOutcome::kSame || outcome_ == SelfCheckOutcome::kStale;
  return std::move((told || position_only_) && !primarys_.empty() ? primarys_ : replicas_);
}

}  // namespace waypost
