#include "plane/ts_monitor.h"

#include <doctest/doctest.h>

#include <memory>
#include <random>
#include <vector>

#include "test/allocations.h"

using namespace sluice;
using kernel::kMillisecond;
using kernel::Nanos;
using plane::InputCounters;
using plane::TsMonitor;

namespace {

using Packet = std::vector<std::uint8_t>;

/** A packet with payload, `counter` modulo 16. */
Packet ts(std::uint16_t pid, unsigned counter) {
  Packet p(188, 0xaa);
  p[0] = 0x47;
  codec::store16(p.data() + 1, pid);
  p[3] = static_cast<std::uint8_t>(0x10 | (counter & 15));
  return p;
}

/** The same with an adaptation field of 7 bytes; `flags` as in 2.4.3.4. */
Packet adapted(std::uint16_t pid, unsigned counter, std::uint8_t flags, bool payload = true) {
  Packet p = ts(pid, counter);
  p[3] = static_cast<std::uint8_t>((payload ? 0x30 : 0x20) | (counter & 15));
  p[4] = payload ? 7 : 183;
  p[5] = flags;
  return p;
}

Packet with_pcr(std::uint16_t pid, unsigned counter, std::int64_t pcr, std::uint8_t flags = 0) {
  Packet p = adapted(pid, counter, flags | 0x10);
  codec::set_pcr(p.data(), pcr);
  return p;
}

struct Fixture {
  InputCounters counters{};
  std::unique_ptr<TsMonitor> monitor = std::make_unique<TsMonitor>(counters);
  Nanos now = kernel::kSecond;
  void write(const Packet& bytes) { monitor->write(bytes, now); }
  /** The number of continuity errors that these packets make after a first one with counter 0. */
  std::uint64_t errors(const std::vector<Packet>& packets) {
    write(ts(100, 0));
    for (const Packet& p : packets) write(p);
    // The aligner lets the first packet go when it has seen the next.
    return counters.continuity_errors;
  }
};

Packet join(const std::vector<Packet>& packets) {
  Packet all;
  for (const Packet& p : packets) all.insert(all.end(), p.begin(), p.end());
  return all;
}

}  // namespace

TEST_CASE("continuity counters, ISO/IEC 13818-1 2.4.3.3") {
  CHECK(Fixture().errors({ts(100, 1), ts(100, 2), ts(100, 3)}) == 0);
  CHECK(Fixture().errors({ts(100, 1), ts(100, 1), ts(100, 2)}) == 0);
  CHECK(Fixture().errors({ts(100, 1), ts(100, 1), ts(100, 1)}) == 1);
  CHECK(Fixture().errors({ts(100, 1), ts(100, 3), ts(100, 4)}) == 1);
  CHECK(Fixture().errors({ts(100, 1), ts(200, 9), ts(100, 2), ts(200, 10)}) == 0);
  CHECK(Fixture().errors({ts(100, 1), adapted(100, 1, 0, false), ts(100, 2)}) == 0);
  CHECK(Fixture().errors({ts(100, 1), adapted(100, 2, 0, false), ts(100, 3)}) == 1);
  CHECK(Fixture().errors({ts(100, 1), adapted(100, 9, 0x80), ts(100, 10)}) == 0);
  CHECK(Fixture().errors({ts(0x1fff, 1), ts(0x1fff, 5), ts(100, 1)}) == 0);
  Packet marked = ts(100, 7);
  marked[1] |= 0x80;
  Fixture f;
  CHECK(f.errors({ts(100, 1), marked, ts(100, 3)}) == 0);
  CHECK(f.counters.transport_errors == 1);
  CHECK(f.counters.ts_packets == 4);
}

TEST_CASE("the counter goes on over its wrap") {
  Fixture f;
  for (unsigned i = 0; i < 100; i++) f.write(ts(100, i));
  CHECK(f.counters.continuity_errors == 0);
  CHECK(f.counters.ts_packets == 100);
}

TEST_CASE("after a splice nothing is compared with what was before") {
  Fixture f;
  for (unsigned i = 0; i < 5; i++) f.write(ts(100, i));
  f.monitor->splice();
  for (unsigned i = 9; i < 14; i++) f.write(ts(100, i));
  CHECK(f.counters.continuity_errors == 0);
}

