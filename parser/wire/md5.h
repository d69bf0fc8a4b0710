// The answer to AuthenticationMD5Password. Pure. Only for servers that ask for it: SCRAM is what to
// use. Source: https://www.postgresql.org/docs/15/protocol-flow.html (AuthenticationMD5Password)
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace waypost {

inline constexpr std::size_t kMd5SaltBytes = 4;

// "md5" and 32 hexadecimal digits, without the final zero byte; empty if OpenSSL refuses MD5 (FIPS
// mode).
[[nodiscard]] std::string Md5Password(std::string_view user, std::string_view password,
                                      std::span<const std::byte, kMd5SaltBytes> salt);

}  // namespace waypost
