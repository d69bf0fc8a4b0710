#include "parser/wire/frontend.h"

#include "parser/wire/fields.h"

namespace waypost {

std::optional<std::string_view> ReadQuery(Bytes body) {
  Fields fields(body);
  const auto sql = fields.CString();
  if (!fields.ok() || !fields.rest().empty()) return std::nullopt;
  return sql;
}

std::optional<ParseMessage> ReadParse(Bytes body) {
  Fields fields(body);
  ParseMessage message;
  message.name = fields.CString();
  message.sql = fields.CString();
  message.types = fields.rest();
  const auto count = fields.U16();
  fields.Take(std::size_t{count} * 4);
  if (!fields.ok() || !fields.rest().empty()) return std::nullopt;
  return message;
}

std::optional<BindMessage> ReadBind(Bytes body) {
  Fields fields(body);
  BindMessage message;
  message.portal = fields.CString();
  message.statement = fields.CString();
  message.rest = fields.rest();
  if (!fields.ok()) return std::nullopt;
  return message;
}

std::optional<std::uint16_t> CountResultFormats(Bytes rest) {
  constexpr std::uint32_t kNull = 0xFFFF'FFFF;  // the size of a value that is none
  Fields fields(rest);
  const std::size_t formats = fields.U16();
  (void)fields.Take(formats * sizeof(std::uint16_t));
  for (unsigned left = fields.U16(); left > 0 && fields.ok(); --left)
    if (const auto size = fields.U32(); size != kNull) (void)fields.Take(size);
  const auto count = fields.U16();
  if (!fields.ok()) return std::nullopt;
  return count;
}

std::optional<TargetMessage> ReadTarget(Bytes body) {
  Fields fields(body);
  TargetMessage message;
  message.kind = fields.Byte();
  message.name = fields.CString();
  if (!fields.ok() || !fields.rest().empty() || (message.kind != 'S' && message.kind != 'P')) return std::nullopt;
  return message;
}

std::optional<std::string_view> ReadExecutePortal(Bytes body) {
  Fields fields(body);
  const auto portal = fields.CString();
  fields.U32();
  if (!fields.ok() || !fields.rest().empty()) return std::nullopt;
  return portal;
}

}  // namespace waypost
