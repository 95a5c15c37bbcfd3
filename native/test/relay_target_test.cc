// What stands behind /udp/ and /rtp/: which texts name an address, and which addresses a list allows.
#include "plane/relay_target.h"

#include <doctest/doctest.h>

using namespace sluice;
using plane::parse_relay_target;
using plane::RelayRule;

namespace {

std::string read(std::string_view text) {
  const auto target = parse_relay_target(text);
  return target ? target->text() : "";
}

RelayRule rule(const char* source, const char* address, std::uint16_t first = 1, std::uint16_t last = 65535) {
  RelayRule made{std::nullopt, *kernel::AddressPrefix::parse(address), first, last};
  if (source != nullptr) made.source = kernel::AddressPrefix::parse(source);
  return made;
}

bool allows(const RelayRule& rule, std::string_view text) {
  const auto target = parse_relay_target(text);
  REQUIRE(target);
  return rule.allows(*target);
}

}  // namespace

TEST_CASE("relay target: one group has one name, however it is written") {
  const std::pair<const char*, const char*> rows[] = {
      {"239.1.1.1:5000", "239.1.1.1:5000"},
      {"239.1.1.1:5000/", "239.1.1.1:5000"},
      {"239.1.1.1%3A5000", "239.1.1.1:5000"},
      {"%32%33%39.1.1.1:5000", "239.1.1.1:5000"},
      {"239.1.1.1:1", "239.1.1.1:1"},
      {"239.1.1.1:65535", "239.1.1.1:65535"},
      {"10.1.2.3@232.1.1.1:5000", "10.1.2.3@232.1.1.1:5000"},
      {"10.1.2.3%40232.1.1.1:5000", "10.1.2.3@232.1.1.1:5000"},
      {"[ff3e::1]:5000", "[ff3e::1]:5000"},
      {"[FF3E:0::0001]:5000", "[ff3e::1]:5000"},
      {"%5Bff3e%3a%3A1%5d:5000", "[ff3e::1]:5000"},
      {"[2001:DB8::7]@[ff3e::1]:5000", "[2001:db8::7]@[ff3e::1]:5000"},
      {"127.0.0.1:5000", "127.0.0.1:5000"},
      {"[::1]:5000", "[::1]:5000"},
  };
  for (const auto& [text, name] : rows) {
    CAPTURE(text);
    CHECK(read(text) == name);
    CHECK(read(name) == name);
  }
}

TEST_CASE("relay target: nothing else names one") {
  const char* const rows[] = {
      "",
      "/",
      ":",
      ":5000",
      "239.1.1.1",
      "239.1.1.1:",
      "239.1.1.1:0",
      "239.1.1.1:00",
      "239.1.1.1:05000",
      "239.1.1.1:65536",
      "239.1.1.1:4294972296",
      "239.1.1.1:-1",
      "239.1.1.1:+1",
      "239.1.1.1:5000//",
      "239.1.1.1:5000/x",
      "239.1.1.1:5000 ",
      " 239.1.1.1:5000",
      "239.1.1.1:5000%00",
      "239.1.1.1%00:5000",
      "239.1.1.1%:5000",
      "239.1.1.1%4:5000",
      "239.1.1.1%zz:5000",
      "%25%33%41",
      "239.1.1.1%253A5000",
      "239.1.1:5000",
      "239.1.1.1.1:5000",
      "239.01.1.1:5000",
      "239.1.1.256:5000",
      "4009820417:5000",
      "0xef010101:5000",
      "[239.1.1.1]:5000",
      "ff3e::1:5000",
      "[ff3e::1:5000",
      "ff3e::1]:5000",
      "[ff3e::1]]:5000",
      "[ff3e::1]5000",
      "[]:5000",
      "[ff02::1%eth0]:5000",
      "[ff02::1%25eth0]:5000",
      "[ff02::1%251]:5000",
      // Would be a second name for what the list knows as IPv4.
      "[::ffff:239.1.1.1]:5000",
      "[::ffff:ef01:101]:5000",
      "[::ffff:10.1.2.3]@[ff3e::1]:5000",
      "localhost:5000",
      "@239.1.1.1:5000",
      "10.1.2.3@:5000",
      "10.1.2.3@10.1.2.4@232.1.1.1:5000",
      "10.1.2.3:1@232.1.1.1:5000",
      "239.1.1.2@239.1.1.1:5000",
      "10.1.2.3@10.1.2.4:5000",
      "10.1.2.3@[ff3e::1]:5000",
      "[2001:db8::7]@232.1.1.1:5000",
      "user:password@239.1.1.1:5000",
      "239.1.1.1:5000@",
  };
  for (const char* const text : rows) {
    CAPTURE(text);
    CHECK(read(text).empty());
  }
  CHECK(read("239.1.1.1\xc3\xa4:5000").empty());
  CHECK(read(std::string(400, '1') + ":5000").empty());
  CHECK(read("%32%33%39" + std::string(300, '%')).empty());
}

TEST_CASE("relay rule: addresses, ports and sources that a line allows, and those beside them") {
  const RelayRule groups = rule(nullptr, "239.1.0.0/16", 5000, 5999);
  CHECK(allows(groups, "239.1.0.0:5000"));
  CHECK(allows(groups, "239.1.255.255:5999"));
  CHECK(allows(groups, "10.1.2.3@239.1.1.1:5500"));
  CHECK_FALSE(allows(groups, "239.1.1.1:4999"));
  CHECK_FALSE(allows(groups, "239.1.1.1:6000"));
  CHECK_FALSE(allows(groups, "239.0.255.255:5000"));
  CHECK_FALSE(allows(groups, "239.2.0.0:5000"));
  CHECK_FALSE(allows(groups, "[ff3e::1]:5000"));

  const RelayRule chosen = rule("10.1.2.0/24", "232.0.0.0/8");
  CHECK(allows(chosen, "10.1.2.3@232.9.9.9:1"));
  CHECK(allows(chosen, "10.1.2.255@232.9.9.9:65535"));
  CHECK_FALSE(allows(chosen, "10.1.3.0@232.9.9.9:1"));
  CHECK_FALSE(allows(chosen, "232.9.9.9:1"));

  const RelayRule all = rule(nullptr, "224.0.0.0/4");
  for (const char* text : {"224.0.0.1:1", "239.255.255.255:65535"}) CHECK(allows(all, text));
  for (const char* text : {"223.255.255.255:1", "240.0.0.0:1", "255.255.255.255:1", "127.0.0.1:1",
                           "0.0.0.0:1", "[ff02::1]:1", "[::1]:1", "[::]:1", "[::e000:1]:1"})
    CHECK_FALSE(allows(all, text));

  const RelayRule six = rule(nullptr, "ff3e::/32");
  CHECK(allows(six, "[ff3e::1]:1"));
  CHECK(allows(six, "[ff3e:0:ffff::1]:1"));
  CHECK_FALSE(allows(six, "[ff3e:1::1]:1"));
  CHECK_FALSE(allows(six, "239.1.1.1:1"));

  const RelayRule one = rule(nullptr, "192.0.2.7", 5000, 5000);
  CHECK(allows(one, "192.0.2.7:5000"));
  CHECK_FALSE(allows(one, "192.0.2.8:5000"));
  CHECK_FALSE(allows(one, "192.0.2.7:5001"));
}
