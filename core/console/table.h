// What the console answers with: columns, and rows that are made when their turn comes. As messages to the client, in text or
// binary. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace waypost {

// Only types that every driver knows without asking.
enum class ColumnType : std::uint8_t { kText, kInt4, kInt8, kNumeric, kBytes };

struct Column {
  std::string name;
  ColumnType type = ColumnType::kText;
};
using Columns = std::vector<Column>;

// From "database text, port int4, total_sent numeric". A word that is no type is a bug.
[[nodiscard]] Columns ReadColumns(std::string_view text);

using Cell = std::optional<std::string>;  // as text; nothing: NULL
using Row = std::vector<Cell>;

struct Table {
  std::size_t count = 0;               // rows
  std::function<Row(std::size_t)> row;  // one of them, as many cells as there are columns
};

// A table whose rows are at hand.
[[nodiscard]] Table TableOf(std::vector<Row> rows);

// The codes of a Bind: none, one for all, or one a column; 0 is text, 1 binary.
using Formats = std::vector<std::uint16_t>;
// False: the client asks for a format that does not exist, or for as many as there are no columns.
[[nodiscard]] bool FormatsFit(const Formats& formats, std::size_t columns);

void AppendRowDescription(std::string& out, const Columns& columns, const Formats& formats);
void AppendDataRow(std::string& out, const Columns& columns, const Formats& formats, const Row& row);

}  // namespace waypost
