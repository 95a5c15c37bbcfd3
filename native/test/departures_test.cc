// Departures on a fake clock: what the stream's timer does, without the timer.
#include "plane/departures.h"

#include <doctest/doctest.h>

#include <array>
#include <optional>
#include <vector>

#include "test/allocations.h"

using namespace sluice;
using kernel::kMillisecond;
using kernel::kSecond;
using plane::Departures;
using plane::MediaClock;
using plane::Nanos;
using plane::Ring;
using plane::SmootherOptions;

namespace {

constexpr Nanos kBound = 200 * kMillisecond;
constexpr Nanos kDelay = 300 * kMillisecond;
constexpr std::int64_t kOrigin = 5'000'000'000;
constexpr std::int64_t kFirst = 77;

std::int64_t ticks(Nanos n) {
  return n * 27 / 1000;
}

struct Left {
  Nanos at;
  Nanos due;
  /** On the media clock. */
  Nanos media;
  std::uint32_t timestamp;
};

/** A ring and its departures, looked at every millisecond. */
struct Bed {
  explicit Bed(std::optional<SmootherOptions> smoothing)
      : ring(std::move(Ring::create(8 << 20, 1, kFirst).value())), departures(ring, clock, smoothing) {
    clock.start(kOrigin, now + kDelay);
    left.reserve(100'000);
  }
  /** A packet `after` the origin of the media timeline. */
  void publish(Nanos after, std::uint16_t size = 1316) {
    const std::int64_t media = kOrigin + ticks(after);
    static const std::array<std::uint8_t, 1316> bytes{};
    const std::uint64_t position = ring.write_position();
    ring.append({bytes.data(), size});
    ring.publish(position, size, media, static_cast<std::uint32_t>(media / 300), false);
  }
  /** A picture of so many packets, all of them at its begin: the first large twice a second. */
  void picture(Nanos after, std::size_t packets) {
    for (std::size_t i = 0; i < packets; i++) publish(after + static_cast<Nanos>(i) * 20'000);
  }
  void run_until(Nanos end) {
    for (; now < end; now += kMillisecond) turn();
  }
  void turn() {
    departures.plan(now);
    std::int64_t s = ring.released_sequence();
    std::uint64_t position = ring.released_position();
    for (; s < ring.next_sequence() && departures.due(s) <= now; s++) {
      const auto& d = ring.descriptor(s);
      left.push_back({now, departures.due(s), clock.departure(d.media_time), 0});
      departures.leave(s);
      left.back().timestamp = codec::load32(ring.header(s) + 4);
      position = d.position + d.size;
    }
    ring.release(s, position);
  }
  Nanos now = 50 * kSecond;
  Ring ring;
  MediaClock clock;
  Departures departures;
  std::vector<Left> left;
};

/** Pictures as they would come in time: published `kDelay` before their departure. */
void play(Bed& bed, Nanos from, Nanos length) {
  const Nanos begin = bed.now - from;
  for (Nanos t = from; t < from + length; t += 40 * kMillisecond) {
    bed.picture(t, t % (480 * kMillisecond) == 0 ? 60 : 6);
    bed.run_until(begin + t + 40 * kMillisecond);
  }
}

SmootherOptions smoothing() {
  SmootherOptions options;
  options.max_delay = kBound;
  return options;
}

}  // namespace

TEST_CASE("departures: without smoothing every packet leaves at its media time, and rates are told") {
  Bed bed(std::nullopt);
  play(bed, 0, 5 * kSecond);
  REQUIRE(bed.left.size() > 1000);
  for (const Left& p : bed.left) {
    CHECK(p.due == p.media);
    CHECK(p.timestamp == static_cast<std::uint32_t>(bed.clock.media_at(p.media) / 300));
  }
  const auto state = bed.departures.state(bed.now);
  CHECK_FALSE(state.active);
  CHECK(state.variation > 0.5);
  CHECK(state.peak_in == state.peak_out);
  CHECK(state.delay_max == 0);
}

TEST_CASE("departures: uneven pictures are paced within the bound, and dated as they leave") {
  Bed bed(smoothing());
  play(bed, 0, 2 * kSecond);
  bed.left.clear();
  const auto before = test::allocations();
  play(bed, 2 * kSecond, 3 * kSecond);
  CHECK(test::allocations() == before);
  bed.run_until(bed.now + kDelay + kBound);
  std::size_t held = 0;
  bool kept = true;
  for (std::size_t i = 0; i < bed.left.size(); i++) {
    const Left& p = bed.left[i];
    kept = kept && p.due >= p.media && p.due <= p.media + kBound && p.at >= p.due &&
           p.at <= p.media + kBound + kMillisecond;
    held += p.due > p.media ? 1 : 0;
    // A target transmission time: 90 kHz on the same clock, and never back.
    const std::int64_t target = bed.clock.media_at(p.due) / 300;
    kept = kept && static_cast<std::int32_t>(p.timestamp - static_cast<std::uint32_t>(target)) == 0;
    if (i > 0) kept = kept && static_cast<std::int32_t>(p.timestamp - bed.left[i - 1].timestamp) >= 0;
  }
  CHECK(kept);
  CHECK(held > bed.left.size() / 2);
  CHECK(bed.ring.released_sequence() == bed.ring.next_sequence());
  const auto state = bed.departures.state(bed.now - kDelay);
  CHECK(state.active);
  CHECK(state.peak_out < state.peak_in * 8 / 10);
}

TEST_CASE("departures: a source that falls behind is waited for; what is held leaves within its own bound") {
  Bed bed(smoothing());
  play(bed, 0, 3 * kSecond);
  // A large picture is the last that comes in time: its packets are held past their media time.
  const Nanos stop = 3 * kSecond;
  bed.picture(stop, 120);
  const Nanos last = bed.clock.departure(kOrigin + ticks(stop));
  bed.run_until(last + 20 * kMillisecond);
  CHECK(bed.departures.exhausted(bed.now));
  const std::int64_t held = bed.ring.next_sequence() - bed.ring.released_sequence();
  CHECK(held > 20);
  bed.picture(stop + 10 * kMillisecond, 6);
  const Nanos at = bed.now + kDelay;
  bed.left.clear();
  REQUIRE(bed.departures.postpone_late(bed.now, at));
  CHECK_FALSE(bed.departures.exhausted(bed.now));
  CHECK(bed.clock.departure(kOrigin + ticks(stop + 10 * kMillisecond)) == at);
  bed.run_until(at + 2 * kBound);
  REQUIRE(bed.left.size() == static_cast<std::size_t>(held) + 6);
  for (std::size_t i = 0; i < bed.left.size(); i++) {
    if (i < static_cast<std::size_t>(held)) CHECK(bed.left[i].due <= last + 3 * kMillisecond + kBound);
    if (i >= static_cast<std::size_t>(held)) CHECK(bed.left[i].due >= at);
  }
  bed.picture(stop + kSecond, 6);
  CHECK_FALSE(bed.departures.postpone_late(bed.now, bed.now + kDelay));
}
