// Which server is the primary, and which one may succeed it. Pure: no I/O, no clock. One thread only.
//
// A server that is not in recovery claims to be the primary. It is believed unless one of these speaks against it, and while
// none is believed, what needs the primary is held:
//   - its timeline is lower than one that was accepted before, or than one that another server is on: it was deposed;
//   - its system identifier is not the one that was accepted before: it is a stranger;
//   - another server claims the same timeline;
//   - the last primary still answers, and more than half of the other servers still follow that one;
//   - too few servers have answered since the process began: a newer primary may be among the others;
//   - more would be lost with it than the configuration allows.
// What was accepted never goes back, except by an operator's word.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/base/lsn.h"
#include "routing/cluster_view.h"
#include "routing/server_sample.h"

namespace waypost {

class Succession {
 public:
  // What was accepted before this process began. Harmless if that is older than what this one has accepted.
  void Remember(const AcceptedTerm& before);
  // An operator's word, which may also go back: his is the primary, and no other server that was there when he said so.
  void Override(const AcceptedTerm& accepted);
  // WAL that a new primary may lack, in bytes; nothing: any.
  void Allow(std::optional<std::uint64_t> max_lost_bytes) { max_lost_bytes_ = max_lost_bytes; }

  struct Choice {
    std::optional<ServerId> primary;
    std::vector<std::string> refusals;  // by ServerId: why what claims to be the primary is not believed; "": it is, or does not
  };
  // `servers` by ServerId. What was accepted before stays accepted as long as nothing speaks against it.
  [[nodiscard]] Choice Choose(std::span<const ServerProbe> servers);

  // `view` has a primary, and says for which standbys its commits wait.
  void NoteConfirming(const ClusterView& view);

  // The newest that was accepted; its timeline is 0 if there was none.
  [[nodiscard]] const AcceptedTerm& accepted() const { return accepted_; }
  // WAL that the last primary had flushed and its successor has not, in bytes; 0 before the first change of primary.
  [[nodiscard]] std::uint64_t lost_bytes() const { return lost_bytes_; }
  // How often one primary took the place of another.
  [[nodiscard]] std::uint64_t successions() const { return successions_; }

 private:
  [[nodiscard]] std::string Refusal(ServerId claim, std::span<const ServerProbe> servers) const;
  [[nodiscard]] std::string OldTerm(const ServerProbe& claim) const;
  [[nodiscard]] std::string Contradicted(ServerId claim, std::span<const ServerProbe> servers) const;
  [[nodiscard]] static std::string LeftAlone(ServerId claim, std::span<const ServerProbe> servers);
  [[nodiscard]] std::string TooFewHeard(ServerId claim, std::span<const ServerProbe> servers) const;
  [[nodiscard]] std::uint64_t LostWith(ServerId claim, std::span<const ServerProbe> servers) const;
  void Accept(ServerId primary, std::span<const ServerProbe> servers);

  AcceptedTerm accepted_;
  std::optional<Term> confirmed_;  // by an operator
  std::optional<std::uint64_t> max_lost_bytes_;
  std::vector<bool> heard_;  // by ServerId: it has answered since the process began
  bool quorate_ = false;  // a primary was accepted in this process
  std::optional<ServerId> primary_;  // the last
  Lsn flushed_;  // by it, as its last answer showed
  std::vector<bool> confirming_;  // by ServerId: no commit on it returned before this standby had it
  std::uint64_t lost_bytes_ = 0, successions_ = 0;
};

}  // namespace waypost
