// [routing] self_check: some of the reads that ran on a replica run again on the primary before the client hears anything.
// What the answers say, and which the client is given: self_check.h. Whatever goes wrong with the primary here, the client
// gets the replica's answer, as if nothing had been checked.
#include "core/session/self_check.h"
#include "core/session/session.h"
#include "parser/wire/encode.h"
#include "parser/wire/frontend.h"

namespace waypost {
namespace {

// The client waits no longer for a check than this and twice as long as the replica took.
constexpr milliseconds kPatience{100};
constexpr std::size_t kMaxShownBytes = 1024;

}  // namespace

// A batch that is about to be sent: shall it be checked?
void Session::Sample(Decision& decision) {
  const auto& b = *batch_;
  const bool fits = decision.target == Target::kReplica && decision.reason == Reason::kReadSafe && decision.may_rerun &&
                    In<Idle>() && b.facts.needs_fence && b.facts.end_known && b.pin == PinReason::kNone && !b.unseen &&
                    !b.audit && b.refusal.empty();
  if (!fits || !common_.fence.fence().open() || !common_.self_checks.TakesThis(policy_.routing.self_check)) return;
  const bool position_only = decision.fence == FencePlan::kNone;
  check_ = std::make_unique<SelfCheck>(decision.server, position_only);
  if (!position_only) return;
  // What was written behind its back must not be held against it: it is sent when the position is known.
  decision.fence = FencePlan::kProbeFirst;
  WaitForCheck(kPatience);
}

void Session::WaitForCheck(Duration longest) {
  check_->deadline = env_.ExactNow() + longest;
  if (deadline_.Watch()) common_.host.Watch(slot_);
}

// The read index of a batch that is checked. True: it waited for nothing else, and was sent.
bool Session::CheckFrom(Lsn index) {
  if (!check_->answered()) check_->SetBefore(index);
  if (!check_->position_only() || !In<Fencing>()) return false;
  SendUnproved();
  return true;
}

void Session::SendUnproved() {
  const auto server = std::get<Fencing>(state_).decision.server;
  if (check_) check_->deadline = TimePoint::max();
  LeaveFence();
  Take(Proven{server});
}

// The whole answer of a batch that is checked is held. False: the batch is not at its end yet.
bool Session::Compare(char status) {
  if (!check_->answered()) {
    if (!held_.holding() || status != 'I') {
      EndCheck(SelfCheckOutcome::kFailed);
      return true;
    }
    check_->set_server(connection_->id());
  }
  return GoOnWithCheck(check_->OnAnswer(held_.TakeBytes()), status);
}

bool Session::GoOnWithCheck(SelfCheck::Next next, char status) {
  switch (next) {
    case SelfCheck::Next::kRunOnPrimary:
      LeaveFence();
      WaitForCheck(kPatience + 2 * (env_.ExactNow() - batch_->sent_at));
      Take(CheckDue{});
      return true;  // what follows lets go of the connection and sends it again
    case SelfCheck::Next::kAskPosition: {
      held_.End(status);
      std::string out;
      connection_->AskAside(out, kPrimaryNowSql);
      SendToServer(AsBytes(out));
      return false;
    }
    case SelfCheck::Next::kAnswer:
      NameAgain();
      held_.Replace(check_->TakeAnswer());
      EndCheck(check_->outcome());
      return true;
  }
  return true;
}

// The primary has said what is being written.
void Session::ComparePosition() {
  const auto status = *held_.TakeEnd();
  if (GoOnWithCheck(check_->OnPosition(check_->primary_now, AnswersVary()), status)) FinishBatch(status);
}

// What the batch named, whatever its last run on the primary came to.
void Session::NameAgain() {
  names_.KeepBatch();
  if (batch_->simple) names_.SetUnnamed(nullptr);
}

// The primary did not come to answer: the answer at hand is given.
void Session::AnswerUnchecked() {
  NameAgain();
  const auto answer = check_->TakeAnswer();
  WriteClient(AsBytes(answer));
  EndBatch();
}

void Session::GiveUpCheck() {
  if (!check_->answered()) {
    check_->deadline = TimePoint::max();
    if (!In<Fencing>()) return;
    EndCheck(SelfCheckOutcome::kFailed);
    return SendUnproved();
  }
  if (In<Acquiring>()) {
    wait_.Leave();
    Take(NoLease{});
    return ProcessInput();
  }
  if (connection_ == nullptr) return;
  auto* lost = connection_;
  lost->EndLease();
  lost->PauseReading(false);
  Lost(true, false);
  lost->after_cancel = ServerConnection::AfterCancel::kDiscard;
  common_.cancels.Send(*lost);
}

void Session::EndCheck(SelfCheckOutcome outcome) {
  const auto server = check_->server();
  check_.reset();
  env_.metrics().Count(Counter::kSelfChecks, server, outcome);
  if (outcome != SelfCheckOutcome::kStale) return;
  env_.metrics().Count(Counter::kStaleReads, server);
  const auto text = WithoutLiterals(TextOfBatch().substr(0, 4 * kMaxShownBytes), lexing_, kMaxShownBytes);
  if (!common_.self_checks.FirstOf(text)) return;
  Say(LogLevel::kWarn, "stale_read", {{"stale_server", env_.view().servers[server].name}, {"statement", text}});
}

// The first statement of the batch.
std::string_view Session::TextOfBatch() const {
  for (const auto& message : batch_->messages) {
    if (message.statement) return message.statement->sql->text;
    if (message.type == 'Q') return ReadQuery(batch_->BodyOf(message)).value_or(std::string_view());
  }
  return {};
}

// True if its answer may be another each time for what it asks.
bool Session::AnswersVary() const {
  for (const auto& message : batch_->messages) {
    const auto body = batch_->BodyOf(message);
    if (message.type == 'B' && SaysClock(AsText(body))) return true;
    if (message.statement && AsksClockOrChance(message.statement->sql->text, lexing_)) return true;
    if (message.type == 'Q' && AsksClockOrChance(ReadQuery(body).value_or(std::string_view()), lexing_)) return true;
  }
  return false;
}

}  // namespace waypost
