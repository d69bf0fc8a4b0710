// A model of how PostgreSQL 15 consumes messages and answers them (PostgresMain and CopyGetData),
// with every answer marked by the message that it belongs to. The oracle of the reply ledger: it
// knows what the ledger must find out. Source:
// https://www.postgresql.org/docs/15/protocol-flow.html, src/backend/tcop/postgres.c
#pragma once

#include <fuzzer/FuzzedDataProvider.h>

#include <cstdint>
#include <deque>

namespace waypost::fuzz {

struct Sent {
  char type = 0;
  std::uint64_t sequence = 0;
  bool synthesised = false;  // never reaches the server: stands for the answer we give ourselves
  bool ours = false;         // a SET that we sent ahead: no COPY
};

struct Replied {
  char type = 0;  // 0: the turn of a synthesised answer
  std::uint64_t owner = 0;
};

class ServerModel {
 public:
  explicit ServerModel(FuzzedDataProvider& provider) : provider_(provider) {}

  // Reads one message; what it answers is added to `out`.
  void Consume(Sent message, std::deque<Replied>& out) {
    if (copy_.type != 0) return ConsumeInCopy(message, out);
    if (message.type == 'd' || message.type == 'c' || message.type == 'f' || message.type == 'H') return;
    if (message.type == 'S') return Sync(message, out);
    if (skipping_) return;
    if (message.synthesised) {
      Put(out, 0, message);
      return;
    }
    switch (message.type) {
      case 'Q':
        if (!message.ours) return Statements(message, out);
        Put(out, Chance() ? 'C' : 'E', message);
        return Put(out, 'Z', message);
      case 'F': Put(out, Chance() ? 'V' : 'E', message); return Put(out, 'Z', message);
      case 'P': return Simple(message, '1', out);
      case 'B': return Simple(message, '2', out);
      case 'C': return Simple(message, '3', out);
      case 'D': return Describe(message, out);
      case 'E': return Execute(message, out);
      default: return;
    }
  }

  // It closed the connection: what came in the middle of a COPY made it lose track of the messages.
  [[nodiscard]] bool dead() const { return dead_; }
  [[nodiscard]] bool in_copy() const { return copy_.type != 0; }

 private:
  bool Chance() { return provider_.ConsumeBool(); }
  static void Put(std::deque<Replied>& out, char type, const Sent& owner) { out.push_back({type, owner.sequence}); }

  void Fail(const Sent& message, std::deque<Replied>& out) {
    Put(out, 'E', message);
    if (message.type == 'Q') return Put(out, 'Z', message);
    skipping_ = true;
  }

  void Sync(const Sent& message, std::deque<Replied>& out) {
    if (!skipping_ && provider_.ConsumeIntegralInRange(0, 7) == 0) Put(out, 'E', message);  // deferred constraint
    skipping_ = false;
    Put(out, 'Z', message);
  }

  void Simple(const Sent& message, char done, std::deque<Replied>& out) {
    if (Chance() || Chance()) return Put(out, done, message);
    Fail(message, out);
  }

  void Describe(const Sent& message, std::deque<Replied>& out) {
    if (!Chance() && !Chance()) return Fail(message, out);
    if (Chance()) Put(out, 't', message);
    Put(out, Chance() ? 'T' : 'n', message);
  }

  // True if the statement ended; false if it waits for COPY data or failed.
  bool Result(const Sent& message, std::deque<Replied>& out) {
    switch (provider_.ConsumeIntegralInRange(0, 6)) {
      case 0: return Put(out, 'I', message), true;
      case 1: return Fail(message, out), false;
      case 2:
        Put(out, 'G', message);
        copy_ = message;
        return false;
      case 3:
        for (const char type : {'H', 'd', 'd', 'c', 'C'}) Put(out, type, message);
        return true;
      case 4:
        if (message.type == 'E') return Put(out, 's', message), true;
        [[fallthrough]];
      default:
        if (message.type == 'Q') Put(out, 'T', message);
        if (Chance()) Put(out, 'D', message);
        if (Chance()) Put(out, 'N', message);
        Put(out, 'C', message);
        return true;
    }
  }

  void Statements(const Sent& message, std::deque<Replied>& out) {
    while (Result(message, out))
      if (!Chance()) return Put(out, 'Z', message);  // also when the input is used up
  }

  void Execute(const Sent& message, std::deque<Replied>& out) { (void)Result(message, out); }

  void ConsumeInCopy(const Sent& message, std::deque<Replied>& out) {
    const Sent copy = copy_;
    switch (message.type) {
      case 'S':
      case 'H': return;
      case 'd':
        if (provider_.ConsumeIntegralInRange(0, 7) != 0) return;
        break;  // bad data
      case 'c':
        copy_ = {};
        Put(out, 'C', copy);
        if (copy.type == 'Q') Chance() ? Put(out, 'Z', copy) : Statements(copy, out);
        return;
      case 'f': break;
      default: dead_ = true; return;
    }
    copy_ = {};
    Fail(copy, out);
  }

  FuzzedDataProvider& provider_;
  Sent copy_;  // the message that a COPY FROM STDIN runs in; type 0: none
  bool skipping_ = false;
  bool dead_ = false;
};

}  // namespace waypost::fuzz
