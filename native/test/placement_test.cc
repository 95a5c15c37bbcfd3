// Which loop gets what comes next.
#include "plane/placement.h"

#include <doctest/doctest.h>

#include <vector>

#include "plane/plane.h"

using namespace sluice;
using plane::least_loaded;
using plane::LoopLoad;

namespace {

plane::StreamOptions stream(std::optional<std::uint32_t> loop) {
  plane::StreamOptions o;
  o.name = "a/b";
  o.ring_bytes = 1 << 20;
  o.loop = loop;
  return o;
}

plane::PlaneOptions with_loops(std::uint32_t loops) {
  plane::PlaneOptions o;
  o.memory = 64 << 20;
  o.loops = loops;
  return o;
}

}  // namespace

TEST_CASE("placement: busy time in steps first, then what is there, then the first") {
  struct Case {
    std::vector<LoopLoad> loads;
    std::size_t least;
  };
  const std::vector<Case> cases = {
      {{{0, 0, 0}}, 0},
      {{{0, 0, 0}, {0, 0, 0}}, 0},
      {{{0, 0, 1}, {0, 0, 0}}, 1},
      {{{300, 1, 1}, {100, 9, 9}}, 1},
      // Less than a step apart: the number counts.
      {{{149, 3, 3}, {101, 4, 4}}, 0},
      {{{149, 3, 3}, {99, 4, 4}}, 1},
      // What came since it was measured needs as much as the others do: 100 for 2 is 300 for 6.
      {{{100, 2, 6}, {200, 2, 2}}, 1},
      {{{100, 2, 3}, {200, 2, 2}}, 0},
      // What was there may have gone.
      {{{400, 4, 0}, {50, 1, 1}}, 0},
      // Busy with something that is not placed: viewers of objects.
      {{{900, 0, 0}, {100, 0, 5}}, 1},
  };
  for (const auto& [loads, least] : cases) CHECK(least_loaded(loads) == least);
}

TEST_CASE("placement: streams go to the loop that is named, else round the loops, and stay") {
  plane::Plane plane(with_loops(3), [](plane::Event) {});
  REQUIRE_FALSE(plane.start());
  std::vector<plane::Added> added;
  const auto add = [&](std::optional<std::uint32_t> loop) {
    auto one = plane.add_stream(stream(loop));
    REQUIRE(one.ok());
    added.push_back(one.value());
    return added.back().loop;
  };
  CHECK(add(std::nullopt) == 0);
  CHECK(add(std::nullopt) == 1);
  CHECK(add(std::nullopt) == 2);
  CHECK(add(1) == 1);
  CHECK(add(1) == 1);
  CHECK(add(std::nullopt) == 0);
  CHECK(add(std::nullopt) == 2);
  for (const std::size_t at : {1, 3, 4}) CHECK(plane.remove(added[at].handle));
  CHECK(add(std::nullopt) == 1);
  plane::SenderOptions sender;
  sender.socket.destination = *kernel::Address::parse("127.0.0.1", 9);
  for (const auto& one : {added[0], added[2], added.back()}) {
    auto attached = plane.add_sender(one.handle, sender);
    REQUIRE(attached.ok());
    CHECK(attached.value().loop == one.loop);
  }
}

TEST_CASE("placement: a loop that is not there is refused by its number") {
  plane::Plane plane(with_loops(2), [](plane::Event) {});
  REQUIRE_FALSE(plane.start());
  auto refused = plane.add_stream(stream(2));
  REQUIRE_FALSE(refused.ok());
  CHECK(std::string(refused.error().code) == "LOOP_UNKNOWN");
  CHECK(refused.error().message == "there is no loop 2: the plane has 2, counted from 0");
}

TEST_CASE("placement: loops run on their CPUs; one that is not there is refused by its number") {
  auto options = with_loops(2);
  options.cpus = {0, 0};
  plane::Plane bound(options, [](plane::Event) {});
  CHECK_FALSE(bound.start());
  CHECK(bound.add_stream(stream(1)).ok());
  for (const unsigned cpu : {1000U, 100'000U}) {
    options.cpus = {0, cpu};
    plane::Plane plane(options, [](plane::Event) {});
    const auto refused = plane.start();
    REQUIRE(refused);
    CHECK(std::string(refused->code) == "CPU_UNKNOWN");
    CHECK(refused->message.find("CPU " + std::to_string(cpu)) != std::string::npos);
    CHECK_FALSE(plane.add_stream(stream(0)).ok());
  }
}
