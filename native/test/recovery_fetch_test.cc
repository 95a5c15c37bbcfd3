// The last resort of a receiver: what it fetches from elsewhere, and when.
#include "test/allocations.h"
#include "test/recovery_bed.h"

using namespace sluice;
using repair::FetchPace;
using repair::kMillisecond;
using repair::Nanos;
using repair::Origin;
using repair::RecoveryOptions;
using test::kSpacing;
using test::range;
using test::ts_packet;
using Bed = test::RecoveryBed;

namespace {

RecoveryOptions fetching() {
  RecoveryOptions o;
  o.playout = 200 * kMillisecond;
  o.fetches = true;
  return o;
}

/** Packets of a millisecond each from `first` up to `end`, but for those that are lost. */
template <class Lost>
void play(Bed& bed, int first, int end, Lost lost) {
  for (int i = first; i < end; i++) {
    bed.to(i * kSpacing);
    if (!lost(i)) bed.packet(ts_packet(i));
  }
}

/** All that was asked for comes, and then the end. */
void answer(Bed& bed, std::span<const std::pair<std::uint16_t, Nanos>> asked) {
  for (const auto& [number, at] : asked) bed.recovery.on_fetched(ts_packet(number), bed.now);
  bed.recovery.on_fetch_end(true, bed.now);
}

std::vector<std::uint16_t> numbers(const std::vector<std::pair<std::uint16_t, Nanos>>& fetches) {
  std::vector<std::uint16_t> all;
  all.reserve(fetches.size());
  for (const auto& [number, at] : fetches) all.push_back(number);
  return all;
}

}  // namespace

