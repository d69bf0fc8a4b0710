#include "tests/consistency/history.h"

#include <algorithm>
#include <charconv>

namespace consistency {
namespace {

std::string On(Server server) { return server == kUnknownServer ? "?" : "pg" + std::to_string(server); }

std::string Milliseconds(Clock::duration time) {
  return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(time).count()) + " us";
}

std::array<bool, List::kLength + 1> Members(std::string_view text) {
  std::array<bool, List::kLength + 1> found{};
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    std::size_t number = 0;
    std::from_chars(text.data(), text.data() + end, number);
    if (number <= List::kLength) found[number] = true;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return found;
}

}  // namespace

std::string_view Name(Fault fault) {
  switch (fault) {
    case Fault::kStale: return "stale";
    case Fault::kBackward: return "backward";
    case Fault::kReplicaBackward: return "replica_backward";
    case Fault::kUnackedBackward: return "unacked_backward";
    case Fault::kOrder: return "order";
    case Fault::kPhantom: return "phantom";
    case Fault::kUnrepeatable: return "unrepeatable";
    case Fault::kTorn: return "torn";
    case Fault::kMissing: return "missing";
    case Fault::kCount: break;
  }
  return "?";
}

void Findings::Add(Fault fault, const std::string& what) {
  if (counts_[static_cast<std::size_t>(fault)].fetch_add(1) >= kSamplesOfEach) return;
  const std::lock_guard lock(mutex_);
  samples_.push_back(std::string(Name(fault)) + ": " + what);
}

std::uint64_t Findings::Count(Fault fault) const { return counts_[static_cast<std::size_t>(fault)].load(); }

std::vector<std::string> Findings::Samples() const {
  const std::lock_guard lock(mutex_);
  return samples_;
}

void Register::Acknowledge(std::int64_t value) {
  acknowledged_at_.store(Clock::now().time_since_epoch().count());
  acknowledged_.store(value);
}

Register::Before Register::Begin() const {
  const std::uint64_t seen = seen_.load();
  return {.acknowledged = acknowledged_.load(),
          .seen = static_cast<std::int64_t>(seen >> kServerBits),
          .seen_on = static_cast<Server>(seen & ((1U << kServerBits) - 1)),
          .at = Clock::now(),
          .acknowledged_at = Clock::time_point(Clock::duration(acknowledged_at_.load()))};
}

void Register::End(const Before& before, std::int64_t value, Server server, std::string_view what, Findings& findings) {
  const std::uint64_t now_seen = static_cast<std::uint64_t>(value) << kServerBits | server;
  std::uint64_t seen = seen_.load();
  while (seen < now_seen && !seen_.compare_exchange_weak(seen, now_seen)) {
  }
  if (value >= before.acknowledged && value >= before.seen) return;
  const std::string text = std::string(what) + " on " + On(server) + " found " + std::to_string(value) + "; acknowledged " +
                           std::to_string(before.acknowledged) + ", " + Milliseconds(before.at - before.acknowledged_at) +
                           " before; seen " + std::to_string(before.seen) + " on " + On(before.seen_on);
  if (value < before.acknowledged) {
    findings.Add(Fault::kStale, text);
    if (value < before.seen) findings.Add(Fault::kBackward, text);
  } else {
    findings.Add(server == kPrimary ? Fault::kUnackedBackward : Fault::kReplicaBackward, text);
  }
}

std::size_t List::Next() {
  const std::size_t number = next_.fetch_add(1);
  return number <= kLength ? number : 0;
}

void List::Acknowledge(std::size_t number) {
  const std::lock_guard lock(mutex_);
  acknowledged_.push_back(number);
}

void List::Fail(std::size_t number) {
  const std::lock_guard lock(mutex_);
  failed_[number] = true;
}

List::Before List::Begin() const {
  const std::lock_guard lock(mutex_);
  return {.acknowledged = acknowledged_.size(), .seen_length = longest_.size(), .at = Clock::now()};
}

void List::End(const Before& before, std::string_view text, Server server, std::string_view what, Findings& findings) {
  const auto found = Members(text);
  const std::lock_guard lock(mutex_);
  const auto say = [&](Fault fault, const std::string& why) {
    findings.Add(fault, std::string(what) + " on " + On(server) + " " + why + " in " + std::string(text.substr(0, 700)));
  };
  bool stale = false;
  for (std::size_t i = 0; i < before.acknowledged && !stale; ++i) {
    stale = !found[acknowledged_[i]];
    if (stale) say(Fault::kStale, "lost append " + std::to_string(acknowledged_[i]));
  }
  for (std::size_t number = 1; number <= kLength; ++number) {
    if (found[number] && failed_[number]) say(Fault::kPhantom, "failed append " + std::to_string(number));
  }
  const std::size_t common = std::min(text.size(), longest_.size());
  if (text.substr(0, common) != std::string_view(longest_).substr(0, common)) {
    say(Fault::kOrder, "no prefix of " + longest_ + " nor it of what is");
  } else if (text.size() < before.seen_length) {
    const Fault unacked = server == kPrimary ? Fault::kUnackedBackward : Fault::kReplicaBackward;
    say(stale ? Fault::kBackward : unacked, "shorter than seen before");
  }
  if (text.size() > longest_.size()) longest_ = text;
}

}  // namespace consistency
