#include "plane/event_buffer.h"

#include <doctest/doctest.h>

#include <thread>

using sluice::plane::EventBuffer;

TEST_CASE("event buffer: what may be lost is beyond the bound, what must not be is never") {
  EventBuffer<std::size_t> buffer;
  constexpr std::size_t kMost = EventBuffer<std::size_t>::kMost;
  CHECK(buffer.push(0, true));
  for (std::size_t i = 1; i < kMost; i++) CHECK_FALSE(buffer.push(i, true));
  for (std::size_t i = 0; i < 10; i++) {
    CHECK_FALSE(buffer.push(1'000'000, true));
    CHECK_FALSE(buffer.push(kMost + i, false));
  }
  CHECK(buffer.lost() == 10);
  const auto taken = buffer.take();
  REQUIRE(taken.size() == kMost + 10);
  for (std::size_t i = 0; i < taken.size(); i++) REQUIRE(taken[i] == i);
  CHECK(buffer.take().empty());
  CHECK(buffer.push(1, true));
  CHECK(buffer.take().size() == 1);
  CHECK(buffer.lost() == 10);
}

TEST_CASE("event buffer: from several threads each event is taken once or counted as lost") {
  constexpr std::size_t kEach = 200'000;
  EventBuffer<std::size_t> buffer;
  std::atomic<unsigned> done{0};
  const auto push = [&] {
    for (std::size_t i = 0; i < kEach; i++) (void)buffer.push(i, true);
    done++;
  };
  std::thread one(push);
  std::thread two(push);
  std::size_t taken = 0;
  for (bool last = false; !last;) {
    last = done == 2;
    taken += buffer.take().size();
  }
  one.join();
  two.join();
  CHECK(taken + buffer.lost() == 2 * kEach);
}
