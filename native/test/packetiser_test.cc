#include "plane/packetiser.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "test/allocations.h"
#include "test/ts_source.h"

using namespace sluice;
using codec::kTsPacketSize;
using test::SourceOptions;
using test::TsSource;

namespace {

struct Events final : plane::PacketiserEvents {
  void on_access_point(const plane::AccessPoint& point) noexcept override { points.push_back(point); }
  void on_published(bool) noexcept override { published++; }
  std::int64_t timeline_origin() noexcept override { return origin; }
  void on_fault(const char* fault_code, std::string fault_detail) override {
    code = fault_code;
    detail = std::move(fault_detail);
    faults++;
  }
  std::vector<plane::AccessPoint> points;
  std::int64_t origin = 1'000'000;
  int published = 0;
  int faults = 0;
  std::string code;
  std::string detail;
};

/** A packetiser with its ring; whatever is published departs at once. */
struct Bed {
  explicit Bed(std::optional<std::uint16_t> program = std::nullopt, std::int64_t spread = 0)
      : ring(std::move(plane::Ring::create(1 << 20, 7, 100).value())),
        packetiser(ring, counters, events, program, spread) {
    counters.rtp_sequence = 100;
  }

  void write(const std::vector<std::uint8_t>& ts) {
    for (std::size_t at = 0; at < ts.size(); at += 1316) {
      packetiser.write(codec::Bytes(ts).subspan(at, std::min<std::size_t>(1316, ts.size() - at)));
      const std::int64_t end = ring.next_sequence();
      if (end == ring.released_sequence()) continue;
      const auto& last = ring.descriptor(end - 1);
      for (std::int64_t s = ring.released_sequence(); s < end; s++) keep(ring.descriptor(s));
      ring.release(end, last.position + last.size);
    }
  }
  void keep(const plane::Descriptor& d) {
    packets.push_back(d);
    if (keep_bytes) bytes.insert(bytes.end(), ring.at(d.position), ring.at(d.position) + d.size);
  }

  plane::StreamCounters counters{};
  Events events;
  plane::Ring ring;
  plane::Packetiser packetiser;
  std::vector<plane::Descriptor> packets;
  /** What was published. */
  std::vector<std::uint8_t> bytes;
  bool keep_bytes = true;
};

}  // namespace

TEST_CASE("packetiser: seven packets each, the same bytes, numbers in order") {
  Bed bed;
  const auto ts = TsSource().make(3000);
  bed.write(ts);
  REQUIRE(bed.packets.size() > 100);
  std::int64_t expected = 100;
  for (const auto& d : bed.packets) {
    CHECK(d.sequence == expected++);
    CHECK(d.size == plane::kFullPayload);
  }
  const auto& got = bed.bytes;
  CHECK(std::equal(got.begin(), got.end(), ts.begin()));
  CHECK(bed.counters.ts_packets_in == 3000);
  CHECK(bed.counters.continuity_errors == 0);
  CHECK(bed.counters.packets_in == bed.packets.size());
}

TEST_CASE("packetiser: media times follow the PCR, from many start values and over its wrap") {
  for (const std::int64_t clock : {std::int64_t{0}, std::int64_t{1}, codec::kPcrModulus / 2,
                                   codec::kPcrModulus - codec::kSystemClock / 2, codec::kPcrModulus - 1}) {
    CAPTURE(clock);
    Bed bed;
    SourceOptions options;
    options.clock = clock;
    bed.write(TsSource(options).make(5000));
    REQUIRE(bed.packets.size() > 500);
    for (std::size_t i = 1; i < bed.packets.size(); i++) {
      // Seven packets of 2,500 a second.
      const double exact = 7.0 / 2500 * static_cast<double>(codec::kSystemClock);
      const auto step = static_cast<double>(bed.packets[i].media_time - bed.packets[i - 1].media_time);
      CHECK(step >= 0);
      if (i > 1) CHECK(step == doctest::Approx(exact).epsilon(0.2));
    }
    const auto total = static_cast<double>(bed.packets.back().media_time - bed.packets.front().media_time);
    const double expected =
        static_cast<double>(bed.packets.size() - 1) * 7 / 2500 * static_cast<double>(codec::kSystemClock);
    CHECK(total == doctest::Approx(expected).epsilon(0.002));
    CHECK(bed.counters.discontinuities == 0);
  }
}

