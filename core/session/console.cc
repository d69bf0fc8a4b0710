// A session that is PgBouncer's console: see core/console/console.h. No server hears of it.
#include "core/session/session.h"
#include "parser/wire/encode.h"

namespace waypost {

bool Session::WantsConsole(const std::string& user, const std::string& database) const {
  return env_.shared().console != nullptr && IsConsoleDatabase(database) &&
         ConsoleRoleOf(env_.config(), user) != ConsoleRole::kNone;
}

void Session::OnConsole(const std::string& user, const std::string& database) {
  user_ = user;
  database_ = database;
  env_.shared().database_claims.ClientCame(database_);
  past_.rested = env_.Now();
  console_ = std::make_unique<Console>(env_, *env_.shared().console, *this, ConsoleUser{user_, stream_->PeerName()},
                                       [&host = common_.host](std::function<void()> task) { host.Post(std::move(task)); });
  env_.metrics().Count(Counter::kClientConnects, ClientOutcome::kOk);
  std::string greeting;
  MessageBuilder(greeting, 'R').U32(0);  // AuthenticationOk
  AppendConsoleParameters(greeting);
  MessageBuilder(greeting, 'K').U32(cancel_pid()).Raw(AsBytes(secret_));
  AppendReadyForQuery(greeting, 'I');
  WriteClient(AsBytes(greeting));
  common_.host.Bury(std::move(login_));
}

void Session::PauseConsole(bool pause) {
  if (closed_) return;
  if (pause) stream_->Pause(Stream::kBusy);
  else stream_->Resume(Stream::kBusy);
}

}  // namespace waypost
