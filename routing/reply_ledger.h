// What a server connection still owes: one entry for every message sent to it, the client's or ours, so that every reply
// finds its owner. Pure; one per server connection, worker thread only.
//
//   sent          answered by                                    an error instead
//   Q Query       ... ReadyForQuery                              ... ReadyForQuery
//   F Function    FunctionCallResponse ReadyForQuery             ... ReadyForQuery
//   S Sync        ReadyForQuery                                  (a failing commit) ReadyForQuery
//   P B C         ParseComplete / BindComplete / CloseComplete   } the rest up to the next Sync is skipped,
//   D Describe    [ParameterDescription] RowDescription | NoData } a Query among it too, without an answer
//   E Execute     ... CommandComplete | EmptyQuery | Suspended   }
//   c f d         nothing: they end or feed a COPY, and are ignored outside one
// While a COPY FROM STDIN waits for data, the server ignores Sync and Flush: they give no ReadyForQuery.
// Source: https://www.postgresql.org/docs/15/protocol-flow.html, and seen on PostgreSQL 15.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace waypost {

enum class Reply : std::uint8_t {
  kForward,     // the client's message: its answer goes to the client
  kSwallow,     // ours: its answer is dropped (an error of an injected Parse is the client's all the same)
  kTry,         // ours too: an error is dropped as well
  kSynthesise,  // not sent: we answer it ourselves when its turn comes
};

// What to do with one message from the server.
struct Answer {
  Reply reply = Reply::kForward;
  char entry = 0;             // the type of the message that it answers; 0: none (asynchronous)
  std::uint64_t sequence = 0;  // of that entry; entries with lower numbers are done or were skipped
  bool completes = false;     // the entry is done
};

class Ledger {
 public:
  // Notes that a message of `type` was sent (or, kSynthesise, is to be answered in its turn). Returns its sequence number;
  // 0 if it gets no answer (copy data, skipped after an error, Sync during a COPY).
  std::uint64_t Sent(char type, Reply how);

  // Takes note of one message from the server, by its type. Asynchronous ones (N, S, A) answer nothing.
  Answer OnReply(char type);

  // True, and the entry is taken off, if the next answer due is one that we give ourselves.
  bool TakeSynthesised(char& type, std::uint64_t& sequence);

  // ReadyForQuery messages still to come.
  [[nodiscard]] std::size_t ReadyForQueryDue() const { return ready_due_; }
  // No answer is due, no extended series is open, no COPY runs: with status 'I' the connection may change hands.
  [[nodiscard]] bool Idle() const { return head_ == entries_.size() && !series_open_ && !skipping_ && !copy_in_; }
  // The server waits for the client to go on with this very batch: a COPY, or a series without its Sync.
  [[nodiscard]] bool WantsMore() const { return ready_due_ == 0 && !Idle(); }
  // After an error: whatever is sent before a Sync is not read.
  [[nodiscard]] bool Skipping() const { return skipping_; }
  // True if a ReadyForQuery is due to the client, not to us.
  [[nodiscard]] bool OwesReady() const;
  [[nodiscard]] bool CopyIn() const { return copy_in_; }
  // True while the next answer due is to one of our own messages.
  [[nodiscard]] bool Swallowing() const {
    return head_ < entries_.size() && (entries_[head_].reply == Reply::kSwallow || entries_[head_].reply == Reply::kTry);
  }
  // The type of the message that the server answers next; 0: none.
  [[nodiscard]] char Next() const {
    auto i = head_;
    while (i < entries_.size() && entries_[i].reply == Reply::kSynthesise) ++i;
    return i < entries_.size() ? entries_[i].type : '\0';
  }
  // The server answered something that was not asked, or it is unknown what it answers: close the connection.
  [[nodiscard]] bool Confused() const { return confused_; }
  // It is confused since a Sync was sent that the server may or may not have taken: it is unknown whether it will answer.
  [[nodiscard]] bool ReadyUnsure() const { return ready_unsure_; }
  // The number that the next entry will get.
  [[nodiscard]] std::uint64_t NextSequence() const { return next_sequence_; }

 private:
  struct Entry {
    char type;
    Reply reply;
    bool after_data;  // copy data was sent since the last Query or Execute
    std::uint64_t sequence;
  };

  [[nodiscard]] bool Empty() const { return head_ == entries_.size(); }
  void Pop();
  void StartCopyIn();
  void SkipToSync();
  Answer OnError();
  Answer OnReady();
  static bool Completes(char entry, char reply);
  static bool Fits(char entry, char reply);

  std::vector<Entry> entries_;
  std::size_t head_ = 0;
  std::uint64_t next_sequence_ = 1;
  std::size_t ready_due_ = 0;   // entries that end with ReadyForQuery,
  std::size_t series_due_ = 0;  // and those that a Sync ends
  bool series_open_ = false;  // extended messages were sent, and their Sync not yet answered
  bool skipping_ = false;     // after an error, no Sync was sent yet
  bool copy_in_ = false;      // CopyInResponse came, CopyDone or CopyFail was not sent yet
  bool data_sent_ = false;    // copy data was sent since the last Query or Execute
  bool sync_unsure_ = false;  // a Sync followed copy data: ignored, unless the COPY has failed by then
  bool confused_ = false;
  bool ready_unsure_ = false;
};

}  // namespace waypost
