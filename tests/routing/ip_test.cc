#include "routing/ip.h"

#include <catch2/catch.hpp>
#include <string>
#include <tuple>

namespace waypost {

TEST_CASE("ranges have the addresses that begin as they do", "[routing][ip]") {
  const auto [range, address, has] = GENERATE(table<std::string, std::string, bool>({
      {"192.0.2.0/24", "192.0.2.255", true},
      {"192.0.2.0/24", "192.0.3.0", false},
      {"192.0.2.77/24", "192.0.2.1", true},
      {"192.0.2.1", "192.0.2.1", true},
      {"192.0.2.1", "192.0.2.2", false},
      {"0.0.0.0/0", "255.255.255.255", true},
      {"0.0.0.0/0", "::1", false},
      {"::/0", "127.0.0.1", false},
      {"10.0.0.0/7", "11.255.0.1", true},
      {"10.0.0.0/7", "12.0.0.1", false},
      {"2001:db8::/33", "2001:db8:7fff::1", true},
      {"2001:db8::/33", "2001:db8:8000::1", false},
      {"2001:db8::1/128", "2001:db8::1", true},
      {"192.0.2.0/24", "::ffff:192.0.2.9", true},
  }));
  CAPTURE(range, address);
  REQUIRE(ReadIpRange(range));
  REQUIRE(ReadIp(address));
  CHECK(ReadIpRange(range)->Has(*ReadIp(address)) == has);
}

TEST_CASE("what is no range of addresses is not taken for one", "[routing][ip]") {
  const std::string text = GENERATE("", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8 ", "10.0.0.0/0x8",
                                    "10.0.0/8", "::/129", "localhost", "10.0.0.0/4294967304", "10.0.0.0/8/8", "fe80::1%lo");
  CAPTURE(text);
  CHECK_FALSE(ReadIpRange(text));
  CHECK_FALSE(ReadIpRange(std::string("10.0.0.1\0", 9)));
}

TEST_CASE("a mask has its ones before its zeros", "[routing][ip]") {
  CHECK(MakeIpRange(*ReadIp("192.0.2.0"), *ReadIp("255.255.254.0"))->Has(*ReadIp("192.0.3.1")));
  CHECK_FALSE(MakeIpRange(*ReadIp("192.0.2.0"), *ReadIp("255.0.255.0")));
  CHECK_FALSE(MakeIpRange(*ReadIp("192.0.2.0"), *ReadIp("ffff::")));
}

TEST_CASE("a peer is known by its address, or by the network that it has to itself", "[routing][ip]") {
  const auto source = [](const char* peer) { return SourceOf(*AddressOfPeer(peer)); };
  CHECK(source("192.0.2.1:5432") == "192.0.2.1");
  CHECK(source("[2001:db8::1]:5432") == "2001:db8::/64");
  CHECK(source("[2001:db8:0:0:ffff::1]:5432") == "2001:db8::/64");
  CHECK(source("[2001:db8:0:1::1]:1") == "2001:db8:0:1::/64");
  CHECK(source("[::ffff:192.0.2.1]:5432") == "192.0.2.1");
  CHECK_FALSE(AddressOfPeer(""));
  CHECK_FALSE(AddressOfPeer(kLocalPeer));
  CHECK_FALSE(AddressOfPeer("/run/waypost.sock"));
}

TEST_CASE("a peer is shown as PostgreSQL shows it", "[routing][ip]") {
  CHECK(ShownHostOf("192.0.2.1:5432") == "192.0.2.1");
  CHECK(ShownHostOf("::ffff:192.0.2.1:5432") == "192.0.2.1");
  CHECK(ShownHostOf("[2001:db8::1]:5432") == "2001:db8::1");
  CHECK(ShownHostOf("2001:db8::1:5432") == "2001:db8::1");
  CHECK(ShownHostOf(kLocalPeer) == "[local]");
}

}  // namespace waypost
