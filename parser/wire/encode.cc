#include "parser/wire/encode.h"

#include "parser/wire/fields.h"

namespace waypost {
namespace {

constexpr std::uint32_t kProtocol30 = 3U << 16U;
constexpr std::uint32_t kCancelRequest = (1234U << 16U) | 5678U;

void PutU32(char* at, std::uint32_t value) {
  at[0] = static_cast<char>(value >> 24U);
  at[1] = static_cast<char>(value >> 16U);
  at[2] = static_cast<char>(value >> 8U);
  at[3] = static_cast<char>(value);
}

}  // namespace

MessageBuilder::MessageBuilder(std::string& out, char type) : out_(out) {
  if (type != 0) out_ += type;
  length_at_ = out_.size();
  out_.append(4, '\0');
}

MessageBuilder::~MessageBuilder() { PutU32(out_.data() + length_at_, static_cast<std::uint32_t>(out_.size() - length_at_)); }

MessageBuilder& MessageBuilder::Byte(char value) {
  out_ += value;
  return *this;
}

MessageBuilder& MessageBuilder::U16(std::uint16_t value) {
  out_ += static_cast<char>(value >> 8U);
  out_ += static_cast<char>(value);
  return *this;
}

MessageBuilder& MessageBuilder::U32(std::uint32_t value) {
  char bytes[4];
  PutU32(bytes, value);
  out_.append(bytes, 4);
  return *this;
}

MessageBuilder& MessageBuilder::CString(std::string_view text) {
  out_ += text;
  out_ += '\0';
  return *this;
}

MessageBuilder& MessageBuilder::Raw(Bytes bytes) {
  out_ += AsText(bytes);
  return *this;
}

void AppendError(std::string& out, const ErrorFields& fields) {
  MessageBuilder message(out, 'E');
  message.Byte('S').CString(fields.severity).Byte('V').CString(fields.severity);
  message.Byte('C').CString(fields.sqlstate).Byte('M').CString(fields.message);
  if (!fields.detail.empty()) message.Byte('D').CString(fields.detail);
  if (!fields.hint.empty()) message.Byte('H').CString(fields.hint);
  message.Byte('\0');
}

std::string ErrorMessage(const ErrorFields& fields) {
  std::string out;
  AppendError(out, fields);
  return out;
}

std::string ErrorWithSeverity(Bytes body, std::string_view severity) {
  std::string out;
  MessageBuilder message(out, 'E');
  message.Byte('S').CString(severity).Byte('V').CString(severity);
  Fields fields(body);
  for (char code = fields.Byte(); fields.ok() && code != 0; code = fields.Byte()) {
    const auto value = fields.CString();
    if (fields.ok() && code != 'S' && code != 'V') message.Byte(code).CString(value);
  }
  message.Byte('\0');
  return out;
}

void AppendReadyForQuery(std::string& out, char status) { MessageBuilder(out, 'Z').Byte(status); }

void AppendParameterStatus(std::string& out, std::string_view name, std::string_view value) {
  MessageBuilder(out, 'S').CString(name).CString(value);
}

void AppendCommandComplete(std::string& out, std::string_view tag) { MessageBuilder(out, 'C').CString(tag); }

void AppendQuery(std::string& out, std::string_view sql) { MessageBuilder(out, 'Q').CString(sql); }

void AppendParse(std::string& out, std::string_view name, std::string_view sql, Bytes types) {
  MessageBuilder(out, 'P').CString(name).CString(sql).Raw(types);
}

void AppendEmpty(std::string& out, char type) { MessageBuilder(out, type); }

void AppendStartup(std::string& out, std::initializer_list<std::pair<std::string_view, std::string_view>> parameters) {
  MessageBuilder message(out, 0);
  message.U32(kProtocol30);
  for (const auto& [name, value] : parameters) message.CString(name).CString(value);
  message.Byte('\0');
}

void AppendSslRequest(std::string& out) { MessageBuilder(out, 0).U32((1234U << 16U) | 5679U); }

void AppendCancelRequest(std::string& out, std::uint32_t pid, std::string_view secret) {
  MessageBuilder(out, 0).U32(kCancelRequest).U32(pid).Raw(AsBytes(secret));
}

}  // namespace waypost
