#include "core/config/reader.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "core/config/units.h"

namespace waypost {
namespace {

constexpr std::size_t kMaxSecretBytes = 4096;
constexpr std::size_t kMaxShownBytes = 40;
constexpr std::size_t kMaxTexts = 1'000;

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; });
}

std::string Describe(const TomlValue& value) {
  if (const auto* text = std::get_if<std::string>(&value.value)) {
    if (HasControl(*text)) return "a string with control characters";
    return "\"" + (text->size() > kMaxShownBytes ? text->substr(0, kMaxShownBytes) + "..." : *text) + "\"";
  }
  if (const auto* number = std::get_if<std::int64_t>(&value.value)) return std::to_string(*number);
  if (const auto* number = std::get_if<double>(&value.value)) {
    std::ostringstream text;
    text << *number;
    return text.str();
  }
  if (const auto* flag = std::get_if<bool>(&value.value)) return *flag ? "true" : "false";
  if (std::holds_alternative<TomlTable>(value.value)) return "a table";
  if (std::holds_alternative<TomlArray>(value.value)) return "an array";
  return std::get<TomlOther>(value.value).what;
}

// Levenshtein distance; names are short.
std::size_t Distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

// The known name that was probably meant; empty if none is near.
std::string_view Nearest(std::string_view key, const std::set<std::string, std::less<>>& known) {
  std::string_view best;
  std::size_t best_distance = (key.size() < 4 ? 1U : key.size() < 9 ? 2U : 3U) + 1;
  for (const std::string& name : known) {
    const bool contains = key.size() > 2 && (name.find(key) != std::string::npos || key.find(name) != std::string_view::npos);
    const std::size_t distance = contains ? 1 : Distance(key.substr(0, 64), name);
    if (distance >= best_distance) continue;
    best = name;
    best_distance = distance;
  }
  return best;
}

}  // namespace

void ConfigFaults::Add(unsigned line, std::string_view key, std::string_view message) {
  std::string text = path_;
  if (line != 0) text += ":" + std::to_string(line);
  if (!key.empty()) text += ":" + std::string(key);
  text += ": ";
  text += message;
  const auto at = std::upper_bound(faults_.begin(), faults_.end(), line, [](unsigned l, const Fault& f) { return l < f.line; });
  faults_.insert(at, {line, std::move(text)});
}

std::string ConfigFaults::Text() const {
  std::string all;
  for (const Fault& fault : faults_) {
    if (!all.empty()) all += '\n';
    all += fault.text;
  }
  return all;
}

const TomlValue* ConfigSection::Peek(std::string_view key) const {
  if (table_ == nullptr) return nullptr;
  for (const TomlEntry& entry : table_->entries)
    if (entry.key == key) return &entry.value;
  return nullptr;
}

const TomlValue* ConfigSection::Take(std::string_view key) {
  known_.emplace(key);
  return Peek(key);
}

bool ConfigSection::Has(std::string_view key) const { return Peek(key) != nullptr; }

std::string ConfigSection::Found(std::string_view key) const {
  const TomlValue* value = Peek(key);
  return value == nullptr ? "nothing" : Describe(*value);
}

std::string ConfigSection::FullKey(std::string_view key) const {
  if (key.empty()) return name_;
  return name_.empty() ? std::string(key) : name_ + "." + std::string(key);
}

void ConfigSection::Fault(std::string_view key, std::string_view message) {
  const TomlValue* value = Peek(key);
  faults_.Add(value != nullptr ? value->line : line_, FullKey(key), message);
}

void ConfigSection::Expected(std::string_view key, std::string_view expected) {
  Fault(key, "found " + Found(key) + ", expected " + std::string(expected));
}

const std::string* ConfigSection::TakeText(std::string_view key, std::string_view expected) {
  const TomlValue* value = Take(key);
  if (value == nullptr) return nullptr;
  const auto* text = std::get_if<std::string>(&value->value);
  if (text == nullptr) Expected(key, expected);
  return text;
}

