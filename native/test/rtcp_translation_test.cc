#include "plane/rtcp_translation.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "plane/feedback_aggregator.h"
#include "plane/receiver_report.h"
#include "test/rtcp_bytes.h"

using namespace sluice;
using codec::RtcpCompound;
using codec::RtcpForm;
using kernel::kMillisecond;
using kernel::kSecond;
using plane::FeedbackAggregator;
using plane::RtcpMapping;
using test::bytes_of;
using test::Datagram;

namespace {

constexpr std::uint32_t kSource = 0xcafebabe;
constexpr std::uint32_t kReceiver = 0x0badf00d;

/** Numbers begin again at 1,000 where the source was at 64,000; 2,000 packets since then. */
const RtcpMapping kMapping{kSource, kReceiver, 1000 - 64000, 1000, 2999, 0x100, 77, 12345, 5, false};

Datagram to_receiver(const Datagram& in, const RtcpMapping& mapping = kMapping) {
  Datagram out(in.size() + 100);
  const auto compound = RtcpCompound::parse(in, RtcpForm::reduced_too);
  REQUIRE(compound.has_value());
  out.resize(plane::rtcp_to_receiver(*compound, mapping, out));
  return out;
}

Datagram to_source(const Datagram& in, const RtcpMapping& mapping = kMapping) {
  Datagram out(in.size() + 100);
  const auto compound = RtcpCompound::parse(in, RtcpForm::reduced_too);
  REQUIRE(compound.has_value());
  out.resize(plane::rtcp_to_source(*compound, mapping, out));
  return out;
}

const std::string kReport = "80c90001 00000001";

}  // namespace

TEST_CASE(
    "rtcp translation: a sender report tells what this receiver was sent, with the source's wall clock") {
  CHECK(to_receiver(bytes_of("81c8000c cafebabe e8a1b2c380000000 fffffff0 000003e8 00027100"
                             "00000001 00000000 00000000 00000000 00000000 00000000"
                             "82ca0006 cafebabe 01036140 62000000 00000007 01026364 00000000"
                             "80cc0002 cafebabe 70696e67"
                             "80cf0001 cafebabe"
                             "81cd0003 cafebabe 00000001 00050000"
                             "81cb0002 cafebabe 03656e64")) ==
        // Timestamp 0xfffffff0 + 0x100, 77 packets, 12,345 octets; no block, no chunk about another, no XR,
        // no feedback.
        bytes_of("80c80006 0badf00d e8a1b2c380000000 000000f0 0000004d 00003039"
                 "81ca0003 0badf00d 01036140 62000000"
                 "80cc0002 0badf00d 70696e67"
                 "81cb0002 0badf00d 03656e64"));
}

TEST_CASE("rtcp translation: a source that only reports, and one that is another") {
  CHECK(to_receiver(bytes_of("80c90001 cafebabe 81ca0002 cafebabe 01016100")) ==
        bytes_of("80c90001 0badf00d 81ca0002 0badf00d 01016100"));
  CHECK(to_receiver(bytes_of("80c80006 00000005 e8a1b2c380000000 fffffff0 000003e8 00027100"
                             "81ca0002 cafebabe 01016100"))
            .empty());
  CHECK(to_receiver(bytes_of("81ce0002 cafebabe 0badf00d")).empty());
  CHECK(to_receiver(bytes_of("81cb0001 cafebabe")) == bytes_of("81cb0001 0badf00d"));
}

TEST_CASE("rtcp translation: a receiver report names the source's numbers") {
  // Highest 2,999 of the receiver is 65,999 of the source: 463 after its first wrap. Lost 6, 5 of them
  // before.
  CHECK(to_source(bytes_of("82c9000d 00000001 0badf00d 40000006 00000bb7 0000002a b2c38000 00008000"
                           "00000009 40000006 00000bb7 0000002a b2c38000 00008000"
                           "81ca0002 00000001 01016100")) ==
        bytes_of("81c90007 00000001 cafebabe 40000001 000101cf 0000002a b2c38000 00008000"
                 "81ca0002 00000001 01016100"));
  // A sender that receives, too: its own report is not about what we relay.
  CHECK(to_source(bytes_of("80c80006 00000001 e8a1b2c380000000 fffffff0 000003e8 00027100")) ==
        bytes_of(kReport));
}

