// A session goes on on another worker, or in another process: what one writes down of it and the other reads.
#include <algorithm>
#include <utility>

#include "core/session/session.h"

namespace waypost {
namespace {

// Texts look up their fingerprints in one thread.
SqlRef Copied(const SqlText& sql) { return std::make_shared<const SqlText>(SqlText{sql.text, sql.facts}); }

}  // namespace

// True if nothing is under way and nothing ties it to what this worker has or, for good, to what this process has: the keys of its
// TLS. Values of sequences are on a connection of this worker: better lost than the client.
bool Session::MayLeave(bool for_good) const {
  const bool between = In<Idle>() && !login_ && !console_ && !closed_ && !draining_ && !batch_ && input_.empty() &&
                       inbox_.fresh() && !rests_ && !waits_for_reader_ && !client_full_;
  if (for_good && !stream_->IsBare()) return false;
  if (!between || connection_ != nullptr || !untold_.empty() || (sequence_token != 0 && !for_good)) return false;
  const auto names = names_.InOrder();
  return (!names_.unnamed() || MayBeShared(*names_.unnamed(), for_good)) &&
         std::all_of(names.begin(), names.end(), [&](const auto& named) { return MayBeShared(*named.second, for_good); });
}

// Not so of what was prepared by SQL on one connection, or behind a SET of the same batch; and for another process, that reads the
// text again, of what was lexed in another way.
bool Session::MayBeShared(const Statement& statement, bool for_good) const {
  if (statement.by_sql() || env_.settings().Intern(*statement.settings) != statement.settings) return false;
  if (!for_good) return true;
  const auto same = [&](std::string_view name) {
    const auto* there = FindSetting(*statement.settings, name);
    const auto* now = FindSetting(*settings_.session(), name);
    return there == nullptr || now == nullptr ? there == now : *there == *now;
  };
  return same("standard_conforming_strings") && same("client_encoding");
}

std::string Session::WhyItStays() const {
  if (login_) return "it is logging in";
  if (!stream_->IsBare()) return "it speaks TLS";
  if (const auto pin = pinned_by(); pin != PinReason::kNone) return "tied: " + std::string(PinReasonName(pin));
  if (!In<Idle>() || batch_) return "under way: " + std::string(StateName(state_));
  if (!MayLeave(true)) return "it has statements or messages that only this process can read";
  return "its client takes nothing";
}

std::unique_ptr<DetachedStream> Session::Leave(SessionRecord& record, bool for_good) {
  auto stream = MayLeave(for_good) ? stream_->Detach() : nullptr;
  if (!stream) return nullptr;
  closed_ = true;
  const auto add = [&](std::string_view name, const StatementRef& statement) {
    record.statements.push_back(
        {std::string(name), Copied(*statement->sql), statement->types, *statement->settings, statement->shape});
  };
  if (names_.unnamed()) add("", names_.unnamed());
  for (const auto& [name, statement] : names_.InOrder()) add(name, statement);
  record.user = std::move(user_);
  record.database = std::move(database_);
  record.peer = std::move(peer_);
  record.counted_as = std::move(counted_as_);
  record.listener = listener_;
  record.cancel_pid = cancel_pid_;
  record.secret = std::move(secret_);
  record.startup = *settings_.startup();
  record.session = *settings_.session();
  record.greeted = std::move(greeted_);
  record.told = std::move(told_);
  record.only_at_start = std::move(only_at_start_);
  record.application = std::move(application_);
  record.lexing = lexing_;
  record.starts_read_committed = starts_read_committed_;
  record.defaults = defaults;
  record.past = std::move(past_);
  if (const auto* digest = common_.digests.Find(last_note_); digest != nullptr) record.past.statement = digest->text;
  common_.host.Bury(*this, slot_);
  return stream;
}

Session::Session(Env& env, SessionCommon& common, std::unique_ptr<Stream> stream, SessionRecord record, std::uint32_t slot,
                 std::string_view listener)
    : env_(env),
      common_(common),
      stream_(std::move(stream)),
      peer_(std::move(record.peer)),
      slot_(slot),
      cancel_pid_(record.cancel_pid),
      secret_(std::move(record.secret)),
      user_(std::move(record.user)),
      database_(std::move(record.database)),
      counted_as_(std::move(record.counted_as)),
      application_(std::move(record.application)),
      greeted_(std::move(record.greeted)),
      told_(std::move(record.told)),
      listener_(listener),
      settings_(env.settings()),
      only_at_start_(std::move(record.only_at_start)),
      lexing_(record.lexing),
      starts_read_committed_(record.starts_read_committed),
      last_active_(env.Now()),
      traffic_(&common.traffic.Of(database_)),
      past_(std::move(record.past)) {
  if (past_.number == 0) BeginPast();
  defaults = record.defaults;
  settings_.Start(env.settings().Intern(std::move(record.startup)));
  settings_.Adopt(env.settings().Intern(std::move(record.session)));
  for (auto& named : record.statements) {
    auto statement = env.statements().Intern(named.sql, named.types, env.settings().Intern(std::move(named.settings)));
    if (named.shape) statement = env.statements().Told(statement, std::move(*named.shape));
    if (named.name.empty()) names_.SetUnnamed(std::move(statement));
    else names_.Set(named.name, std::move(statement));
  }
  names_long_texts_ = !record.statements.empty();
  names_.EndBatch();
  named_bytes_ = names_.Bytes();
  OnConfigChanged();
  SettingsChanged();
}

}  // namespace waypost
