// The life of a session between its batches, as a pure transition table: Advance(state, event) -> {state, what to do}.
// It knows nothing of bytes or sockets; core/session/session.cc carries out what it says.
//
//   state        event                      next          to do
//   Idle         BatchReady                 Acquiring     acquire
//   Idle         Kept (BEGIN)               Begun         answer the batch ourselves
//   Idle         BatchReady, probe first    Fencing       join the fence
//   Idle         BatchReady, optimistic     Acquiring     join the fence, acquire
//   Fencing      Proven (server)            Acquiring     acquire (there)
//   Fencing      Unproven                   Acquiring     acquire (on the primary), or Settling first
//   Fencing      GaveUp (error)             Idle          answer the batch with the error; FailedBlock after Begun
//   Settling     Settled                    Acquiring     acquire
//   Settling     GaveUp (error)             as Fencing
//   Begun        BatchReady, fenced         as Idle
//   Begun        Kept (SET TRANSACTION)     Begun         answer the batch ourselves
//   Begun        BlockEnded                 Idle          answer the batch ourselves
//   Begun        BatchReady                 Acquiring     acquire; what was kept goes ahead of the batch
//   Acquiring    Leased                     Relaying      send
//   Acquiring    Behind                     Fencing       (it waits for a replica)
//   Acquiring    NoLease (error)            Idle          answer the batch with the error
//   Acquiring    NoLease, after Begun       FailedBlock   answer the batch with the error
//   Acquiring    Rerouted                   Acquiring     acquire (the servers changed)
//   Relaying     HeldError, may rerun       Discarding    throw away what was held
//   Relaying     HeldError, unbegun         the same, if it is in no block and not tied
//   Relaying     Refuted, may rerun         Discarding    throw away what was held
//   Relaying     CheckDue, may rerun        Discarding    (its answer is kept; it runs on the primary too)
//   Relaying     CheckDue, on the primary   the same, if it ran there to be compared
//   Relaying     BatchDone 'I', no pin      Idle          release
//   Relaying     BatchDone 'T' 'E', no pin  InBlock
//   Relaying     BatchDone, pin             Pinned
//   Relaying     BatchDone, pin, replica    Idle          close the server connection: no session is tied to a replica
//   Relaying     BatchDone 'I', to audit    Auditing      ask the server what the session left behind
//   Relaying     Continued                  FencingHere   join the fence, for what of the batch was not sent yet
//   Relaying     ServerLost, may rerun      Acquiring     acquire (on the primary)
//   Relaying     ServerLost, unheard        the same, if it is in no block or opens one, and not tied
//   Relaying     ServerLost, in a block     FailedBlock   answer the batch with the error
//   Relaying     the same, and COMMIT       Idle          answer the batch with the error
//   Relaying     the same, and ROLLBACK     Idle          answer ROLLBACK
//   Relaying     ServerLost                 Idle          answer the batch with the error
//   Relaying     ServerLost, mid-message    Closed        close the client: its stream cannot be mended
//   Discarding   BatchDone, ServerLost      Acquiring     release, acquire (on the primary)
//   Discarding   the same, after Refuted    Fencing       release, join the fence
//   InBlock      BatchReady                 Relaying      send
//   InBlock      Kept (ROLLBACK AND CHAIN)  Begun         close the server connection, answer the batch ourselves
//   InBlock      BatchReady, probe first    FencingHere   join the fence
//   InBlock      BatchReady, settles        FencingHere   join those who settle
//   InBlock      ServerLost                 FailedBlock
//   InBlock      Moved                      Begun         close the server connection
//   FencingHere  Moved, in a block          Begun         close the server connection
//   Auditing     Audited, pin               Pinned
//   Auditing     Audited, pin, replica      Idle          close the server connection
//   Auditing     Audited, no pin            Idle          release; a dirty connection is closed
//   Auditing     ServerLost                 Closed        close the client
//   Pinned       BatchReady                 Relaying      send
//   Pinned       BatchReady, probe first    FencingHere   join the fence
//   Pinned       BatchReady, settles        FencingHere   join those who settle
//   Pinned       ServerLost                 Closed        close the client: what it was pinned for is gone
//   FencingHere  Proven, Settled            Relaying      send
//   FencingHere  GaveUp, in a block         FailedBlock   close the server connection, answer the batch with the error
//   FencingHere  GaveUp, pinned             Closed        close the server connection, close the client
//   FencingHere  ServerLost                 as Relaying that may not run again
//   FailedBlock  BatchReady                 FailedBlock   answer 25P02
//   FailedBlock  BlockEnded                 Idle          answer ROLLBACK
//   any          ClientGone                 Closed        release (idle), else close the server connection
//
// A read that settles is Settling (join those who settle) before it is Acquiring on the primary, wherever it comes from;
// FencingHere, if the session holds its connection to the primary.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <variant>

#include "parser/sql/verdict.h"
#include "routing/decide.h"