TEST_CASE("rtcp translation: numbers that were not sent under the mapping are not reported") {
  for (const auto& [number, known] : std::vector<std::pair<std::uint32_t, bool>>{{999, false},
                                                                                 {1000, true},
                                                                                 {2999, true},
                                                                                 {3000, false},
                                                                                 {0xffff, false},
                                                                                 {0x10000 + 1500, true}}) {
    CAPTURE(number);
    codec::ReportBlock block;
    block.ssrc = kReceiver;
    block.highest_sequence = number;
    const auto mapped = plane::block_to_source(block, kMapping);
    CHECK(mapped.has_value() == known);
    if (mapped) CHECK(mapped->highest_sequence == 64000 + (number & 0xffffU) - 1000);
  }
}

TEST_CASE("rtcp translation: mapping there and back from many start values") {
  for (const std::int64_t source : {0LL, 1LL, 32767LL, 32768LL, 65535LL, 65536LL, 3 * 65536LL - 1}) {
    for (const std::int64_t receiver : {0LL, 1LL, 32767LL, 32768LL, 65535LL, 65536LL, 5 * 65536LL}) {
      for (const std::int64_t step : {0LL, 1LL, 20000LL, 32767LL}) {
        CAPTURE(source);
        CAPTURE(receiver);
        CAPTURE(step);
        RtcpMapping mapping = kMapping;
        mapping.sequence_delta = receiver - source;
        mapping.first_sequence = receiver;
        mapping.last_sequence = receiver + 32767;
        codec::ReportBlock block;
        block.ssrc = kReceiver;
        // The receiver counts its cycles from when it began.
        block.highest_sequence = static_cast<std::uint16_t>(receiver + step);
        const auto mapped = plane::block_to_source(block, mapping);
        REQUIRE(mapped.has_value());
        CHECK(mapped->highest_sequence == static_cast<std::uint32_t>(source + step));
      }
    }
  }
}

TEST_CASE("rtcp translation: negative acknowledgements over the wrap of the source") {
  // 2,530 and the 16 behind it: 65,530 of the source onwards.
  CHECK(to_source(bytes_of(kReport + "81cd0003 00000001 0badf00d 09e2ffff")) ==
        bytes_of(kReport + "81cd0003 00000001 cafebabe fffaffff"));
  // 998 to 1,001 asked for: the first two are of before; 1,000 stands for itself now.
  CHECK(to_source(bytes_of(kReport + "81cd0003 00000001 0badf00d 03e60007")) ==
        bytes_of(kReport + "81cd0003 00000001 cafebabe fa000001"));
  // The last that was sent, and those that were not; an entry of which nothing is left; one that is whole.
  CHECK(to_source(bytes_of(kReport + "81cd0005 00000001 0badf00d 0bb78001 0bb8ffff 03e80000")) ==
        bytes_of(kReport + "81cd0004 00000001 cafebabe 01cf0000 fa000000"));
  CHECK(to_source(bytes_of(kReport + "81cd0003 00000001 0badf00d 0bb80000")) == bytes_of(kReport));
  CHECK(to_source(bytes_of(kReport + "81cd0003 00000001 00000009 09e2ffff")) == bytes_of(kReport));
}

