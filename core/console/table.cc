#include "core/console/table.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <utility>

#include "core/base/bytes.h"
#include "core/base/check.h"
#include "parser/wire/encode.h"

namespace waypost {
namespace {

struct TypeInfo {
  std::string_view name;
  std::uint32_t oid;   // postgres src/include/catalog/pg_type.dat
  std::uint16_t size;  // 0xFFFF: it varies
};
constexpr auto kTypes = std::to_array<TypeInfo>(
    {{"text", 25, 0xFFFF}, {"int4", 23, 4}, {"int8", 20, 8}, {"numeric", 1700, 0xFFFF}, {"bytea", 17, 0xFFFF}});
constexpr std::uint16_t kBinary = 1;

const TypeInfo& InfoOf(ColumnType type) { return kTypes[static_cast<std::size_t>(type)]; }

std::uint16_t FormatOf(const Formats& formats, std::size_t column) {
  if (formats.empty()) return 0;
  return formats.size() == 1 ? formats.front() : formats[column];
}

template <class T>
std::string BigEndian(T value) {
  std::string bytes;
  for (std::size_t i = sizeof(T); i-- > 0;) bytes += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
  return bytes;
}

std::int64_t Number(std::string_view text) {
  std::int64_t value = 0;
  (void)std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// A whole number, in groups of four digits: numeric_send() of postgres src/backend/utils/adt/numeric.c.
std::string BinaryNumeric(std::string_view text) {
  constexpr std::size_t kGroup = 4;
  constexpr std::uint16_t kNegative = 0x4000;
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  while (text.starts_with('0')) text.remove_prefix(1);
  std::string digits;
  for (auto end = text.size(); end > 0; end -= std::min(end, kGroup)) {
    const auto length = std::min(end, kGroup);
    digits.insert(0, BigEndian(static_cast<std::uint16_t>(Number(text.substr(end - length, length)))));
  }
  const auto groups = digits.size() / sizeof(std::uint16_t);
  return BigEndian(static_cast<std::uint16_t>(groups)) + BigEndian(static_cast<std::uint16_t>(groups == 0 ? 0 : groups - 1)) +
         BigEndian(static_cast<std::uint16_t>(negative && groups > 0 ? kNegative : 0)) + BigEndian(std::uint16_t{0}) + digits;
}

std::string Binary(ColumnType type, const std::string& text) {
  switch (type) {
    case ColumnType::kInt4: return BigEndian(static_cast<std::uint32_t>(Number(text)));
    case ColumnType::kInt8: return BigEndian(Number(text));
    case ColumnType::kNumeric: return BinaryNumeric(text);
    case ColumnType::kText:
    case ColumnType::kBytes: break;
  }
  return text;
}

}  // namespace

Columns ReadColumns(std::string_view text) {
  Columns columns;
  while (!text.empty()) {
    auto one = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), one.size() + 1));
    while (one.starts_with(' ')) one.remove_prefix(1);
    const auto space = one.find(' ');
    WAYPOST_CHECK(space != std::string_view::npos);
    const auto type =
        std::find_if(kTypes.begin(), kTypes.end(), [&](const TypeInfo& info) { return info.name == one.substr(space + 1); });
    WAYPOST_CHECK(type != kTypes.end());
    columns.push_back({std::string(one.substr(0, space)), static_cast<ColumnType>(type - kTypes.begin())});
  }
  return columns;
}

Table TableOf(std::vector<Row> rows) {
  const auto count = rows.size();
  auto kept = std::make_shared<std::vector<Row>>(std::move(rows));
  return {count, [kept](std::size_t i) { return std::move((*kept)[i]); }};
}

bool FormatsFit(const Formats& formats, std::size_t columns) {
  return (formats.size() <= 1 || formats.size() == columns) &&
         std::all_of(formats.begin(), formats.end(), [](std::uint16_t format) { return format <= kBinary; });
}

void AppendRowDescription(std::string& out, const Columns& columns, const Formats& formats) {
  MessageBuilder message(out, 'T');
  message.U16(static_cast<std::uint16_t>(columns.size()));
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const auto& info = InfoOf(columns[i].type);
    message.CString(columns[i].name).U32(0).U16(0).U32(info.oid).U16(info.size).U32(0xFFFFFFFF).U16(FormatOf(formats, i));
  }
}

void AppendDataRow(std::string& out, const Columns& columns, const Formats& formats, const Row& row) {
  MessageBuilder message(out, 'D');
  message.U16(static_cast<std::uint16_t>(columns.size()));
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (i >= row.size() || !row[i]) {
      message.U32(0xFFFFFFFF);
      continue;
    }
    const auto& text = *row[i];
    const auto value = FormatOf(formats, i) == kBinary ? Binary(columns[i].type, text) : text;
    message.U32(static_cast<std::uint32_t>(value.size())).Raw(AsBytes(value));
  }
}

}  // namespace waypost
