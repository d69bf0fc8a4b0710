// currval() and lastval() give the values that the session itself took last, wherever its statements ran. A server
// connection has the values of whoever took some on it: it is made to forget them before another session takes some or asks,
// so that the answer is never another's; PostgreSQL then says 55000, as to a session that took none. A session gets the
// connection back on which it took values, and others leave it for a moment, as far as there are others idle: so the first
// to ask finds what it took. Whose user and database were seen asking not long ago, their sessions stay on that connection.
#include <algorithm>

#include "core/session/session.h"
#include "parser/wire/encode.h"

namespace waypost {

void Session::NoteSequences(const CachedStatement& found) {
  auto& b = *batch_;
  const auto& verdict = found.verdict;
  if (verdict.pin == PinReason::kSequenceValue) return;  // asks for what was taken
  if (verdict.cls == Class::kWrite) b.writes = true;
  for (const auto& facts : found.facts()) {
    switch (facts.kind) {
      case StatementKind::kInsert:
      case StatementKind::kCopyFrom:
      case StatementKind::kMerge:
      case StatementKind::kDo:
      case StatementKind::kCall:
      case StatementKind::kExecute:
      case StatementKind::kUnknown: b.writes = b.advances = true; break;
      default:
        if (facts.state_unknown) b.writes = b.advances = true;
    }
  }
  const auto calls = [](const Facts& facts) {
    return std::any_of(facts.names.begin(), facts.names.end(),
                       [](const NameRef& name) { return name.kind == NameRef::Kind::kFunction; });
  };
  // nextval() is one of them.
  if (verdict.why == Reason::kVolatileFunction || verdict.why == Reason::kModifyingCte ||
      verdict.why == Reason::kUnknownFunction || verdict.why == Reason::kNoCatalog ||
      (verdict.why == Reason::kMultiStatement && std::any_of(found.facts().begin(), found.facts().end(), calls)))
    b.writes = b.advances = true;
}

void Session::ReadsSequence() {
  batch_->reads_sequence = true;
  if (sequence_asked_ != nullptr) return sequence_asked_->At(env_.Now());
  sequence_asked_ = env_.shared().sequence_readers.Add(database_, user_, env_.Now());
}

bool Session::ReadsSequences() {
  auto& readers = env_.shared().sequence_readers;
  if (const auto version = readers.version(); sequence_readers_ != version) {
    sequence_readers_ = version;
    if (sequence_asked_ == nullptr) sequence_asked_ = readers.Find(database_, user_);
  }
  return sequence_asked_ != nullptr && sequence_asked_->Within(policy_.pool.sequence_memory, env_.Now());
}

// Ahead of a batch: what others took on this connection is forgotten, if it may be asked for.
void Session::AppendSequences(std::string& out) {
  auto& b = *batch_;
  auto& connection = *connection_;
  if (connection.status() == 'E' || (!b.reads_sequence && !b.writes)) return;
  const bool own = connection.sequence_token == sequence_token && sequence_token != 0;
  // What it is about to take it may ask for.
  const bool may_ask = b.reads_sequence || b.advances || ReadsSequences();
  if (may_ask && !own && connection.sequence_token != 0 && !ties_.block_advanced()) {
    connection.AskAside(out, "DISCARD SEQUENCES");
    connection.sequence_token = 0;
  }
  if (!b.writes || own) return;
  if (connection.sequence_token != 0) {
    connection.sequence_token = ServerConnection::kMixed;
    sequence_token = 0;
  } else {
    connection.sequence_token = sequence_token = common_.NewSequenceToken();
  }
}

void Session::ForgetSequences() {
  connection_->sequence_token = sequence_token = 0;
  ties_.ForgetValues();
  if (batch_) batch_->advances = false;
}

}  // namespace waypost