TEST_CASE("packetiser: RTP timestamps are the media time at 90 kHz") {
  Bed bed;
  bed.write(TsSource().make(2000));
  for (const auto& d : bed.packets) {
    const auto packet = codec::parse_rtp({bed.ring.header(d.sequence), codec::kRtpHeaderSize});
    REQUIRE(packet.has_value());
    CHECK(packet->header.timestamp == static_cast<std::uint32_t>(d.media_time / 300));
    CHECK(packet->header.payload_type == 33);
    CHECK(packet->header.ssrc == 7);
  }
}

TEST_CASE("packetiser: access points begin at the tables right before them") {
  Bed bed;
  bed.write(TsSource().make(8000));
  REQUIRE(bed.events.points.size() == 4);
  for (std::size_t i = 0; i < 4; i++) {
    const auto& point = bed.events.points[i];
    CHECK(point.tables_in_place);
    CHECK(point.position == i * 2500 * kTsPacketSize);
    CHECK(point.pts == static_cast<std::int64_t>(i) * 90'000 + 2 * 90'000 / 2500 + 9000);
    CHECK_FALSE(point.discontinuity);
  }
}

TEST_CASE("packetiser: nothing goes in before the first access point but tables") {
  Bed bed;
  const auto ts = TsSource().make(6000);
  // From the middle of a group of pictures.
  const std::size_t from = 1000 * kTsPacketSize;
  bed.write({ts.begin() + from, ts.end()});
  REQUIRE(bed.events.points.size() == 2);
  CHECK(bed.events.points[0].position == 0);
  const auto& got = bed.bytes;
  REQUIRE(got.size() > kTsPacketSize * 100);
  CHECK(std::equal(got.begin(), got.end(), ts.begin() + 2500 * kTsPacketSize));
}

TEST_CASE("packetiser: after a splice numbers and times go on, and the jump is announced") {
  Bed bed;
  bed.write(TsSource().make(3000));
  const auto before = bed.ring.next_sequence();
  bed.packetiser.splice();
  // A new stream of another clock, and of other continuity counters.
  SourceOptions options;
  options.clock = 1'000'000'000'000;
  TsSource other(options);
  auto ts = other.make(5000);
  for (std::size_t at = 0; at < ts.size(); at += kTsPacketSize)
    codec::set_continuity_counter(ts.data() + at, (ts[at + 3] & 15) + 5);
  bed.events.origin = bed.packetiser.media_end();
  bed.write(ts);
  CHECK(bed.ring.next_sequence() > before + 100);
  for (std::size_t i = 1; i < bed.packets.size(); i++) {
    CHECK(bed.packets[i].sequence == bed.packets[i - 1].sequence + 1);
    CHECK(bed.packets[i].media_time >= bed.packets[i - 1].media_time);
  }
  REQUIRE(bed.events.points.size() >= 3);
  CHECK(bed.events.points[2].discontinuity);
  // A receiver that checks counters sees announced jumps only.
  std::vector<codec::ContinuityCheck> checks(8192);
  const auto& got = bed.bytes;
  for (std::size_t at = 0; at + kTsPacketSize <= got.size(); at += kTsPacketSize) {
    const auto packet = codec::TsPacket::parse(codec::Bytes(got).subspan(at, kTsPacketSize));
    REQUIRE(packet.has_value());
    CHECK(checks[packet->pid()].accept(*packet));
  }
}

