#include "core/env/crew.h"

#include <algorithm>
#include <numeric>

namespace waypost {
namespace {

// Over this one needs help: what comes in a burst would wait.
constexpr Permille kFull = 700;
// Those that stay would be no busier than this without the last one; far enough from kFull that it does not join again at once.
constexpr Permille kComfortable = 500;
// More clients than this for each, and one more is at work before they are busy: those that write stay where they are.
constexpr std::size_t kClientsEach = 64;
// A client goes elsewhere only if so many fewer are there.
constexpr std::size_t kFewer = 8;
// For so many decisions in a row, that is ten seconds: work comes in waves.
constexpr unsigned kQuietDecisions = 50;
// A smaller difference is left alone.
constexpr Permille kUneven = 200;
// At once, so that what they do elsewhere shows before more follow.
constexpr unsigned kMostMoves = 64;

std::size_t LeastOf(std::span<const Permille> busy) {
  return static_cast<std::size_t>(std::min_element(busy.begin(), busy.end()) - busy.begin());
}

}  // namespace

unsigned NextAtWork(unsigned at_work, unsigned all, std::span<const Permille> busy, std::size_t clients, unsigned& quiet) {
  const auto working = busy.first(at_work);
  const bool full = *std::max_element(working.begin(), working.end()) >= kFull;
  if (at_work < all && (full || clients > kClientsEach * at_work)) {
    quiet = 0;
    return at_work + 1;
  }
  const auto sum = std::accumulate(working.begin(), working.end(), Permille{0});
  if (at_work == 1 || sum > kComfortable * (at_work - 1) || clients > kClientsEach * (at_work - 1)) {
    quiet = 0;
    return at_work;
  }
  if (++quiet < kQuietDecisions) return at_work;
  quiet = 0;
  return at_work - 1;
}

Removal WhoShouldMove(std::size_t self, unsigned at_work, std::span<const Permille> busy, std::size_t active) {
  const auto to = LeastOf(busy.first(at_work));
  const auto own = busy[self], others = busy[to];
  if (to == self || own < others + kUneven) return {};
  const auto share = active * (own - others) / (std::size_t{2} * own);
  return {static_cast<unsigned>(std::min<std::size_t>(share, kMostMoves)), to};
}

void Crew::Decide() { at_work_.store(NextAtWork(at_work(), all_, Busy(), Clients(), quiet_), std::memory_order_relaxed); }

std::size_t Crew::HostFor(std::size_t worker) {
  auto working = at_work();
  if (working < all_ && Clients() >= kClientsEach * working && at_work_.compare_exchange_strong(working, working + 1)) ++working;
  std::size_t least = 0;
  for (std::size_t i = 1; i < working; ++i)
    if (clients_[i].load(std::memory_order_relaxed) < clients_[least].load(std::memory_order_relaxed)) least = i;
  const auto own = clients_[worker].load(std::memory_order_relaxed);
  return worker < working && own < clients_[least].load(std::memory_order_relaxed) + kFewer ? worker : least;
}

Removal Crew::RemovalFrom(std::size_t worker, std::size_t active) const {
  return WhoShouldMove(worker, at_work(), Busy(), active);
}

std::size_t Crew::LeastBusy() const {
  const auto busy = Busy();
  return LeastOf(std::span(busy).first(at_work()));
}

std::size_t Crew::Clients() const {
  std::size_t clients = 0;
  for (unsigned i = 0; i < all_; ++i) clients += clients_[i].load(std::memory_order_relaxed);
  return clients;
}

std::array<Permille, Crew::kMost> Crew::Busy() const {
  std::array<Permille, kMost> busy{};
  for (std::size_t i = 0; i < busy.size(); ++i) busy[i] = busy_[i].load(std::memory_order_relaxed);
  return busy;
}

}  // namespace waypost
