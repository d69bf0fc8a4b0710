// The reply ledger beside a model of PostgreSQL: whatever a client sends in whatever order, and
// however sending, answering and reading are interleaved, every answer finds its owner, and the
// connection is idle only when it is.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string_view>

#include "core/base/check.h"
#include "routing/reply_ledger.h"
#include "tests/fuzz/server_model.h"

namespace waypost::fuzz {
namespace {

class Run {
 public:
  Run(FuzzedDataProvider& provider, bool trace) : provider_(provider), server_(provider), trace_(trace) {}

  void Go() {
    while (provider_.remaining_bytes() > 0 && !over_) {
      switch (provider_.ConsumeIntegralInRange(0, 2)) {
        case 0: Send(); break;
        case 1: Answer(); break;
        default: Read(); break;
      }
    }
    while (!over_ && !wire_.empty()) Answer();
    while (!over_ && !replies_.empty()) Read();
    if (!over_) CheckQuiet();
  }

 private:
  // As sessions do: a batch waits until the one before it is answered; copy data goes at any time.
  // In a COPY nothing but its data, Sync and Flush: for anything else PostgreSQL closes the
  // connection.
  void Send() {
    constexpr std::string_view kTypes = "QPBDECFSSHcfd";
    const char type = kTypes[provider_.ConsumeIntegralInRange<std::size_t>(0, kTypes.size() - 1)];
    const bool copy_data = type == 'd' || type == 'c' || type == 'f';
    if (!copy_data && !ledger_.CopyIn() && ledger_.ReadyForQueryDue() > 0) return;
    if (!copy_data && ledger_.CopyIn() && type != 'S' && type != 'H') return;
    // If a COPY fails, nobody can tell on which side of the error the server reads it: the ledger
    // may give up.
    if (type == 'S' && data_sent_) ambiguous_ = true;
    if (type == 'd') data_sent_ = true;
    if (type == 'Q' || type == 'E') data_sent_ = false;
    if (ledger_.Idle() && !copy_data && provider_.ConsumeBool()) Put('Q', Reply::kSwallow);
    const bool synthesised = (type == 'P' || type == 'C') && provider_.ConsumeBool();
    Put(type, synthesised ? Reply::kSynthesise : Reply::kForward);
  }

  void Put(char type, Reply how) {
    const auto sequence = ledger_.Sent(type, how);
    if (trace_) std::fprintf(stderr, "sent %c/%d #%d\n", type, int(how), int(sequence));
    if (how == Reply::kSynthesise && sequence == 0) return;  // skipped: no answer will be given
    wire_.push_back(
        {.type = type, .sequence = sequence, .synthesised = how == Reply::kSynthesise, .ours = how == Reply::kSwallow});
    if (how == Reply::kSwallow) ours_ = sequence;
  }

  void Answer() {
    if (wire_.empty()) return;
    // What we answer ourselves is never sent; in a COPY that the server began meanwhile it would
    // not be noticed there.
    if (wire_.front().synthesised && server_.in_copy()) {
      over_ = true;
      return;
    }
    const auto before = replies_.size();
    server_.Consume(wire_.front(), replies_);
    if (trace_) {
      std::fprintf(stderr, "server reads %c:", wire_.front().type);
      for (auto i = before; i < replies_.size(); ++i)
        std::fprintf(stderr, " %c#%d", replies_[i].type == 0 ? '*' : replies_[i].type, int(replies_[i].owner));
      std::fprintf(stderr, "\n");
    }
    wire_.pop_front();
    over_ = server_.dead();
  }

  void Read() {
    if (replies_.empty()) return;
    const Replied due = replies_.front();
    replies_.pop_front();
    if (trace_) std::fprintf(stderr, "read %c\n", due.type == 0 ? '*' : due.type);
    if (due.type == 0) {
      char type = 0;
      std::uint64_t sequence = 0;
      WAYPOST_CHECK(ledger_.TakeSynthesised(type, sequence));
      WAYPOST_CHECK(sequence == due.owner);
      return;
    }
    const auto answer = ledger_.OnReply(due.type);
    if (ledger_.Confused()) {
      WAYPOST_CHECK(ambiguous_);
      over_ = true;
      return;
    }
    if (due.type != 'N') {
      WAYPOST_CHECK(answer.sequence == due.owner);
      WAYPOST_CHECK((answer.reply == Reply::kSwallow) == (due.owner == ours_));
    }
    if (ledger_.Idle()) WAYPOST_CHECK(replies_.empty());
  }

  // Everything was read and answered.
  void CheckQuiet() {
    if (ambiguous_) return;
    if (!server_.in_copy()) WAYPOST_CHECK(ledger_.ReadyForQueryDue() == 0);
    WAYPOST_CHECK(ledger_.CopyIn() == server_.in_copy());
    if (server_.in_copy()) WAYPOST_CHECK(!ledger_.Idle());
  }

  FuzzedDataProvider& provider_;
  ServerModel server_;
  Ledger ledger_;
  std::deque<Sent> wire_;
  std::deque<Replied> replies_;
  std::uint64_t ours_ = 0;  // the last message that we sent ahead
  bool data_sent_ = false;
  bool ambiguous_ = false;
  bool over_ = false;
  bool trace_;
};

}  // namespace
}  // namespace waypost::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider provider(data, size);
  waypost::fuzz::Run(provider, std::getenv("TRACE") != nullptr).Go();
  return 0;
}