void ConfigSection::Text(std::string_view key, std::string& out, std::size_t max_bytes) {
  const std::string expected = "a string of 1 to " + std::to_string(max_bytes) + " bytes";
  const std::string* text = TakeText(key, expected);
  if (text == nullptr) return;
  if (text->empty() || text->size() > max_bytes || HasControl(*text)) Expected(key, expected);
  else out = *text;
}

void ConfigSection::Number(std::string_view key, std::optional<unsigned>& out, unsigned low, unsigned high) {
  const TomlValue* value = Take(key);
  if (value == nullptr) return;
  const auto* number = std::get_if<std::int64_t>(&value->value);
  if (number == nullptr || *number < low || *number > high)
    Expected(key, "a whole number from " + std::to_string(low) + " to " + std::to_string(high));
  else out = static_cast<unsigned>(*number);
}

void ConfigSection::Number(std::string_view key, unsigned& out, unsigned low, unsigned high) {
  std::optional<unsigned> found;
  Number(key, found, low, high);
  if (found) out = *found;
}

void ConfigSection::Port(std::string_view key, std::uint16_t& out) {
  const TomlValue* value = Take(key);
  if (value == nullptr) return;
  const auto* number = std::get_if<std::int64_t>(&value->value);
  if (number == nullptr || *number < 1 || *number > UINT16_MAX) Expected(key, "a port, 1 to 65535");
  else out = static_cast<std::uint16_t>(*number);
}

void ConfigSection::Flag(std::string_view key, bool& out) {
  const TomlValue* value = Take(key);
  if (value == nullptr) return;
  if (const auto* flag = std::get_if<bool>(&value->value)) out = *flag;
  else Expected(key, "true or false");
}

void ConfigSection::Span(std::string_view key, std::optional<milliseconds>& out, milliseconds low, milliseconds high) {
  const TomlValue* value = Take(key);
  if (value == nullptr) return;
  std::optional<milliseconds> span;
  if (const auto* text = std::get_if<std::string>(&value->value)) span = ParseSpan(*text);
  if (const auto* number = std::get_if<std::int64_t>(&value->value)) span = milliseconds(*number);
  if (span && *span >= low && *span <= high) out = span;
  else
    Expected(key, "a duration from " + FormatSpan(low) + " to " + FormatSpan(high) +
                      ", as \"5ms\", \"30s\", \"10m\", \"1h\", \"2d\" or a number of milliseconds");
}

void ConfigSection::Span(std::string_view key, milliseconds& out, milliseconds low, milliseconds high) {
  std::optional<milliseconds> found;
  Span(key, found, low, high);
  if (found) out = *found;
}

void ConfigSection::Size(std::string_view key, std::optional<std::uint64_t>& out) {
  const TomlValue* value = Take(key);
  if (value == nullptr) return;
  std::optional<std::uint64_t> size;
  if (const auto* text = std::get_if<std::string>(&value->value)) size = ParseSize(*text);
  if (const auto* number = std::get_if<std::int64_t>(&value->value); number != nullptr && *number >= 0)
    size = static_cast<std::uint64_t>(*number);
  if (size) out = size;
  else Expected(key, "a size, as \"64kB\", \"16MB\", \"1GB\" or a number of bytes");
}

void ConfigSection::Size(std::string_view key, std::uint64_t& out) {
  std::optional<std::uint64_t> found;
  Size(key, found);
  if (found) out = *found;
}

void ConfigSection::Fraction(std::string_view key, std::optional<double>& out) {
  const TomlValue* value = Take(key);
  if (value == nullptr) return;
  std::optional<double> fraction;
  if (const auto* number = std::get_if<double>(&value->value)) fraction = *number;
  if (const auto* number = std::get_if<std::int64_t>(&value->value)) fraction = static_cast<double>(*number);
  if (fraction && *fraction >= 0 && *fraction <= 1)  // not a NaN either
    out = fraction;
  else Expected(key, "a fraction from 0.0 to 1.0");
}

