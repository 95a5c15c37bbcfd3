#include "plane/rtp_reorder.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

using namespace sluice;
using kernel::kMillisecond;
using kernel::kSecond;
using plane::InputCounters;
using plane::RtpReorder;

namespace {

constexpr kernel::Nanos kWait = 50 * kMillisecond;
constexpr std::uint32_t kSsrc = 0x11223344;

/** A window whose packets carry their distance from the first sequence number. */
struct Fixture final : plane::RtpReorderOutput {
  InputCounters counters{};
  std::vector<int> out;
  std::vector<kernel::Nanos> arrivals;
  int restarts = 0;
  RtpReorder reorder;
  std::uint16_t start;

  explicit Fixture(std::uint16_t first, kernel::Nanos wait = kWait)
      : reorder(wait, *this, counters), start(first) {}
  void on_payload(codec::Bytes payload, kernel::Nanos arrival) noexcept override {
    int index = 0;
    REQUIRE(payload.size() >= sizeof index);
    std::memcpy(&index, payload.data(), sizeof index);
    out.push_back(index);
    arrivals.push_back(arrival);
  }
  void on_restart() noexcept override { restarts++; }
  /** The packet `index` after the first, at 1 ms per packet unless told. */
  void push(int index, kernel::Nanos arrival = -1, std::uint32_t ssrc = kSsrc, std::size_t size = 1316) {
    std::vector<std::uint8_t> payload(size);
    std::memcpy(payload.data(), &index, sizeof index);
    codec::RtpPacket packet;
    packet.header.sequence = static_cast<std::uint16_t>(start + index);
    packet.header.timestamp = static_cast<std::uint32_t>(index) * 90U;
    packet.header.ssrc = ssrc;
    packet.payload = payload;
    reorder.push(packet, arrival >= 0 ? arrival : index * kMillisecond);
  }
  void push_all(const std::vector<int>& indexes) {
    for (const int i : indexes) push(i);
  }
};

/** Start values around the wrap and around the sign change of a 16-bit difference. */
const std::vector<std::uint16_t> kStarts{0,     1,     2,     100,   32765, 32766, 32767, 32768,
                                         32769, 40000, 65500, 65531, 65532, 65533, 65534, 65535};

std::vector<int> range(int from, int to) {
  std::vector<int> v;
  for (int i = from; i < to; i++) v.push_back(i);
  return v;
}

}  // namespace

TEST_CASE("packets in sequence pass at once") {
  for (const std::uint16_t start : kStarts) {
    Fixture f(start);
    f.push_all(range(0, 200));
    CHECK(f.out == range(0, 200));
    CHECK_FALSE(f.reorder.deadline().has_value());
    CHECK(f.counters.last_sequence == 65536U + start + 199U);
    CHECK(f.counters.ssrc == kSsrc);
    CHECK(f.counters.rtp_lost + f.counters.rtp_reordered + f.counters.rtp_duplicates + f.counters.rtp_late ==
          0);
  }
}

TEST_CASE("reordered packets come out in order") {
  for (const std::uint16_t start : kStarts) {
    Fixture f(start);
    f.push_all({0, 2, 1, 6, 5, 4, 3, 7});
    CHECK(f.out == range(0, 8));
    CHECK(f.counters.rtp_reordered == 4);
    CHECK(f.counters.rtp_lost == 0);
    CHECK_FALSE(f.reorder.deadline().has_value());
  }
}

TEST_CASE("a gap is given up after the wait, counted from the packet that showed it") {
  for (const std::uint16_t start : kStarts) {
    Fixture f(start);
    f.push_all({0, 1, 3, 4, 7});
    CHECK(f.out == range(0, 2));
    CHECK(f.reorder.deadline() == 3 * kMillisecond + kWait);
    f.reorder.expire(3 * kMillisecond + kWait - 1);
    CHECK(f.out == range(0, 2));
    f.reorder.expire(3 * kMillisecond + kWait);
    CHECK(f.out == std::vector<int>{0, 1, 3, 4});
    CHECK(f.counters.rtp_lost == 1);
    CHECK(f.reorder.deadline() == 7 * kMillisecond + kWait);
    f.reorder.expire(kSecond);
    CHECK(f.out == std::vector<int>{0, 1, 3, 4, 7});
    CHECK(f.counters.rtp_lost == 3);
    CHECK(f.arrivals[2] == 3 * kMillisecond);
    f.push(2, 200 * kMillisecond);
    CHECK(f.counters.rtp_late == 1);
    CHECK(f.counters.rtp_duplicates == 0);
    CHECK(f.counters.rtp_lost == 3);
    f.push(8);
    CHECK(f.out.back() == 8);
  }
}

TEST_CASE("a gap waits no longer because another packet came before it") {
  Fixture f(65530);
  f.push(0, 0);
  f.push(9, 10 * kMillisecond);
  f.push(8, 40 * kMillisecond);
  f.push(1, 45 * kMillisecond);
  CHECK(f.reorder.deadline() == 10 * kMillisecond + kWait);
}

TEST_CASE("duplicates of delivered and of held packets") {
  for (const std::uint16_t start : kStarts) {
    Fixture f(start);
    f.push_all({0, 1, 1, 0, 3, 3, 2, 3, 2});
    CHECK(f.out == range(0, 4));
    CHECK(f.counters.rtp_duplicates == 5);
    CHECK(f.counters.rtp_late == 0);
    CHECK(f.counters.rtp_lost == 0);
  }
}

TEST_CASE("without a wait a gap is given up at once") {
  Fixture f(65534, 0);
  f.push_all({0, 2, 1, 3});
  CHECK(f.out == std::vector<int>{0, 2, 3});
  CHECK(f.counters.rtp_lost == 1);
  CHECK(f.counters.rtp_late == 1);
}

