// The SQL analyser on any text: it must not crash, not overflow the stack, and say the same when
// asked again.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "core/base/check.h"
#include "parser/sql/facts.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider provider(data, size);
  waypost::Lexing lexing;
  lexing.standard_strings = provider.ConsumeBool();
  lexing.ascii_safe_encoding = provider.ConsumeBool();
  const std::string sql = provider.ConsumeRemainingBytesAsString();
  const auto facts = waypost::Analyse(sql, lexing);
  WAYPOST_CHECK(facts != nullptr);
  for (const auto& one : *facts) {
    WAYPOST_CHECK(std::is_sorted(one.names.begin(), one.names.end()));
    // What the tree did not explain can never be taken for a read.
    if (one.kind == waypost::StatementKind::kUnknown) WAYPOST_CHECK(one.writes_by_form);
  }
  const auto again = waypost::Analyse(sql, lexing);
  WAYPOST_CHECK(again->size() == facts->size());
  for (std::size_t i = 0; i < facts->size(); ++i) {
    WAYPOST_CHECK((*again)[i].kind == (*facts)[i].kind);
    WAYPOST_CHECK((*again)[i].writes_by_form == (*facts)[i].writes_by_form);
    WAYPOST_CHECK((*again)[i].names == (*facts)[i].names);
  }
  return 0;
}
