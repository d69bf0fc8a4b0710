// What ties the session to its server connection: what its statements say, and, where they do not say it, what the server
// answers when it is asked. The question is put right behind the batch that gave reason for it, outside a transaction; the
// client has its answer by then.
#include <algorithm>

#include "core/base/log.h"
#include "core/session/session.h"
#include "parser/wire/encode.h"

namespace waypost {
namespace {

bool IsUnlock(const NameRef& name) {
  return name.kind == NameRef::Kind::kFunction && name.name.starts_with("pg_advisory_unlock");
}

}  // namespace

PinReason Session::pinned_by() const {
  if (const auto* pinned = std::get_if<Pinned>(&state_)) return pinned->why;
  if (const auto* auditing = std::get_if<Auditing>(&state_)) return auditing->pin;
  if (const auto* block = std::get_if<InBlock>(&state_)) return block->pin;
  if (const auto* fencing = std::get_if<FencingHere>(&state_)) return fencing->pin;
  if (const auto* relaying = std::get_if<Relaying>(&state_)) return relaying->pin;
  return PinReason::kNone;
}

// As it was leased, unless it was promoted since. A primary does not become a replica by not being heard for a moment.
bool Session::OnReplica() const {
  return connection_ != nullptr && leased_as_replica_ && env_.view().primary != connection_->id();
}

bool Session::MayEndPin(const std::vector<Facts>& list) {
  for (const auto& facts : list) {
    switch (facts.kind) {
      case StatementKind::kUnlisten:
      case StatementKind::kClose:
      case StatementKind::kDeallocate:
      case StatementKind::kDiscard:
      case StatementKind::kDdl: return true;
      default: break;
    }
    if (std::any_of(facts.names.begin(), facts.names.end(), IsUnlock)) return true;
  }
  return false;
}

// True if a statement that may change the session unseen may do so where no audit finds it.
bool Session::Unlisted(const CachedStatement& found, std::string_view sql) const {
  const auto pin = found.verdict.pin;
  if (pin != PinReason::kUnknownState && pin != PinReason::kSqlPrepare) return false;
  const auto& list = found.facts();
  if (list.size() != 1 || list.front().kind != StatementKind::kExecute) return MaySetUnlisted(sql);
  const auto executed = names_.Find(list.front().object);
  return executed && MaySetUnlisted(executed->sql->text);
}

BatchDone Session::PinsAfter(char status) {
  auto& b = *batch_;
  BatchDone done{.status = status, .pin = b.pin, .unpinned = std::exchange(unpin_, false), .replica = OnReplica()};
  if (b.failed && status == 'I' && EndsWithTransaction(b.pin)) done.pin = PinReason::kNone;
  if (pool_policy_.mode == PoolMode::kSession) {
    if (done.pin == PinReason::kNone) done.pin = PinReason::kSessionMode;
    return done;
  }
  // Neither an error nor DISCARD ALL undoes these.
  if (IsForGood(b.pin)) sticky_pin_ = b.pin;
  if (done.unpinned && !IsForGood(sticky_pin_)) {
    sticky_pin_ = PinReason::kNone;
    unseen_ = audit_due_ = false;
  } else {
    unseen_ = unseen_ || b.unseen;
    if (b.unlisted && sticky_pin_ == PinReason::kNone) sticky_pin_ = PinReason::kUnknownState;
    const bool block = status != 'I' || std::get_if<Relaying>(&state_) == nullptr || std::get<Relaying>(state_).block;
    audit_due_ = audit_due_ || b.audit || (b.pin != PinReason::kNone && block);
  }
  if (sticky_pin_ != PinReason::kNone) {
    done.pin = sticky_pin_;
    done.unpinned = false;
    // It is let go all the same, but for what an audit finds of its settings.
    done.audit = done.replica && status == 'I' && In<Relaying>();
    return done;
  }
  const auto* relaying = std::get_if<Relaying>(&state_);
  const bool tied = done.pin != PinReason::kNone || (!done.unpinned && relaying != nullptr && relaying->pin != PinReason::kNone);
  if (status != 'I') {
    block_advanced_ = block_advanced_ || b.advances;
    return done;
  }
  if (sequence_pin_ && !ReadsSequences()) {  // nobody has asked for long: the audit says whether anything else ties it
    sequence_pin_ = false;
    audit_due_ = true;
  }
  const bool advanced = std::exchange(block_advanced_, false) || b.advances;
  if (advanced && pool_policy_.pins == Pins::kAllow && ReadsSequences()) sequence_pin_ = true;
  if (!tied && sequence_pin_) done.pin = PinReason::kSequenceValue;
  done.audit = audit_due_ && (tied || unseen_) && relaying != nullptr;
  audit_due_ = audit_due_ && done.audit;
  return done;
}

void Session::SendAudit() {
  audit_ = {};
  audit_failed_ = false;
  std::string out;
  if (own_names_) CloseStatements(out);  // what bears a name of the client's is none of its PREPAREs
  connection_->AskAside(out, AuditSql(unseen_ ? AuditScope::kEverything : AuditScope::kObjects, env_.statements().prefix()));
  env_.metrics().Count(Counter::kSessionAudits);
  SendToServer(AsBytes(out));
}

void Session::OnOwnDone() noexcept {
  if (In<Auditing>()) return EndAudit();
  if (held_.ended() && Comparing()) ComparePosition();
}

void Session::EndAudit() {
  const auto before = pinned_by();
  const bool unseen = std::exchange(unseen_, false);
  audit_due_ = false;
  Audited audited{.pin = PinOf(audit_), .replica = OnReplica()};
  if (audit_failed_) {
    // Nobody knows: as before, and for good.
    audited.pin = sticky_pin_ = before == PinReason::kNone ? PinReason::kUnknownState : before;
    Log(LogLevel::kWarn, "audit_failed", {{"server", connection_->server().name}, {"user", user_}});
  } else if (unseen) {
    if (audit_.unlisted && sticky_pin_ == PinReason::kNone) sticky_pin_ = PinReason::kUnknownState;
    auto& connection = *connection_;
    if (connection.audited != settings_.session() || !(connection.audit.settings == audit_.settings)) {
      // What the session started with and the server does not have any more was reset to that.
      connection.settings = Adopted(env_.settings(), settings_.session(), audit_, user_);
      settings_.Adopt(env_.settings().Filled(connection.settings, settings_.startup()));
      connection.audited = settings_.session();
      connection.audit = std::move(audit_);
      SettingsChanged();
    }
  }
  if (audited.pin == PinReason::kNone && sequence_pin_) audited.pin = PinReason::kSequenceValue;
  audit_ = {};
  if (audited.pin == PinReason::kNone) audited.pin = sticky_pin_;
  Take(audited);
  CountPin();
  if (draining_ && (In<Idle>() || In<Pinned>()) && input_.empty()) return Drain(true);
  if (!closed_ && !input_.empty()) ProcessInput();
}

void Session::CountPin() {
  if (In<Auditing>()) return;  // it is not known yet
  const auto now = pinned_by();
  const auto before = std::exchange(counted_pin_, now);
  if (now == before) return;
  auto& metrics = env_.metrics();
  if (before != PinReason::kNone) metrics.Count(Counter::kSessionUnpins, before);
  if (now != PinReason::kNone) metrics.Count(Counter::kSessionPins, now);
}

}  // namespace waypost
