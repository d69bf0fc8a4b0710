#include "routing/ip.h"

#include <arpa/inet.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <string>

namespace waypost {
namespace {

constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::size_t kBytesOfFour = 4;
constexpr std::size_t kBytesOfPrefix = 8;  // of an IPv6 network

std::size_t BytesOf(const IpAddress& address) { return address.six ? address.bytes.size() : kBytesOfFour; }

IpAddress MaskOf(unsigned bits, bool six) {
  IpAddress mask{.bytes = {}, .six = six};
  for (unsigned i = 0; i < bits; ++i) mask.bytes[i / 8] = static_cast<std::uint8_t>(mask.bytes[i / 8] | (0x80U >> (i % 8)));
  return mask;
}

// As it is written: a mapped one stays what it is.
std::optional<IpAddress> ReadAsWritten(std::string_view text) {
  const std::string whole(text);
  IpAddress address;
  if (whole.find('\0') != std::string::npos) return std::nullopt;
  if (inet_pton(AF_INET, whole.c_str(), address.bytes.data()) == 1) return address;
  address.six = true;
  if (inet_pton(AF_INET6, whole.c_str(), address.bytes.data()) == 1) return address;
  return std::nullopt;
}

}  // namespace

std::optional<IpAddress> ReadIp(std::string_view text) {
  auto address = ReadAsWritten(text);
  if (!address || !address->six || !std::equal(kMapped.begin(), kMapped.end(), address->bytes.begin())) return address;
  IpAddress four;
  std::copy(address->bytes.begin() + kMapped.size(), address->bytes.end(), four.bytes.begin());
  return four;
}

bool IpRange::Has(const IpAddress& other) const {
  if (other.six != address.six) return false;
  for (std::size_t i = 0; i < BytesOf(address); ++i)
    if (((address.bytes[i] ^ other.bytes[i]) & mask.bytes[i]) != 0) return false;
  return true;
}

std::optional<IpRange> ReadIpRange(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = ReadAsWritten(text.substr(0, slash));
  if (!address) return std::nullopt;
  const unsigned most = static_cast<unsigned>(BytesOf(*address) * 8);
  unsigned bits = most;
  if (slash != std::string_view::npos) {
    const auto digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    if (error != std::errc{} || end != digits.data() + digits.size() || bits > most) return std::nullopt;
  }
  return IpRange{*address, MaskOf(bits, address->six)};
}

std::optional<IpRange> MakeIpRange(const IpAddress& address, const IpAddress& mask) {
  if (address.six != mask.six) return std::nullopt;
  unsigned bits = 0;
  for (std::size_t i = 0; i < BytesOf(mask); ++i) bits += static_cast<unsigned>(std::popcount(mask.bytes[i]));
  if (MaskOf(bits, mask.six) != mask) return std::nullopt;
  return IpRange{address, mask};
}

std::optional<IpAddress> AddressOfPeer(std::string_view peer) { return ReadIp(HostOfPeer(peer)); }

std::string_view HostOfPeer(std::string_view peer) {
  const auto host = peer.substr(0, peer.rfind(':'));
  return host.starts_with('[') && host.ends_with(']') ? host.substr(1, host.size() - 2) : host;
}

std::string ShownHostOf(std::string_view peer) {
  if (peer == kLocalPeer) return std::string(peer);
  const auto address = AddressOfPeer(peer);
  return address && !address->six ? SourceOf(*address) : std::string(HostOfPeer(peer));
}

std::string SourceOf(IpAddress address) {
  if (address.six) std::fill(address.bytes.begin() + kBytesOfPrefix, address.bytes.end(), std::uint8_t{0});
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(address.six ? AF_INET6 : AF_INET, address.bytes.data(), text.data(), text.size());
  return text.data() + std::string(address.six ? "/64" : "");
}

}  // namespace waypost
