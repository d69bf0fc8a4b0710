// The reply ledger with a server that answers anything in any order: no crash, and its counts stay
// sane.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/base/check.h"
#include "routing/reply_ledger.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using waypost::Reply;
  constexpr std::string_view kSent = "QPBDECFSHcfdX";
  constexpr std::string_view kReplies = "123CDEGHIKNRSTVWZcdnstA?";
  FuzzedDataProvider provider(data, size);
  waypost::Ledger ledger;
  std::size_t ready_sent = 0;
  std::uint64_t last_sequence = 0;
  while (provider.remaining_bytes() > 0) {
    const auto action = provider.ConsumeIntegralInRange(0, 4);
    if (action < 2) {
      const char type = kSent[provider.ConsumeIntegralInRange<std::size_t>(0, kSent.size() - 1)];
      const auto how = type == 'P' || type == 'C' ? static_cast<Reply>(provider.ConsumeIntegralInRange(0, 2))
                                                  : static_cast<Reply>(provider.ConsumeIntegralInRange(0, 1));
      const auto sequence = ledger.Sent(type, how);
      WAYPOST_CHECK(sequence == 0 || sequence > last_sequence);
      if (sequence != 0) last_sequence = sequence;
      if (type == 'Q' || type == 'S' || type == 'F') ++ready_sent;
    } else if (action < 4) {
      const char type = kReplies[provider.ConsumeIntegralInRange<std::size_t>(0, kReplies.size() - 1)];
      const auto answer = ledger.OnReply(type);
      WAYPOST_CHECK(answer.sequence <= last_sequence);
    } else {
      char type = 0;
      std::uint64_t sequence = 0;
      if (ledger.TakeSynthesised(type, sequence)) WAYPOST_CHECK(sequence <= last_sequence && type != 0);
    }
    WAYPOST_CHECK(ledger.ReadyForQueryDue() <= ready_sent);
    if (ledger.Idle()) WAYPOST_CHECK(ledger.ReadyForQueryDue() == 0 && !ledger.Swallowing());
    (void)ledger.WantsMore();
  }
  return 0;
}
