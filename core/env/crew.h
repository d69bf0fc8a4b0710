// How many of the workers have work. They fill up one after another: what one worker can do, two do at a higher cost, since each
// is woken for less. The next one joins when one is busy or has many clients, and leaves when the others would do; clients move to
// where there is time, each between two of its batches.
//
// Any thread, without locks; Report() and Decide() each from one thread at a time.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace waypost {

// How busy each is: CPU time of the thread, in thousandths of the time that passed.
using Permille = std::uint32_t;

// How many are to work, by how busy those that do have been lately and how many clients there are. `quiet`: for how many
// decisions in a row fewer would have done, which this counts. Pure.
[[nodiscard]] unsigned NextAtWork(unsigned at_work, unsigned all, std::span<const Permille> busy, std::size_t clients,
                                  unsigned& quiet);

// How many of `active` sessions, those of worker `self` that had something to do lately, should move to the least busy of those
// at work, so that both are as busy. None: 0. Pure.
struct Removal {
  unsigned sessions = 0;
  std::size_t to = 0;
};
[[nodiscard]] Removal WhoShouldMove(std::size_t self, unsigned at_work, std::span<const Permille> busy, std::size_t active);

class Crew {
 public:
  static constexpr std::size_t kMost = 64;  // workers

  // Before any worker runs.
  void SetSize(unsigned workers) { all_ = workers; }
  [[nodiscard]] unsigned all() const { return all_; }
  // Workers 0 to at_work() - 1 take clients.
  [[nodiscard]] unsigned at_work() const { return at_work_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool Works(std::size_t worker) const { return worker < at_work(); }
  void Report(std::size_t worker, Permille busy) { busy_[worker].store(busy, std::memory_order_relaxed); }
  // From time to time, as often as they report.
  void Decide();
  // A client has come to one of those at work, `worker`; it is on which it should be. Prefers `worker`, so that few change hands.
  [[nodiscard]] std::size_t HostFor(std::size_t worker);
  // How many clients `worker` has now.
  void SetClients(std::size_t worker, std::size_t count) { clients_[worker].store(count, std::memory_order_relaxed); }
  // Of all workers.
  [[nodiscard]] std::size_t Clients() const;
  // For one that is at work: whom it should give away, and where to.
  [[nodiscard]] Removal RemovalFrom(std::size_t worker, std::size_t active) const;
  // Where those go that are on a worker without work.
  [[nodiscard]] std::size_t LeastBusy() const;

 private:
  [[nodiscard]] std::array<Permille, kMost> Busy() const;
  unsigned all_ = 1;
  unsigned quiet_ = 0;
  std::atomic<unsigned> at_work_{1};
  std::array<std::atomic<Permille>, kMost> busy_{};
  std::array<std::atomic<std::size_t>, kMost> clients_{};
};

}  // namespace waypost
