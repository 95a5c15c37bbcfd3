// Streams where sources stall, jump, lie or come in bursts.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "test/allocations.h"
#include "test/stream_bed.h"

using namespace sluice;
using codec::kTsPacketSize;
using kernel::kMillisecond;
using kernel::kSecond;
using plane::Nanos;
using test::damage_of;
using test::fast;
using test::Recorder;
using test::SourceOptions;
using test::TsSource;
using Bed = test::StreamBed;
using Ts = std::vector<std::uint8_t>;

namespace {

plane::StreamOptions small_ring() {
  auto options = test::stream_options();
  options.ring_bytes = 1 << 20;
  return options;
}

/** Takes the PCR out of every packet. */
Ts without_pcr(Ts ts) {
  for (std::size_t at = 0; at < ts.size(); at += kTsPacketSize)
    if ((ts[at + 3] & 0x20) != 0) ts[at + 5] &= 0xef;
  return ts;
}

bool turn_until(Bed& bed, const std::function<bool()>& done) {
  const Nanos end = kernel::monotonic_now() + 5 * kSecond;
  while (!done() && kernel::monotonic_now() < end) {
    bed.reactor.wake();
    bed.reactor.turn();
  }
  return done();
}

}  // namespace

TEST_CASE("stream: a source that is held back while the ring is full is always called again") {
  Bed bed(small_ring());
  TsSource source(fast());
  int called = 0;
  bool held = false;
  bed.stream->on_room(&bed, [&] {
    called++;
    held = false;
  });
  int sent = 0;
  const Nanos end = kernel::monotonic_now() + 5 * kSecond;
  // Six times the ring, as fast as it is taken.
  while (sent < 33'000 && kernel::monotonic_now() < end) {
    if (!held) {
      bed.stream->write(source.make(300), kernel::monotonic_now());
      sent += 300;
      held = !bed.stream->wants_more();
      if (!held) continue;
    }
    bed.reactor.turn();
  }
  CHECK(sent >= 33'000);
  CHECK(called > 5);
  CHECK(bed.counters.ring_full_drops == 0);
  REQUIRE(bed.run_until_released(bed.counters.packets_in));
}

TEST_CASE("stream: a source without PCR does not hold itself back for ever") {
  Bed bed(small_ring());
  TsSource source(fast());
  bool held = false;
  bed.stream->on_room(&bed, [&] { held = false; });
  const Nanos end = kernel::monotonic_now() + 20 * kSecond;
  while (bed.observer.code.empty() && kernel::monotonic_now() < end) {
    if (!held) {
      bed.stream->write(without_pcr(source.make(300)), kernel::monotonic_now());
      held = !bed.stream->wants_more();
    }
    if (held) bed.reactor.turn();
  }
  CHECK(bed.observer.code == "SOURCE_NO_PCR");
  // The next source is served.
  bed.stream->splice();
  const auto ready = bed.observer.ready;
  TsSource next(fast());
  CHECK(turn_until(bed, [&] {
    if (bed.stream->wants_more()) bed.stream->write(next.make(300), kernel::monotonic_now());
    return bed.observer.ready > ready;
  }));
}

TEST_CASE("stream: two sources may wait for room at once, as when one takes over from another") {
  Bed bed(small_ring());
  int first = 0;
  int second = 0;
  bed.stream->on_room(&first, [&] { first++; });
  bed.stream->on_room(&second, [&] { second++; });
  bed.stream->on_room(&first, {});
  TsSource source(fast());
  bed.stream->write(source.make(4000), kernel::monotonic_now());
  REQUIRE_FALSE(bed.stream->wants_more());
  REQUIRE(bed.run_until_released(bed.counters.packets_in));
  CHECK(first == 0);
  CHECK(second == 1);
}

TEST_CASE("stream: ready is told at the first access point, and again after a fault") {
  Bed bed;
  TsSource source(fast());
  bed.stream->write(source.make(6000), kernel::monotonic_now());
  REQUIRE(bed.run_until_released(bed.counters.packets_in));
  CHECK(bed.observer.ready == 1);
  bed.stream->splice();
  bed.stream->write(Ts(100'000, '<'), kernel::monotonic_now());
  CHECK(bed.observer.code == "SOURCE_NOT_MPEGTS");
  CHECK(bed.observer.ready == 1);
  bed.stream->splice();
  TsSource next(fast());
  bed.stream->write(next.make(6000), kernel::monotonic_now());
  REQUIRE(turn_until(bed, [&] { return bed.observer.ready == 2; }));
}

TEST_CASE("stream: over an outage RTP timestamps go on by the time that passed, within the delay") {
  Bed bed;
  Recorder recorder;
  bed.stream->attach(recorder);
  bed.stream->write(TsSource(fast()).make(6000), kernel::monotonic_now());
  REQUIRE(bed.run_until_released(bed.counters.packets_in));
  bed.stream->splice();
  REQUIRE(bed.run_until_released(bed.counters.packets_in));
  const Nanos until = kernel::monotonic_now() + 300 * kMillisecond;
  while (kernel::monotonic_now() < until) {
    bed.reactor.wake();
    bed.reactor.turn();
  }
  const std::size_t before = recorder.departures.size();
  SourceOptions other = fast();
  other.clock = codec::kPcrModulus - 1000;
  bed.stream->write(TsSource(other).make(6000), bed.reactor.now());
  REQUIRE(bed.run_until_released(bed.counters.packets_in));
  REQUIRE(recorder.departures.size() > before);
  const auto& last = recorder.departures[before - 1];
  const auto& next = recorder.departures[before];
  // What the clock says and what passed are the same, but for the lateness of a busy machine.
  const Nanos media = (next.media_time - last.media_time) * 1000 / 27;
  CHECK(media >= 290 * kMillisecond);
  const auto apart = static_cast<double>((next.at - last.at) - media);
  CHECK(std::abs(apart) < static_cast<double>(200 * kMillisecond));
  CHECK(damage_of(recorder.bytes).gaps == 0);
  CHECK(bed.counters.underruns == 0);
  bed.stream->detach(recorder);
}

TEST_CASE("stream: a stall without a splice is an underrun: numbers go on, the buffer is filled again") {
  Bed bed;
  Recorder recorder;
  bed.stream->attach(recorder);
  TsSource source(fast());
  bed.stream->write(source.make(3000), kernel::monotonic_now());
  REQUIRE(bed.run_until_released(bed.counters.packets_in));
  const Nanos until = kernel::monotonic_now() + 150 * kMillisecond;
  while (kernel::monotonic_now() < until) {
    bed.reactor.wake();
    bed.reactor.turn();
  }
  const Nanos resumed = bed.reactor.now();
  const std::size_t before = recorder.departures.size();
  bed.stream->write(source.make(3000), resumed);
  REQUIRE(bed.run_until_released(bed.counters.packets_in));
  CHECK(bed.counters.underruns == 1);
  CHECK(recorder.departures[before].at >= resumed + 20 * kMillisecond);
  CHECK(bed.counters.discontinuities == 0);
  CHECK(damage_of(recorder.bytes).gaps == 0);
  bed.stream->detach(recorder);
}

TEST_CASE(
    "stream: a source that claims an access point in every packet costs no more memory than the bound") {
  auto options = test::stream_options();
  options.ring_bytes = 8 << 20;
  Bed bed(options);
  TsSource source(fast());
  Ts ts = source.make(40'000);
  for (std::size_t at = 0; at < ts.size(); at += kTsPacketSize) {
    if ((codec::load16(ts.data() + at + 1) & 0x1fff) != 0x100 || (ts[at + 3] & 0x20) != 0) continue;
    ts[at + 1] |= 0x40;
    ts[at + 3] |= 0x20;
    ts[at + 4] = 1;
    ts[at + 5] = 0x40;
  }
  const auto before = test::allocations();
  bed.stream->write(ts, kernel::monotonic_now());
  CHECK(bed.counters.access_points > 30'000);
  // One is kept for every tenth of a second of media.
  CHECK(test::allocations() - before < 40'000 + 1000);
  REQUIRE(bed.run_until_released(bed.counters.packets_in));
  REQUIRE(bed.stream->newest_access_point() != nullptr);
  CHECK(bed.counters.segments <= 4);
}

TEST_CASE("stream: destroyed while packets wait for their time, sources and readers attached") {
  auto bed = std::make_unique<Bed>();
  Recorder recorder;
  bed->stream->attach(recorder);
  bed->stream->on_room(&recorder, [] {});
  TsSource source(fast());
  bed->stream->write(source.make(6000), kernel::monotonic_now());
  bed->stream.reset();
  bed->reactor.wake();
  bed->reactor.turn();
  CHECK(recorder.departures.empty());
}
