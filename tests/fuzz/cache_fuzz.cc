// The two-level cache of statements: what it answers must be what a fresh analysis of the same text
// says, also when the answer comes from a text that differs in literals.
#include <fuzzer/FuzzedDataProvider.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "parser/catalog/sql_cache.h"
#include "parser/sql/facts.h"

namespace waypost {
namespace {

constexpr ContextId kContext = 1;

// What decides anything about a statement, of both.
void CheckSame(const std::vector<Facts>& cached, const std::vector<Facts>& fresh) {
  WAYPOST_CHECK(cached.size() == fresh.size());
  for (std::size_t i = 0; i < cached.size(); ++i) {
    const Facts& a = cached[i];
    const Facts& b = fresh[i];
    WAYPOST_CHECK(a.kind == b.kind && a.writes_by_form == b.writes_by_form);
    WAYPOST_CHECK(a.form_reason == b.form_reason && a.repeatable == b.repeatable);
    WAYPOST_CHECK(a.state_unknown == b.state_unknown && a.pin == b.pin);
    WAYPOST_CHECK(a.names == b.names && a.object == b.object);
    WAYPOST_CHECK(a.settings.size() == b.settings.size());
    for (std::size_t j = 0; j < a.settings.size(); ++j)
      WAYPOST_CHECK(a.settings[j].name == b.settings[j].name && a.settings[j].sql == b.settings[j].sql);
  }
}

void Check(SqlCache& cache, const std::string& text, Lexing lexing) {
  const CachedStatement* found = cache.Find(text, lexing, kContext, nullptr);
  WAYPOST_CHECK(found != nullptr);
  CheckSame(found->facts(), *Analyse(text, lexing));
}

}  // namespace
}  // namespace waypost

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzedDataProvider provider(data, size);
  waypost::SqlCacheLimits limits;
  if (provider.ConsumeBool()) limits.hash_mask = 1;  // all texts collide
  if (provider.ConsumeBool()) limits.max_entries = 2;
  waypost::SqlCache cache(limits);
  waypost::Lexing lexing;
  lexing.standard_strings = provider.ConsumeBool();
  const std::string text = provider.ConsumeRandomLengthString(300);
  waypost::Check(cache, text, lexing);
  // The same with a few bytes changed, as texts that share a key would be.
  for (int i = 0; i < 4 && provider.remaining_bytes() > 2; ++i) {
    std::string other = text;
    const auto at = provider.ConsumeIntegralInRange<std::size_t>(0, other.size());
    other.replace(at, provider.ConsumeIntegralInRange<std::size_t>(0, 4), provider.ConsumeRandomLengthString(8));
    waypost::Check(cache, other, lexing);
  }
  waypost::Check(cache, text, lexing);
  return 0;
}
