#include "repair/recovery.h"

#include <doctest/doctest.h>

#include <queue>

#include "test/allocations.h"
#include "test/recovery_bed.h"

using namespace sluice;
using repair::kMillisecond;
using repair::Nanos;
using repair::Origin;
using repair::Recovery;
using repair::RecoveryOptions;
using test::Datagram;

using Bed = test::RecoveryBed;
using Parity = test::KeptParity;
using test::kSpacing;
using test::range;
using test::ts_packet;

TEST_CASE(
    "recovery: packets leave in order a playout delay after they came, over the wrap, whatever order they "
    "came in") {
  RecoveryOptions o;
  o.playout = 50 * kMillisecond;
  Bed bed(o);
  std::vector<int> order{65533, 65534, 0, 65535, 1, 3, 2, 4, 4, 5};
  for (std::size_t i = 0; i < order.size(); i++) {
    bed.to(static_cast<Nanos>(i) * kSpacing);
    bed.packet(ts_packet(order[i]));
  }
  bed.to(49 * kMillisecond);
  CHECK(bed.out.numbers.empty());
  bed.to(1000 * kMillisecond);
  CHECK(bed.out.numbers == std::vector<std::uint16_t>{65533, 65534, 65535, 0, 1, 2, 3, 4, 5});
  CHECK(bed.out.lost.empty());
  CHECK(bed.out.times.front() == 50 * kMillisecond);
  CHECK(bed.out.times.back() == 59 * kMillisecond);
  CHECK(std::is_sorted(bed.out.times.begin(), bed.out.times.end()));
  CHECK(bed.recovery.counters().duplicates == 1);
  CHECK(bed.out.wrong == 0);
}

TEST_CASE("recovery: what is missing when it is due is lost, once, and what comes then is late") {
  RecoveryOptions o;
  o.playout = 20 * kMillisecond;
  Bed bed(o);
  for (int i = 0; i < 100; i++) {
    bed.to(i * kSpacing);
    if (i < 10 || i >= 15) bed.packet(ts_packet(i));
    if (i == 60) bed.packet(ts_packet(12));
  }
  bed.to(1000 * kMillisecond);
  CHECK(bed.out.lost == std::set<std::uint16_t>{10, 11, 12, 13, 14});
  CHECK(bed.out.numbers.size() == 95);
  CHECK(bed.recovery.counters().lost == 5);
  CHECK(bed.recovery.counters().late == 1);
  CHECK(bed.recovery.counters().missing == 5);
}

TEST_CASE(
    "recovery: missing packets are asked for once in a round trip, several times in the last one, and not "
    "when an answer would come too late") {
  RecoveryOptions o;
  o.playout = 100 * kMillisecond;
  o.asks = true;
  o.round_trip = 20 * kMillisecond;
  Bed bed(o);
  for (int i = 0; i < 400; i++) {
    bed.to(i * kSpacing);
    if (i != 50) bed.packet(ts_packet(i));
  }
  std::vector<Nanos> asked;
  for (const auto& [number, at] : bed.out.requests) {
    CHECK(number == 50);
    asked.push_back(at);
  }
  // Found at 51 ms, due at 150; half a round trip is added for answers that are slow.
  const std::vector<Nanos> expected{51'000'000, 81'000'000, 111'000'000, 118'500'000, 126'000'000};
  CHECK(asked == expected);
  CHECK(bed.out.lost == std::set<std::uint16_t>{50});
}

TEST_CASE("recovery: an answer is taken, and gives the round trip; one that nobody asked for is not") {
  RecoveryOptions o;
  o.playout = 100 * kMillisecond;
  o.asks = true;
  o.round_trip = 50 * kMillisecond;
  Bed bed(o);
  for (int i = 0; i < 300; i++) {
    bed.to(i * kSpacing);
    if (i != 50 && i != 150) bed.packet(ts_packet(i));
    if (i == 61) bed.recovery.on_retransmission(ts_packet(50), bed.now);
    if (i == 161) bed.recovery.on_retransmission(ts_packet(150), bed.now);
    if (i == 170) bed.recovery.on_retransmission(ts_packet(150), bed.now);
    if (i == 171) bed.recovery.on_retransmission(ts_packet(500), bed.now);
    if (i == 172) bed.recovery.on_retransmission(ts_packet(140, 7, 1), bed.now);
  }
  bed.to(1000 * kMillisecond);
  CHECK(bed.out.numbers == range(0, 300));
  CHECK(bed.out.origins[50] == Origin::retransmitted);
  CHECK(bed.out.requests.size() == 2);
  CHECK(bed.recovery.round_trip() == 10 * kMillisecond);
  CHECK(bed.recovery.counters().by_retransmission == 2);
  CHECK(bed.recovery.counters().duplicates == 1);
  CHECK(bed.out.wrong == 0);
}

