#include "parser/frontend.h"

#include "parser/fields.h"

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

std::optional<TargetMessage> ReadTarget(Bytes body) {
  Fields fields(body);
  TargetMessage message;
  message.kind = fields.Byte();
  message.name = fields.CString();
  if (!fields.ok() || !fields.rest().empty() || (message.kind != 'S' && message.kind != 'P'))
    return std::nullopt;
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
