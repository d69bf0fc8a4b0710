// Several sessions on few server connections, driven by random events through the session machine, Decide and the reply
// ledger, with a model of the pool, the servers and the clients around them. Whatever happens in whatever order:
//   a server connection has one owner, and a session at most one connection
//   what goes back to the pool is clean: idle ledger, no transaction, nothing of a session left on it
//   no write reaches a replica, but in a block that the client itself declared READ ONLY
//   no session is tied to a replica
//   a statement runs inside the block that its client was told it is in, and in nobody else's
//   no write runs twice, and every batch is answered once
#include <fuzzer/FuzzedDataProvider.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <variant>
#include <vector>

#include "core/base/check.h"
#include "routing/decide.h"
#include "routing/reply_ledger.h"
#include "routing/session_machine.h"

namespace waypost::fuzz {
namespace {

constexpr std::size_t kSessions = 4;
constexpr std::size_t kConnectionsPerServer = 2;
constexpr ServerId kPrimary = 0;
constexpr ServerId kReplica = 1;

// kMayTie: a volatile function, DO: runs anywhere, and nobody knows what it leaves behind.
enum class Kind : std::uint8_t {
  kRead,
  kWrite,
  kTemp,
  kMayTie,
  kBegin,
  kBeginReadOnly,
  kSetReadOnly,
  kCommit,
  kRollback,
  kDiscardAll,
  kCount
};

// What libFuzzer hunts for besides code: each of these that was not seen before makes an input worth keeping. It finds
// them by the name of the section.
constexpr std::size_t kSights = 1U << 14U;
__attribute__((section("__libfuzzer_extra_counters"))) std::array<std::uint8_t, kSights> sights;

struct ModelConnection {
  ServerId server = kPrimary;
  std::optional<std::size_t> owner;
  Ledger ledger;
  // The server's side of it.
  char status = 'I';
  bool tied = false;           // something of a session is left on it
  bool tied_in_block = false;  // or will be, if the block commits
};

struct ModelBatch {
  Kind kind = Kind::kRead;
  bool repeatable = true;
  int ran = 0;  // how often it ran with effect, or may have
  bool under_way = false;
};

struct ModelSession {
  State state = Idle{};
  std::optional<std::size_t> connection;
  bool waits = false;
  ServerId wanted = kPrimary;
  ModelBatch batch;
  char told = 'I';          // what the client was told last
  bool read_only = false;   // its block was declared so
  bool opens_read_only = false;
  int asked = 0, answered = 0;
  bool sent = false;      // the server has the batch and has not answered it all
  bool forwarded = false;  // part of an answer went out
  bool discarding = false;
};

class World {
 public:
  World(FuzzedDataProvider& provider, bool trace) : provider_(provider), trace_(trace) {
    for (std::size_t i = 0; i < connections_.size(); ++i)
      connections_[i].server = i < kConnectionsPerServer ? kPrimary : kReplica;
    view_.servers.resize(2);
    view_.servers[kPrimary].role = Role::kPrimary;
    view_.servers[kReplica].role = Role::kReplica;
    view_.servers[kReplica].sync_state = SyncState::kSync;
    view_.primary = kPrimary;
  }

  void Go() {
    while (provider_.remaining_bytes() > 0) {
      who_ = provider_.ConsumeIntegralInRange<std::size_t>(0, kSessions - 1);
      switch (provider_.ConsumeIntegralInRange(0, 15)) {
        case 0:
        case 1:
        case 2: Ask(); break;
        case 3:
        case 4: Serve(); break;
        case 5:
        case 6: Answer(); break;
        case 7: Lose(); break;
        case 8: GiveUp(); break;
        case 9: Leave(); break;
        default:  // undisturbed, as it mostly is
          Ask();
          Prove();
          Serve();
          Answer();
          Answer();
      }
      Check();
    }
  }

 private:
  ModelSession& session() { return sessions_[who_]; }
  template <class S>
  bool In() {
    return std::holds_alternative<S>(session().state);
  }
  bool Chance() { return provider_.ConsumeBool(); }
  bool Seldom() { return provider_.ConsumeIntegralInRange(0, 7) == 7; }
  ModelConnection* Held() { return session().connection ? &connections_[*session().connection] : nullptr; }

  // --- the client

  void Ask() {
    auto& s = session();
    if (!In<Idle>() && !In<Begun>() && !In<InBlock>() && !In<Pinned>() && !In<FailedBlock>()) return;
    s.batch = {};
    s.batch.kind = static_cast<Kind>(provider_.ConsumeIntegralInRange<int>(0, static_cast<int>(Kind::kCount) - 1));
    s.batch.repeatable = s.batch.kind != Kind::kRead || Chance();
    s.batch.under_way = true;
    s.forwarded = s.discarding = s.sent = false;
    ++s.asked;
    Trace("asks");
    if (Keep()) return;
    Take(BatchReady{Route()});
  }