TEST_CASE("recovery: the first question is asked however long its answer is thought to take") {
  RecoveryOptions o;
  o.playout = 40 * kMillisecond;
  o.asks = true;
  o.round_trip = 50 * kMillisecond;
  Bed bed(o);
  for (int i = 0; i < 300; i++) {
    bed.to(i * kSpacing);
    if (i != 50 && i != 150) bed.packet(ts_packet(i));
    if (i == 61) bed.recovery.on_retransmission(ts_packet(50), bed.now);
    if (i == 161) bed.recovery.on_retransmission(ts_packet(150), bed.now);
  }
  bed.to(1000 * kMillisecond);
  CHECK(bed.out.numbers == range(0, 300));
  CHECK(bed.out.requests.size() == 2);
  CHECK(bed.recovery.round_trip() == 10 * kMillisecond);
}

TEST_CASE("recovery: where parity does not come, four round trips are left for questions") {
  RecoveryOptions o;
  o.playout = 200 * kMillisecond;
  o.asks = true;
  o.round_trip = 20 * kMillisecond;
  o.parity_span = 100;
  Bed bed(o);
  for (int i = 0; i < 60; i++) {
    bed.to(i * kSpacing);
    if (i != 50) bed.packet(ts_packet(i));
  }
  bed.to(1000 * kMillisecond);
  REQUIRE(!bed.out.requests.empty());
  // Due at 250 ms.
  CHECK(bed.out.requests.front().second == 170 * kMillisecond);
}

TEST_CASE("recovery: what came late in a burst of loss is asked for longer than what came first") {
  RecoveryOptions o;
  o.playout = 100 * kMillisecond;
  o.asks = true;
  o.round_trip = 20 * kMillisecond;
  Bed bed(o);
  for (int i = 0; i < 400; i++) {
    bed.to(i * kSpacing);
    if (i < 50 || i >= 110) bed.packet(ts_packet(i));
  }
  std::map<std::uint16_t, Nanos> last;
  for (const auto& [number, at] : bed.out.requests) last[number] = at;
  REQUIRE(last.size() == 60);
  for (const auto& [number, at] : last) {
    // Each is due 100 ms after it would have come; before any answer each is asked for once at least.
    const Nanos due = (number + 100) * kMillisecond;
    CHECK(at <= std::max(due - 20 * kMillisecond, 110 * kMillisecond));
  }
  CHECK(last[109] > last[50] + 40 * kMillisecond);
}

TEST_CASE(
    "recovery: a group that is joined early waits for its burst, and asks for what that has not brought") {
  RecoveryOptions o;
  o.playout = 50 * kMillisecond;
  o.asks = true;
  o.round_trip = 20 * kMillisecond;
  Bed bed(o);
  bed.recovery.expect_burst(true, 0);
  std::size_t answered = 0;
  for (int i = 0; i < 400; i++) {
    bed.to(i * kSpacing);
    // Two at a time, far behind the group. Some are lost, one of them when the group was due; the end never
    // comes.
    for (const int n : {2 * i, 2 * i + 1})
      if (n != 40 && n != 270 && n < 290) bed.recovery.on_burst(ts_packet(n), bed.now);
    bed.packet(ts_packet(300 + i));
    if (i == 200) bed.recovery.expect_burst(false, bed.now);
    for (; answered < bed.out.requests.size() &&
           bed.out.requests[answered].second + 20 * kMillisecond <= bed.now;
         answered++)
      bed.recovery.on_retransmission(ts_packet(bed.out.requests[answered].first), bed.now);
  }
  bed.to(1000 * kMillisecond);
  CHECK(bed.out.numbers == range(0, 700));
  CHECK(bed.out.lost.empty());
  CHECK(bed.recovery.counters().by_retransmission == 12);
  // What the burst brought was not asked for, and what came last is not late any more.
  for (const auto& [number, at] : bed.out.requests) CHECK((number == 40 || number == 270 || number >= 290));
  CHECK(bed.out.times.back() == 449 * kMillisecond);
}

