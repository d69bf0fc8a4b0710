// The session's settings on the server connection at hand: set ahead of a batch, as far as they differ, and again behind what
// takes them back, since a server connection's own start has none of them.
#include <algorithm>
#include <unordered_set>
#include <utility>

#include "core/session/session.h"
#include "parser/wire/encode.h"

namespace waypost {
namespace {

// Within a transaction: what is set behind it is undone by going back to it, SET LOCAL and all.
constexpr std::string_view kSavepoint = "SAVEPOINT _waypost;";
constexpr std::string_view kBackToSavepoint = "ROLLBACK TO SAVEPOINT _waypost;RELEASE SAVEPOINT _waypost";

// Sets all of `to`, whatever was set before.
std::string FromAnything(const SettingSet& to) { return "RESET ALL;" + Difference({}, to); }

}  // namespace

void Session::AppendSettings(std::string& out) {
  auto& connection = *connection_;
  // In a failed transaction nothing can be set; what was set before it still holds.
  if (connection.settings == settings_.session() || connection.status() == 'E') return;
  const auto& session = settings_.session();
  const auto sql = Difference(*connection.settings, *session);
  // In a block the end of which they should outlive, a failure would be the block's.
  const auto names =
      connection.status() == 'I' ? MissingPlaceholders(*connection.settings, *session) : std::vector<std::string>();
  connection.settings = session;
  if (!sql.empty()) connection.AskAside(out, sql);
  for (const auto& name : names) connection.TryAside(out, name);
}

// Statements that this connection lacks and that were parsed under other settings than what holds now: under another
// DateStyle their texts would mean something else. They are parsed here as they were, ahead of the batch.
void Session::ParseAsBefore(std::string& out) {
  auto& connection = *connection_;
  if (connection.status() == 'E') return;
  const bool block = connection.status() == 'T';
  const bool sure = !batch_->changes_settings && !(block && ties_.unseen());
  const auto& holds = settings_.parsing();
  const auto as_it_holds = [&](const Statement& statement) {
    return sure && (statement.settings == holds || Difference(*holds, *statement.settings).empty());
  };
  std::unordered_set<const Statement*> parsed_here;
  bool looked = false;
  const auto parses = [&](const StatementRef& statement) {
    if (!std::exchange(looked, true))
      for (const auto& message : batch_->messages)
        if (message.type == 'P') parsed_here.insert(message.statement.get());
    return parsed_here.contains(statement.get());
  };
  bool moved = false;  // the server is at the savepoint
  for (std::size_t i = 0; i < batch_->messages.size(); ++i) {
    const auto& statement = batch_->messages[i].statement;
    const char type = batch_->messages[i].type;
    if ((type != 'B' && type != 'D') || !statement || statement->by_sql() || statement == names_.unnamed() ||
        HasStatement(statement, NameIn(*batch_, batch_->messages[i])) || as_it_holds(*statement))
      continue;
    if (parses(statement)) continue;
    if (moved) SetAsNow(out);
    SetAsBefore(out, *statement);
    moved = block;
    EnsureStatement(out, statement, NameIn(*batch_, batch_->messages[i]),
                    !block);  // should it fail, the server does not come to the settings behind it
  }
  if (moved) SetAsNow(out);
}

// Sets what held when `statement` was parsed; in a block behind a savepoint, to which SetAsNow goes back.
void Session::SetAsBefore(std::string& out, const Statement& statement) {
  auto& connection = *connection_;
  const auto& now = connection.status() == 'T' ? settings_.effective() : connection.settings;
  const auto target = env_.settings().WithParsing(now, statement.settings);
  if (connection.status() == 'T') {
    connection.AskAside(out, std::string(kSavepoint) + (ties_.unseen() ? FromAnything(*target) : Difference(*now, *target)));
    return;
  }
  if (const auto sql = Difference(*now, *target); !sql.empty()) connection.AskAside(out, sql);
  connection.settings = target;
}

void Session::SetAsNow(std::string& out) { connection_->AskAside(out, kBackToSavepoint); }

// In a Query: behind each statement that takes settings back, within the same text. DISCARD ALL must stand alone; what it
// takes back is set ahead of the next batch.
void Session::AddRestores(const SqlText& sql, std::vector<TextEdit>& edits, std::vector<std::uint32_t>& aside) const {
  const auto& list = *sql.facts;
  for (std::size_t i = 0; i < list.size(); ++i) {
    std::string text;
    std::uint32_t count = 0;
    for (const auto& effect : list[i].settings) {
      if (effect.kind == SettingEffect::Kind::kDiscardAll) continue;
      for (const auto& statement : settings_.Restoring(effect)) {
        text.append("\n;").append(statement);  // a comment may stand at its end
        ++count;
      }
    }
    if (count == 0) continue;
    edits.push_back({list[i].end, 0, std::move(text)});
    aside.resize(list.size());
    aside[i] = count;
  }
}

// Behind an Execute, by the extended protocol, so that the series goes on.
void Session::AppendRestores(std::string& out, const SqlText& sql) {
  auto& ledger = connection_->ledger();
  const auto name = env_.statements().prefix() + "aside";
  for (const auto& facts : *sql.facts)
    for (const auto& effect : facts.settings)
      for (const auto& statement : settings_.Restoring(effect)) {
        for (const char type : {'P', 'B', 'E', 'C', 'C'}) (void)ledger.Sent(type, Reply::kSwallow);
        waypost::AppendParse(out, name, statement, AsBytes(std::string_view("\0\0", 2)));
        MessageBuilder(out, 'B').CString(name).CString(name).U16(0).U16(0).U16(0);
        MessageBuilder(out, 'E').CString(name).U32(0);
        MessageBuilder(out, 'C').Byte('P').CString(name);
        MessageBuilder(out, 'C').Byte('S').CString(name);
      }
}

}  // namespace waypost
