#include "parser/wire/backend.h"

#include "parser/wire/fields.h"

namespace waypost {

ErrorView ReadError(Bytes body) {
  ErrorView error;
  Fields fields(body);
  for (;;) {
    const char code = fields.Byte();
    if (!fields.ok() || code == 0) return error;
    const auto value = fields.CString();
    if (!fields.ok()) return error;
    if (code == 'V' || (code == 'S' && error.severity.empty())) error.severity = value;
    else if (code == 'C') error.sqlstate = value;
    else if (code == 'M') error.message = value;
    else if (code == 'R') error.routine = value;
    else if (code == 'P') error.placed = true;
    else if (code == 'W' || code == 'q') error.in_code = true;
  }
}

std::optional<char> ReadReadyForQuery(Bytes body) {
  if (body.size() != 1) return std::nullopt;
  const auto status = static_cast<char>(body[0]);
  if (status != 'I' && status != 'T' && status != 'E') return std::nullopt;
  return status;
}

std::optional<std::pair<std::string_view, std::string_view>> ReadParameterStatus(Bytes body) {
  Fields fields(body);
  const auto name = fields.CString();
  const auto value = fields.CString();
  if (!fields.ok()) return std::nullopt;
  return std::pair{name, value};
}

std::optional<std::string> ReadColumns(Bytes row_description) {
  Fields fields(row_description);
  std::string columns;
  const auto count = fields.U16();
  for (unsigned i = 0; i < count && fields.ok(); ++i) {
    columns.append(fields.CString()).append(1, '\0');
    (void)fields.Take(sizeof(std::uint32_t) + sizeof(std::uint16_t));  // the table and the column of it
    columns.append(AsText(fields.Take(sizeof(std::uint32_t) + sizeof(std::uint16_t) + sizeof(std::uint32_t))));
    (void)fields.U16();  // the format
  }
  if (!fields.ok() || !fields.rest().empty()) return std::nullopt;
  return columns;
}

}  // namespace waypost