TEST_CASE("packetiser: of several programmes the configured one is kept, with a PAT of its own") {
  SourceOptions options;
  options.program = 2;
  options.others = {{1, 0x300}, {3, 0x400}};
  TsSource source(options);
  auto ts = source.make(6000);
  // A stray packet of another programme in between.
  std::vector<std::uint8_t> stray(kTsPacketSize, 0xff);
  stray[0] = 0x47;
  codec::store16(stray.data() + 1, 0x301);
  stray[3] = 0x10;
  ts.insert(ts.begin() + 3000 * kTsPacketSize, stray.begin(), stray.end());

  SUBCASE("named") {
    Bed bed(std::uint16_t{2});
    bed.write(ts);
    CHECK(bed.events.faults == 0);
    const auto& got = bed.bytes;
    REQUIRE(got.size() > 4000 * kTsPacketSize);
    codec::SectionAssembler assembler;
    for (std::size_t at = 0; at + kTsPacketSize <= got.size(); at += kTsPacketSize) {
      const auto packet = codec::TsPacket::parse(codec::Bytes(got).subspan(at, kTsPacketSize));
      REQUIRE(packet.has_value());
      CHECK(packet->pid() != 0x301);
      if (packet->pid() != 0) continue;
      const auto section = assembler.push(*packet);
      REQUIRE(section.has_value());
      const auto pat = codec::parse_pat(*section);
      REQUIRE(pat.has_value());
      CHECK(pat->count == 1);
      CHECK(pat->programs[0].number == 2);
    }
  }
  SUBCASE("not named: refused by name, once") {
    Bed bed;
    bed.write(ts);
    CHECK(bed.events.faults == 1);
    CHECK(bed.events.code == "SOURCE_PROGRAM_REQUIRED");
    CHECK(bed.events.detail.find("2, 1, 3") != std::string::npos);
    CHECK(bed.packets.empty());
  }
  SUBCASE("missing") {
    Bed bed(std::uint16_t{9});
    bed.write(ts);
    CHECK(bed.events.code == "SOURCE_PROGRAM_MISSING");
  }
}

TEST_CASE("packetiser: what is no transport stream is refused by name") {
  Bed bed;
  bed.write(std::vector<std::uint8_t>(200'000, '<'));
  CHECK(bed.events.code == "SOURCE_NOT_MPEGTS");
  CHECK(bed.events.faults == 1);
  CHECK(bed.packets.empty());
}

TEST_CASE("packetiser: a stream without PCR is refused by name") {
  Bed bed;
  TsSource source;
  for (int i = 0; i < 60'000; i++) {
    std::vector<std::uint8_t> packet(kTsPacketSize);
    source.next(packet.data());
    if ((packet[3] & 0x20) != 0) packet[5] &= 0xef;
    bed.write(packet);
  }
  CHECK(bed.events.code == "SOURCE_NO_PCR");
}

TEST_CASE("packetiser: lost input packets are counted, the ring goes on") {
  Bed bed;
  auto ts = TsSource().make(3000);
  ts.erase(ts.begin() + 1000 * kTsPacketSize, ts.begin() + 1003 * kTsPacketSize);
  bed.write(ts);
  CHECK(bed.counters.continuity_errors == 1);
  CHECK(bed.packets.size() > 300);
}

TEST_CASE("packetiser: a full ring drops and counts, and goes on when there is room") {
  Bed bed;
  const auto ts = TsSource().make(12'000);
  bed.packetiser.write(ts);
  CHECK(bed.counters.ring_full_drops > 1000);
  CHECK(bed.ring.write_position() <= bed.ring.size());
  bed.ring.release(bed.ring.next_sequence(), bed.ring.write_position());
  bed.write(TsSource().make(3000));
  CHECK(bed.ring.write_position() > bed.ring.size());
}

TEST_CASE("packetiser: random and damaged bytes are survived") {
  std::uint32_t random = 42;
  auto next = [&random] { return (random = random * 1664525U + 1013904223U) >> 8; };
  Bed bed;
  for (int round = 0; round < 200; round++) {
    auto ts = TsSource().make(200);
    const int damage = static_cast<int>(next() % 100);
    for (int i = 0; i < damage; i++) ts[next() % ts.size()] = static_cast<std::uint8_t>(next());
    ts.resize(ts.size() - next() % 1000);
    bed.write(ts);
    if (next() % 10 == 0) bed.packetiser.splice();
    CHECK(bed.ring.write_position() - bed.ring.released_position() <= bed.ring.size());
  }
}

TEST_CASE("packetiser: no allocation per packet") {
  Bed bed;
  SourceOptions options;
  options.group = 1 << 20;  // one access point, at the begin
  TsSource source(options);
  bed.write(source.make(5000));
  bed.packets.reserve(10'000);
  bed.keep_bytes = false;
  const auto ts = source.make(20'000);
  const auto before = test::allocations();
  bed.write(ts);
  CHECK(test::allocations() == before);
  CHECK(bed.packets.size() > 3000);
}
