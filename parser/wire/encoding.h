// Which client encodings libpg_query reads as the server does. Pure.
#pragma once

#include <string_view>

namespace waypost {

// False for encodings in which a byte below 0x80 may be the second half of a character: a quote may not be a quote.
[[nodiscard]] inline bool IsAsciiSafeEncoding(std::string_view name) {
  for (const std::string_view unsafe : {"SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "SHIFT_JIS_2004"})
    if (name == unsafe) return false;
  return true;
}

}  // namespace waypost
