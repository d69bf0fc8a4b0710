// What happened lately, for people and for the page: kept in memory, the newest thousand. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

namespace waypost {

struct AdminEvent {
  std::uint64_t id = 0;  // counts up from 1
  std::chrono::system_clock::time_point time{};
  std::string kind;   // "server_down", "primary_changed", "reload", "change", "pause" ...
  std::string level;  // "info", "warning", "error"
  std::string text;
  std::string server;  // that it concerns; empty: none in particular
};

[[nodiscard]] nlohmann::json EventJson(const AdminEvent& event);

class AdminEvents {
 public:
  static constexpr std::size_t kKept = 1000;

  // `take` is given each event, in their order, on the thread that adds it; it must not wait, nor add any.
  explicit AdminEvents(std::function<void(const AdminEvent&)> take = {}) : take_(std::move(take)) {}

  // Gives it its id and time. Tells whoever has asked to be told, after it is there to be read.
  void Add(std::string kind, std::string level, std::string text, std::string server = {});
  // The first `limit` after the one of that id, oldest first.
  [[nodiscard]] std::vector<AdminEvent> After(std::uint64_t id, std::size_t limit) const;
  // Of the newest; 0: there was none.
  [[nodiscard]] std::uint64_t last() const;
  // `told` is called after each, on the thread that adds it; it must not add any. Empty: nobody.
  void Tell(std::function<void()> told);

 private:
  const std::function<void(const AdminEvent&)> take_;
  mutable std::mutex mutex_;
  std::mutex telling_;  // while `told_` is called or changed
  std::deque<AdminEvent> events_;
  std::uint64_t last_ = 0;
  std::function<void()> told_;
};

}  // namespace waypost