TEST_CASE("recovery: parity comes first, and only what it does not repair is asked for") {
  RecoveryOptions o;
  o.playout = 200 * kMillisecond;
  o.asks = true;
  o.round_trip = 10 * kMillisecond;
  SUBCASE("known") {
    o.parity_span = 30;
  }
  SUBCASE("learnt") {
    o.parity_span = 0;
  }
  Bed bed(o);
  Parity parity;
  repair::ParityEncoder encoder({5, 4, false});
  // One of a column is repaired, two of a column are not.
  const std::set<int> gone{43, 86, 91};
  for (int i = 0; i < 300; i++) {
    bed.to(i * kSpacing);
    const Datagram datagram = ts_packet(i, 1 + static_cast<std::size_t>(i) % 7);
    encoder.push({i, datagram.data(), codec::Bytes(datagram).subspan(codec::kRtpHeaderSize)}, parity);
    if (!gone.contains(i)) bed.packet(datagram);
    for (const Datagram& one : parity.ready) bed.recovery.on_parity(one, bed.now);
    parity.ready.clear();
    for (const auto& [number, at] : bed.out.requests)
      if (at + 10 * kMillisecond == bed.now)
        bed.recovery.on_retransmission(ts_packet(number, 1 + number % 7U), bed.now);
  }
  bed.to(1000 * kMillisecond);
  CHECK(bed.out.numbers == range(0, 300));
  CHECK(bed.out.origins[43] == Origin::parity);
  // The second of a column follows from the parity as soon as the first has been sent again.
  CHECK(bed.out.origins[86] == Origin::retransmitted);
  std::set<std::uint16_t> asked;
  for (const auto& one : bed.out.requests) asked.insert(one.first);
  CHECK(!asked.contains(43));
  CHECK(bed.out.wrong == 0);
}

TEST_CASE(
    "recovery: what parity makes before it comes counts as received, and as repaired only when it does not "
    "come") {
  Bed bed;
  Parity parity;
  repair::ParityEncoder encoder({5, 5, true});
  // Rows overtake their last packets, as those of some senders do.
  for (int i = 0; i < 300; i++) {
    bed.to(i * kSpacing);
    const Datagram datagram = ts_packet(i);
    encoder.push({i, datagram.data(), codec::Bytes(datagram).subspan(codec::kRtpHeaderSize)}, parity);
    for (const Datagram& one : parity.ready) bed.recovery.on_parity(one, bed.now);
    parity.ready.clear();
    if (i != 149) bed.packet(datagram);
    if (i == 250) bed.packet(datagram);
  }
  bed.to(1000 * kMillisecond);
  CHECK(bed.out.numbers == range(0, 300));
  CHECK(bed.recovery.counters().by_parity == 1);
  CHECK(bed.recovery.counters().duplicates == 1);
  CHECK(bed.out.origins[149] == Origin::parity);
  CHECK(bed.out.origins[154] == Origin::received);
  CHECK(bed.out.wrong == 0);
}

TEST_CASE("recovery: parity that has fallen silent is not waited for") {
  RecoveryOptions o;
  o.playout = 200 * kMillisecond;
  o.asks = true;
  Bed bed(o);
  Datagram parity(codec::kParityHeadersSize + 1316);
  for (int i = 0; i < 400; i++) {
    bed.to(i * kSpacing);
    if (i != 350) bed.packet(ts_packet(i));
    // Of twenty packets each, up to the hundredth.
    if (i >= 20 && i < 100) {
      codec::write_parity({false, 96, 0, 0, 0},
                          {{static_cast<std::uint16_t>(i - 19), 20, 1, false},
                           0,
                           33,
                           1316,
                           0,
                           codec::Bytes(parity).subspan(codec::kParityHeadersSize)},
                          parity.data());
      bed.recovery.on_parity(parity, bed.now);
    }
  }
  REQUIRE(bed.out.requests.size() == 1);
  CHECK(bed.out.requests[0].second == 351 * kSpacing);
}

TEST_CASE(
    "recovery: what says of itself that it is damaged is not passed on, but repaired like what is missing") {
  RecoveryOptions o;
  o.playout = 50 * kMillisecond;
  o.asks = true;
  Bed bed(o);
  const std::vector<std::uint8_t> one_short(1, 0);
  for (int i = 0; i < 100; i++) {
    bed.to(i * kSpacing);
    Datagram datagram = ts_packet(i);
    if (i == 10) datagram[codec::kRtpHeaderSize + 188 + 1] |= 0x80;  // transport_error_indicator
    if (i == 20) datagram[codec::kRtpHeaderSize + 376] = 0x46;       // no sync byte
    if (i == 30) datagram.pop_back();
    if (i == 40) datagram.resize(codec::kRtpHeaderSize);
    bed.packet(datagram);
    if (i == 45)
      for (const int number : {10, 20}) bed.recovery.on_retransmission(ts_packet(number), bed.now);
  }
  bed.to(1000 * kMillisecond);
  CHECK(bed.recovery.counters().damaged == 4);
  CHECK(bed.out.lost == std::set<std::uint16_t>{30, 40});
  CHECK(bed.out.origins[10] == Origin::retransmitted);
  CHECK(bed.out.wrong == 0);
}

