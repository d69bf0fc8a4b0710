#include "core/session/record.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace waypost {
namespace {

using nlohmann::json;

// The texts of so many sessions at most; then they are analysed again.
constexpr std::size_t kKnownTexts = 10'000;

// Bytes, of whatever encoding.
json Raw(std::string_view bytes) { return json::binary({bytes.begin(), bytes.end()}); }
std::string Text(const json& raw) {
  const auto& bytes = raw.get_binary();
  return {bytes.begin(), bytes.end()};
}

json Pairs(const auto& pairs) {
  auto list = json::array();
  for (const auto& [name, value] : pairs) list.push_back({Raw(name), Raw(value)});
  return list;
}
template <class List>
List PairsIn(const json& from) {
  List list;
  for (const auto& pair : from) list.push_back({Text(pair.at(0)), Text(pair.at(1))});
  return list;
}

json Of(const NamedStatement& named) {
  json statement = {
      {"name", Raw(named.name)}, {"sql", Raw(named.sql->text)}, {"types", Raw(named.types)}, {"settings", Pairs(named.settings)}};
  if (named.shape) {
    statement["shape"] = Raw(named.shape->types);
    if (named.shape->columns) statement["columns"] = Raw(*named.shape->columns);
  }
  return statement;
}

}  // namespace

std::string EncodeRecord(const SessionRecord& record) {
  json session = {{"version", kRecordVersion},
                  {"user", Raw(record.user)},
                  {"database", Raw(record.database)},
                  {"peer", Raw(record.peer)},
                  {"counted_as", Raw(record.counted_as.user)},
                  {"counted_database", Raw(record.counted_as.database)},
                  {"counted_address", Raw(record.counted_as.address)},
                  {"listener", Raw(record.listener)},
                  {"cancel_pid", record.cancel_pid},
                  {"secret", Raw(record.secret)},
                  {"startup", Pairs(record.startup)},
                  {"session", Pairs(record.session)},
                  {"greeted", Pairs(*record.greeted)},
                  {"told", Pairs(record.told)},
                  {"only_at_start", Pairs(record.only_at_start)},
                  {"application", Raw(record.application)},
                  {"standard_strings", record.lexing.standard_strings},
                  {"ascii_safe_encoding", record.lexing.ascii_safe_encoding},
                  {"starts_read_committed", record.starts_read_committed},
                  {"statements", json::array()}};
  for (const auto& named : record.statements) session["statements"].push_back(Of(named));
  std::string bytes;
  json::to_cbor(session, bytes);
  return bytes;
}

SqlRef RecordReader::Analysed(std::string text, Lexing lexing) {
  auto key = text + (lexing.standard_strings ? '1' : '0') + (lexing.ascii_safe_encoding ? '1' : '0');
  if (const auto found = known_.find(key); found != known_.end()) return found->second;
  if (known_.size() >= kKnownTexts) known_.clear();
  auto facts = Analyse(text, lexing);
  auto sql = std::make_shared<const SqlText>(SqlText{std::move(text), std::move(facts)});
  return known_.emplace(std::move(key), std::move(sql)).first->second;
}

Result<SessionRecord> RecordReader::Read(std::string_view bytes) try {
  const auto from = json::from_cbor(bytes);
  if (const auto version = from.at("version").get<unsigned>(); version != kRecordVersion)
    return Error{"a session's record is of version " + std::to_string(version) + ", expected " + std::to_string(kRecordVersion)};
  SessionRecord record;
  record.user = Text(from.at("user"));
  record.database = Text(from.at("database"));
  record.peer = Text(from.at("peer"));
  record.counted_as.user = Text(from.at("counted_as"));
  // A process of before these limits does not say.
  if (from.contains("counted_database")) record.counted_as.database = Text(from.at("counted_database"));
  if (from.contains("counted_address")) record.counted_as.address = Text(from.at("counted_address"));
  record.listener = Text(from.at("listener"));
  record.cancel_pid = from.at("cancel_pid").get<std::uint32_t>();
  record.secret = Text(from.at("secret"));
  record.startup = PairsIn<SettingSet>(from.at("startup"));
  record.session = PairsIn<SettingSet>(from.at("session"));
  record.greeted = std::make_shared<const Parameters>(PairsIn<Parameters>(from.at("greeted")));
  record.told = PairsIn<Parameters>(from.at("told"));
  record.only_at_start = PairsIn<Parameters>(from.at("only_at_start"));
  record.application = Text(from.at("application"));
  record.lexing.standard_strings = from.at("standard_strings").get<bool>();
  record.lexing.ascii_safe_encoding = from.at("ascii_safe_encoding").get<bool>();
  record.starts_read_committed = from.at("starts_read_committed").get<bool>();
  for (const auto& statement : from.at("statements")) {
    auto& named = record.statements.emplace_back();
    named.name = Text(statement.at("name"));
    named.sql = Analysed(Text(statement.at("sql")), record.lexing);
    named.types = Text(statement.at("types"));
    named.settings = PairsIn<SettingSet>(statement.at("settings"));
    if (!statement.contains("shape")) continue;
    named.shape = Shape{Text(statement.at("shape")), std::nullopt};
    if (statement.contains("columns")) named.shape->columns = Text(statement.at("columns"));
  }
  return record;
} catch (const json::exception& fault) {
  return Error{std::string("a session's record cannot be read: ") + fault.what()};
}

}  // namespace waypost
