#include "plane/overload.h"

#include <doctest/doctest.h>

using sluice::kernel::kMillisecond;
using sluice::kernel::Nanos;
using sluice::plane::Overload;

namespace {

/** A loop that is looked at every millisecond. */
struct Clock {
  Overload overload;
  Nanos now = 10'000 * kMillisecond;
  void run(int milliseconds, Nanos waited) {
    for (int i = 0; i < milliseconds; i++) overload.observe(waited, now += kMillisecond);
  }
};

}  // namespace

TEST_CASE("overload: flows of one priority never give way to each other") {
  Clock c;
  for (int i = 0; i < 5; i++) c.overload.enter(4);
  c.run(10'000, 90 * kMillisecond);
  CHECK(c.overload.level() == 0);
  CHECK_FALSE(c.overload.sheds(4));
}

TEST_CASE(
    "overload: the lowest priority gives way first, the highest never, and all come back in half a second") {
  Clock c;
  for (const unsigned priority : {0U, 3U, 3U, 6U, 7U}) c.overload.enter(priority);
  c.run(49, 30 * kMillisecond);
  CHECK_FALSE(c.overload.sheds(0));
  c.run(3, 30 * kMillisecond);
  CHECK(c.overload.sheds(0));
  CHECK_FALSE(c.overload.sheds(3));
  c.run(50, 30 * kMillisecond);
  CHECK(c.overload.sheds(3));
  CHECK_FALSE(c.overload.sheds(6));
  c.run(1000, 30 * kMillisecond);
  CHECK(c.overload.sheds(6));
  CHECK_FALSE(c.overload.sheds(7));
  // Neither late nor early: it stays.
  c.run(1000, 10 * kMillisecond);
  CHECK(c.overload.level() == 7);
  c.run(10, kMillisecond);
  CHECK_FALSE(c.overload.sheds(6));
  CHECK(c.overload.sheds(3));
  c.run(490, kMillisecond);
  CHECK(c.overload.level() == 0);
}

TEST_CASE("overload: a moment of lateness sheds nothing; a priority that has gone is passed over") {
  Clock c;
  c.overload.enter(1);
  c.overload.enter(2);
  for (int i = 0; i < 100; i++) {
    c.run(40, 50 * kMillisecond);
    c.run(1, 0);
  }
  CHECK(c.overload.level() == 0);
  c.overload.leave(2);
  c.overload.enter(5);
  c.run(200, 50 * kMillisecond);
  CHECK(c.overload.sheds(1));
  CHECK_FALSE(c.overload.sheds(5));
}

TEST_CASE("overload: what has waited for more than 100 ms is not sent") {
  CHECK_FALSE(Overload::stale(0, 100 * kMillisecond));
  CHECK(Overload::stale(0, 100 * kMillisecond + 1));
}
