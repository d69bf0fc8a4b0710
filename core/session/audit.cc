// What ties the session to its server connection: what its statements say, and, where they do not say it, what the server
// answers when it is asked. The question is put right behind the batch that gave reason for it, outside a transaction; the
// client has its answer by then.
#include <algorithm>

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
  return connection_ != nullptr && lease_.as_replica() && env_.view().primary != connection_->id();
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
  const auto& b = *batch_;
  return ties_.AfterBatch(
      {.pin = b.pin, .unseen = b.unseen, .unlisted = b.unlisted, .audit = b.audit, .advances = b.advances, .failed = b.failed},
      {.status = status,
       .replica = OnReplica(),
       .relaying = std::get_if<Relaying>(&state_),
       .mode = policy_.pool.mode,
       .values_asked_for = ties_.MayAskForValues(b.advances) && ReadsSequences(),
       .values_may_pin = policy_.pool.pins == Pins::kAllow});
}

void Session::SendAudit() {
  const auto scope = ties_.BeginAudit();
  std::string out;
  if (lease_.own_names()) CloseStatements(out);  // what bears a name of the client's is none of its PREPAREs
  connection_->AskAside(out, AuditSql(scope, env_.statements().prefix()));
  env_.metrics().Count(Counter::kSessionAudits);
  SendToServer(AsBytes(out));
}

void Session::OnOwnDone() noexcept {
  if (In<Auditing>()) return EndAudit();
  if (held_.ended() && Comparing()) ComparePosition();
}

void Session::EndAudit() {
  auto found = ties_.EndAudit(pinned_by());
  if (found.failed) Say(LogLevel::kWarn, "audit_failed", {});
  if (found.state) AdoptSettings(std::move(*found.state));
  Take(Audited{.pin = found.pin, .replica = OnReplica()});
  CountPin();
  if (draining_ && (In<Idle>() || In<Pinned>()) && input_.empty()) return Drain(true);
  if (!closed_ && !input_.empty()) ProcessInput();
}

// What the server connection has set is what the session has set.
void Session::AdoptSettings(AuditReport&& report) {
  auto& connection = *connection_;
  if (connection.audited == settings_.session() && connection.audit.settings == report.settings) return;
  // What the session started with and the server does not have any more was reset to that.
  connection.settings = Adopted(env_.settings(), settings_.session(), report, user_);
  settings_.Adopt(env_.settings().Filled(connection.settings, settings_.startup()));
  connection.audited = settings_.session();
  connection.audit = std::move(report);
  SettingsChanged();
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
