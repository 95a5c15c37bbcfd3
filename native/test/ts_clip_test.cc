#include "codec/ts_clip.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "codec/capture_flows.h"
#include "test/allocations.h"
#include "test/ts_source.h"

using namespace sluice::codec;
using sluice::test::SourceOptions;
using sluice::test::TsSource;

namespace {

using Buffer = std::vector<std::uint8_t>;

constexpr std::int64_t kModulus33 = std::int64_t{1} << 33;

TsClip clip_of(Bytes recording, std::int64_t segment_ms = 1000) {
  auto result = TsClip::build(recording, segment_ms);
  if (auto* error = std::get_if<ClipError>(&result)) FAIL(error->message);
  return std::move(*std::get_if<TsClip>(&result));
}

ClipError error_of(Bytes recording) {
  const auto result = TsClip::build(recording, 1000);
  const auto* error = std::get_if<ClipError>(&result);
  REQUIRE(error != nullptr);
  return *error;
}

/** Follows a stream as a decoder would; everything it counts is wrong in a seamless one. */
struct Follower {
  std::map<std::uint16_t, ContinuityCheck> counters;
  std::map<std::uint16_t, std::int64_t> times;
  /** Steps of decoding time by PID, 90 kHz, and how often each occurred. */
  std::map<std::uint16_t, std::map<std::int64_t, int>> steps;
  std::optional<std::int64_t> pcr;
  int continuity_errors = 0;
  std::int64_t least_pcr_step = kPcrModulus;
  std::int64_t most_pcr_step = 0;

  void feed(Bytes packet_bytes) {
    const auto packet = TsPacket::parse(packet_bytes);
    REQUIRE(packet);
    if (packet->pid() == kPidNull) return;
    if (!counters[packet->pid()].accept(*packet)) continuity_errors++;
    if (const auto now = packet->pcr()) {
      if (pcr) least_pcr_step = std::min(least_pcr_step, pcr_difference(*now, *pcr));
      if (pcr) most_pcr_step = std::max(most_pcr_step, pcr_difference(*now, *pcr));
      pcr = now;
    }
    const auto pes = packet->payload_unit_start() ? parse_pes(packet->payload()) : std::nullopt;
    if (!pes || !pes->pts) return;
    const std::int64_t time = pes->dts ? *pes->dts : *pes->pts;
    const auto [at, first] = times.try_emplace(packet->pid(), time);
    if (!first) steps[packet->pid()][(time - at->second) & (kModulus33 - 1)]++;
    at->second = time;
  }

  void feed_all(Bytes ts) {
    for (std::size_t at = 0; at < ts.size(); at += kTsPacketSize) feed(ts.subspan(at, kTsPacketSize));
  }
};

void play(const TsClip& clip, std::int64_t loop, Follower& follower) {
  Buffer out;
  for (std::size_t i = 0; i < clip.segments().size(); i++) {
    out.assign(clip.segments()[i].size, 0);
    clip.render(i, loop, out.data());
    REQUIRE(TsPacket::parse(Bytes(out).first(kTsPacketSize))->pid() == kPidPat);
    follower.feed_all(out);
  }
}

Buffer flow_of(const std::string& name) {
  const auto path = std::filesystem::path(__FILE__).parent_path() / "../../fixtures/pcap" / (name + ".pcap");
  std::ifstream file(path, std::ios::binary);
  const Buffer bytes{std::istreambuf_iterator<char>(file), {}};
  auto result = read_capture_flows(bytes);
  auto* read = std::get_if<CaptureFlows>(&result);
  REQUIRE(read != nullptr);
  REQUIRE(read->flows.size() == 1);
  return std::move(read->flows.front().ts);
}

constexpr std::uint16_t kAudioPid = 0x101;

/** One packet of audio; with a time stamp it begins a PES packet. */
Buffer audio_packet(std::uint8_t counter, std::optional<std::int64_t> pts, std::uint8_t mark) {
  Buffer out(kTsPacketSize, mark);
  out[0] = kTsSync;
  store16(out.data() + 1, static_cast<std::uint16_t>((pts ? 0x4000 : 0) | kAudioPid));
  out[3] = static_cast<std::uint8_t>(0x10 | (counter & 15));
  if (!pts) return out;
  const std::array<std::uint8_t, 14> pes = {0, 0, 1, 0xc0, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1};
  std::copy(pes.begin(), pes.end(), out.begin() + 4);
  set_pes_timestamp(out.data() + 13, *pts);
  return out;
}

/** Puts a packet before the packet at `index`. */
void insert_at(Buffer& ts, std::size_t index, const Buffer& packet) {
  ts.insert(ts.begin() + static_cast<std::ptrdiff_t>(index * kTsPacketSize), packet.begin(), packet.end());
}

int count_marked(const TsClip& clip, std::uint8_t mark) {
  int found = 0;
  for (std::size_t i = 0; i < clip.segments().size(); i++) {
    Buffer out(clip.segments()[i].size);
    clip.render(i, 0, out.data());
    for (std::size_t at = 0; at < out.size(); at += kTsPacketSize)
      found += out[at + kTsPacketSize - 1] == mark ? 1 : 0;
  }
  return found;
}

}  // namespace

