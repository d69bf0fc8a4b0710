#include "core/admin/hosts.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "core/base/ascii.h"

namespace waypost {
namespace {

bool SameName(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return AsciiLower(x) == AsciiLower(y); });
}

bool IsAddress(int family, std::string_view text) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  return inet_pton(family, std::string(text).c_str(), address.data()) == 1;
}

bool IsPort(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

bool HostAllowed(std::string_view host, const std::vector<std::string>& allowed) {
  if (host.starts_with('[')) {
    const auto end = host.find(']');
    if (end == std::string_view::npos) return false;
    const auto rest = host.substr(end + 1);
    return (rest.empty() || (rest[0] == ':' && IsPort(rest.substr(1)))) && IsAddress(AF_INET6, host.substr(1, end - 1));
  }
  const auto colon = host.find(':');
  if (colon != std::string_view::npos && !IsPort(host.substr(colon + 1))) return false;
  auto name = host.substr(0, colon);
  if (name.ends_with('.')) name.remove_suffix(1);
  return SameName(name, "localhost") || IsAddress(AF_INET, name) ||
         std::any_of(allowed.begin(), allowed.end(), [&](const auto& one) { return SameName(name, one); });
}

}  // namespace waypost