TEST_CASE("rtcp translation: requests for pictures") {
  CHECK(to_source(bytes_of("81ce0002 00000001 0badf00d")) == bytes_of("81ce0002 00000001 cafebabe"));
  CHECK(to_source(bytes_of("81ce0002 00000001 cafebabe")).empty());
  CHECK(to_source(bytes_of("84ce0006 00000001 00000000 00000009 01000000 0badf00d 02000000")) ==
        bytes_of("84ce0004 00000001 00000000 cafebabe 02000000"));
  const Datagram slices = bytes_of("82ce0003 00000001 0badf00d 12345678");
  CHECK(to_source(slices) == bytes_of("82ce0003 00000001 cafebabe 12345678"));
  RtcpMapping rewritten = kMapping;
  rewritten.payload_rewritten = true;
  CHECK(to_source(slices, rewritten).empty());
  // Reference pictures name a payload type, REMB names SSRCs.
  CHECK(to_source(bytes_of("83ce0003 00000001 0badf00d 00601234")).empty());
  CHECK(to_source(bytes_of("8fce0005 00000001 00000000 52454d42 01000000 0badf00d")).empty());
}

TEST_CASE("rtcp translation: only the receiver itself describes itself and leaves") {
  CHECK(to_source(bytes_of(kReport + "82ca0004 cafebabe 01016100 00000001 01016200"
                                     "82cb0003 cafebabe 00000001 03656e64")) ==
        bytes_of(kReport + "81ca0002 00000001 01016200 81cb0002 00000001 03656e64"));
  // With the SSRC of the source, or of what it is sent.
  CHECK(to_source(bytes_of("80c90001 cafebabe")).empty());
  CHECK(to_source(bytes_of("80c90001 0badf00d")).empty());
  CHECK(to_source(bytes_of(kReport + "80c90001 cafebabe 81ce0002 cafebabe 0badf00d")) == bytes_of(kReport));
}

TEST_CASE("rtcp translation: into too little room goes what fits, in whole packets") {
  const Datagram in = bytes_of(
      "81c90007 00000001 0badf00d 40000006 00000bb7 0000002a b2c38000 00008000"
      "81ca0002 00000001 01016100 81ce0002 00000001 0badf00d");
  const auto compound = RtcpCompound::parse(in);
  REQUIRE(compound.has_value());
  for (std::size_t room = 0; room <= in.size(); room++) {
    CAPTURE(room);
    Datagram out(room);
    const std::size_t size = plane::rtcp_to_source(*compound, kMapping, out);
    CHECK(size <= room);
    if (room < 32) CHECK(size == 0);
    if (size > 0) CHECK(RtcpCompound::parse(codec::Bytes(out).first(size)).has_value());
    Datagram other(room);
    CHECK(plane::rtcp_to_receiver(*compound, kMapping, other) == 0);
  }
}

TEST_CASE("receiver reports: round trip from when the named sender report left") {
  plane::SentReports sent;
  codec::ReportBlock block{kReceiver, 64, 10, 5, 900, 0, 0x8000};
  CHECK_FALSE(plane::view_report(block, sent, 90000, kSecond).round_trip.has_value());
  for (int i = 0; i < 4; i++)
    sent.note((std::uint64_t{0x100U + static_cast<unsigned>(i)} << 32) | 0x80000000, i * kSecond);
  block.last_report = 0x0102'8000;
  const auto view = plane::view_report(block, sent, 90000, 2540 * kMillisecond);
  CHECK(view.fraction_lost == doctest::Approx(0.25));
  CHECK(view.lost == 10);
  CHECK(view.jitter == 10 * kMillisecond);
  REQUIRE(view.round_trip.has_value());
  CHECK(*view.round_trip == 40 * kMillisecond);
  // A delay that rounding has made longer than the time that passed is none; one that cannot be is not told.
  CHECK(*plane::view_report(block, sent, 90000, 2500 * kMillisecond - 1000).round_trip == 0);
  CHECK_FALSE(plane::view_report(block, sent, 90000, 2400 * kMillisecond).round_trip.has_value());
  // The oldest is forgotten for the fifth.
  block.last_report = 0x0100'8000;
  CHECK(sent.sent_at(block.last_report).has_value());
  sent.note(std::uint64_t{0x200} << 32, 4 * kSecond);
  CHECK_FALSE(sent.sent_at(block.last_report).has_value());
}