TEST_CASE("pieces of any size give the same counts") {
  std::vector<Packet> packets;
  for (unsigned i = 0; i < 50; i++)
    packets.push_back(i % 10 == 0 ? with_pcr(100, i, i * 270'000) : ts(100, i));
  const Packet all = join(packets);
  for (const std::size_t size : {1U, 2U, 187U, 188U, 189U, 1316U, 9400U}) {
    Fixture f;
    for (std::size_t at = 0; at < all.size(); at += size) {
      f.monitor->write(codec::Bytes(all).subspan(at, std::min(size, all.size() - at)), f.now);
    }
    CHECK(f.counters.ts_packets == 50);
    CHECK(f.counters.pcr_count == 5);
    CHECK(f.counters.continuity_errors == 0);
    CHECK(f.counters.sync_errors == 0);
  }
}

TEST_CASE("a lost sync byte is counted once and found again") {
  std::vector<Packet> packets;
  for (unsigned i = 0; i < 20; i++) packets.push_back(ts(100, i));
  Packet all = join(packets);
  all.erase(all.begin() + 5 * 188 + 20, all.begin() + 5 * 188 + 30);
  Fixture f;
  f.write(all);
  CHECK(f.counters.sync_errors == 1);
  CHECK(f.counters.ts_packets >= 17);
}

TEST_CASE("a steady clock has no jitter, wherever in the datagram its PCR is") {
  Fixture f;
  unsigned counter = 0;
  std::int64_t byte = 0;
  // 188 bytes take 300,800 ns at 5 Mbit/s: 8121.6 ticks. A PCR in every 61st packet, 7 packets in a datagram.
  for (int datagram = 0; datagram < 3000; datagram++) {
    std::vector<Packet> packets;
    const Nanos arrival = kernel::kSecond + byte * 1600;
    for (int i = 0; i < 7; i++, byte += 188, counter++) {
      packets.push_back(counter % 61 == 0 ? with_pcr(100, counter, byte * 432 / 10) : ts(100, counter));
    }
    f.now = arrival;
    f.write(join(packets));
  }
  CHECK(f.counters.pcr_count > 300);
  CHECK(f.counters.pcr_discontinuities == 0);
  CHECK(f.counters.pcr_jitter_ns < 2000);
}

TEST_CASE("arrival that varies is jitter, a clock that runs fast is not") {
  const auto deviation = [](Nanos sway, double speed) {
    Fixture f;
    for (int i = 0; i < 200; i++) {
      f.now = kernel::kSecond + static_cast<Nanos>(i * 20e6 * speed) + (i % 2 == 0 ? sway : -sway);
      f.write(with_pcr(100, static_cast<unsigned>(i), i * 540'000));
    }
    CHECK(f.counters.pcr_discontinuities == 0);
    return f.counters.pcr_jitter_ns;
  };
  CHECK(deviation(0, 1.0) < 1000);
  CHECK(deviation(0, 1.0005) < 1000);
  CHECK(deviation(3 * kMillisecond, 1.0) > 2'900'000);
  CHECK(deviation(3 * kMillisecond, 1.0) < 3'100'000);
}

TEST_CASE("one late PCR shows with its whole delay, and is forgotten after a second") {
  Fixture f;
  std::uint64_t largest = 0;
  for (int i = 0; i < 300; i++) {
    f.now = kernel::kSecond + i * 20 * kMillisecond + (i == 150 ? 10 * kMillisecond : 0);
    f.write(with_pcr(100, static_cast<unsigned>(i), i * 540'000));
    largest = std::max(largest, f.counters.pcr_jitter_ns);
  }
  CHECK(largest > 9'800'000);
  CHECK(largest < 10'200'000);
  CHECK(f.counters.pcr_jitter_ns < 300'000);
}

TEST_CASE("PCR jumps") {
  Fixture f;
  std::int64_t pcr = codec::kPcrModulus - 540'000 * 3;
  unsigned counter = 0;
  const auto next = [&](std::int64_t step, Nanos elapsed, std::uint8_t flags = 0) {
    pcr = (pcr + step + codec::kPcrModulus) % codec::kPcrModulus;
    f.now += elapsed;
    f.write(with_pcr(100, counter++, pcr, flags));
  };
  for (int i = 0; i < 10; i++) next(540'000, 20 * kMillisecond);
  CHECK(f.counters.pcr_discontinuities == 0);  // over the modulus
  next(27'000'000 * 3, 3000 * kMillisecond);
  CHECK(f.counters.pcr_discontinuities == 0);  // an outage
  next(540'000, 5000 * kMillisecond);
  CHECK(f.counters.pcr_discontinuities == 0);  // late, but next
  next(27'000'000 * 60, 20 * kMillisecond);
  CHECK(f.counters.pcr_discontinuities == 1);
  next(-27'000'000 * 5, 20 * kMillisecond);
  CHECK(f.counters.pcr_discontinuities == 2);
  next(27'000'000, 20 * kMillisecond, 0x80);
  CHECK(f.counters.pcr_discontinuities == 3);
}

TEST_CASE("the PCR PID is kept while it has PCRs") {
  Fixture f;
  for (int i = 0; i < 100; i++) {
    f.now += 20 * kMillisecond;
    f.write(with_pcr(100, static_cast<unsigned>(i), i * 540'000));
    f.write(with_pcr(200, static_cast<unsigned>(i), 7'000'000'000 + i * 540'000));
  }
  CHECK(f.counters.pcr_discontinuities == 0);
  CHECK(f.counters.pcr_count == 200);
  CHECK(f.counters.pcr_jitter_ns < 1000);
}

TEST_CASE("random bytes are survived, and nothing is taken from the heap") {
  std::mt19937 random(11);
  Fixture f;
  Packet bytes(2000);
  std::uint64_t taken = 0;
  for (int round = 0; round < 3000; round++) {
    for (std::uint8_t& b : bytes) b = random() % 20 == 0 ? 0x47 : static_cast<std::uint8_t>(random());
    if (round % 2 == 0) {
      for (std::size_t i = 0; i < bytes.size(); i += 188) bytes[i] = 0x47;
    }
    f.now += kMillisecond;
    const std::uint64_t before = test::allocations();
    f.monitor->write(codec::Bytes(bytes).first(random() % bytes.size()), f.now);
    taken += test::allocations() - before;
  }
  CHECK(taken == 0);
  CHECK(f.counters.ts_packets > 1000);
}