void ConfigSection::Fraction(std::string_view key, double& out) {
  std::optional<double> found;
  Fraction(key, found);
  if (found) out = *found;
}

void ConfigSection::Texts(std::string_view key, std::vector<std::string>& out, std::size_t max_bytes) {
  const TomlValue* value = Take(key);
  if (value == nullptr) return;
  std::vector<std::string> texts;
  const auto add = [&](const TomlValue& item) {
    const auto* text = std::get_if<std::string>(&item.value);
    if (text == nullptr || text->empty() || text->size() > max_bytes || HasControl(*text)) return false;
    texts.push_back(*text);
    return true;
  };
  const auto* array = std::get_if<TomlArray>(&value->value);
  const bool good = array == nullptr ? add(*value)
                                     : !array->items.empty() && array->items.size() <= kMaxTexts &&
                                           std::all_of(array->items.begin(), array->items.end(), add);
  if (good) out = std::move(texts);
  else
    Expected(key, "a string of 1 to " + std::to_string(max_bytes) + " bytes, or an array of 1 to " + std::to_string(kMaxTexts) +
                      " such");
}

void ConfigSection::Address(std::string_view key, std::string& out) {
  constexpr std::string_view kExpected = "an IP address, as \"127.0.0.1\", \"0.0.0.0\" or \"::1\"";
  const std::string* text = TakeText(key, kExpected);
  if (text == nullptr) return;
  std::array<unsigned char, sizeof(in6_addr)> parsed{};
  const bool clean = text->find('\0') == std::string::npos;
  if (clean && (inet_pton(AF_INET, text->c_str(), parsed.data()) == 1 || inet_pton(AF_INET6, text->c_str(), parsed.data()) == 1))
    out = *text;
  else Expected(key, kExpected);
}

bool ConfigSection::Secret(const std::string& key, std::string& out) {
  const std::string env_key = key + "_env";
  const std::string file_key = key + "_file";
  const TomlValue* plain = Take(key);
  const TomlValue* env = Take(env_key);
  const TomlValue* file = Take(file_key);
  const int given = (plain != nullptr ? 1 : 0) + (env != nullptr ? 1 : 0) + (file != nullptr ? 1 : 0);
  if (given == 0) return false;
  if (given > 1) {
    Fault(key, "found more than one of " + key + ", " + env_key + " and " + file_key + ", expected one");
    return true;
  }
  const auto accept = [&](std::string_view used, std::string secret) {
    if (secret.empty() || secret.size() > kMaxSecretBytes || secret.find('\0') != std::string::npos)
      Fault(used, "found a secret of " + std::to_string(secret.size()) + " bytes (not shown), expected 1 to " +
                      std::to_string(kMaxSecretBytes) + " bytes without NUL");
    else out = std::move(secret);
  };
  if (plain != nullptr) {
    if (const auto* text = std::get_if<std::string>(&plain->value)) accept(key, *text);
    else Fault(key, "found a value that is not a string (not shown), expected a password in quotes");
    return true;
  }
  if (env != nullptr) {
    if (const auto* name = TakeText(env_key, "the name of an environment variable")) {
      const char* value = std::getenv(name->c_str());
      if (value == nullptr)
        Fault(env_key, "found no environment variable " + Found(env_key) + ", expected it to hold the password");
      else accept(env_key, value);
    }
    return true;
  }
  if (const auto* name = TakeText(file_key, "the path of a file")) {
    std::filesystem::path where(*name);
    if (where.is_relative()) where = std::filesystem::path(faults_.path()).parent_path() / where;
    errno = 0;
    std::ifstream in(where, std::ios::binary);
    std::string secret(kMaxSecretBytes + 2, '\0');
    in.read(secret.data(), static_cast<std::streamsize>(secret.size()));
    if (!in && !in.eof()) {
      Fault(file_key, "cannot read " + Found(file_key) + ": " + std::strerror(errno != 0 ? errno : EIO));
      return true;
    }
    secret.resize(static_cast<std::size_t>(in.gcount()));
    if (!secret.empty() && secret.back() == '\n') secret.pop_back();
    if (!secret.empty() && secret.back() == '\r') secret.pop_back();
    accept(file_key, std::move(secret));
  }
  return true;
}

