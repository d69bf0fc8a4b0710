// What the sessions of one worker use together, beside Env. Worker thread only; the worker's, and outlives them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "core/client/login.h"
#include "core/observe/digests.h"
#include "core/observe/followed_sessions.h"
#include "core/observe/query_log.h"
#include "core/observe/trace.h"
#include "core/observe/traffic.h"
#include "core/session/batch.h"
#include "core/session/self_check.h"
#include "parser/catalog/sql_cache.h"
#include "routing/decide.h"
#include "routing/prepared.h"

namespace waypost {

class CancelRequests;
class Env;
class FenceProbe;
class LoginRefusals;
class PoolSet;
class Session;

// What a session asks of its worker, which knows it by its slot.
class SessionHost {
 public:
  // Freed when nothing of it can be on the stack any more.
  virtual void Bury(Session& session, std::uint32_t slot) = 0;
  virtual void Bury(std::unique_ptr<ClientLogin> login) = 0;
  // GoOn() is called in the next turn of the loop: others come first.
  virtual void NextTurn(std::uint32_t slot) = 0;
  // It has a text to be analysed off the loop: it is asked for it when those before are done.
  virtual void NextRead(std::uint32_t slot) = 0;
  // It has a batch whose end has not come: it hears if nothing more comes for a few milliseconds.
  virtual void AwaitMore(std::uint32_t slot) = 0;
  // It has a deadline to keep.
  virtual void Watch(std::uint32_t slot) = 0;
  // What its cancel key begins with: it names worker and slot.
  [[nodiscard]] virtual std::uint32_t CancelPid(std::uint32_t slot) const = 0;
  // Others have more time for it: if it may leave, it does, when nothing of it is on the stack.
  virtual void MayGo(std::uint32_t slot) = 0;
  // It wants databases to itself: see DatabaseClaims.
  virtual void DesertDatabases() = 0;
  // `task` runs in the worker's thread, later. Any thread.
  virtual void Post(std::function<void()> task) = 0;

 protected:
  ~SessionHost() = default;
};

// Batches to be used again, so that one costs no allocation.
class SpareBatches {
 public:
  [[nodiscard]] std::unique_ptr<Batch> Take();
  void Give(std::unique_ptr<Batch> batch);

 private:
  std::vector<std::unique_ptr<Batch>> spare_;
};

class SessionCommon {
 public:
  // Those parts that others use too.
  struct Parts {
    SessionHost& host;
    LoginCommon& logins;
    PoolSet& pools;
    FenceProbe& fence;
    CancelRequests& cancels;
    LoginRefusals& refusals;
  };
  SessionCommon(Env& env, const Parts& parts);
  SessionCommon(const SessionCommon&) = delete;
  SessionCommon& operator=(const SessionCommon&) = delete;

  // How busy the servers are and what is known of them, for statements of `user` in `database`.
  [[nodiscard]] Load LoadFor(std::string_view database, std::string_view user);
  // One batch more or less is under way on that server.
  void AddOutstanding(ServerId id, int change);
  // Somebody wants to know how long statements take, and what for.
  [[nodiscard]] bool times_statements() const { return query_log.on() || tracing.on() || follows(); }
  // An operator follows a session, here or elsewhere.
  [[nodiscard]] bool follows() const { return followed != nullptr && followed->any(); }
  // Never the same twice, never 0.
  [[nodiscard]] std::uint64_t NewSequenceToken() { return ++sequence_tokens_; }

  SessionHost& host;
  LoginCommon& logins;
  PoolSet& pools;
  FenceProbe& fence;
  CancelRequests& cancels;
  SqlCache cache;
  ContextTable contexts;
  Digests digests;
  Traffic traffic;
  TrafficCounts unlogged;  // of those who are not logged in; nobody asks for it
  QueryLog query_log;
  TraceChoice tracing;
  FollowedSessions* followed = nullptr;  // null: none can be followed. Set before the worker runs
  SelfChecks self_checks;
  SpareBatches batches;
  // So many sessions should leave this worker, as soon as each is between two batches.
  unsigned to_leave = 0;
  // Stands for a text that was too long to read: not understood.
  const SqlRef unread_sql;

 private:
  Env& env_;
  LoginRefusals& refusals_;
  std::vector<std::uint32_t> outstanding_;  // by ServerId
  std::uint32_t turn_ = 0;
  std::uint64_t sequence_tokens_ = 0;
};

}  // namespace waypost
