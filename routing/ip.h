// IP addresses and ranges of them, as text and as bytes. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace waypost {

struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};  // IPv4: the first 4
  bool six = false;

  bool operator==(const IpAddress&) const = default;
};

// "192.0.2.1", "2001:db8::1". An IPv4 address that is written as an IPv6 one ("::ffff:192.0.2.1") is an IPv4 address. Nothing: it is
// no address.
[[nodiscard]] std::optional<IpAddress> ReadIp(std::string_view text);

// The addresses that are the same as `address` where `mask` has ones.
struct IpRange {
  IpAddress address, mask;

  [[nodiscard]] bool Has(const IpAddress& other) const;
  bool operator==(const IpRange&) const = default;
};

// "192.0.2.0/24", or an address alone. Nothing: it is no range.
[[nodiscard]] std::optional<IpRange> ReadIpRange(std::string_view text);
// Of a peer whose name is "192.0.2.1:5432" or "[2001:db8::1]:5432".
[[nodiscard]] std::optional<IpAddress> AddressOfPeer(std::string_view peer);
// The same, as text.
[[nodiscard]] std::string_view HostOfPeer(std::string_view peer);
// The name of a peer that came by a Unix socket, as PostgreSQL has it.
inline constexpr std::string_view kLocalPeer = "[local]";
// The address of a peer as PostgreSQL shows it: an IPv4 address that is written as an IPv6 one is an IPv4 address.
[[nodiscard]] std::string ShownHostOf(std::string_view peer);
// What limits by address know a peer by: its address; of an IPv6 one the first 64 bits, as whoever has one has them all
// ("2001:db8::/64").
[[nodiscard]] std::string SourceOf(IpAddress address);
// An address and a mask of the same kind, whose ones come before its zeros.
[[nodiscard]] std::optional<IpRange> MakeIpRange(const IpAddress& address, const IpAddress& mask);

}  // namespace waypost
