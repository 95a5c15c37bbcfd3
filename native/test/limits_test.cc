// Limits by client, with a clock of the test's own.
#include "http/limits.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "http/slowness.h"
#include "test/allocations.h"

using namespace sluice;
using http::ClientLimitOptions;
using http::ClientLimits;
using kernel::Address;
using kernel::AddressPrefix;
using kernel::kMillisecond;
using kernel::kSecond;
using Kind = ClientLimits::Verdict::Kind;

namespace {

Address at(const std::string& text) {
  return *Address::parse(text, 1234);
}

/** How many of so many requests at one time are allowed. */
int allowed(ClientLimits& limits, const ClientLimits::Place& place, kernel::Nanos now, int requests) {
  int n = 0;
  for (int i = 0; i < requests; i++)
    if (limits.ask(place, now).kind == Kind::allowed) n++;
  return n;
}

}  // namespace

TEST_CASE("limits: connections are counted by IPv4 address and by IPv6 /64, and given back") {
  ClientLimitOptions options;
  options.connections = 2;
  ClientLimits limits(options);
  auto first = limits.enter(at("192.0.2.1"), 0);
  const auto second = limits.enter(at("192.0.2.1"), 0);
  CHECK(first);
  CHECK(second);
  CHECK_FALSE(limits.enter(at("192.0.2.1"), 0));
  // A socket for both families shows IPv4 as mapped.
  CHECK_FALSE(limits.enter(at("::ffff:192.0.2.1"), 0));
  CHECK(limits.enter(at("192.0.2.2"), 0));
  const auto six = limits.enter(at("2001:db8::1"), 0);
  const auto same = limits.enter(at("2001:db8::ffff:1"), 0);
  CHECK_FALSE(limits.enter(at("2001:db8:0:0:1::"), 0));
  CHECK(limits.enter(at("2001:db8:0:1::1"), 0));
  first.reset();
  CHECK(limits.enter(at("192.0.2.1"), 0));
}

TEST_CASE("limits: requests come at a rate, with a burst, and are told when to come again") {
  ClientLimitOptions options;
  options.requests = 10;
  options.burst = 5;
  ClientLimits limits(options);
  const auto place = limits.enter(at("192.0.2.1"), 0);
  CHECK(allowed(limits, *place, kSecond, 20) == 5);
  CHECK(limits.ask(*place, kSecond).retry_after == 1);
  CHECK(allowed(limits, *place, kSecond + 100 * kMillisecond, 20) == 1);
  CHECK(allowed(limits, *place, kSecond + 350 * kMillisecond, 20) == 2);
  CHECK(allowed(limits, *place, 100 * kSecond, 20) == 5);
  const auto other = limits.enter(at("192.0.2.2"), 0);
  CHECK(allowed(limits, *other, 100 * kSecond, 20) == 5);
  options.requests = 1;
  options.burst = 1;
  limits.set(options);
  CHECK(allowed(limits, *other, 200 * kSecond, 20) == 1);
  // A client that comes back is the same one.
  const auto again = limits.enter(at("192.0.2.2"), 200 * kSecond);
  CHECK(allowed(limits, *again, 200 * kSecond, 20) == 0);
}

TEST_CASE("limits: of all together, and none for whom they do not hold") {
  ClientLimitOptions options;
  options.connections = 1;
  options.requests = 1;
  options.all_requests = 3;
  options.exempt = {*AddressPrefix::parse("10.0.0.0/8"), *AddressPrefix::parse("2001:db8:ffff::/48"),
                    *AddressPrefix::parse("192.0.2.77")};
  ClientLimits limits(options);
  int n = 0;
  std::vector<ClientLimits::Place> places;
  for (int i = 1; i <= 5; i++) {
    places.push_back(std::move(*limits.enter(at("192.0.2." + std::to_string(i)), 0)));
    const auto verdict = limits.ask(places.back(), kSecond);
    if (verdict.kind == Kind::allowed) n++;
    if (i > 3) CHECK(verdict.kind == Kind::all);
  }
  CHECK(n == 3);
  for (const char* text : {"10.1.2.3", "2001:db8:ffff:1::1", "192.0.2.77", "::ffff:10.9.9.9"}) {
    const auto one = limits.enter(at(text), 0);
    const auto two = limits.enter(at(text), 0);
    REQUIRE(two);
    CHECK(allowed(limits, *two, kSecond, 50) == 50);
  }
  for (const char* text : {"11.0.0.1", "2001:db8:fffe::1", "192.0.2.78"}) {
    const auto one = limits.enter(at(text), 0);
    CHECK_FALSE(limits.enter(at(text), 0));
  }
}

