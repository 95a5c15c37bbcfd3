#include "kernel/address.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <net/if.h>

#include <cstring>

using sluice::kernel::Address;

TEST_CASE("address: numeric addresses come back as written") {
  struct Row {
    const char* text;
    int family;
    const char* printed;
    bool multicast;
  };
  const Row rows[] = {
      {"192.0.2.1", AF_INET, "192.0.2.1:5000", false},
      {"0.0.0.0", AF_INET, "0.0.0.0:5000", false},
      {"223.255.255.255", AF_INET, "223.255.255.255:5000", false},
      {"224.0.0.0", AF_INET, "224.0.0.0:5000", true},
      {"239.255.255.255", AF_INET, "239.255.255.255:5000", true},
      {"240.0.0.0", AF_INET, "240.0.0.0:5000", false},
      {"::", AF_INET6, "[::]:5000", false},
      {"2001:db8::1", AF_INET6, "[2001:db8::1]:5000", false},
      {"2001:DB8:0:0:0:0:0:1", AF_INET6, "[2001:db8::1]:5000", false},
      {"ff3e::8000:1", AF_INET6, "[ff3e::8000:1]:5000", true},
      {"::ffff:192.0.2.1", AF_INET6, "[::ffff:192.0.2.1]:5000", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto address = Address::parse(row.text, 5000);
    REQUIRE(address.has_value());
    CHECK(address->family() == row.family);
    CHECK(address->text() == row.printed);
    CHECK(address->port() == 5000);
    CHECK(address->is_multicast() == row.multicast);
    CHECK(address->size() == (row.family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6)));
  }
}

TEST_CASE("address: what is not a numeric address is refused") {
  for (const char* text :
       {"", " ", "localhost", "192.0.2", "192.0.2.256", "192.0.2.1 ", "192.0.2.1:80", "[::1]", "::1%", "1",
        "::1%nosuchinterface", "2001:db8::1::2", "0x7f.0.0.1", "192.0.2.1%lo", "::g"}) {
    CAPTURE(text);
    CHECK_FALSE(Address::parse(text, 1).has_value());
  }
}

TEST_CASE("address: a scoped address keeps the interface's index") {
  const auto address = Address::parse("fe80::1%lo", 7);
  REQUIRE(address.has_value());
  const auto* in6 = reinterpret_cast<const sockaddr_in6*>(address->get());
  CHECK(in6->sin6_scope_id == if_nametoindex("lo"));
}

TEST_CASE("address: bytes are in network order") {
  const auto address = Address::parse("192.0.2.1", 0x1234);
  REQUIRE(address.has_value());
  sockaddr_in in{};
  std::memcpy(&in, address->get(), sizeof in);
  const unsigned char expected[] = {192, 0, 2, 1};
  CHECK(std::memcmp(&in.sin_addr, expected, sizeof expected) == 0);
  const unsigned char port[] = {0x12, 0x34};
  CHECK(std::memcmp(&in.sin_port, port, sizeof port) == 0);
}

TEST_CASE("address: from() takes what a socket call gave, of these two families only") {
  const auto v6 = Address::parse("2001:db8::2", 9);
  REQUIRE(v6.has_value());
  const auto copy = Address::from(v6->storage());
  REQUIRE(copy.has_value());
  CHECK(copy->text() == "[2001:db8::2]:9");
  sockaddr_storage local{};
  local.ss_family = AF_UNIX;
  CHECK_FALSE(Address::from(local).has_value());
  CHECK_FALSE(Address::from(sockaddr_storage{}).has_value());
}

TEST_CASE("address: any() is the wildcard of a family") {
  CHECK(Address::any(AF_INET, 80).text() == "0.0.0.0:80");
  CHECK(Address::any(AF_INET6, 80).text() == "[::]:80");
}
