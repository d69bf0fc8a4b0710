// A table as people read it in a terminal: columns aligned, those of numbers to the right. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace waypost {

// What came from elsewhere, fit for a terminal: control characters, which could steer it, are blanks.
[[nodiscard]] std::string Harmless(std::string_view text);
// The first `characters` of UTF-8 text; what was cut off is three dots.
[[nodiscard]] std::string Shortened(const std::string& text, std::size_t characters);

class TextTable {
 public:
  explicit TextTable(std::vector<std::string> headings) : headings_(std::move(headings)) {}
  // As many cells as there are headings. An empty one is shown as "-".
  void Add(std::vector<std::string> cells);
  // One line each, the headings first.
  [[nodiscard]] std::string Text() const;

 private:
  std::vector<std::string> headings_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace waypost