  // What core/session/begin.cc answers without a server.
  bool Keep() {
    auto& s = session();
    const auto kind = s.batch.kind;
    if (In<Idle>() && (kind == Kind::kBegin || kind == Kind::kBeginReadOnly) && Chance()) {
      s.opens_read_only = kind == Kind::kBeginReadOnly;
      Take(Kept{});
      return true;
    }
    if (!In<Begun>()) return false;
    if (kind == Kind::kSetReadOnly) {
      s.opens_read_only = true;
      Take(Kept{});
      return true;
    }
    if (kind != Kind::kCommit && kind != Kind::kRollback) return false;
    Take(BlockEnded{});
    return true;
  }

  Decision Route() {
    auto& s = session();
    BatchFacts facts;
    facts.cls = s.batch.kind == Kind::kRead ? Class::kRead : Class::kWrite;
    facts.begins_read_only = s.batch.kind == Kind::kBeginReadOnly;
    facts.repeatable = s.batch.repeatable;
    facts.retained = !Seldom();
    facts.end_known = !Seldom();
    SessionFacts about;
    about.holds_connection = s.connection.has_value();
    if (In<Begun>()) about.opens = s.opens_read_only ? SessionFacts::Opens::kReadOnly : SessionFacts::Opens::kReadWrite;
    for (auto& server : view_.servers) server.up = true;
    view_.servers[kReplica].streaming = !Seldom();
    auto decision = Decide(facts, about, view_, RoutingPolicy{}, {}, {});
    if (decision.target == Target::kReplica) WAYPOST_CHECK(decision.server == kReplica);
    if (decision.target == Target::kReplica && Chance()) decision.fence = FencePlan::kProbeFirst;
    const bool on_replica = s.connection && connections_[*s.connection].server == kReplica;
    decision.settles = s.batch.kind == Kind::kRead && !on_replica && Chance();
    if (decision.may_rerun) WAYPOST_CHECK(s.batch.repeatable && facts.retained);
    return decision;
  }

  // --- the fence

  void Prove() {
    if (In<Fencing>()) {
      if (Seldom()) Take(Unproven{});
      else Take(Proven{kReplica});
    }
    if (In<Settling>() || In<FencingHere>()) Take(Settled{});
  }

  // --- the pool

  void Serve() {
    auto& s = session();
    if (!s.waits) return;
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      auto& c = connections_[i];
      if (c.server != s.wanted || c.owner) continue;
      WAYPOST_CHECK(!s.connection);
      c.owner = who_;
      s.connection = i;
      s.waits = false;
      Take(Leased{});
      return;
    }
  }

  void GiveUp() {
    auto& s = session();
    if (!s.waits) return;
    s.waits = false;
    if (s.wanted == kReplica && Chance()) return Take(Rerouted{{Target::kPrimary, Reason::kNoEligibleReplica, 0, false}});
    Take(NoLease{});
  }

  void Drop(bool clean) {
    auto& s = session();
    auto& c = *Held();
    WAYPOST_CHECK(c.owner == who_);
    if (clean) {
      WAYPOST_CHECK(c.ledger.Idle() && c.status == 'I' && !c.tied && !c.tied_in_block);
      c.owner.reset();
    } else {
      c = ModelConnection{.server = c.server};
    }
    s.connection.reset();
    s.read_only = false;
  }

  // --- the server

  void Answer() {
    auto& s = session();
    if (!s.sent) return;
    auto& c = *Held();
    // Part of the answer first, or all of it.
    if (!s.forwarded && !s.discarding && !WillFail(c) && Chance()) {
      s.forwarded = true;
      (void)c.ledger.OnReply('T');
      return Take(Forwarding{});
    }
    const bool failed = !s.forwarded && (WillFail(c) || Seldom());
    Run(c, failed);
    if (failed) {
      (void)c.ledger.OnReply('E');
      const auto* relaying = std::get_if<Relaying>(&s.state);
      if (relaying != nullptr && relaying->MayRerun()) {
        Take(HeldError{});
        s.discarding = In<Discarding>();
        WAYPOST_CHECK(s.discarding);
      } else {
        s.forwarded = true;
      }
    } else if (!s.forwarded && !s.discarding) {
      if (Chance()) Take(CheckDue{});
      s.discarding = In<Discarding>();
      if (!s.discarding) {
        s.forwarded = true;
        Take(Forwarding{});
      }
    }
    if (!failed) (void)c.ledger.OnReply('C');
    (void)c.ledger.OnReply('Z');
    WAYPOST_CHECK(!c.ledger.Confused());
    s.sent = false;
    if (!s.discarding) {
      ++s.answered;
      s.told = c.status;
      s.batch.under_way = false;
    }
    BatchDone done;
    done.status = c.status;
    if (!failed && s.batch.kind == Kind::kTemp) done.pin = PinReason::kTemporaryTable;
    if (!failed && s.batch.kind == Kind::kMayTie) done.pin = PinReason::kUnknownState;
    done.replica = c.server == kReplica;
    done.unpinned = !failed && s.batch.kind == Kind::kDiscardAll;
    Take(done);
  }

