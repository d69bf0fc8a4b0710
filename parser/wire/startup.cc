#include "parser/wire/startup.h"

#include "parser/wire/fields.h"

namespace waypost {
namespace {

constexpr std::uint32_t kCancelRequest = (1234U << 16U) | 5678U;
constexpr std::uint32_t kSslRequest = (1234U << 16U) | 5679U;
constexpr std::uint32_t kGssRequest = (1234U << 16U) | 5680U;

StartupPacket Malformed(std::string_view fault) {
  StartupPacket packet;
  packet.kind = StartupKind::kMalformed;
  packet.fault = fault;
  return packet;
}

StartupPacket ReadParameters(Fields fields, std::uint16_t minor) {
  StartupPacket packet;
  packet.kind = StartupKind::kStartup;
  packet.minor = minor;
  for (;;) {
    const auto name = fields.CString();
    if (!fields.ok()) return Malformed("invalid startup packet layout: expected terminator as last byte");
    if (name.empty()) break;
    const auto value = fields.CString();
    if (!fields.ok()) return Malformed("invalid startup packet layout: expected terminator as last byte");
    if (name == "user") packet.user = value;
    else if (name == "database") packet.database = value;
    else if (name == "replication") packet.replication = value;
    else if (name == "options") packet.options = value;
    else if (name.starts_with("_pq_.")) packet.unknown_options.emplace_back(name);
    else packet.parameters.emplace_back(name, value);
  }
  if (!fields.rest().empty()) return Malformed("invalid startup packet layout: expected terminator as last byte");
  if (packet.database.empty()) packet.database = packet.user;
  return packet;
}

}  // namespace

StartupPacket ReadStartup(Bytes& input) {
  if (input.size() < 4) return {};
  const auto length = ReadU32(input.data());
  if (length < 8 || length > kMaxStartupBytes) return Malformed("invalid length of startup packet");
  if (input.size() < length) return {};
  Fields fields(input.subspan(4, length - 4));
  input = input.subspan(length);

  StartupPacket packet;
  const auto code = fields.U32();
  if (code == kSslRequest || code == kGssRequest) {
    if (length != 8) return Malformed("invalid length of startup packet");
    packet.kind = code == kSslRequest ? StartupKind::kSslRequest : StartupKind::kGssRequest;
    return packet;
  }
  if (code == kCancelRequest) {
    packet.kind = StartupKind::kCancel;
    packet.cancel_pid = fields.U32();
    packet.cancel_secret = AsText(fields.rest());
    if (!fields.ok() || packet.cancel_secret.empty() || packet.cancel_secret.size() > kMaxCancelSecretBytes)
      return Malformed("invalid length of startup packet");
    return packet;
  }
  if ((code >> 16U) != 3) {
    packet.kind = StartupKind::kUnsupportedMajor;
    packet.major = static_cast<std::uint16_t>(code >> 16U);
    packet.minor = static_cast<std::uint16_t>(code);
    return packet;
  }
  return ReadParameters(fields, static_cast<std::uint16_t>(code));
}

namespace {

// Words parted by blanks; a backslash takes the next character as it is (pg_split_opts, src/backend/utils/init/postinit.c).
std::vector<std::string> SplitWords(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool inside = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool blank = c == ' ' || (c >= '\t' && c <= '\r');
    if (blank) {
      if (inside) words.push_back(std::move(word));
      word.clear();
      inside = false;
      continue;
    }
    inside = true;
    if (c == '\\' && i + 1 < text.size()) word += text[++i];
    else if (c != '\\') word += c;
  }
  if (inside) words.push_back(std::move(word));
  return words;
}

}  // namespace

bool ReadOptions(std::string_view options, std::vector<std::pair<std::string, std::string>>& settings) {
  const auto words = SplitWords(options);
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string_view word = words[i];
    if (word == "-c") {
      if (++i == words.size()) return false;
      word = words[i];
    } else if (word.starts_with("-c") || word.starts_with("--")) {
      word.remove_prefix(2);
    } else {
      return false;
    }
    const auto equals = word.find('=');
    if (equals == std::string_view::npos || equals == 0) return false;
    std::string name(word.substr(0, equals));
    for (auto& c : name)
      if (c == '-') c = '_';
    settings.emplace_back(std::move(name), word.substr(equals + 1));
  }
  return true;
}

}  // namespace waypost
