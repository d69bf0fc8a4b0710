// What the census is told of a session; see core/observe/census.h. Nothing is kept for it but what costs a statement nothing: a
// number, two times and the note of a digest.
#include <algorithm>

#include "core/session/session.h"
#include "parser/wire/encode.h"

namespace waypost {
namespace {

Duration AgeOf(TimePoint since, TimePoint now) { return std::max(now - since, Duration{0}); }

}  // namespace

SessionState Session::state() const {
  if (login_) return SessionState::kLogin;
  if (console_) return console_->busy() ? SessionState::kActive : SessionState::kIdle;
  if (waits_for_reader_) return SessionState::kWaiting;
  switch (client_state()) {
    case ClientState::kWaiting: return SessionState::kWaiting;
    case ClientState::kActive: return SessionState::kActive;
    case ClientState::kIdle: return SessionState::kIdle;
    case ClientState::kIdleInTransaction: break;
  }
  const bool failed = In<FailedBlock>() || (connection_ != nullptr && connection_->status() == 'E');
  return failed ? SessionState::kAborted : SessionState::kIdleInTransaction;
}

TimePoint Session::state_since() const {
  switch (state()) {
    case SessionState::kLogin: return past_.connected;
    case SessionState::kWaiting: return batch_ ? batch_->started : last_active_;
    case SessionState::kActive: return batch_ ? batch_->started : past_.rested;
    default: return past_.rested;
  }
}

bool Session::Fits(const SessionQuestion& question) const {
  const auto is = [](const std::string& wanted, std::string_view found) { return wanted.empty() || wanted == found; };
  return is(question.user, user_) && is(question.database, database_) && is(question.application, application_) &&
         is(question.server, connection_ == nullptr ? std::string_view() : connection_->server().name) &&
         (!question.state || *question.state == state()) &&
         (!question.pinned || *question.pinned == (pinned_by() != PinReason::kNone));
}

void Session::Describe(SessionRow& row) const {
  row.id = {env_.index(), past_.number};
  row.user = user_;
  row.database = database_;
  row.application = application_;
  row.client = stream_->PeerName();
  row.local = stream_->LocalName();
  row.state = state();
  if (connection_ != nullptr) {
    row.server = connection_->server().name;
    row.server_pid = connection_->login().pid();
  }
  row.pin = pinned_by();
  const auto now = env_.ExactNow();
  row.age = AgeOf(past_.connected, now);
  row.state_age = AgeOf(state_since(), now);
  const bool runs = batch_ && batch_->dispatched && !batch_->ran.empty();
  const auto* digest = common_.digests.Find(runs ? batch_->ran.back().note : last_note_);
  row.statement = digest == nullptr ? past_.statement : digest->text;
  row.target = past_.target;
  row.reason = past_.reason;
  row.statements = past_.statements;
  row.prepared = names_.size();
  row.cancel_pid = cancel_pid();
}

SessionDetail Session::DescribeInFull() const {
  SessionDetail detail;
  Describe(detail);
  detail.pin_for_good = ties_.for_good();
  detail.listener = listener_;
  // SET LOCAL on top of it.
  const auto& now = *settings_.effective();
  const auto& start = *settings_.startup();
  const auto is_in = [](const SettingSet& set, const Setting& setting) {
    const auto* other = FindSetting(set, setting.name);
    return other != nullptr && *other == setting;
  };
  for (const auto& setting : now)
    if (!is_in(start, setting) && !IsPlaceholder(setting)) detail.settings.push_back(setting.name);
  for (const auto& setting : start)
    if (FindSetting(now, setting.name) == nullptr) detail.settings.push_back(setting.name);
  std::sort(detail.settings.begin(), detail.settings.end());
  return detail;
}

// As the server that ends: nothing more is begun, and what runs is cancelled.
void Session::End() {
  draining_ = true;
  Close(
      ErrorMessage({.severity = "FATAL", .sqlstate = "57P01", .message = "terminating connection due to administrator command"}),
      ClientOutcome::kOk);
}

}  // namespace waypost