  [[nodiscard]] bool WillFail(const ModelConnection& c) {
    const auto kind = session().batch.kind;
    const bool ends = kind == Kind::kCommit || kind == Kind::kRollback;
    if (c.status == 'E') return !ends;
    if (kind == Kind::kWrite || kind == Kind::kTemp) return c.server == kReplica || session().read_only;
    return kind == Kind::kDiscardAll && c.status != 'I';
  }

  void Run(ModelConnection& c, bool failed) {
    auto& s = session();
    const auto kind = s.batch.kind;
    if (!failed && kind == Kind::kWrite) WAYPOST_CHECK(++s.batch.ran == 1);
    if (failed) {
      if (c.status == 'T') c.status = 'E';
      return;
    }
    switch (kind) {
      case Kind::kBegin:
      case Kind::kBeginReadOnly:
        if (c.status == 'I') s.read_only = kind == Kind::kBeginReadOnly;
        c.status = 'T';
        break;
      case Kind::kSetReadOnly:
        if (c.status == 'T') s.read_only = true;
        break;
      case Kind::kTemp: (c.status == 'I' ? c.tied : c.tied_in_block) = true; break;
      case Kind::kMayTie: c.tied = true; break;
      case Kind::kCommit:
      case Kind::kRollback:
        if (kind == Kind::kCommit && c.status == 'T') c.tied = c.tied || c.tied_in_block;
        c.tied_in_block = false;
        c.status = 'I';
        s.read_only = false;
        break;
      case Kind::kDiscardAll: c.tied = false; break;
      default: break;
    }
  }

  void Lose() {
    auto& s = session();
    if (!s.connection) return;
    const bool mid_message = s.forwarded && s.sent && Chance();
    if (s.sent && s.batch.kind == Kind::kWrite && Chance()) ++s.batch.ran;  // it may have been done
    const bool unheard = s.sent && !s.forwarded && s.batch.kind == Kind::kRead && s.batch.repeatable && Chance();
    Drop(false);
    s.sent = s.discarding = false;
    Trace("loses its connection");
    Take(ServerLost{mid_message, unheard});
  }

  void Leave() {
    auto& s = session();
    if (!Seldom()) return;
    if (s.waits) s.waits = false;
    s.batch.under_way = false;
    Take(ClientGone{});
    WAYPOST_CHECK(In<Closed>() && !s.connection);
    s = {};  // another client
  }

  // --- core/session/session.cc

  void Take(const Event& event) {
    const auto step = Advance(session().state, event);
    session().state = step.next;
    for (const auto verb : step.todo) Carry(verb);
  }

  void AnswerOurselves(char status) {
    auto& s = session();
    WAYPOST_CHECK(s.batch.under_way && !s.sent);
    ++s.answered;
    s.told = status;
    s.batch.under_way = false;
  }

  void Carry(Do verb) {
    auto& s = session();
    switch (verb) {
      case Do::kNothing: return;
      case Do::kJoinFence:
      case Do::kSettle: return;  // Prove() says what comes of it
      case Do::kAcquire: {
        const auto& decision = std::get<Acquiring>(s.state).decision;
        if (decision.target == Target::kRefuse) return Take(NoLease{});
        WAYPOST_CHECK(decision.target != Target::kHeld && !s.connection && !s.forwarded && s.batch.under_way);
        s.wanted = decision.target == Target::kPrimary ? kPrimary : decision.server;
        s.waits = true;
        return;
      }
      case Do::kSend: return Send();
      case Do::kAnswerError: WAYPOST_CHECK(!s.connection); return AnswerOurselves(In<FailedBlock>() ? 'E' : 'I');
      case Do::kAnswerFailed:
        if (s.batch.kind == Kind::kCommit || s.batch.kind == Kind::kRollback) return Take(BlockEnded{});
        return AnswerOurselves('E');
      case Do::kAnswerKept: return AnswerOurselves(In<Begun>() ? 'T' : 'I');
      case Do::kAnswerRollback: return AnswerOurselves('I');
      case Do::kDiscard: WAYPOST_CHECK(!s.forwarded); return;
      case Do::kAudit:
        WAYPOST_CHECK(false);  // none is asked for here
        return;
      case Do::kRelease: return Drop(true);
      case Do::kCloseServer:
        if (s.connection) Drop(false);
        s.sent = s.discarding = false;
        return;
      case Do::kCloseClient:
        WAYPOST_CHECK(In<Closed>() && !s.connection);
        s = {};
        return;
    }
  }

