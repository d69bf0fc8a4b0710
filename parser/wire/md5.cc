#include "parser/wire/md5.h"

#include <openssl/evp.h>

#include <array>
#include <optional>

#include "core/base/bytes.h"

namespace waypost {
namespace {

constexpr std::size_t kMd5Bytes = 16;

// The digest of both parts together, as lower-case hexadecimal digits.
std::optional<std::string> Md5Hex(std::string_view first, std::string_view second) {
  std::string input(first);
  input += second;
  std::array<unsigned char, kMd5Bytes> digest{};
  if (EVP_Digest(input.data(), input.size(), digest.data(), nullptr, EVP_md5(), nullptr) != 1) return std::nullopt;
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (const unsigned char byte : digest) {
    hex += kDigits[byte >> 4U];
    hex += kDigits[byte & 15U];
  }
  return hex;
}

}  // namespace

std::string Md5Password(std::string_view user, std::string_view password, std::span<const std::byte, kMd5SaltBytes> salt) {
  const auto stored = Md5Hex(password, user);
  if (!stored) return {};
  const auto answer = Md5Hex(*stored, AsText(salt));
  if (!answer) return {};
  return "md5" + *answer;
}

}  // namespace waypost