TEST_CASE("limits: the table is bounded; the idle go first, the connected and indebted stay") {
  ClientLimitOptions options;
  options.connections = 2;
  options.requests = 1;
  options.burst = 1;
  ClientLimits limits(options, 3);
  auto busy = limits.enter(at("192.0.2.1"), 0);
  auto idle = limits.enter(at("192.0.2.2"), 0);
  idle.reset();
  auto indebted = limits.enter(at("192.0.2.3"), 0);
  CHECK(allowed(limits, *indebted, kSecond, 5) == 1);
  indebted.reset();
  CHECK(limits.clients() == 3);
  auto fourth = limits.enter(at("192.0.2.4"), kSecond);
  CHECK(limits.clients() == 3);
  // Nobody is left who would give way: who comes now is one client together.
  auto fifth = limits.enter(at("192.0.2.5"), kSecond);
  auto sixth = limits.enter(at("192.0.2.6"), kSecond);
  CHECK(fifth);
  CHECK(sixth);
  CHECK_FALSE(limits.enter(at("192.0.2.7"), kSecond));
  CHECK(allowed(limits, *fifth, kSecond, 5) + allowed(limits, *sixth, kSecond, 5) == 1);
  CHECK(limits.clients() == 3);
  // Its debt is paid: it gives way.
  CHECK(limits.enter(at("192.0.2.8"), 3 * kSecond));
  CHECK(limits.clients() == 3);
  busy.reset();
  CHECK(limits.enter(at("192.0.2.1"), 3 * kSecond));
}

TEST_CASE("limits: a request, and a connection of a client that has others, take nothing from the heap") {
  ClientLimitOptions options;
  options.requests = 5;
  options.all_requests = 5;
  ClientLimits limits(options);
  const auto first = limits.enter(at("2001:db8::1"), 0);
  const Address address = at("2001:db8::2");
  const std::uint64_t before = test::allocations();
  for (int i = 0; i < 1000; i++) {
    const auto place = limits.enter(address, i * kMillisecond);
    static_cast<void>(limits.ask(*place, i * kMillisecond));
  }
  CHECK(test::allocations() == before);
}

TEST_CASE("limits: what is a prefix of addresses") {
  for (const char* text :
       {"0.0.0.0/0", "192.0.2.0/24", "192.0.2.1/32", "::/0", "fe80::/10", "2001:db8::1/128"})
    CHECK_MESSAGE(AddressPrefix::parse(text).has_value(), text);
  for (const char* text :
       {"", "/", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/-1", "192.0.2.0/8x", "::/129", "host/8"})
    CHECK_MESSAGE(!AddressPrefix::parse(text), text);
  CHECK(AddressPrefix::parse("0.0.0.0/0")->contains(at("203.0.113.9")));
  CHECK_FALSE(AddressPrefix::parse("0.0.0.0/0")->contains(at("2001:db8::1")));
  CHECK(AddressPrefix::parse("10.11.12.13/9")->contains(at("10.127.0.1")));
  CHECK_FALSE(AddressPrefix::parse("10.11.12.13/9")->contains(at("10.128.0.1")));
}

TEST_CASE("slowness: nothing for as long as the window is a stall, too little over it is slow") {
  using http::Slowness;
  using Verdict = Slowness::Verdict;
  constexpr kernel::Nanos kWindow = 5 * kSecond;
  // What becomes, and when, of a viewer that takes so many bytes in each second.
  const auto end_of = [](std::uint64_t each, std::uint64_t least, bool catches_up) {
    Slowness slowness;
    slowness.begin(kSecond);
    for (int second = 1; second <= 60; second++) {
      const kernel::Nanos now = (1 + second) * kSecond;
      const auto verdict = slowness.look(now, each * static_cast<std::uint64_t>(second), kWindow, least);
      if (verdict != Verdict::patient) return std::make_pair(verdict, second);
      if (catches_up && second % 4 == 0) slowness.caught_up();
    }
    return std::make_pair(Verdict::patient, 60);
  };
  CHECK(end_of(0, 0, false) == std::make_pair(Verdict::stalled, 5));
  CHECK(end_of(1, 0, false).first == Verdict::patient);
  CHECK(end_of(999, 1000, false) == std::make_pair(Verdict::slow, 6));
  CHECK(end_of(1000, 1000, false).first == Verdict::patient);
  // Who is not waited for now and then has taken all there was.
  CHECK(end_of(1, 1000, true).first == Verdict::patient);
}

TEST_CASE("slowness: the time between two answers is not the viewer's, and what goes out is progress") {
  http::Slowness slowness;
  using Verdict = http::Slowness::Verdict;
  slowness.begin(kSecond);
  CHECK(slowness.look(2 * kSecond, 1000, 5 * kSecond, 1000) == Verdict::patient);
  slowness.begin(60 * kSecond);
  CHECK(slowness.look(61 * kSecond, 1000, 5 * kSecond, 1000) == Verdict::patient);
  slowness.sent(64 * kSecond);
  CHECK(slowness.look(66 * kSecond - 1, 1000, 5 * kSecond, 0) == Verdict::patient);
  CHECK(slowness.look(69 * kSecond, 1000, 5 * kSecond, 0) == Verdict::stalled);
}