std::optional<std::size_t> ConfigSection::IndexOf(std::string_view key, std::span<const std::string_view> names) {
  std::string expected = "one of";
  for (std::size_t i = 0; i < names.size(); ++i) expected += (i == 0 ? " \"" : ", \"") + std::string(names[i]) + "\"";
  const std::string* text = TakeText(key, expected);
  if (text == nullptr) return std::nullopt;
  const auto at = std::find(names.begin(), names.end(), *text);
  if (at != names.end()) return static_cast<std::size_t>(at - names.begin());
  Expected(key, expected);
  return std::nullopt;
}

const TomlTable* ConfigSection::Table(std::string_view key, unsigned& line) {
  const TomlValue* value = Take(key);
  if (value == nullptr) return nullptr;
  line = value->line;
  const auto* table = std::get_if<TomlTable>(&value->value);
  if (table == nullptr) Expected(key, "a table, [" + std::string(key) + "]");
  return table;
}

std::vector<std::pair<const TomlTable*, unsigned>> ConfigSection::Tables(std::string_view key) {
  std::vector<std::pair<const TomlTable*, unsigned>> tables;
  const TomlValue* value = Take(key);
  if (value == nullptr) return tables;
  if (const auto* array = std::get_if<TomlArray>(&value->value)) {
    for (const TomlValue& item : array->items)
      if (const auto* table = std::get_if<TomlTable>(&item.value)) tables.emplace_back(table, item.line);
    if (tables.size() == array->items.size()) return tables;
    tables.clear();
  }
  Expected(key, "tables, each starting with [[" + std::string(key) + "]]");
  return tables;
}

std::vector<std::pair<const TomlTable*, unsigned>> ConfigSection::TableOrTables(std::string_view key) {
  const TomlValue* value = Take(key);
  if (value == nullptr) return {};
  if (const auto* table = std::get_if<TomlTable>(&value->value)) return {{table, value->line}};
  if (const auto* array = std::get_if<TomlArray>(&value->value); array != nullptr && !array->items.empty()) return Tables(key);
  Expected(key, "a table, [" + std::string(key) + "], or several, each starting with [[" + std::string(key) + "]]");
  return {};
}

void ConfigSection::FaultOthers(std::initializer_list<std::string_view> expected, std::string_view message) {
  if (table_ == nullptr) return;
  for (const TomlEntry& entry : table_->entries)
    if (known_.contains(entry.key) && std::ranges::find(expected, entry.key) == expected.end())
      Fault(entry.key, std::string(message));
}

void ConfigSection::Finish(std::span<const std::string_view> top_level_keys) {
  if (table_ == nullptr) return;
  for (const TomlEntry& entry : table_->entries) {
    if (known_.contains(entry.key)) continue;
    const bool is_table =
        std::holds_alternative<TomlTable>(entry.value.value) || std::holds_alternative<TomlArray>(entry.value.value);
    std::string message = is_table ? "unknown table" : "unknown key";
    if (std::find(top_level_keys.begin(), top_level_keys.end(), entry.key) != top_level_keys.end())
      message += "; it belongs before the first [table] of the file";
    else if (const auto nearest = Nearest(entry.key, known_); !nearest.empty())
      message += "; did you mean " + std::string(nearest) + "?";
    const std::string shown = HasControl(entry.key) ? "?" : entry.key.substr(0, kMaxShownBytes);
    faults_.Add(entry.value.line, FullKey(shown), message);
  }
}

}  // namespace waypost
