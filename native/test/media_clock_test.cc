#include "plane/media_clock.h"

#include <doctest/doctest.h>

#include <cmath>

using namespace sluice;
using kernel::kMillisecond;
using kernel::kSecond;
using plane::MediaClock;
using plane::Nanos;

namespace {

/**
 * Plays a live sender whose clock is off by `ppm` against ours for so many seconds: 25 pictures a second,
 * every one observed. Returns the buffer level at the end.
 */
Nanos play(MediaClock& clock, double ppm, int seconds, Nanos delay, Nanos jitter) {
  std::int64_t media = 0;
  clock.start(0, delay);
  Nanos level = 0;
  std::uint32_t random = 1;
  for (std::int64_t picture = 0; picture < std::int64_t{25} * seconds; picture++) {
    random = random * 1664525U + 1013904223U;
    const auto late =
        static_cast<Nanos>(static_cast<double>(jitter) * static_cast<double>(random) / 4294967296.0);
    const auto arrival = static_cast<Nanos>(static_cast<double>(picture) * 40e6 / (1 + ppm * 1e-6)) + late;
    media = picture * codec::kSystemClock / 25;
    level = clock.departure(media) - arrival;
    clock.observe(level, arrival);
  }
  return level;
}

}  // namespace

TEST_CASE("media clock: departure and media_at are inverse, 27 MHz against nanoseconds") {
  MediaClock clock;
  CHECK_FALSE(clock.running());
  clock.start(1'000'000, 5 * kSecond);
  CHECK(clock.running());
  CHECK(clock.departure(1'000'000) == 5 * kSecond);
  CHECK(clock.departure(1'000'000 + codec::kSystemClock) == 6 * kSecond);
  CHECK(clock.departure(1'000'000 - codec::kSystemClock) == 4 * kSecond);
  for (std::int64_t media = 0; media < 100 * codec::kSystemClock; media += 12'345'679) {
    CHECK(std::abs(clock.media_at(clock.departure(media)) - media) <= 1);
  }
}

TEST_CASE("media clock: postponed departures come later by that much") {
  MediaClock clock;
  clock.start(0, kSecond);
  clock.postpone(250 * kMillisecond);
  CHECK(clock.departure(0) == 1250 * kMillisecond);
}

TEST_CASE("media clock: a sender that is off keeps its buffer level over hours, jitter or not") {
  for (const double ppm : {-100.0, -30.0, -10.0, 0.0, 10.0, 30.0, 100.0}) {
    for (const Nanos jitter : {Nanos{0}, 50 * kMillisecond}) {
      CAPTURE(ppm);
      CAPTURE(jitter);
      MediaClock clock;
      const Nanos delay = 300 * kMillisecond;
      const Nanos level = play(clock, ppm, 4 * 3600, delay, jitter);
      // Uncorrected, 30 ppm would have moved it by 432 ms.
      CHECK(level > delay / 2);
      CHECK(level < delay + delay / 2);
      CHECK(std::abs(static_cast<double>(clock.correction_ppb()) / 1000 - ppm) < 15);
    }
  }
}

TEST_CASE("media clock: the correction is bounded") {
  MediaClock clock;
  play(clock, 5000, 600, 300 * kMillisecond, 0);
  CHECK(clock.correction_ppb() <= static_cast<std::int64_t>(MediaClock::kMaxCorrection * 1e9));
  play(clock, -5000, 600, 300 * kMillisecond, 0);
  CHECK(clock.correction_ppb() >= -static_cast<std::int64_t>(MediaClock::kMaxCorrection * 1e9));
}

TEST_CASE("media clock: departures stay monotonic over a change of the correction") {
  MediaClock clock;
  clock.start(0, 300 * kMillisecond);
  Nanos last = 0;
  for (std::int64_t i = 0; i < 25 * 120; i++) {
    const std::int64_t media = i * codec::kSystemClock / 25;
    const Nanos departure = clock.departure(media);
    CHECK(departure > last);
    last = departure;
    clock.observe(300 * kMillisecond + i * 100'000, departure - 300 * kMillisecond);
  }
}
