// The first packet of a connection: what is not yet whole is left alone, what is whole is taken
// off, all of it bounded.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/check.h"
#include "parser/wire/startup.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using waypost::StartupKind;
  const std::string_view wire(reinterpret_cast<const char*>(data), size);
  waypost::Bytes input = waypost::AsBytes(wire);
  const auto packet = waypost::ReadStartup(input);
  const bool taken = packet.kind != StartupKind::kNeedMore && packet.kind != StartupKind::kMalformed;
  WAYPOST_CHECK(!taken || input.size() < size);
  WAYPOST_CHECK(packet.kind != StartupKind::kNeedMore || input.size() == size);
  WAYPOST_CHECK((packet.kind == StartupKind::kMalformed) == !packet.fault.empty());
  if (taken) {
    // The same packet, cut anywhere, is not whole yet.
    const std::size_t length = size - input.size();
    for (std::size_t cut = 0; cut < length; cut += 1 + length / 16) {
      waypost::Bytes part = waypost::AsBytes(wire.substr(0, cut));
      WAYPOST_CHECK(waypost::ReadStartup(part).kind == StartupKind::kNeedMore);
    }
  }
  std::vector<std::pair<std::string, std::string>> settings;
  (void)waypost::ReadOptions(packet.options, settings);
  (void)waypost::ReadOptions(wire, settings);
  for (const auto& [name, value] : settings) WAYPOST_CHECK(!name.empty());
  return 0;
}
