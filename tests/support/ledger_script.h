// A conversation with one server connection, by message types, as its reply ledger sees it.
#pragma once

#include <cctype>
#include <string>
#include <string_view>

#include "routing/reply_ledger.h"

namespace waypost {

struct Conversation {
  Ledger ledger;

  // The client's messages; ours, whose answers nobody sees; those that we answer ourselves.
  void Send(std::string_view types) { SendAs(types, Reply::kForward); }
  void SendOurs(std::string_view types) { SendAs(types, Reply::kSwallow); }
  void Answer(std::string_view types) { SendAs(types, Reply::kSynthesise); }
  // Ours as well, whose errors nobody sees either.
  void Try(std::string_view types) { SendAs(types, Reply::kTry); }

  // For each reply the message that it answers: its type, small if nobody sees it, '-' if it
  // answers none; '.' behind it once that message is done; '?' if the ledger gave up.
  std::string Receive(std::string_view replies) {
    std::string owners;
    for (const char reply : replies) {
      const auto answer = ledger.OnReply(reply);
      if (ledger.Confused()) return owners + '?';
      const bool seen = answer.reply == Reply::kForward;
      const int small = std::tolower(static_cast<unsigned char>(answer.entry));
      owners += answer.entry == 0 ? '-' : seen ? answer.entry : static_cast<char>(small);
      if (answer.completes) owners += '.';
    }
    return owners;
  }

  // The types that it is our turn to answer now.
  std::string OurTurn() {
    std::string types;
    char type = 0;
    std::uint64_t sequence = 0;
    while (ledger.TakeSynthesised(type, sequence)) types += type;
    return types;
  }

 private:
  void SendAs(std::string_view types, Reply how) {
    for (const char type : types) (void)ledger.Sent(type, how);
  }
};

}  // namespace waypost