TEST_CASE("ts clip: lies between the first and the last access point") {
  TsSource source;
  static_cast<void>(source.make(700));  // the recording begins in the middle of a group
  const TsClip clip = clip_of(source.make(2500 * 4));
  CHECK(clip.duration() == 3 * 90'000);
  CHECK(clip.access_points() == 3);
  CHECK(clip.pcr_pid() == 0x100);
  CHECK(clip.continuity_errors() == 0);
  REQUIRE(clip.segments().size() == 3);
  for (std::size_t i = 0; i < 3; i++) {
    const ClipSegment& segment = clip.segments()[i];
    CHECK(segment.start == static_cast<std::int64_t>(i) * 90'000);
    CHECK(segment.duration == 90'000);
    CHECK(segment.size == 2500 * kTsPacketSize);
    CHECK(segment.marks.front().offset == 0);
    CHECK(segment.marks.back().offset == segment.size);
    CHECK(segment.marks.front().time == static_cast<std::int64_t>(i) * kSystemClock);
    for (std::size_t m = 1; m < segment.marks.size(); m++) {
      CHECK(segment.marks[m].offset > segment.marks[m - 1].offset);
      CHECK(segment.marks[m].time > segment.marks[m - 1].time);
    }
  }
}

TEST_CASE("ts clip: segments join access points until they are long enough") {
  TsSource source;
  const Buffer recording = source.make(2500 * 6 + 10);
  CHECK(clip_of(recording, 2000).segments().size() == 3);
  CHECK(clip_of(recording, 2200).segments().size() == 3);
  CHECK(clip_of(recording, 4000).segments().size() == 2);
  CHECK(clip_of(recording, 4000).segments()[1].duration == 2 * 90'000);
  CHECK(clip_of(recording, 60'000).segments().size() == 1);
}

TEST_CASE("ts clip: time stamps and counters go on across the loop, from every phase of the 33 bits") {
  const std::vector<std::int64_t> clocks = {
      0,    kPcrModulus - 1, kPcrModulus - kSystemClock, kPcrModulus - 2 * kSystemClock - 7, kPcrModulus / 2,
      12345};
  for (const std::int64_t clock : clocks) {
    SourceOptions options;
    options.clock = clock;
    TsSource source(options);
    const TsClip clip = clip_of(source.make(2500 * 3 + 10));
    const std::int64_t wrap = kModulus33 / clip.duration();
    for (const std::int64_t loop :
         {std::int64_t{-3}, std::int64_t{0}, wrap - 2, 3 * wrap, std::int64_t{1} << 40}) {
      CAPTURE(clock);
      CAPTURE(loop);
      Follower follower;
      for (std::int64_t k = loop; k < loop + 5; k++) play(clip, k, follower);
      CHECK(follower.continuity_errors == 0);
      // An access point's picture comes two packets, 72 ticks, later than it would without tables.
      CHECK(follower.steps[0x100] == std::map<std::int64_t, int>{{3528, 15}, {3600, 345}, {3672, 14}});
      CHECK(follower.least_pcr_step > kSystemClock / 25 - 30'000);
      CHECK(follower.most_pcr_step < kSystemClock / 25 + 30'000);
    }
  }
}

TEST_CASE("ts clip: a loop is the same whenever it is rendered, and rendering takes nothing from the heap") {
  TsSource source;
  const TsClip clip = clip_of(source.make(2500 * 3 + 10));
  Buffer first(clip.segments()[1].size);
  Buffer again(clip.segments()[1].size);
  clip.render(1, 77, first.data());
  clip.render(0, 78, again.data());
  const auto before = sluice::test::allocations();
  clip.render(1, 77, again.data());
  CHECK(sluice::test::allocations() == before);
  CHECK(first == again);
}

TEST_CASE("ts clip: a segment without tables before it gets them") {
  TsSource source;
  Buffer recording = source.make(2500 * 3 + 10);
  // The tables before the second access point become fillers.
  for (const std::size_t i : {2500U, 2501U}) {
    store16(recording.data() + i * kTsPacketSize + 1, kPidNull);
  }
  const TsClip clip = clip_of(recording);
  REQUIRE(clip.segments().size() == 3);
  CHECK(clip.segments()[1].size == 2500 * kTsPacketSize);
  Follower follower;
  for (int k = 0; k < 20; k++) play(clip, k, follower);
  CHECK(follower.continuity_errors == 0);
}

TEST_CASE("ts clip: losses of the recording stay visible, once in each loop") {
  TsSource source;
  Buffer recording = source.make(2500 * 3 + 10);
  recording.erase(recording.begin() + 300 * kTsPacketSize, recording.begin() + 303 * kTsPacketSize);
  const TsClip clip = clip_of(recording);
  CHECK(clip.continuity_errors() == 1);
  Follower follower;
  for (int k = 0; k < 4; k++) play(clip, k, follower);
  CHECK(follower.continuity_errors == 4);
}

TEST_CASE("ts clip: units that lie across an end of the clip, or that would repeat time, are left out") {
  TsSource source;
  Buffer recording = source.make(2500 * 3 + 10);
  // From the end to the begin, so that indices stay: the clip is [0, 7500) before the insertions, 9000 its
  // first time stamp.
  std::uint8_t counter = 9;
  const auto insert = [&](std::size_t index, std::optional<std::int64_t> pts, std::uint8_t mark) {
    insert_at(recording, index, audio_packet(counter--, pts, mark));
  };
  insert(7505, std::nullopt, 0xe1);             // the end of the unit that begins at 7400: beyond the clip
  insert(7400, 9000 + 3 * 90'000 - 960, 0xe2);  // hence this half is left out
  insert(7000, 9000 + 3 * 90'000 - 1920, 0xe3);
  insert(600, 9000 + 1920, 0xe4);
  insert(500, 9000 - 1920, 0xe5);   // in the next loop this would come when 0xe3 has come already
  insert(100, std::nullopt, 0xe6);  // the end of a unit that began before the clip
  const TsClip clip = clip_of(recording);
  CHECK(count_marked(clip, 0xe1) == 0);
  CHECK(count_marked(clip, 0xe2) == 0);
  CHECK(count_marked(clip, 0xe3) == 1);
  CHECK(count_marked(clip, 0xe4) == 1);
  CHECK(count_marked(clip, 0xe5) == 0);
  CHECK(count_marked(clip, 0xe6) == 0);
  Follower follower;
  for (int k = 0; k < 20; k++) play(clip, k, follower);
  CHECK(follower.continuity_errors == 0);
  CHECK(follower.steps[kAudioPid].size() == 2);
}

TEST_CASE("ts clip: what is no clip is told") {
  TsSource source;
  const Buffer good = source.make(2500 * 3 + 10);
  CHECK(std::string(error_of({}).code) == "CAPTURE_EMPTY");
  CHECK(error_of(Buffer(1000, 1)).message == "expected MPEG-TS packets of 188 bytes, got none in 1000 bytes");
  CHECK(error_of(Bytes(good).subspan(10 * kTsPacketSize, 100 * kTsPacketSize)).message ==
        "expected a PAT, got 100 packets without one");
  CHECK(error_of(Bytes(good).first(100 * kTsPacketSize)).message ==
        "expected at least two random access points on PID 256, got 1 in 100 packets");

  Buffer jump = good;
  for (std::size_t i = 2500; i < jump.size() / kTsPacketSize; i++) {
    std::uint8_t* const p = jump.data() + i * kTsPacketSize;
    const auto packet = TsPacket::parse({p, kTsPacketSize});
    if (const auto pcr = packet->pcr()) set_pcr(p, *pcr + 5 * kSystemClock);
  }
  CHECK(error_of(jump).message ==
        "at byte 470376 of the MPEG-TS: expected a PCR at most 1 s after the one before, got a step of 5040 "
        "ms");

  Buffer back = good;
  std::uint8_t* const entry = back.data() + 2502 * kTsPacketSize;
  set_pes_timestamp(entry + 21, 1);
  CHECK(error_of(back).message.find(
            "random access point within 60 s of decoding time, got a step of -100 ms") != std::string::npos);
}

TEST_CASE("ts clip: truncated and damaged recordings neither crash nor hang") {
  SourceOptions options;
  options.packets_per_second = 250;
  options.group = 5;
  TsSource source(options);
  const Buffer good = source.make(220);
  int clips = 0;
  for (std::size_t size = 0; size <= good.size(); size += size > 600 && size < good.size() - 600 ? 61 : 1) {
    clips += TsClip::build(Bytes(good).first(size), 200).index() == 0 ? 1 : 0;
  }
  CHECK(clips > 0);
  std::mt19937 random(20261120);
  for (int round = 0; round < 3000; round++) {
    Buffer bad = good;
    for (std::uint32_t hits = 1 + random() % 40; hits > 0; hits--) {
      bad[random() % bad.size()] = static_cast<std::uint8_t>(random());
    }
    auto result = TsClip::build(bad, 1 + random() % 3000);
    const auto* clip = std::get_if<TsClip>(&result);
    if (clip == nullptr) continue;
    for (std::size_t i = 0; i < clip->segments().size(); i++) {
      Buffer out(clip->segments()[i].size);
      clip->render(i, static_cast<std::int64_t>(random()), out.data());
      CHECK(out[0] == kTsSync);
    }
  }
}

TEST_CASE("ts clip: the fixtures close on themselves: pictures, audio frames, clock and counters") {
  for (const std::string name : {"demo-high", "demo-low"}) {
    CAPTURE(name);
    const TsClip clip = clip_of(flow_of(name), 2000);
    CHECK(clip.duration() == 16 * 90'000);
    CHECK(clip.segments().size() == 8);
    CHECK(clip.continuity_errors() == 0);
    REQUIRE(clip.streams().size() == 2);
    for (const ClipStream& stream : clip.streams()) CHECK(stream.joint == 0);
    Follower follower;
    const std::int64_t wrap = kModulus33 / clip.duration();
    for (std::int64_t loop = wrap - 2; loop < wrap + 3; loop++) play(clip, loop, follower);
    CHECK(follower.continuity_errors == 0);
    // 25 pictures and 46.875 audio frames a second, nothing else in between.
    CHECK(follower.steps[0x100] == std::map<std::int64_t, int>{{3600, 5 * 400 - 1}});
    CHECK(follower.steps[kAudioPid] == std::map<std::int64_t, int>{{1920, 5 * 750 - 1}});
    CHECK(follower.most_pcr_step < 40 * 27'000);
    CHECK(follower.least_pcr_step > 5 * 27'000);
  }
}
