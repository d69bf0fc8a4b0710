#include "core/console/command.h"

#include <algorithm>
#include <array>
#include <vector>

#include "core/base/ascii.h"
#include "parser/sql/tokens.h"

namespace waypost {
namespace {

struct Word {
  std::string text;     // a name without its quotes; a word in lower case
  std::string written;  // a name without its quotes; a word as it is
  bool quoted = false;
};

std::string Unquoted(std::string_view text, char quote) {
  std::string name;
  for (std::size_t i = 1; i + 1 < text.size(); ++i) {
    name += text[i];
    if (text[i] == quote && i + 2 < text.size() && text[i + 1] == quote) ++i;
  }
  return name;
}

Word Quoted(std::string_view text, char quote) {
  auto name = Unquoted(text, quote);
  return {name, name, true};
}

// Blanks, comments and what stands behind the statement's semicolon are left out; `more`: there is another statement.
std::vector<Word> WordsOf(std::string_view sql, bool& more) {
  std::vector<Word> words;
  bool ended = false;
  more = false;
  Tokens tokens(sql, {});
  for (auto token = tokens.Next(); token.kind != Token::Kind::kEnd; token = tokens.Next()) {
    if (token.kind == Token::Kind::kBlank || token.kind == Token::Kind::kComment) continue;
    if (token.text == ";") {
      ended = ended || !words.empty();
      continue;
    }
    more = more || ended;
    if (token.kind == Token::Kind::kQuoted) words.push_back(Quoted(token.text, '"'));
    else if (token.kind == Token::Kind::kString) words.push_back(Quoted(token.text, '\''));
    else words.push_back({AsciiLower(token.text), std::string(token.text)});
  }
  return words;
}

ConsoleCommand Trouble(std::string message, Verb verb = Verb::kUnknown) {
  ConsoleCommand command;
  command.verb = verb;
  command.trouble = std::move(message);
  return command;
}

// PgBouncer's words, that its users look for.
ConsoleCommand Invalid(std::string_view sql) {
  constexpr std::size_t kShown = 100;
  while (!sql.empty() && (sql.back() == ';' || sql.back() == ' ' || sql.back() == '\n')) sql.remove_suffix(1);
  return Trouble("invalid command '" + std::string(sql.substr(0, kShown)) + (sql.size() > kShown ? "..." : "") +
                 "', use SHOW HELP;");
}

ConsoleCommand Unsupported(std::string_view verb, std::string_view why) {
  return Trouble(std::string(verb) + " is not supported: " + std::string(why), Verb::kUnsupported);
}

ConsoleCommand With(Verb verb, std::string tag, std::string subject = {}) {
  ConsoleCommand command;
  command.verb = verb;
  command.tag = std::move(tag);
  command.subject = std::move(subject);
  return command;
}

// What drivers and tools set when they log in. Waypost's own settings are in its file.
bool IsClientSetting(std::string_view name) {
  constexpr auto kNames =
      std::to_array<std::string_view>({"application_name", "bytea_output", "client_encoding", "client_min_messages", "datestyle",
                                       "extra_float_digits", "intervalstyle", "lock_timeout", "names", "session",
                                       "standard_conforming_strings", "statement_timeout", "time", "timezone"});
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

// The verbs whose subject is a database.
struct DatabaseVerb {
  std::string_view word, tag;
  Verb verb;
  bool needs_one;
};
constexpr auto kDatabaseVerbs = std::to_array<DatabaseVerb>({{"pause", "PAUSE", Verb::kPause, false},
                                                             {"resume", "RESUME", Verb::kResume, false},
                                                             {"disable", "DISABLE", Verb::kDisable, true},
                                                             {"enable", "ENABLE", Verb::kEnable, true},
                                                             {"kill", "KILL", Verb::kKill, false},
                                                             {"reconnect", "RECONNECT", Verb::kReconnect, false},
                                                             {"wait_close", "WAIT_CLOSE", Verb::kWaitClose, false}});

}  // namespace

ConsoleCommand ReadCommand(std::string_view sql) {
  bool more = false;
  const auto words = WordsOf(sql, more);
  if (words.empty()) return With(Verb::kNothing, "");
  if (more) return Trouble("one statement at a time: the console does not take several in one message");
  const auto word = [&](std::size_t i) { return i < words.size() ? words[i].text : std::string(); };
  const auto& verb = words[0].text;
  const auto count = words.size();
  if (words[0].quoted) return Invalid(sql);
  if (verb == "show" && count == 2) return With(Verb::kShow, "SHOW", AsciiLower(word(1)));
  if (verb == "reload" && count == 1) return With(Verb::kReload, "RELOAD");
  for (const auto& one : kDatabaseVerbs) {
    if (verb != one.word || count > 2) continue;
    if (one.needs_one && count == 1) return Trouble("a database is required", Verb::kUnsupported);
    return With(one.verb, std::string(one.tag), count == 2 ? words[1].written : "");
  }
  if (verb == "kill_client" && count == 2) return With(Verb::kKillClient, "KILL_CLIENT", word(1));
  if (verb == "shutdown" && count == 1) return With(Verb::kShutdown, "SHUTDOWN");
  if (verb == "shutdown" && count == 2 && (word(1) == "wait_for_clients" || word(1) == "wait_for_servers"))
    return With(Verb::kShutdown, "SHUTDOWN", word(1));
  if (verb == "begin" || (verb == "start" && word(1) == "transaction")) return With(Verb::kBegin, "BEGIN");
  if (verb == "commit" || verb == "rollback" || verb == "end" || verb == "abort")
    return With(Verb::kEnd, verb == "commit" || verb == "end" ? "COMMIT" : "ROLLBACK");
  if (verb == "discard" || verb == "reset") return With(Verb::kSet, verb == "reset" ? "RESET" : "DISCARD ALL");
  if (verb == "set") {
    const auto name = word(1) == "local" || (word(1) == "session" && count > 3) ? word(2) : word(1);
    if (IsClientSetting(name)) return With(Verb::kSet, "SET");
    return Unsupported("SET", "change the configuration file, then RELOAD");
  }
  if (verb == "suspend" && count == 1)
    return Unsupported("SUSPEND",
                       "a new process takes the place of this one, with its clients, by \"waypost upgrade\" or SIGUSR2");
  return Invalid(sql);
}

}  // namespace waypost