namespace waypost {

struct BatchReady {
  Decision decision;
};
struct Kept {};                            // a batch that no server needs to see yet: BEGIN, SET TRANSACTION; see the table
struct Leased {};
struct NoLease {};
struct Rerouted {
  Decision decision;
};
struct Proven {
  ServerId server = 0;
};    // this replica has replayed what the batch must see
struct Unproven {};                        // none has, in time
struct Settled {};                         // the primary shows what the replicas have shown
struct GaveUp {};                          // none has, and the batch cannot run elsewhere
struct Behind {};                          // what was to be sent at once must be proved first
struct Refuted {};                         // what was sent at once was sent too early
// An error before anything was forwarded. `unbegun`: nothing of the batch ran, so it may be sent again whatever it is.
struct HeldError {
  bool unbegun = false;
};
struct CheckDue {};                        // its whole answer is here and kept; the primary's is to be compared with it
struct Continued {};                       // a later part of a batch without an end in sight is to be proved like the first
struct Forwarding {};                      // the first byte of the answer goes to the client
// `unpinned`: DISCARD ALL left nothing that could tie the session. `audit`: what ties it, or does not, is to be
// asked of the server. `replica`: it ran on one.
struct BatchDone {
  char status = 'I';
  PinReason pin = PinReason::kNone;
  bool unpinned = false;
  bool audit = false;
  bool replica = false;
};
struct Audited {
  PinReason pin = PinReason::kNone;
  bool replica = false;
};
// `mid_message`: the client got a part of a message. `unheard`: it got nothing of its batch, which may run again.
struct ServerLost {
  bool mid_message = false, unheard = false;
  bool ends_block = false;  // by COMMIT or ROLLBACK
  bool rolls_back = false;  // by a ROLLBACK of which the client has heard nothing: that has happened
};
struct BlockEnded {};
struct Moved {};                           // the block at hand may go on elsewhere, as if it had just begun
struct ClientGone {};
using Event =
    std::variant<BatchReady, Kept, Proven, Unproven, Settled, GaveUp, Behind, Leased, NoLease, Rerouted, Refuted, CheckDue,
                 HeldError, Continued, Forwarding, BatchDone, Audited, ServerLost, BlockEnded, Moved, ClientGone>;

struct Idle {};
struct Begun {};  // in a transaction block that no server has heard of yet
// `opens`: the batch is the first of a block that the client was told is begun; the BEGIN goes ahead of it.
struct Acquiring {
  Decision decision;
  bool opens = false;
};
// `block`, `pin`: what the session was in when the batch was sent.
struct Relaying {
  Decision decision;
  bool forwarded = false;
  bool block = false;
  PinReason pin = PinReason::kNone;
  bool opens = false;
  // The batch may go to another server as if it had not been sent: nothing of its block was seen by anybody.
  [[nodiscard]] bool MayRerun() const { return decision.may_rerun && !forwarded && (!block || opens); }
};
// `refuted`: it runs on a replica again.
struct Discarding {
  Decision decision;
  bool opens = false;
  bool refuted = false;
};
struct InBlock {
  PinReason pin = PinReason::kNone;
};
struct Pinned {
  PinReason why;
};
struct Auditing {
  PinReason pin = PinReason::kNone;
};  // `pin`: what ties it as far as is known
struct FailedBlock {};
struct Closed {};
// The batch waits for the proof that a replica shows what it must.
struct Fencing {
  Decision decision;
  bool opens = false;
};
// It waits for the primary to show what replicas have shown.
struct Settling {
  Decision decision;
  bool opens = false;
};
// As Fencing (on a replica) or Settling, and it can run on the connection that the session holds, nowhere else.
struct FencingHere {
  Decision decision;
  bool block = false;
  PinReason pin = PinReason::kNone;
};
using State = std::variant<Idle, Begun, Fencing, Acquiring, Relaying, Discarding, InBlock, Pinned, Auditing, FencingHere,
                           Settling, FailedBlock, Closed>;

enum class Do : std::uint8_t {
  kNothing,
  kJoinFence,     // ask for the read index
  kSettle,        // join those who settle
  kAcquire,       // ask the pool for what the state's decision says
  kSend,
  kAnswerError,   // answer the whole batch with the error at hand
  kAnswerFailed,  // answer the whole batch with 25P02
  kAnswerKept,    // answer the whole batch as the server would
  kAnswerRollback,
  kDiscard,       // throw away what is held and what still comes of this batch
  kAudit,         // ask the server what the session left behind
  kRelease,       // the server connection goes back to its pool
  kCloseServer,
  kCloseClient,
};

struct Step {
  State next;
  std::array<Do, 2> todo{Do::kNothing, Do::kNothing};
  bool expected = true;  // false: the table has no row for it, which is a bug of ours
};

// An event that has no row for the state changes nothing.
[[nodiscard]] Step Advance(const State& state, const Event& event);

[[nodiscard]] std::string_view StateName(const State& state);
[[nodiscard]] std::string_view EventName(const Event& event);

}  // namespace waypost