TEST_CASE("the window is bounded") {
  Fixture f(60000);
  f.push(0);
  for (int i = 2; i < 2 + static_cast<int>(RtpReorder::kSlots); i++) f.push(i, kMillisecond);
  // One more than fits: the gap is given up before its time.
  CHECK(f.counters.rtp_lost == 1);
  CHECK(f.out.size() == RtpReorder::kSlots + 1);
  CHECK_FALSE(f.reorder.deadline().has_value());
  f.push(2900, kMillisecond);
  CHECK(f.reorder.deadline().has_value());
  f.reorder.flush();
  CHECK(f.out.back() == 2900);
  CHECK(f.counters.rtp_lost == 1U + 2900U - 1026U);
}

TEST_CASE("a payload too long to be held ends the gap before it") {
  Fixture f(10);
  f.push(0);
  f.push(3);
  f.push(5, 5 * kMillisecond, kSsrc, 9000);
  CHECK(f.out == std::vector<int>{0, 3, 5});
  CHECK(f.counters.rtp_lost == 3);
  f.push(6, 6 * kMillisecond, kSsrc, 9000);
  CHECK(f.out.back() == 6);
}

TEST_CASE("another SSRC takes over with its second packet in sequence") {
  for (const std::uint16_t start : kStarts) {
    Fixture f(start);
    f.push_all({0, 1, 3});
    f.push(500, 4 * kMillisecond, 7);
    CHECK(f.restarts == 0);
    f.push(501, 5 * kMillisecond, 7);
    CHECK(f.restarts == 1);
    CHECK(f.out == std::vector<int>{0, 1, 3, 500, 501});
    CHECK(f.counters.ssrc == 7);
    CHECK(f.counters.rtp_lost == 1);
    CHECK(f.counters.malformed == 0);
    f.push(503, 6 * kMillisecond, 7);
    f.push(502, 7 * kMillisecond, 7);
    CHECK(f.out.back() == 503);
  }
}

TEST_CASE("a second sender beside the first does not disturb it") {
  Fixture f(65000);
  for (int i = 0; i < 1000; i++) {
    f.push(i);
    f.push(3 * i + 17, i * kMillisecond, 99);
  }
  CHECK(f.out == range(0, 1000));
  CHECK(f.restarts == 0);
  CHECK(f.counters.malformed == 999);
}

TEST_CASE("a stray packet far away does not disturb, two are a restart") {
  Fixture f(65000);
  f.push_all(range(0, 10));
  f.push(20000, 10 * kMillisecond);
  f.push_all(range(10, 20));
  CHECK(f.out == range(0, 20));
  CHECK(f.counters.malformed == 1);
  f.push(20000, 20 * kMillisecond);
  f.push(20001, 21 * kMillisecond);
  CHECK(f.restarts == 1);
  CHECK(f.out.back() == 20001);
  CHECK(f.counters.rtp_lost == 0);
}

TEST_CASE("an outage of one and the same stream is loss, not a restart") {
  Fixture f(65000);
  f.push_all(range(0, 10));
  f.push_all({8000, 8001});
  CHECK(f.restarts == 0);
  CHECK(f.counters.rtp_lost == 7990);
  CHECK(f.out.size() == 12);
  CHECK(f.counters.last_sequence == 65536U + 65000U + 8001U);
}

TEST_CASE("a source set back by less than the window is taken up again") {
  Fixture f(100);
  f.push_all(range(0, 500));
  for (int i = 0; i < 400; i++) f.push(i, (500 + i) * kMillisecond);
  CHECK(f.restarts == 1);
  CHECK(f.out.size() > 500 + 300);
  CHECK(f.out.back() == 399);
}

TEST_CASE("jitter of RFC 3550 A.8") {
  Fixture steady(0);
  steady.push_all(range(0, 100));
  CHECK(steady.counters.jitter_ns < 100);
  // Every other packet 2 ms late: |D| is 2 ms each time, which the filter approaches.
  Fixture shaky(0);
  for (int i = 0; i < 500; i++) shaky.push(i, i * kMillisecond + (i % 2) * 2 * kMillisecond);
  CHECK(shaky.counters.jitter_ns > 1'990'000);
  CHECK(shaky.counters.jitter_ns < 2'010'000);
}

TEST_CASE("any order within the window, from any start, comes out whole") {
  std::mt19937 random(3);
  for (const std::uint16_t start : kStarts) {
    Fixture f(start);
    std::vector<int> order = range(0, 3000);
    for (std::size_t at = 1; at + 40 < order.size(); at += 40) {
      std::shuffle(order.begin() + static_cast<long>(at), order.begin() + static_cast<long>(at + 40), random);
    }
    for (std::size_t i = 0; i < order.size(); i++)
      f.push(order[i], static_cast<kernel::Nanos>(i) * kMillisecond / 2);
    CHECK(f.out == range(0, 3000));
    CHECK(f.counters.rtp_lost == 0);
  }
}

TEST_CASE("random headers keep the counters and the window consistent") {
  std::mt19937 random(5);
  Fixture f(0);
  for (int i = 0; i < 200'000; i++) {
    const int index = random() % 4 == 0 ? static_cast<int>(random() % 65536) : i % 5000;
    f.push(index, i * kMillisecond / 4, random() % 50 == 0 ? 8 : kSsrc, 4 + random() % 2000);
    if (i % 100 == 0) f.reorder.expire(i * kMillisecond / 4);
  }
  f.reorder.flush();
  CHECK_FALSE(f.reorder.deadline().has_value());
  CHECK(f.out.size() + f.counters.malformed + f.counters.rtp_duplicates + f.counters.rtp_late <= 200'000);
}
