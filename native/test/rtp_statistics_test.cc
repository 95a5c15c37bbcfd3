#include "plane/rtp_statistics.h"

#include <doctest/doctest.h>

#include <vector>

using namespace sluice;
using kernel::kMillisecond;
using kernel::kSecond;
using plane::RtpStatistics;

namespace {

constexpr std::uint32_t kRate = 8000;
constexpr kernel::Nanos kPacket = 20 * kMillisecond;
constexpr std::uint32_t kUnits = 160;

/** Start values around the wrap and around the sign change of a 16-bit difference. */
const std::vector<std::uint16_t> kStarts{0,     1,     2,     100,   32765, 32766, 32767, 32768,
                                         32769, 40000, 65500, 65531, 65532, 65533, 65534, 65535};

/** A source that sends a packet every 20 ms, on a clock near the end of its 32 bits. */
struct Source {
  RtpStatistics statistics{7, kRate};
  std::uint16_t start;

  explicit Source(std::uint16_t first) : start(first) {}
  bool send(int index, kernel::Nanos late = 0) {
    return statistics.update(static_cast<std::uint16_t>(start + index),
                             0xffffff00U + static_cast<std::uint32_t>(index) * kUnits,
                             kSecond + index * kPacket + late);
  }
  void send(int from, int to) {
    for (int i = from; i < to; i++) send(i);
  }
};

}  // namespace

TEST_CASE("rtp statistics: a source is valid when two packets came in sequence") {
  for (const std::uint16_t start : kStarts) {
    CAPTURE(start);
    Source source(start);
    CHECK_FALSE(source.send(0));
    CHECK_FALSE(source.statistics.valid());
    CHECK_FALSE(source.send(5));
    CHECK_FALSE(source.send(3));
    CHECK(source.statistics.expected() == 0);
    CHECK(source.send(4));
    CHECK(source.statistics.valid());
    CHECK(source.statistics.received() == 1);
    CHECK(source.statistics.expected() == 1);
  }
}

TEST_CASE("rtp statistics: losses, late packets and duplicates over the wrap") {
  for (const std::uint16_t start : kStarts) {
    CAPTURE(start);
    Source source(start);
    source.send(0, 11);
    CHECK(source.statistics.expected() == 10);
    CHECK(source.statistics.lost() == 0);
    CHECK(source.statistics.report_block(0).fraction_lost == 0);
    source.send(13, 21);
    const auto block = source.statistics.report_block(0);
    CHECK(source.statistics.expected() == 20);
    CHECK(block.ssrc == 7);
    CHECK(block.lost == 2);
    CHECK(block.fraction_lost == 2 * 256 / 10);
    // The second of them counts its cycles from where it became valid.
    CHECK(static_cast<std::uint16_t>(block.highest_sequence) == static_cast<std::uint16_t>(start + 20));
    CHECK((block.highest_sequence >> 16) == ((static_cast<std::uint16_t>(start + 1) + 19U) >> 16));
    // One comes late after all, one twice: they make up for the losses, and then for more.
    CHECK(source.send(11));
    CHECK(source.send(20));
    CHECK(source.statistics.lost() == 0);
    CHECK(source.send(20));
    CHECK(source.statistics.lost() == -1);
    CHECK(source.statistics.report_block(0).fraction_lost == 0);
  }
}

TEST_CASE("rtp statistics: three turns of the sequence numbers") {
  Source source(65000);
  source.send(0, 3 * 65536);
  CHECK(source.statistics.highest_sequence() == 65000 + 3 * 65536 - 1);
  CHECK(source.statistics.expected() == 3 * 65536 - 1);
  CHECK(source.statistics.lost() == 0);
}

TEST_CASE("rtp statistics: an interval in which nothing came, and one in which all was lost") {
  Source source(65530);
  source.send(0, 10);
  source.statistics.report_block(0);
  CHECK(source.statistics.report_block(0).fraction_lost == 0);
  source.send(2009);
  const auto block = source.statistics.report_block(0);
  CHECK(block.fraction_lost == 255);
  CHECK(block.lost == 1999);
}

TEST_CASE("rtp statistics: one packet far away is passed over, two in sequence begin anew") {
  for (const std::uint16_t start : kStarts) {
    CAPTURE(start);
    Source source(start);
    source.send(0, 100);
    CHECK_FALSE(source.send(20000));
    CHECK(source.send(100));
    CHECK(source.statistics.expected() == 100);
    CHECK(source.statistics.lost() == 0);
    CHECK_FALSE(source.send(-10000));
    CHECK(source.send(-9999));
    CHECK(source.statistics.expected() == 1);
    CHECK(source.statistics.received() == 1);
    CHECK(source.statistics.jitter() == 0);
  }
}

TEST_CASE("rtp statistics: jitter of a regular source is none, of an alternating one its difference") {
  Source regular(65000);
  regular.send(0, 1000);
  CHECK(regular.statistics.jitter() == 0);
  Source alternating(65000);
  for (int i = 0; i < 1000; i++) alternating.send(i, (i % 2) * 5 * kMillisecond);
  // Every transit differs from the one before by 5 ms, 40 units.
  CHECK(alternating.statistics.jitter() >= 39);
  CHECK(alternating.statistics.jitter() <= 40);
}

TEST_CASE("rtp statistics: jitter follows the reference of RFC 3550 A.8") {
  Source source(10);
  double expected = 0;
  double before = 0;
  source.send(0);
  source.send(1);
  unsigned noise = 12345;
  for (int i = 2; i < 500; i++) {
    noise = noise * 1103515245U + 12345U;
    const kernel::Nanos late = (noise >> 16 & 31U) * kMillisecond;
    source.send(i, late);
    const double transit = static_cast<double>(late) * kRate / kSecond;
    expected += ((transit > before ? transit - before : before - transit) - expected) / 16;
    before = transit;
  }
  CHECK(source.statistics.jitter() >= expected - 1);
  CHECK(source.statistics.jitter() <= expected + 1);
}

TEST_CASE("rtp statistics: LSR and DLSR name the last sender report") {
  Source source(0);
  source.send(0, 3);
  CHECK(source.statistics.report_block(9 * kSecond).last_report == 0);
  CHECK(source.statistics.report_block(9 * kSecond).delay == 0);
  source.statistics.on_sender_report(0xe8a1b2c380001234, 10 * kSecond);
  const auto block = source.statistics.report_block(11 * kSecond + 500 * kMillisecond);
  CHECK(block.last_report == 0xb2c38000);
  CHECK(block.delay == 0x18000);
}
