#include "core/cli/text_table.h"

#include <algorithm>
#include <utility>

#include "core/base/check.h"

namespace waypost {
namespace {

constexpr const char* kAbsent = "-";

bool Continues(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U; }

// Of UTF-8 text, in characters.
std::size_t Width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char byte) { return !Continues(byte); }));
}

bool Digit(char byte) { return byte >= '0' && byte <= '9'; }

// "12", "1.5 ms", "2/3/100".
bool LooksLikeNumber(const std::string& cell) {
  const auto blank = cell.find(' ');
  const auto digits = cell.substr(0, blank);
  const auto unit = blank == std::string::npos ? std::string() : cell.substr(blank + 1);
  return !digits.empty() && Digit(digits.front()) &&
         std::all_of(digits.begin(), digits.end(), [](char byte) { return Digit(byte) || byte == '.' || byte == '/'; }) &&
         unit.size() <= 3 && unit.find_first_not_of("abcdefghijklmnopqrstuvwxyz") == std::string::npos;
}

}  // namespace

std::string Harmless(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0U;
    if (byte == 0xC2U && next >= 0x80U && next < 0xA0U) {  // U+0080 to U+009F steer terminals as well
      result += ' ';
      ++i;
    } else {
      result += byte < 0x20U || byte == 0x7FU ? ' ' : text[i];
    }
  }
  return result;
}

std::string Shortened(const std::string& text, std::size_t characters) {
  if (Width(text) <= characters) return text;
  std::size_t end = 0;
  for (std::size_t kept = 0; end < text.size(); ++end)
    if (!Continues(text[end]) && ++kept > characters - std::min<std::size_t>(characters, 3)) break;
  return text.substr(0, end) + "...";
}

void TextTable::Add(std::vector<std::string> cells) {
  WAYPOST_CHECK(cells.size() == headings_.size());
  for (auto& cell : cells) cell = cell.empty() ? kAbsent : Harmless(cell);
  rows_.push_back(std::move(cells));
}

std::string TextTable::Text() const {
  std::vector<std::size_t> widths;
  std::vector<bool> numbers;
  for (std::size_t column = 0; column < headings_.size(); ++column) {
    auto width = Width(headings_[column]);
    std::size_t number = 0, absent = 0;
    for (const auto& row : rows_) {
      width = std::max(width, Width(row[column]));
      number += LooksLikeNumber(row[column]) ? 1 : 0;
      absent += row[column] == kAbsent ? 1 : 0;
    }
    widths.push_back(width);
    numbers.push_back(number > 0 && number + absent == rows_.size());
  }
  std::string text;
  const auto add = [&](const std::vector<std::string>& cells) {
    std::string line;
    for (std::size_t column = 0; column < cells.size(); ++column) {
      const std::string blanks(widths[column] - Width(cells[column]), ' ');
      line += column > 0 ? "  " : "";
      line += numbers[column] ? blanks + cells[column] : cells[column] + blanks;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  add(headings_);
  for (const auto& row : rows_) add(row);
  return text;
}

}  // namespace waypost
