// A pg_hba.conf, or pg_ident.conf, of any bytes: reading it and asking it crash nothing, and what is read means the same when it is
// read again.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/base/check.h"
#include "routing/hba.h"
#include "routing/ident_map.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace waypost;
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  const auto map = IdentMap::Read(file);
  WAYPOST_CHECK(map ? *IdentMap::Read(file) == *map : !map.error().empty());
  if (map) (void)map->Lets("m", "root", "openfire");
  const auto hba = Hba::Read(file);
  if (!hba) {
    WAYPOST_CHECK(!hba.error().empty());
    return 0;
  }
  const auto again = Hba::Read(file);
  WAYPOST_CHECK(again && *again == *hba);
  for (const bool encrypted : {false, true})
    for (const auto* address : {"127.0.0.1", "10.1.2.3", "::1", ""})
      (void)hba->Find({"openfire", "u", ReadIp(address), encrypted});
  (void)hba->Find({"openfire", "u", std::nullopt, false, true});
  return 0;
}
