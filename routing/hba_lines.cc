#include "routing/hba_lines.h"

#include <utility>

namespace waypost {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

// As next_token(): nothing at the end of the line. `goes_on`: a comma ended it.
std::optional<HbaWord> TakeWord(std::string_view& line, bool& goes_on) {
  goes_on = false;
  std::size_t at = 0;
  while (at < line.size() && (IsBlank(line[at]) || line[at] == ',')) ++at;
  HbaWord word;
  bool in_quote = false, was_quote = false, saw_quote = false;
  for (; at < line.size() && (!IsBlank(line[at]) || in_quote); ++at) {
    const char c = line[at];
    if (c == '#' && !in_quote) {
      at = line.size();
      break;
    }
    if (c == ',' && !in_quote) {
      goes_on = true;
      break;
    }
    if (c != '"' || was_quote) word.text += c;
    was_quote = in_quote && c == '"' && !was_quote;
    if (c != '"') continue;
    in_quote = !in_quote;
    saw_quote = true;
    if (word.text.empty()) word.quoted = true;
  }
  line.remove_prefix(at);
  if (!saw_quote && word.text.empty()) return std::nullopt;
  return word;
}

std::vector<HbaField> Fields(std::string_view line) {
  std::vector<HbaField> fields;
  bool goes_on = false;
  for (;;) {
    const bool same = goes_on;
    auto word = TakeWord(line, goes_on);
    if (!word) return fields;
    if (!same) fields.emplace_back();
    fields.back().push_back(std::move(*word));
  }
}

}  // namespace

// With those that it goes on in, by a backslash at the end.
std::string HbaLines::TakeLine() {
  std::string line;
  for (;;) {
    ++line_;
    const auto end = rest_.find('\n');
    auto part = rest_.substr(0, end);
    rest_ = end == std::string_view::npos ? std::string_view() : rest_.substr(end + 1);
    if (part.ends_with('\r')) part.remove_suffix(1);
    if (!part.ends_with('\\')) return line += part;
    line += part.substr(0, part.size() - 1);
    if (rest_.empty()) return line;
  }
}

std::optional<std::vector<HbaField>> HbaLines::Next() {
  while (!rest_.empty()) {
    first_ = line_ + 1;
    const auto line = TakeLine();
    if (auto fields = Fields(line); !fields.empty()) return fields;
  }
  return std::nullopt;
}

const HbaWord* NamesOtherFile(const std::vector<HbaField>& fields) {
  for (const auto& field : fields)
    for (const auto& word : field)
      if (!word.quoted && word.text.starts_with('@')) return &word;
  return nullptr;
}

void AppendHbaFault(std::string& faults, unsigned line, std::string_view message) {
  if (!faults.empty()) faults += '\n';
  faults.append(std::to_string(line)).append(": ").append(message);
}

}  // namespace waypost
