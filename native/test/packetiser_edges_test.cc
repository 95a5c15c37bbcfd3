// The packetiser where sources misbehave or change: what must be announced, dropped, counted, and must never
// jam.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "plane/packetiser.h"
#include "test/ts_source.h"

using namespace sluice;
using codec::kSystemClock;
using codec::kTsPacketSize;
using test::SourceOptions;
using test::TsSource;
using Ts = std::vector<std::uint8_t>;

namespace {

constexpr std::uint16_t kVideo = 0x100;
constexpr std::uint16_t kAudio = 0x101;

struct Events final : plane::PacketiserEvents {
  void on_access_point(const plane::AccessPoint& point) noexcept override { points.push_back(point); }
  void on_published(bool) noexcept override {}
  std::int64_t timeline_origin() noexcept override { return origin; }
  void on_fault(const char* fault, std::string text) override {
    code = fault;
    detail = std::move(text);
    faults++;
  }
  std::vector<plane::AccessPoint> points;
  std::int64_t origin = 0;
  int faults = 0;
  std::string code;
  std::string detail;
};

/** A packetiser with its ring; what is published departs at once, or never. */
struct Bed {
  explicit Bed(std::optional<std::uint16_t> program = std::nullopt, std::int64_t spread = 0)
      : ring(std::move(plane::Ring::create(1 << 20, 7, 0).value())),
        packetiser(ring, counters, events, program, spread) {}

  void write(const Ts& ts) {
    for (std::size_t at = 0; at < ts.size(); at += 1316) {
      packetiser.write(codec::Bytes(ts).subspan(at, std::min<std::size_t>(1316, ts.size() - at)));
      depart();
    }
  }
  void depart() {
    const std::int64_t end = ring.next_sequence();
    for (std::int64_t s = ring.released_sequence(); s < end; s++) {
      const auto& d = ring.descriptor(s);
      packets.push_back(d);
      bytes.insert(bytes.end(), ring.at(d.position), ring.at(d.position) + d.size);
      ring.release(s + 1, d.position + d.size);
    }
  }
  /** As a source that begins anew after what has departed. */
  void splice() {
    packetiser.splice();
    depart();
    events.origin = packetiser.media_end();
  }

