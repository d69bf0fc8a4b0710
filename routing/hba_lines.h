// The lines of pg_hba.conf and pg_ident.conf, cut into fields as PostgreSQL cuts them: quotes, comments, lists, and lines that go on
// behind a backslash. Pure; linear in the file.
// Source: postgres src/backend/libpq/hba.c, next_token() and next_field_expand()
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace waypost {

struct HbaWord {
  std::string text;
  bool quoted = false;  // then it is no keyword
  bool operator==(const HbaWord&) const = default;
  [[nodiscard]] bool Is(std::string_view keyword) const { return !quoted && text == keyword; }
};

// Words with commas between them; at least one.
using HbaField = std::vector<HbaWord>;

class HbaLines {
 public:
  // `file` outlives it.
  explicit HbaLines(std::string_view file) : rest_(file) {}
  // The fields of the next line that has any, and the number of its first line, from 1. Nothing: there are no more.
  [[nodiscard]] std::optional<std::vector<HbaField>> Next();
  [[nodiscard]] unsigned line() const { return first_; }

 private:
  std::string TakeLine();

  std::string_view rest_;
  unsigned line_ = 0, first_ = 0;
};

// The first word that names another file ("@names"); null: none does.
[[nodiscard]] const HbaWord* NamesOtherFile(const std::vector<HbaField>& fields);

// Faults of a file, one a line: "LINE: what was found, what was expected".
void AppendHbaFault(std::string& faults, unsigned line, std::string_view message);

}  // namespace waypost
