// Builds messages by appending to a string that the caller owns. Pure.
// Source: https://www.postgresql.org/docs/15/protocol-message-formats.html
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "core/base/bytes.h"
#include "parser/wire/frame.h"

namespace waypost {

// One message being appended to `out`: the length is filled in when the builder goes out of scope.
class MessageBuilder {
 public:
  // type 0: a message without a type byte (start-up, cancel).
  MessageBuilder(std::string& out, char type);
  ~MessageBuilder();
  MessageBuilder(const MessageBuilder&) = delete;
  MessageBuilder& operator=(const MessageBuilder&) = delete;

  MessageBuilder& Byte(char value);
  MessageBuilder& U16(std::uint16_t value);
  MessageBuilder& U32(std::uint32_t value);
  MessageBuilder& CString(std::string_view text);  // adds the NUL; `text` must hold none
  MessageBuilder& Raw(Bytes bytes);

 private:
  std::string& out_;
  std::size_t length_at_;
};

// ErrorResponse or NoticeResponse with the fields that every client expects: severity, SQLSTATE, message.
struct ErrorFields {
  std::string_view severity = "ERROR";  // or FATAL
  std::string_view sqlstate;
  std::string_view message;
  std::string_view detail = {};
  std::string_view hint = {};
};
void AppendError(std::string& out, const ErrorFields& fields);
[[nodiscard]] std::string ErrorMessage(const ErrorFields& fields);
// The body of a message that is here whole.
[[nodiscard]] inline Bytes FieldsOf(std::string_view message) { return AsBytes(message).subspan(kHeaderBytes); }
// An ErrorResponse with the fields of `body`, that of an ErrorResponse or NoticeResponse, and this severity.
[[nodiscard]] std::string ErrorWithSeverity(Bytes body, std::string_view severity);
void AppendReadyForQuery(std::string& out, char status);
void AppendParameterStatus(std::string& out, std::string_view name, std::string_view value);
void AppendCommandComplete(std::string& out, std::string_view tag);
void AppendQuery(std::string& out, std::string_view sql);
void AppendParse(std::string& out, std::string_view name, std::string_view sql, Bytes types);
void AppendEmpty(std::string& out, char type);  // Sync, ParseComplete, BindComplete, CloseComplete, NoData ...
void AppendStartup(std::string& out, std::initializer_list<std::pair<std::string_view, std::string_view>> parameters);
// Asks whether the server speaks TLS.
void AppendSslRequest(std::string& out);
void AppendCancelRequest(std::string& out, std::uint32_t pid, std::string_view secret);

}  // namespace waypost
