#include "parser/sql/fingerprint.h"

#include <charconv>

#include "parser/sql/scan_cost.h"

extern "C" {
#include <pg_query.h>
}

namespace waypost {
namespace {

constexpr int kHexadecimal = 16;
constexpr std::size_t kDigits = 16;

}  // namespace

std::optional<std::uint64_t> Fingerprint(std::string_view sql) {
  if (sql.size() > kMaxFingerprintBytes || !ScansInTime(sql) || sql.find('\0') != std::string_view::npos) return std::nullopt;
  const auto result = pg_query_fingerprint(std::string(sql).c_str());
  std::optional<std::uint64_t> fingerprint;
  if (result.error == nullptr) fingerprint = result.fingerprint;
  pg_query_free_fingerprint_result(result);
  return fingerprint;
}

std::string FingerprintText(std::uint64_t fingerprint) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text(kDigits, '0');
  for (auto digit = text.rbegin(); digit != text.rend(); ++digit, fingerprint /= kHexadecimal)
    *digit = kHex[fingerprint % kHexadecimal];
  return text;
}

std::optional<std::uint64_t> ParseFingerprint(std::string_view text) {
  std::uint64_t value = 0;
  const auto* end = text.data() + text.size();
  if (text.size() != kDigits || text.front() == '-') return std::nullopt;
  const auto [at, error] = std::from_chars(text.data(), end, value, kHexadecimal);
  if (error != std::errc() || at != end) return std::nullopt;
  return value;
}

}  // namespace waypost