namespace {

/** A report by receiver `position`, whose SSRC is 1,000 more. */
plane::RelayedReport report(std::uint32_t position, unsigned fraction) {
  codec::ReportBlock block;
  block.ssrc = kSource;
  block.fraction_lost = static_cast<std::uint8_t>(fraction);
  block.last_report = 1;
  return {1000 + position, block};
}

/** Who is reported of, by position. */
std::vector<std::uint32_t> taken(FeedbackAggregator& feedback, kernel::Nanos now = 0) {
  std::array<std::uint8_t, 1400> out{};
  codec::RtcpWriter writer(out);
  const std::size_t written = feedback.take(writer, now);
  std::vector<std::uint32_t> positions;
  if (const auto compound = RtcpCompound::parse(writer.written())) {
    for (const auto& packet : *compound) positions.push_back(packet.ssrc() - 1000);
  }
  CHECK(written == positions.size());
  CHECK(feedback.size() == 0);
  return positions;
}

}  // namespace

TEST_CASE("feedback aggregator: of ten thousand the worst are passed on at once, the others in turn") {
  FeedbackAggregator feedback;
  constexpr std::uint32_t kReceivers = 10'000;
  std::vector<int> turns(kReceivers);
  const auto bad = [](std::uint32_t position) { return position % 625 == 600; };
  const std::uint32_t intervals = (kReceivers + FeedbackAggregator::kTurns - 1) / FeedbackAggregator::kTurns;
  for (std::uint32_t interval = 0; interval < intervals; interval++) {
    for (std::uint32_t i = 0; i < kReceivers; i++) feedback.add(i, report(i, bad(i) ? 200 : 0), 0);
    const auto positions = taken(feedback);
    REQUIRE(positions.size() == FeedbackAggregator::kMost);
    for (std::size_t i = 0; i < positions.size(); i++) {
      CHECK(bad(positions[i]) == (i < FeedbackAggregator::kWorst));
      turns[positions[i]]++;
    }
  }
  CHECK(std::ranges::count(turns, 0) == 0);
  // None but the sixteen worst has had two turns more than another.
  CHECK(std::ranges::count_if(turns, [](int n) { return n > 2; }) == FeedbackAggregator::kWorst);
}

TEST_CASE("feedback aggregator: few are all passed on, the last report of each") {
  FeedbackAggregator feedback;
  for (std::uint32_t i = 0; i < FeedbackAggregator::kMost; i++) feedback.add(i, report(i, i), 0);
  for (std::uint32_t i = 0; i < FeedbackAggregator::kMost; i++) feedback.add(i, report(i, 100 - i), 0);
  CHECK(feedback.size() == FeedbackAggregator::kMost);
  auto positions = taken(feedback);
  CHECK(positions[0] == 0);
  std::ranges::sort(positions);
  REQUIRE(positions.size() == FeedbackAggregator::kMost);
  for (std::uint32_t i = 0; i < FeedbackAggregator::kMost; i++) CHECK(positions[i] == i);
  CHECK(taken(feedback).empty());
}

TEST_CASE("feedback aggregator: the time that a report waited is added to its delay") {
  FeedbackAggregator feedback;
  feedback.add(1, report(1, 0), 10 * kSecond);
  std::array<std::uint8_t, 64> out{};
  codec::RtcpWriter writer(out);
  CHECK(feedback.take(writer, 12 * kSecond) == 1);
  const auto compound = RtcpCompound::parse(writer.written());
  REQUIRE(compound.has_value());
  CHECK(codec::report_block(*compound->begin(), 0).delay == 0x20000);
}

TEST_CASE("feedback aggregator: what does not fit waits for its next turn") {
  FeedbackAggregator feedback;
  for (std::uint32_t i = 0; i < FeedbackAggregator::kMost; i++) feedback.add(i, report(i, 0), 0);
  std::array<std::uint8_t, std::size_t{32} * 20> out{};
  codec::RtcpWriter writer(out);
  CHECK(feedback.take(writer, 0) == 20);
  CHECK(writer.size() == out.size());
}
