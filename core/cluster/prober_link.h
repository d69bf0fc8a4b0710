// The prober's connection to one server: libpq without blocking, a deadline on every step. Prober
// thread only.
//
//   kClosed --retry_at--> kLookingUp --> kConnecting --> kReadingSource --> kPreparing --> kIdle <--next_at-->
//   kAsking any failure or deadline --> kClosed
//
// A connection that had answered and is lost, or is late, is made anew at once and in silence: a server is down only if that
// fails as well, within another `timeout`.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "core/base/time.h"
#include "core/cluster/name_lookup.h"
#include "core/config/config.h"
#include "metrics/labels.h"
#include "routing/health.h"

struct pg_conn;
struct pg_result;

namespace waypost {

class ProbeLink {
 public:
  struct Timing {
    milliseconds interval;
    milliseconds timeout;  // of one answer. A first connection may take kConnectTimeouts of them
  };
  static constexpr int kConnectTimeouts = 3;
  // What ended with a step: an answer, or a failure with its kind.
  struct Outcome {
    ProbeResult result;
    std::chrono::nanoseconds took;
    std::optional<ServerSample> sample;  // if kOk
    std::string error;                   // otherwise
    int version = 0;                     // server_version_num, if kOk
  };

  // `conninfo` is of `server`, whose host, if it is a name, is looked up anew for each connection.
  ProbeLink(ServerConfig server, std::string conninfo, Timing timing);
  ~ProbeLink();
  ProbeLink(const ProbeLink&) = delete;
  ProbeLink& operator=(const ProbeLink&) = delete;

  // What to poll: a file descriptor (-1: none) and its events; and when to call Step() even without
  // any.
  [[nodiscard]] int fd() const;
  [[nodiscard]] short events() const;
  [[nodiscard]] TimePoint wake_at() const { return wake_at_; }

  // Goes on as far as it can without waiting. `ready`: poll() reported the descriptor.
  [[nodiscard]] std::optional<Outcome> Step(TimePoint now, bool ready);

  // Asks at once, if no question is under way.
  void Hurry(TimePoint now);
  // From the next question on, and for one that is not asked yet.
  void SetInterval(milliseconds interval, TimePoint now);

 private:
  enum class State : std::uint8_t { kClosed, kLookingUp, kConnecting, kReadingSource, kPreparing, kIdle, kAsking };
  struct Closer {
    void operator()(pg_conn* connection) const;
  };

  std::optional<Outcome> Begin(TimePoint now);
  std::optional<Outcome> LookedUp(TimePoint now);
  std::optional<Outcome> Connect(const std::string& conninfo, TimePoint now);
  std::optional<Outcome> Connecting(TimePoint now);
  std::optional<Outcome> Advance(TimePoint now);
  std::optional<Outcome> Ask(TimePoint now);
  std::optional<Outcome> Answered(const pg_result* result, TimePoint now);
  std::optional<Outcome> Fail(ProbeResult result, std::string error, TimePoint now);
  std::optional<Outcome> NotConnected(TimePoint now);

  ServerConfig server_;
  std::string conninfo_;
  std::optional<NameLookup> lookup_;  // it may outlast an attempt that it made too late
  Timing timing_;
  std::unique_ptr<pg_conn, Closer> connection_;
  State state_ = State::kClosed;
  short poll_events_ = 0;
  bool was_established_ = false;  // the connection had answered: its loss alone does not prove the server down,
  bool suspect_ = false;          // but that it cannot be made anew does
  TimePoint asked_at_{};  // when the step under way began
  TimePoint wake_at_{};
  std::string synchronous_commit_source_;
};

}  // namespace waypost