TEST_CASE("fetching: at once where nothing else can bring it, over the wrap, one fetch at a time") {
  Bed bed(fetching());
  // 65,534 to 1 are lost, and 5 while they are fetched.
  const auto lost = [](int i) { return (i >= 6 && i < 10) || i == 13; };
  for (int i = 0; i < 20; i++) {
    bed.to(i * kSpacing);
    if (!lost(i)) bed.packet(ts_packet((65'528 + i) & 0xffff));
  }
  CHECK(numbers(bed.out.fetches) == std::vector<std::uint16_t>{65'534, 65'535, 0, 1});
  CHECK(bed.out.fetches.front().second == 10 * kMillisecond);
  const auto first = bed.out.fetches;
  answer(bed, first);
  bed.to(20 * kMillisecond);
  CHECK(bed.out.fetches.size() == 5);
  CHECK(bed.out.fetches.back().first == 5);
  answer(bed, std::span(bed.out.fetches).last(1));
  bed.to(1000 * kMillisecond);
  CHECK(bed.out.lost.empty());
  CHECK(bed.out.wrong == 0);
  CHECK(bed.out.numbers.size() == 20);
  CHECK(bed.out.origins[0] == Origin::fetched);
  CHECK(bed.recovery.counters().by_fetch == 5);
  CHECK(bed.recovery.fetch_time() > 0);
}

TEST_CASE("fetching: nobody fetches who is not told to") {
  Bed bed(RecoveryOptions{});
  play(bed, 0, 300, [](int i) { return i % 10 == 5; });
  CHECK(bed.out.fetches.empty());
}

TEST_CASE("fetching: not while parity may come, but in time when it does not") {
  RecoveryOptions o = fetching();
  o.parity_span = 60;
  Bed bed(o);
  // The stream goes on: parity has not come when it must have.
  play(bed, 0, 90, [](int i) { return i == 10; });
  REQUIRE(bed.out.fetches.size() == 1);
  CHECK(bed.out.fetches[0].second == 70 * kMillisecond);
  answer(bed, bed.out.fetches);
  // It stands still: the last moment, half of the playout delay before its time.
  play(bed, 90, 100, [](int i) { return i == 95; });
  bed.to(500 * kMillisecond);
  REQUIRE(bed.out.fetches.size() == 2);
  const Nanos due = (95 + 200) * kMillisecond;
  CHECK(bed.out.fetches[1].second < due);
  CHECK(bed.out.fetches[1].second >= due - 101 * kMillisecond);
}

TEST_CASE("fetching: what parity repairs is not fetched") {
  RecoveryOptions o = fetching();
  o.parity_span = 50;
  Bed bed(o);
  test::KeptParity out;
  repair::ParityEncoder encoder({5, 5, false});
  for (int i = 0; i < 200; i++) {
    bed.to(i * kSpacing);
    const auto datagram = ts_packet(i);
    encoder.push({i, datagram.data(), codec::Bytes(datagram).subspan(codec::kRtpHeaderSize)}, out);
    if (i % 25 != 7) bed.packet(datagram);
    for (const auto& parity : std::exchange(out.ready, {})) bed.recovery.on_parity(parity, bed.now);
  }
  bed.to(1000 * kMillisecond);
  CHECK(bed.recovery.counters().by_parity >= 7);
  // The last matrix is not complete.
  CHECK(bed.out.fetches.size() <= 1);
}

TEST_CASE("fetching: two requests without an answer come first") {
  RecoveryOptions o = fetching();
  o.asks = true;
  o.round_trip = 20 * kMillisecond;
  Bed bed(o);
  play(bed, 0, 300, [](int i) { return i == 100; });
  // Found at 101, asked then and 30 ms later; 60 ms later neither has had an answer.
  REQUIRE(bed.out.requests.size() >= 3);
  CHECK(bed.out.requests[1].second == 131 * kMillisecond);
  REQUIRE(!bed.out.fetches.empty());
  CHECK(bed.out.fetches[0] == std::pair<std::uint16_t, Nanos>{100, 161 * kMillisecond});
}

TEST_CASE("fetching: what an answer brings is not fetched") {
  RecoveryOptions o = fetching();
  o.asks = true;
  o.round_trip = 20 * kMillisecond;
  Bed bed(o);
  std::size_t answered = 0;
  for (int i = 0; i < 500; i++) {
    bed.to(i * kSpacing);
    if (i % 10 != 5) bed.packet(ts_packet(i));
    for (; answered < bed.out.requests.size() &&
           bed.out.requests[answered].second + 18 * kMillisecond <= bed.now;
         answered++)
      bed.recovery.on_retransmission(ts_packet(bed.out.requests[answered].first), bed.now);
  }
  CHECK(bed.recovery.counters().by_retransmission > 20);
  CHECK(bed.out.fetches.empty());
}

TEST_CASE("fetching: at once where an answer would come too late") {
  RecoveryOptions o = fetching();
  o.asks = true;
  o.round_trip = 150 * kMillisecond;
  Bed bed(o);
  play(bed, 0, 300, [](int i) { return i == 100; });
  // Asked once all the same; a second answer would come after 300 ms.
  CHECK(bed.out.requests.size() == 1);
  REQUIRE(!bed.out.fetches.empty());
  CHECK(bed.out.fetches[0].second < 160 * kMillisecond);
}

TEST_CASE("fetching: once more when it failed, then not; and not what the server said it has not") {
  Bed bed(fetching());
  play(bed, 0, 20, [](int i) { return i == 10; });
  REQUIRE(bed.out.fetches.size() == 1);
  bed.recovery.on_fetch_end(false, bed.now);
  bed.to(21 * kMillisecond);
  REQUIRE(bed.out.fetches.size() == 2);
  bed.recovery.on_fetch_end(false, bed.now);
  bed.to(1000 * kMillisecond);
  CHECK(bed.out.fetches.size() == 2);
  CHECK(bed.out.lost == std::set<std::uint16_t>{10});

  Bed other(fetching());
  play(other, 0, 20, [](int i) { return i == 10; });
  REQUIRE(other.out.fetches.size() == 1);
  other.recovery.on_fetch_end(true, other.now);
  other.to(1000 * kMillisecond);
  CHECK(other.out.fetches.size() == 1);
  CHECK(other.out.lost == std::set<std::uint16_t>{10});
}

TEST_CASE("fetching: a server that fails is asked ever less, and takes nothing from the heap") {
  Bed bed(fetching());
  const auto fail_all = [&](int first, int end) {
    std::size_t ended = bed.out.patiences.size();
    for (int i = first; i < end; i++) {
      bed.to(i * kSpacing);
      if (i % 10 != 5) bed.packet(ts_packet(i));
      for (; ended < bed.out.patiences.size(); ended++) bed.recovery.on_fetch_end(false, bed.now);
    }
  };
  fail_all(0, 1000);
  const std::size_t first = bed.out.patiences.size();
  CHECK(first <= 6);
  fail_all(1000, 20'000);
  CHECK(bed.out.patiences.size() - first <= 8);
  CHECK(bed.recovery.counters().lost > 1900);
}

TEST_CASE(
    "fetching: not when it would come too late by what fetches took; tried again all the same after a "
    "while") {
  Bed bed(fetching());
  Nanos begun = 0;
  std::size_t ended = 0;
  for (int i = 0; i < 5000; i++) {
    bed.to(i * kSpacing);
    if (i % 10 != 5) bed.packet(ts_packet(i));
    if (ended == bed.out.patiences.size()) begun = bed.now;
    if (ended < bed.out.patiences.size() && bed.now >= begun + 300 * kMillisecond) {
      bed.recovery.on_fetch_end(true, bed.now);
      ended++;
    }
  }
  CHECK(bed.out.patiences.size() >= 3);
  CHECK(bed.out.patiences.size() <= 6);
}

TEST_CASE("fetching: a wide gap comes in several fetches") {
  RecoveryOptions o = fetching();
  o.playout = 1000 * kMillisecond;
  Bed bed(o);
  bed.packet(ts_packet(0));
  bed.to(600 * kMillisecond);
  bed.packet(ts_packet(600));
  bed.to(601 * kMillisecond);
  REQUIRE(bed.out.fetches.size() == repair::Recovery::kMostFetched);
  for (std::size_t from = 0; from < 599;) {
    const std::size_t end = bed.out.fetches.size();
    answer(bed, std::span(bed.out.fetches).subspan(from, end - from));
    from = end;
    bed.to(bed.now + kMillisecond);
  }
  CHECK(bed.out.patiences.size() == 3);
  bed.to(5000 * kMillisecond);
  CHECK(bed.out.lost.empty());
  CHECK(bed.out.numbers == range(0, 601));
}

TEST_CASE("fetching: neither another source's packets nor any that were not missing are taken") {
  Bed bed(fetching());
  play(bed, 0, 20, [](int i) { return i == 10; });
  bed.recovery.on_fetched(ts_packet(10, 7, 0xbeef), bed.now);
  bed.recovery.on_fetched(ts_packet(5), bed.now);
  bed.recovery.on_fetched(ts_packet(40), bed.now);
  bed.recovery.on_fetched({}, bed.now);
  CHECK(bed.recovery.counters().damaged == 2);
  bed.recovery.on_fetched(ts_packet(10), bed.now);
  bed.recovery.on_fetch_end(true, bed.now);
  bed.to(1000 * kMillisecond);
  CHECK(bed.out.numbers == range(0, 20));
  CHECK(bed.recovery.counters().by_fetch == 1);
}

TEST_CASE("fetching: its deciding takes nothing from the heap") {
  repair::RecoveryOptions o = fetching();
  struct Quiet final : repair::RecoveryOutput {
    void on_packet(std::int64_t, codec::Bytes, Origin) noexcept override {}
    void on_lost(std::int64_t, std::int64_t) noexcept override {}
    void on_request(std::span<const std::int64_t>) noexcept override {}
    void on_fetch(std::span<const std::int64_t> sequences, Nanos) noexcept override {
      asked += sequences.size();
    }
    void on_restart() noexcept override {}
    std::size_t asked = 0;
  } out;
  repair::Recovery recovery(o, out);
  std::vector<test::Datagram> packets;
  packets.reserve(1000);
  for (int i = 0; i < 1000; i++) packets.push_back(ts_packet(i));
  const std::uint64_t before = test::allocations();
  for (int i = 0; i < 1000; i++) {
    const Nanos now = i * kSpacing;
    if (i % 10 != 5) recovery.on_packet(packets[static_cast<std::size_t>(i)], now);
    const std::size_t asked = out.asked;
    recovery.advance(now);
    if (out.asked == asked) continue;
    recovery.on_fetched(packets[static_cast<std::size_t>(i) - 1], now);
    recovery.on_fetch_end(true, now);
  }
  CHECK(test::allocations() == before);
  CHECK(out.asked == 100);
  CHECK(recovery.counters().lost == 0);
}

TEST_CASE("fetch pace: pauses double up to the longest, and end with the first success") {
  FetchPace pace(50 * kMillisecond);
  Nanos now = 0;
  std::vector<Nanos> pauses;
  for (int i = 0; i < 8; i++) {
    pace.begin(now);
    CHECK(pace.ready() == repair::kNever);
    now += kMillisecond;
    pace.end(false, now);
    pauses.push_back(pace.ready() - now);
    now = pace.ready();
  }
  CHECK(pauses.front() == 0);
  CHECK(pauses[1] == FetchPace::kFirstPause);
  CHECK(pauses[2] == 2 * FetchPace::kFirstPause);
  CHECK(pauses.back() == FetchPace::kLongestPause);
  pace.begin(now);
  pace.end(true, now + 7 * kMillisecond);
  CHECK(pace.ready() == now + 7 * kMillisecond);
  CHECK(pace.smoothed() == 7 * kMillisecond);
}
