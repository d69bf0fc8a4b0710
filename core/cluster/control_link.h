// A libpq connection of the control plane on a thread of its own, with a deadline on all that it does. One thread only; blocks.
#pragma once

#include <memory>
#include <string>

#include "core/base/result.h"
#include "core/base/time.h"

struct pg_conn;
struct pg_result;

namespace waypost {

class ControlLink {
 public:
  struct FreeResult {
    void operator()(pg_result* result) const;
  };
  using Answer = std::unique_ptr<pg_result, FreeResult>;

  explicit ControlLink(milliseconds timeout) : timeout_(timeout) {}

  // What follows has `timeout`, all together.
  void Begin() { deadline_ = Clock::now() + timeout_; }
  // Errors are for the log. Neither may be called again behind one, before Close().
  [[nodiscard]] Result<bool> Connect(const std::string& conninfo);
  // The last result of `query`, which has `parameter` for $1 unless that is null; it may be an error of the server.
  [[nodiscard]] Result<Answer> Ask(const std::string& query, const std::string* parameter = nullptr);

  [[nodiscard]] bool open() const { return connection_ != nullptr; }
  void Close() { connection_.reset(); }

 private:
  struct CloseConnection {
    void operator()(pg_conn* connection) const;
  };
  [[nodiscard]] Error Failure() const;
  [[nodiscard]] Error Late() const;
  [[nodiscard]] bool Wait(short events) const;

  milliseconds timeout_;
  std::unique_ptr<pg_conn, CloseConnection> connection_;
  TimePoint deadline_{};
};

}  // namespace waypost