  void Send() {
    auto& s = session();
    auto& c = *Held();
    WAYPOST_CHECK(c.owner == who_ && s.batch.under_way && !s.sent && c.ledger.Idle());
    const auto& relaying = std::get<Relaying>(s.state);
    if (relaying.opens) {  // the BEGIN that was kept
      WAYPOST_CHECK(c.status == 'I' && s.told == 'T');
      c.ledger.Sent('Q', Reply::kSwallow);
      (void)c.ledger.OnReply('C');
      (void)c.ledger.OnReply('Z');
      c.status = 'T';
      s.read_only = s.opens_read_only;
    }
    WAYPOST_CHECK(c.status == s.told);
    // BEGIN READ ONLY, and all that its block holds, may be on a replica.
    const bool writes = s.batch.kind == Kind::kWrite || s.batch.kind == Kind::kTemp;
    if (writes && c.server == kReplica) WAYPOST_CHECK(s.read_only);
    c.ledger.Sent('Q', Reply::kForward);
    s.sent = true;
    s.discarding = false;
    Trace("sends");
  }

  // The session's state, its connection, and what is asked in it.
  void Note() {
    const auto& s = session();
    std::size_t sight = s.state.index() * static_cast<std::size_t>(Kind::kCount) + static_cast<std::size_t>(s.batch.kind);
    const auto add = [&sight](std::size_t value, std::size_t of) { sight = sight * of + value; };
    const auto* c = Held();
    add(c == nullptr ? 2 : c->server, 3);
    add(c == nullptr || c->status == 'I' ? 0 : 1, 2);
    add(s.read_only ? 1 : 0, 2);
    add(c != nullptr && c->tied ? 1 : 0, 2);
    add(s.told == 'I' ? 0 : 1, 2);
    sights[sight % kSights] = 1;
  }

  void Check() {
    Note();
    std::array<int, 2 * kConnectionsPerServer> owners{};
    for (who_ = 0; who_ < kSessions; ++who_) {
      const auto& s = session();
      const bool holds = In<Relaying>() || In<Discarding>() || In<InBlock>() || In<Pinned>() || In<FencingHere>();
      WAYPOST_CHECK(holds == s.connection.has_value());
      WAYPOST_CHECK(In<Acquiring>() == s.waits);
      WAYPOST_CHECK(s.answered + (s.batch.under_way ? 1 : 0) == s.asked);
      if (s.connection) {
        ++owners[*s.connection];
        WAYPOST_CHECK(connections_[*s.connection].owner == who_);
      }
      if (In<InBlock>()) WAYPOST_CHECK(connections_[*s.connection].status != 'I');
      if (In<Pinned>()) {
        WAYPOST_CHECK(connections_[*s.connection].status == 'I' && connections_[*s.connection].server == kPrimary);
      }
      if (In<Idle>() || In<Pinned>()) WAYPOST_CHECK(s.told == 'I');
      if (In<Begun>()) WAYPOST_CHECK(s.told == 'T');
      if (In<FailedBlock>() && !s.batch.under_way) WAYPOST_CHECK(s.told != 'I');
    }
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      WAYPOST_CHECK(owners[i] == (connections_[i].owner ? 1 : 0));
      if (!connections_[i].owner) WAYPOST_CHECK(connections_[i].status == 'I' && !connections_[i].tied);
    }
  }

  void Trace(const char* what) {
    if (trace_)
      std::fprintf(stderr, "%zu %s: kind %d in %s\n", who_, what, static_cast<int>(session().batch.kind),
                   std::string(StateName(session().state)).c_str());
  }

  FuzzedDataProvider& provider_;
  bool trace_;
  std::size_t who_ = 0;
  std::array<ModelSession, kSessions> sessions_;
  std::array<ModelConnection, 2 * kConnectionsPerServer> connections_;
  ClusterView view_;
};

}  // namespace
}  // namespace waypost::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider provider(data, size);
  waypost::fuzz::World(provider, std::getenv("TRACE") != nullptr).Go();
  return 0;
}
