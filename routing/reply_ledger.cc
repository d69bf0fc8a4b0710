#include "routing/reply_ledger.h"

namespace waypost {
namespace {

constexpr std::size_t kKeptEntries = 256;

bool EndsWithReady(char type) { return type == 'Q' || type == 'S' || type == 'F'; }
bool EndsCopy(char type) { return type == 'c' || type == 'f'; }
bool InSeries(char type) { return !EndsWithReady(type) && !EndsCopy(type); }

}  // namespace

std::uint64_t Ledger::Sent(char type, Reply how) {
  if (type == 'd') data_sent_ = true;
  if (type == 'd' || type == 'H' || type == 'X') return 0;
  if (copy_in_) {
    if (type == 'S') {
      sync_unsure_ = sync_unsure_ || data_sent_;
      return 0;
    }
    // CopyDone and CopyFail end the COPY. For anything else the server closes the connection, unless the COPY has failed
    // by then: so that one keeps its entry.
    copy_in_ = false;
    if (EndsCopy(type)) return 0;
  } else if (EndsCopy(type) && Empty()) {
    return 0;
  }
  if (skipping_) {
    if (type != 'S') return 0;
    skipping_ = false;
  }
  const auto sequence = next_sequence_++;
  if (type == 'Q' || type == 'E') data_sent_ = false;
  entries_.push_back({type, how, data_sent_, sequence});
  if (EndsWithReady(type)) ++ready_due_;
  if (InSeries(type)) {
    ++series_due_;
    series_open_ = true;
  }
  return sequence;
}

bool Ledger::OwesReady() const {
  for (auto i = head_; i < entries_.size(); ++i)
    if (EndsWithReady(entries_[i].type) && entries_[i].reply == Reply::kForward) return true;
  return false;
}

void Ledger::Pop() {
  sync_unsure_ = false;
  if (InSeries(entries_[head_].type)) --series_due_;
  ++head_;
  // CopyDone and CopyFail that found no COPY.
  while (!Empty() && EndsCopy(entries_[head_].type)) ++head_;
  // A pipeline may never run empty: what is done goes once it is more than half.
  if (!Empty() && (head_ < kKeptEntries || head_ * 2 < entries_.size())) return;
  entries_.erase(entries_.begin(), entries_.begin() + static_cast<std::ptrdiff_t>(head_));
  head_ = 0;
}

// What was sent behind the statement that begins the COPY: the server ignores Syncs, however many, and CopyDone or CopyFail
// ends the COPY.
void Ledger::StartCopyIn() {
  const auto first = head_ + 1;
  auto end = first;
  for (; end < entries_.size() && entries_[end].type == 'S'; ++end) {
    sync_unsure_ = sync_unsure_ || entries_[end].after_data;
    --ready_due_;
  }
  copy_in_ = end == entries_.size();
  if (!copy_in_ && EndsCopy(entries_[end].type)) ++end;
  entries_[end - 1] = entries_[head_];  // taken out at the front: there may be many behind
  head_ = end - 1;
}

void Ledger::SkipToSync() {
  Pop();
  while (!Empty() && entries_[head_].type != 'S') {
    if (EndsWithReady(entries_[head_].type)) --ready_due_;
    Pop();
  }
  skipping_ = Empty();
}

Answer Ledger::OnError() {
  if (Empty()) return {};
  const auto entry = entries_[head_];
  if (sync_unsure_) confused_ = ready_unsure_ = true;  // did the server read that Sync before or behind the error?
  copy_in_ = false;
  if (EndsWithReady(entry.type)) return {entry.reply, entry.type, entry.sequence, false};
  SkipToSync();
  return {entry.reply == Reply::kTry ? Reply::kTry : Reply::kForward, entry.type, entry.sequence, true};
}

Answer Ledger::OnReady() {
  if (Empty() || !EndsWithReady(entries_[head_].type)) {
    confused_ = true;
    return {Reply::kSwallow, 0, 0, false};
  }
  const auto entry = entries_[head_];
  --ready_due_;
  copy_in_ = false;
  Pop();
  // What was sent behind it opened a series of its own.
  series_open_ = series_due_ > 0;
  return {entry.reply, entry.type, entry.sequence, true};
}

bool Ledger::Fits(char entry, char reply) {
  switch (reply) {
    case '1': return entry == 'P';
    case '2': return entry == 'B';
    case '3': return entry == 'C';
    case 't':
    case 'n': return entry == 'D';
    case 'T': return entry == 'D' || entry == 'Q';
    case 's': return entry == 'E';
    case 'D':
    case 'C':
    case 'I':
    case 'G':
    case 'H':
    case 'W':
    case 'd':
    case 'c': return entry == 'E' || entry == 'Q';
    case 'V': return entry == 'F';
    default: return false;
  }
}

bool Ledger::Completes(char entry, char reply) {
  switch (reply) {
    case '1':
    case '2':
    case '3':
    case 'n':
    case 's': return true;
    case 'T': return entry == 'D';
    case 'C':
    case 'I': return entry == 'E';
    default: return false;
  }
}

Answer Ledger::OnReply(char type) {
  if (type == 'N' || type == 'S' || type == 'A') return {Reply::kForward, 0, 0, false};
  if (type == 'E') return OnError();
  if (type == 'Z') return OnReady();
  if (Empty() || !Fits(entries_[head_].type, type)) {
    confused_ = true;
    return {Reply::kSwallow, 0, 0, false};
  }
  if (copy_in_) {  // only an error ends a COPY whose end was not sent
    confused_ = true;
    return {Reply::kSwallow, 0, 0, false};
  }
  const auto entry = entries_[head_];
  if (type == 'G' || type == 'W') StartCopyIn();
  const bool completes = Completes(entry.type, type);
  if (completes) Pop();
  return {entry.reply, entry.type, entry.sequence, completes};
}

bool Ledger::TakeSynthesised(char& type, std::uint64_t& sequence) {
  if (Empty() || entries_[head_].reply != Reply::kSynthesise) return false;
  type = entries_[head_].type;
  sequence = entries_[head_].sequence;
  Pop();
  return true;
}

}  // namespace waypost