TEST_CASE(
    "recovery: a new source, and one that begins anew, are taken when they go on; a stray packet is not") {
  RecoveryOptions o;
  o.playout = 10 * kMillisecond;
  Bed bed(o);
  int at = 0;
  const auto send = [&](int sequence, std::uint32_t ssrc) {
    bed.to(at++ * kSpacing);
    bed.packet(ts_packet(sequence, 7, ssrc));
  };
  for (int i = 0; i < 30; i++) send(i, 0xcafe);
  send(40000, 0xcafe);
  for (int i = 30; i < 40; i++) send(i, 0xcafe);
  CHECK(bed.out.restarts == 0);
  for (int i = 40000; i < 40030; i++) send(i, 0xcafe);
  CHECK(bed.out.restarts == 1);
  bed.to(1000 * kMillisecond);
  auto expected = range(0, 40);
  // The first of the new ones only shows that there is one.
  for (int i = 40001; i < 40030; i++) expected.push_back(static_cast<std::uint16_t>(i));
  CHECK(bed.out.numbers == expected);
}

TEST_CASE("recovery: a gap wider than the window loses what is in it, not what comes after") {
  RecoveryOptions o;
  o.window = 64;
  o.playout = 1000 * kMillisecond;
  Bed bed(o);
  for (int i = 0; i < 400; i++) {
    bed.to(i * kSpacing);
    if (i < 100 || i >= 125) bed.packet(ts_packet(i));
  }
  bed.to(10'000 * kMillisecond);
  CHECK(bed.out.lost.size() == 25);
  CHECK(bed.out.numbers.size() == 375);
  CHECK(std::is_sorted(bed.out.numbers.begin(), bed.out.numbers.end()));
}

TEST_CASE("recovery: the playout delay follows what repairs take, slowly") {
  RecoveryOptions o;
  o.playout = 400 * kMillisecond;
  o.least_playout = 40 * kMillisecond;
  o.asks = true;
  Bed bed(o);
  for (int i = 0; i < 40'000; i++) {
    bed.to(i * kSpacing);
    bed.packet(ts_packet(i));
  }
  CHECK(bed.recovery.playout() == 40 * kMillisecond);
  for (int i = 40'000; i < 60'000; i++) {
    bed.to(i * kSpacing);
    if (i % 1000 != 0) bed.packet(ts_packet(i));
    if (i % 1000 == 31) bed.recovery.on_retransmission(ts_packet(i - 31), bed.now);
  }
  // A repair took 30 ms; a quarter more is left to it, and not less than the least.
  CHECK(bed.recovery.playout() == 40 * kMillisecond);
  CHECK(bed.out.lost.empty());
}

TEST_CASE("recovery: random loss, disorder and doubles: what is delivered is right, in order, each once") {
  std::mt19937 random(11);
  for (int round = 0; round < 50; round++) {
    RecoveryOptions o;
    o.playout = (20 + random() % 200) * kMillisecond;
    o.asks = random() % 2 == 0;
    o.window = 1024;
    Bed bed(o);
    std::multimap<Nanos, int> arrivals;
    const unsigned loss = random() % 20;
    for (int i = 0; i < 1000; i++) {
      if (random() % 100 < loss) continue;
      arrivals.emplace(i * kSpacing + static_cast<Nanos>(random() % (8 * kMillisecond)), i);
      if (random() % 50 == 0)
        arrivals.emplace(i * kSpacing + static_cast<Nanos>(random() % (30 * kMillisecond)), i);
    }
    for (const auto& [at, number] : arrivals) {
      bed.to(at);
      bed.packet(ts_packet(number));
    }
    bed.to(10'000 * kMillisecond);
    bed.recovery.flush();
    REQUIRE(bed.out.wrong == 0);
    REQUIRE(std::is_sorted(bed.out.numbers.begin(), bed.out.numbers.end()));
    REQUIRE(std::adjacent_find(bed.out.numbers.begin(), bed.out.numbers.end()) == bed.out.numbers.end());
    for (const std::uint16_t number : bed.out.numbers) REQUIRE(!bed.out.lost.contains(number));
  }
}

TEST_CASE("recovery: nothing is taken from the heap") {
  struct None final : repair::RecoveryOutput {
    void on_packet(std::int64_t, codec::Bytes, Origin) noexcept override {}
    void on_lost(std::int64_t, std::int64_t) noexcept override {}
    void on_request(std::span<const std::int64_t>) noexcept override {}
    void on_restart() noexcept override {}
  } none;
  RecoveryOptions o;
  o.asks = true;
  Recovery recovery(o, none);
  const Datagram base = ts_packet(0);
  Datagram packet = base;
  const std::uint64_t before = test::allocations();
  for (int i = 0; i < 10'000; i++) {
    codec::store16(packet.data() + 2, static_cast<std::uint16_t>(i));
    if (i % 7 != 0) recovery.on_packet(packet, i * kSpacing);
    recovery.advance(i * kSpacing);
    (void)recovery.deadline();
  }
  CHECK(test::allocations() == before);
}
