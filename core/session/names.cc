// Prepared statements have names of our own on the servers. SQL that names one goes there with our name in it, and what the
// server says of it comes back with the client's: the names, and the place that an error points to.
#include <algorithm>
#include <charconv>
#include <utility>

#include "core/base/ascii.h"
#include "core/session/session.h"
#include "parser/sql/tokens.h"
#include "parser/wire/fields.h"
#include "parser/wire/frontend.h"

namespace waypost {
namespace {

std::string QuotedName(std::string_view name) {
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

// A name without its quotes.
std::string Unquoted(std::string_view quoted) {
  std::string name;
  for (std::size_t i = 1; i + 1 < quoted.size(); ++i) {
    name += quoted[i];
    if (quoted[i] == '"') ++i;
  }
  return name;
}

// Finds the names of prepared statements among the tokens of a text: behind the PREPARE, EXECUTE or DEALLOCATE that begins a
// statement, and behind the EXECUTE of EXPLAIN and CREATE TABLE ... AS.
class NamePlaces {
 public:
  // `token`: the next one that is neither blank nor comment.
  bool IsName(const Token& token) {
    const auto word = token.kind == Token::Kind::kWord ? AsciiLower(token.text) : std::string();
    const bool named = std::exchange(named_, false);
    if (token.text == ";" || first_) {
      first_ = token.text == ";";
      leads_to_execute_ = word == "explain";
      named_ = !first_ && (word == "prepare" || word == "execute" || word == "deallocate");
      return false;
    }
    if (named && word == "prepare") {  // DEALLOCATE PREPARE
      named_ = true;
      return false;
    }
    if (named) return word != "all" && (!word.empty() || token.kind == Token::Kind::kQuoted);
    named_ = word == "execute" && leads_to_execute_;
    leads_to_execute_ = word == "as" || word == "explain" || word == "analyze" || word == "verbose" || token.text == ")";
    return false;
  }

 private:
  bool first_ = true;              // of its statement
  bool named_ = false;             // a name comes next
  bool leads_to_execute_ = false;  // an EXECUTE that comes next is one
};

bool NamesPrepared(const Facts& facts) {
  if (facts.object.empty()) return false;
  switch (facts.kind) {
    case StatementKind::kPrepare:
    case StatementKind::kExecute:
    case StatementKind::kDeallocate:
    case StatementKind::kExplain:
    case StatementKind::kDdl: return true;
    default: return false;
  }
}

// As the lexer cuts names: at a whole character.
std::string_view ClippedName(std::string_view name) {
  if (name.size() <= kMaxStatementNameBytes) return name;
  auto size = kMaxStatementNameBytes;
  while (size > 0 && (static_cast<unsigned char>(name[size]) & 0xC0U) == 0x80U) --size;
  return name.substr(0, size);
}

std::string Replaced(std::string text, std::string_view what, std::string_view with) {
  if (const auto at = text.find(what); at != std::string::npos) text.replace(at, what.size(), with);
  return text;
}

// As an error counts them: of UTF-8.
std::size_t Characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

}  // namespace

// The name of the statement in `message`. Valid as long as the batch.
std::string_view Session::NameIn(const Batch& batch, const BatchMessage& message) {
  const auto body = batch.BodyOf(message);
  switch (message.type) {
    case 'P': {
      const auto parse = ReadParse(body);
      return parse ? parse->name : std::string_view();
    }
    case 'B': {
      const auto bind = ReadBind(body);
      return bind ? bind->statement : std::string_view();
    }
    case 'D': {
      const auto target = ReadTarget(body);
      return target ? target->name : std::string_view();
    }
    default: return {};
  }
}

// The server's names for what the protocol prepared, where `text` PREPAREs, EXECUTEs or DEALLOCATEs it, so that the server
// runs it, or says that it exists.
std::vector<TextEdit> Session::ServerNamesIn(std::string& out, const BatchMessage& message, const SqlText& sql,
                                             std::string_view text) {
  std::vector<TextEdit> edits;
  if (std::none_of(sql.facts->begin(), sql.facts->end(), NamesPrepared)) return edits;
  Tokens tokens(text, lexing_);
  NamePlaces places;
  for (auto token = tokens.Next(); token.kind != Token::Kind::kEnd; token = tokens.Next()) {
    if (token.kind == Token::Kind::kBlank || token.kind == Token::Kind::kComment || !places.IsName(token)) continue;
    const auto name = token.kind == Token::Kind::kWord ? AsciiLower(token.text) : Unquoted(token.text);
    const auto statement = names_.FindAt(ClippedName(name), message.place);
    if (!statement || statement->by_sql()) continue;
    EnsureStatement(out, statement, ClippedName(name));
    if (lease_.own_names()) continue;
    edits.push_back(
        {static_cast<std::size_t>(token.text.data() - text.data()), token.text.size(), QuotedName(statement->server_name)});
  }
  return edits;
}

// `text` with the edits made, in their order; empty if there are none. Where they stand is kept for what errors point to.
std::string Session::Edited(std::string_view text, std::vector<TextEdit> edits) {
  std::string edited;
  if (edits.empty()) return edited;
  std::stable_sort(edits.begin(), edits.end(), [](const TextEdit& a, const TextEdit& b) { return a.at < b.at; });
  std::size_t copied = 0, characters = 0;
  for (const auto& edit : edits) {
    const auto old = Characters(text.substr(edit.at, edit.size));
    characters += Characters(text.substr(copied, edit.at - copied)) + old;
    batch_->renamed.push_back(
        {0, characters, static_cast<std::ptrdiff_t>(Characters(edit.text)) - static_cast<std::ptrdiff_t>(old)});
    edited.append(text.substr(copied, edit.at - copied)).append(edit.text);
    copied = edit.at + edit.size;
  }
  return edited.append(text.substr(copied));
}

// What was renamed just now went with the message `sequence`.
void Session::RenamedIn(std::uint64_t sequence) {
  constexpr std::size_t kManyRenamed = 8192;  // in a batch without an end in sight
  auto& renamed = batch_->renamed;
  if (renamed.size() > kManyRenamed) renamed.erase(renamed.begin(), renamed.begin() + kManyRenamed / 2);
  for (auto i = renamed.size(); i-- > 0 && renamed[i].sequence == 0;) renamed[i].sequence = sequence;
}

// `error` with the position as it is in the text that the client sent: in the message that failed, or, if that has no text,
// in the one that was parsed last before it.
std::string Session::WithClientPosition(std::string_view error, const Answer& answer) const {
  std::string text(error);
  if (!batch_ || batch_->renamed.empty()) return text;
  const bool has_text = answer.entry == 'Q' || answer.entry == 'P';
  Fields fields(AsBytes(error));
  for (char code = fields.Byte(); fields.ok() && code != 0; code = fields.Byte()) {
    const auto value = fields.CString();
    std::size_t position = 0;
    if (code != 'P' || std::from_chars(value.data(), value.data() + value.size(), position).ec != std::errc()) continue;
    std::uint64_t where = 0;
    for (const auto& name : batch_->renamed)
      if (name.sequence == answer.sequence || (!has_text && name.sequence < answer.sequence)) where = name.sequence;
    std::ptrdiff_t longer = 0;
    for (const auto& name : batch_->renamed) {
      const auto end = static_cast<std::ptrdiff_t>(name.end) + longer + name.longer;
      if (name.sequence == where && static_cast<std::ptrdiff_t>(position) > end) longer += name.longer;
    }
    const auto at = static_cast<std::size_t>(value.data() - error.data());
    return text.replace(at, value.size(), std::to_string(static_cast<std::ptrdiff_t>(position) - longer));
  }
  return text;
}

// `error` with the names that the client gave. Names may share a statement: the one in the message that failed is meant.
std::string Session::WithClientNames(std::string_view error, const Answer& answer) const {
  auto text = WithClientPosition(error, answer);
  if (batch_ && answer.sequence != 0) {
    const auto sent = batch_->messages.begin() + static_cast<std::ptrdiff_t>(batch_->sent);
    const auto failed = std::partition_point(batch_->messages.begin(), sent,
                                             [&](const BatchMessage& message) { return message.sequence < answer.sequence; });
    const auto meant = failed == sent ? nullptr : failed->existing ? failed->existing : failed->statement;
    if (meant && !meant->server_name.empty()) text = Replaced(std::move(text), meant->server_name, NameIn(*batch_, *failed));
  }
  const auto& prefix = env_.statements().prefix();
  for (std::size_t at = 0; (at = text.find(prefix, at)) != std::string::npos;) {
    const auto end = std::min(text.find_first_not_of("0123456789", at + prefix.size()), text.size());
    const auto name = names_.NameOf(std::string_view(text).substr(at, end - at));
    if (!name.empty()) text.replace(at, end - at, name);
    at += name.empty() ? prefix.size() : name.size();
  }
  return text;
}

}  // namespace waypost
