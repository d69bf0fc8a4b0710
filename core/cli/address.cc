#include "core/cli/address.h"

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <utility>

#include "core/config/config.h"
#include "core/config/toml.h"

namespace waypost {
namespace {

constexpr std::size_t kMaxFileBytes = 1U << 20U;

Result<std::string> ReadFile(const std::string& path) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::string text(kMaxFileBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!in && !in.eof()) return Error{path + ": cannot be read: " + std::strerror(errno != 0 ? errno : EIO)};
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > kMaxFileBytes) return Error{path + ": found more than 1 MiB"};
  return text;
}

const TomlValue* Find(const TomlTable& table, std::string_view key) {
  for (const auto& entry : table.entries)
    if (entry.key == key) return &entry.value;
  return nullptr;
}

// An address to listen on, as one to connect to.
std::string HostToAsk(const std::string& address) {
  if (address == "0.0.0.0" || address.empty()) return "127.0.0.1";
  if (address == "::") return "[::1]";
  return address.find(':') != std::string::npos ? "[" + address + "]" : address;
}

Result<std::vector<AdminAddress>> Ways(const AdminConfig& admin) {
  std::vector<AdminAddress> ways;
  if (!admin.socket.empty()) ways.push_back({"http://localhost", admin.socket});
  ways.push_back({"http://" + HostToAsk(admin.address) + ":" + std::to_string(admin.port), ""});
  return ways;
}

Result<std::vector<AdminAddress>> WayOfUrl(std::string url) {
  const auto given = url;
  const auto scheme = url.starts_with("http://") ? 7U : url.starts_with("https://") ? 8U : 0U;
  if (url.size() > scheme && url.ends_with('/')) url.pop_back();
  if (scheme == 0 || url.size() == scheme || url.find_first_of("/?#@ ", scheme) != std::string::npos)
    return Error{"found --url \"" + given + "\", expected http://HOST:PORT"};
  return std::vector<AdminAddress>{{std::move(url), ""}};
}

}  // namespace

Result<std::vector<AdminAddress>> AdminPortIn(const std::string& text, const std::string& path) {
  const auto root = ParseToml(text, path);
  if (!root) return Error{root.error()};
  AdminConfig admin;
  const auto* found = Find(*root, "admin");
  const auto* table = found != nullptr ? std::get_if<TomlTable>(&found->value) : nullptr;
  if (table == nullptr) return Ways(admin);
  const auto text_of = [&](std::string_view key, std::string& to) {
    const auto* value = Find(*table, key);
    if (const auto* word = value != nullptr ? std::get_if<std::string>(&value->value) : nullptr) to = *word;
  };
  text_of("address", admin.address);
  text_of("socket", admin.socket);
  if (!admin.socket.empty()) admin.socket = (std::filesystem::path(path).parent_path() / admin.socket).string();
  const auto* port = Find(*table, "port");
  if (const auto* number = port != nullptr ? std::get_if<std::int64_t>(&port->value) : nullptr) {
    if (*number < 1 || *number > 65535)
      return Error{path + ":" + std::to_string(port->line) + ":admin.port: found " + std::to_string(*number) +
                   ", expected 1 to 65535"};
    admin.port = static_cast<std::uint16_t>(*number);
  }
  return Ways(admin);
}

Result<std::vector<AdminAddress>> FindAdminPort(const AddressOptions& options) {
  if (!options.socket.empty()) return std::vector<AdminAddress>{{"http://localhost", options.socket}};
  if (!options.url.empty()) return WayOfUrl(options.url);
  const bool named = !options.config.empty();
  const auto path = named ? options.config : std::string(kUsualConfig);
  const auto text = ReadFile(path);
  if (!text && named) return Error{text.error()};
  // The usual file is not there, or not for everybody to read: then where Waypost listens by default.
  if (!text) return Ways({});
  return AdminPortIn(*text, path);
}

Result<std::string> FindToken(const std::string& file) {
  std::string token;
  if (!file.empty()) {
    const auto text = ReadFile(file);
    if (!text) return Error{text.error()};
    token = text->substr(0, text->find_first_of("\r\n"));
    if (token.empty()) return Error{file + ": found nothing in its first line, expected a token"};
  } else if (const char* given = std::getenv("WAYPOST_TOKEN"); given != nullptr) {
    token = given;
  }
  // It goes into a header.
  for (const char byte : token)
    if (byte <= ' ' || byte > '~')
      return Error{(file.empty() ? "WAYPOST_TOKEN" : file) + std::string(": found blanks or control characters in the token")};
  return token;
}

}  // namespace waypost