  plane::StreamCounters counters{};
  Events events;
  plane::Ring ring;
  plane::Packetiser packetiser;
  std::vector<plane::Descriptor> packets;
  Ts bytes;
};

Ts packet(std::uint16_t pid, std::uint8_t counter, bool start, std::uint8_t fill = 0x55) {
  Ts p(kTsPacketSize, fill);
  p[0] = codec::kTsSync;
  codec::store16(p.data() + 1, static_cast<std::uint16_t>((start ? 0x4000 : 0) | pid));
  p[3] = static_cast<std::uint8_t>(0x10 | (counter & 0x0f));
  return p;
}

Ts table(std::uint16_t pid, std::uint8_t counter, Ts section) {
  codec::store16(section.data() + 1, static_cast<std::uint16_t>(0xb000 | (section.size() + 1)));
  section.resize(section.size() + 4);
  codec::store32(section.data() + section.size() - 4,
                 codec::crc32_mpeg({section.data(), section.size() - 4}));
  Ts out;
  section.insert(section.begin(), 0);
  for (std::size_t at = 0; at < section.size(); at += 184) {
    Ts p = packet(pid, counter++, at == 0, 0xff);
    std::copy_n(section.begin() + static_cast<std::ptrdiff_t>(at),
                std::min<std::size_t>(184, section.size() - at), p.begin() + 4);
    out.insert(out.end(), p.begin(), p.end());
  }
  return out;
}

/** A PMT of programme 1 with H.264 on kVideo (and the PCR) and AAC on kAudio. */
Ts pmt(std::uint8_t counter) {
  return table(0x1000, counter, {0x02, 0,    0,    0,    1,    0xc1, 0,    0,    0xe1, 0x00, 0xf0,
                                 0,    0x1b, 0xe1, 0x00, 0xf0, 0,    0x0f, 0xe1, 0x01, 0xf0, 0});
}

template <class F>
void each_packet(const Ts& ts, F f) {
  for (std::size_t at = 0; at + kTsPacketSize <= ts.size(); at += kTsPacketSize) {
    const auto p = codec::TsPacket::parse(codec::Bytes(ts).subspan(at, kTsPacketSize));
    REQUIRE(p.has_value());
    f(*p);
  }
}

/** What a checker that honours discontinuity_indicator finds. */
int gaps(const Ts& ts) {
  std::vector<codec::ContinuityCheck> checks(8192);
  int found = 0;
  each_packet(ts, [&](const codec::TsPacket& p) { found += checks[p.pid()].accept(p) ? 0 : 1; });
  return found;
}

Ts operator+(Ts a, const Ts& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/** The source's packets from one on. */
Ts from(const Ts& ts, std::size_t first) {
  return {ts.begin() + static_cast<std::ptrdiff_t>(first * kTsPacketSize), ts.end()};
}

}  // namespace

TEST_CASE("packetiser: a long wait for an access point leaves one PAT and one PMT before it") {
  Bed bed;
  Ts ts;
  const Ts whole = TsSource().make(5000);
  std::uint8_t counter = 0;
  // Tables again and again, pictures that cannot be entered between them.
  for (int i = 0; i < 200; i++) {
    ts = ts + Ts(whole.begin(), whole.begin() + 2 * kTsPacketSize) + packet(kVideo, counter++, false);
    codec::set_continuity_counter(ts.data() + ts.size() - 3 * kTsPacketSize, static_cast<std::uint8_t>(i));
    codec::set_continuity_counter(ts.data() + ts.size() - 2 * kTsPacketSize, static_cast<std::uint8_t>(i));
  }
  bed.write(ts + from(whole, 2503));
  REQUIRE(bed.events.points.empty());
  bed.write(from(TsSource().make(5000), 2500));
  REQUIRE(bed.events.points.size() == 1);
  CHECK(bed.events.points[0].position == 0);
  CHECK(bed.events.points[0].tables_in_place);
  int tables = 0;
  each_packet(Ts(bed.bytes.begin(), bed.bytes.begin() + 1000 * kTsPacketSize),
              [&](const codec::TsPacket& p) { tables += p.pid() != kVideo ? 1 : 0; });
  CHECK(tables == 2);
}

TEST_CASE("packetiser: after a splice audio begins with a frame, not with the rest of one") {
  Bed bed;
  const Ts first = TsSource().make(3000);
  Ts pat(first.begin(), first.begin() + kTsPacketSize);
  const Ts picture(first.begin() + 2 * kTsPacketSize, first.begin() + 3 * kTsPacketSize);
  const Ts begin = pat + pmt(0) + picture + packet(kAudio, 3, true) + packet(kAudio, 4, false);
  Ts rest = from(first, 3);
  bed.write(begin + rest);
  bed.splice();
  const std::size_t before = bed.bytes.size();
  bed.write(pat + pmt(9) + picture + packet(kAudio, 7, false) + packet(kAudio, 8, false) +
            packet(kAudio, 9, true) + rest);
  REQUIRE(bed.bytes.size() > before + 100 * kTsPacketSize);
  CHECK(gaps(bed.bytes) == 0);
  std::vector<int> audio;
  each_packet(from(bed.bytes, before / kTsPacketSize), [&](const codec::TsPacket& p) {
    if (p.pid() == kAudio && p.has_payload()) audio.push_back(p.continuity_counter());
  });
  CHECK(audio == std::vector<int>{9});
}

TEST_CASE(
    "packetiser: a PCR that jumps is announced on that very packet, and the next access point is "
    "discontinuous") {
  for (const bool announced : {false, true}) {
    CAPTURE(announced);
    Bed bed;
    const Ts ts = TsSource().make(6000);
    SourceOptions later;
    later.clock = 3600 * kSystemClock;
    Ts jumped = TsSource(later).make(6000);
    if (announced) jumped[2 * kTsPacketSize + 5] |= 0x80;
    bed.write(Ts(ts.begin(), ts.begin() + 5000 * kTsPacketSize));
    bed.events.origin = 2 * kSystemClock;
    bed.write(jumped);
    CHECK(bed.counters.discontinuities == 1);
    REQUIRE(bed.events.points.size() >= 4);
    CHECK_FALSE(bed.events.points[1].discontinuity);
    CHECK(bed.events.points[2].discontinuity);
    CHECK_FALSE(bed.events.points[3].discontinuity);
    // Its tables departed with the old timeline, so they are given.
    CHECK(bed.events.points[2].psi.size == 2 * kTsPacketSize);
    int indicated = 0;
    std::int64_t last = -1;
    each_packet(bed.bytes, [&](const codec::TsPacket& p) {
      if (const auto pcr = p.pcr()) {
        if (last >= 0 && codec::pcr_difference(*pcr, last) > kSystemClock) CHECK(p.discontinuity());
        indicated += p.discontinuity() ? 1 : 0;
        last = *pcr;
      }
    });
    CHECK(indicated == 1);
    for (std::size_t i = 1; i < bed.packets.size(); i++)
      CHECK(bed.packets[i].media_time >= bed.packets[i - 1].media_time);
  }
}

TEST_CASE("packetiser: a PCR that stops does not fill the ring for ever") {
  Bed bed;
  TsSource source;
  bed.write(source.make(3000));
  const std::size_t departed = bed.packets.size();
  // More than the ring holds, without a PCR.
  Ts ts = source.make(20'000);
  for (std::size_t at = 0; at < ts.size(); at += kTsPacketSize)
    if ((ts[at + 3] & 0x20) != 0) ts[at + 5] &= 0xef;
  bed.write(ts);
  CHECK(bed.packets.size() > departed + 2000);
  CHECK(bed.events.faults == 0);
  bed.write(source.make(3000));
  CHECK(bed.packets.size() > departed + 3000);
  for (std::size_t i = 1; i < bed.packets.size(); i++) {
    CHECK(bed.packets[i].sequence == bed.packets[i - 1].sequence + 1);
    CHECK(bed.packets[i].media_time >= bed.packets[i - 1].media_time);
  }
}

TEST_CASE(
    "packetiser: without any PCR or table a ring of the least size still tells by name, and serves the next "
    "source") {
  for (const bool tables : {true, false}) {
    CAPTURE(tables);
    Bed bed;
    TsSource source;
    for (int i = 0; i < 30'000; i++) {
      Ts one = source.make(1);
      if ((one[3] & 0x20) != 0) one[5] &= 0xef;
      if (!tables && codec::load16(one.data() + 1) != 0x4100 && (one[1] & 0x1f) != 0x01)
        codec::store16(one.data() + 1, 0x1fff);
      bed.write(one);
    }
    CHECK(bed.events.faults == 1);
    CHECK(bed.events.code == (tables ? "SOURCE_NO_PCR" : "SOURCE_PROGRAM_MISSING"));
    bed.splice();
    const std::size_t before = bed.packets.size();
    bed.write(TsSource().make(5000));
    CHECK(bed.packets.size() > before + 500);
    CHECK(bed.events.faults == 1);
  }
}

TEST_CASE("packetiser: a PAT of two packets is narrowed to one, with counters of its own") {
  SourceOptions options;
  options.group = 1 << 20;
  const Ts whole = TsSource(options).make(5000);
  Ts section = {0x00, 0, 0, 0, 1, 0xc1, 0, 0};
  for (int program = 1; program <= 60; program++) {
    section.resize(section.size() + 4);
    codec::store16(section.data() + section.size() - 4, static_cast<std::uint16_t>(program));
    codec::store16(section.data() + section.size() - 2,
                   static_cast<std::uint16_t>(0xe000 | (program == 1 ? 0x1000 : 0x1100 + program)));
  }
  Ts ts;
  for (int i = 0; i < 50; i++)
    // The source's own PAT at the very begin is left out.
    ts = ts + table(0, static_cast<std::uint8_t>(2 * i), section) +
         Ts(whole.begin() + static_cast<std::ptrdiff_t>((i == 0 ? 1 : 100 * i) * kTsPacketSize),
            whole.begin() + static_cast<std::ptrdiff_t>((100 * i + 100) * kTsPacketSize));
  Bed bed(std::uint16_t{1});
  bed.write(ts);
  REQUIRE(bed.packets.size() > 500);
  std::vector<int> counters;
  each_packet(bed.bytes, [&](const codec::TsPacket& p) {
    if (p.pid() != codec::kPidPat) return;
    counters.push_back(p.continuity_counter());
    codec::SectionAssembler assembler;
    const auto section = assembler.push(p);
    REQUIRE(section.has_value());
    CHECK(codec::parse_pat(*section)->count == 1);
  });
  REQUIRE(counters.size() > 40);
  for (std::size_t i = 1; i < counters.size(); i++) CHECK(counters[i] == (counters[i - 1] + 1) % 16);
}

TEST_CASE("packetiser: a PMT that changes: the next access point carries the new one") {
  Bed bed;
  TsSource source;
  const Ts first = source.make(4000);
  const Ts pat(first.begin(), first.begin() + kTsPacketSize);
  bed.write(first);
  Ts rest = source.make(4000);
  // In the next group the PMT names audio as well, and a packet stands between it and the picture.
  const Ts changed = pmt(2);
  std::copy(changed.begin(), changed.end(), rest.begin() + (1000 + 1) * kTsPacketSize);
  bed.write(rest);
  REQUIRE(bed.events.points.size() >= 3);
  const auto& point = bed.events.points[2];
  CHECK(point.tables_in_place);
  const auto now = codec::TsPacket::parse({bed.ring.at(point.position + kTsPacketSize), kTsPacketSize});
  REQUIRE(now.has_value());
  CHECK(now->pid() == 0x1000);
  CHECK(now->payload()[3] == changed[4 + 3]);
}

TEST_CASE("packetiser: scrambled pictures are entered at tables") {
  Bed bed;
  TsSource source;
  for (int i = 0; i < 60'000; i++) {
    Ts one = source.make(1);
    if (codec::load16(one.data() + 1) % 0x2000 == kVideo) {
      one[3] |= 0x80;
      if ((one[3] & 0x20) != 0) one[5] &= 0xbf;
    }
    bed.write(one);
  }
  REQUIRE_FALSE(bed.events.points.empty());
  CHECK(bed.events.points[0].position == 0);
  CHECK(bed.events.points[0].tables_in_place);
  CHECK(bed.events.faults == 0);
  CHECK(bed.packets.size() > 1000);
}

TEST_CASE("packetiser: a source cut off at every byte, then another") {
  const Ts ts = TsSource().make(120);
  for (std::size_t cut = 1; cut < 3 * kTsPacketSize; cut++) {
    Bed bed;
    bed.packetiser.write(codec::Bytes(ts).first(cut));
    bed.splice();
    bed.write(TsSource().make(400));
    REQUIRE(bed.events.points.size() == 1);
    CHECK(gaps(bed.bytes) == 0);
    const std::size_t whole = bed.bytes.size() / kTsPacketSize;
    CHECK(whole >= 200);
  }
}

TEST_CASE("packetiser: spread departures of uneven pictures: p99 of the gaps within three times the mean") {
  // A picture in 25 is ten times as large; its bytes all stand between two PCRs.
  Ts ts;
  std::uint8_t counter = 0;
  std::int64_t clock = 0;
  auto add = [&ts](const Ts& more) { ts.insert(ts.end(), more.begin(), more.end()); };
  TsSource source;
  const Ts head = source.make(3);
  for (int picture = 0; picture < 500; picture++) {
    Ts first(head.begin() + 2 * kTsPacketSize, head.end());
    codec::set_pcr(first.data(), clock);
    codec::set_continuity_counter(first.data(), counter++);
    if (picture % 25 != 0) first[5] = 0x10;
    if (picture % 25 == 0) add(Ts(head.begin(), head.begin() + 2 * kTsPacketSize));
    add(first);
    for (int i = 0; i < (picture % 25 == 0 ? 300 : 20 + picture % 7 * 3); i++)
      add(packet(kVideo, counter++, false));
    clock += kSystemClock / 25;
  }
  auto ratio = [&ts](std::int64_t spread) {
    Bed bed(std::nullopt, spread);
    bed.write(ts);
    std::vector<std::int64_t> steps;
    for (std::size_t i = 1; i < bed.packets.size(); i++)
      steps.push_back(bed.packets[i].media_time - bed.packets[i - 1].media_time);
    const double mean = static_cast<double>(bed.packets.back().media_time - bed.packets.front().media_time) /
                        static_cast<double>(steps.size());
    std::sort(steps.begin(), steps.end());
    return static_cast<double>(steps[steps.size() * 99 / 100]) / mean;
  };
  CHECK(ratio(kSystemClock / 5) < 3.0);
}
