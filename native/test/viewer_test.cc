// Viewers of a ring: every byte once and in order, or a jump at a packet's border with tables first.
#include "plane/viewer.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "test/stream_bed.h"

using namespace sluice;
using codec::kTsPacketSize;
using http::Body;
using kernel::kMillisecond;
using kernel::kSecond;
using test::damage_of;
using test::fast;
using test::Reader;
using test::SourceOptions;
using test::TsSource;
using Bed = test::StreamBed;

namespace {

/** A small ring, so that readers are overtaken soon. */
plane::StreamOptions ring_of(std::size_t bytes) {
  auto options = test::stream_options();
  options.ring_bytes = bytes;
  options.segment = 100 * kMillisecond;
  return options;
}

/**
 * Replaces every PMT by one of five packets, and puts a packet between it and the picture, so that an access
 * point's tables do not stand before it.
 */
std::vector<std::uint8_t> with_long_tables(const std::vector<std::uint8_t>& ts, std::uint8_t& counter) {
  std::vector<std::uint8_t> out;
  for (std::size_t at = 0; at < ts.size(); at += kTsPacketSize) {
    const auto begin = ts.begin() + static_cast<std::ptrdiff_t>(at);
    if ((codec::load16(ts.data() + at + 1) & 0x1fff) != 0x1000) {
      out.insert(out.end(), begin, begin + kTsPacketSize);
      continue;
    }
    // The section's head, 800 bytes of descriptors, the video stream.
    std::vector<std::uint8_t> section = {0, 0x02, 0, 0, 0, 1, 0xc1, 0, 0, 0xe1, 0x00, 0xf3, 0x20};
    section.resize(section.size() + 800, 0xff);
    section.insert(section.end(), {0x1b, 0xe1, 0x00, 0xf0, 0});
    codec::store16(section.data() + 2, static_cast<std::uint16_t>(0xb000 | (section.size() - 4 + 4)));
    const std::uint32_t crc = codec::crc32_mpeg(codec::Bytes(section).subspan(1));
    section.resize(section.size() + 4);
    codec::store32(section.data() + section.size() - 4, crc);
    for (std::size_t from = 0; from < section.size(); from += kTsPacketSize - 4) {
      std::vector<std::uint8_t> p(kTsPacketSize, 0xff);
      p[0] = codec::kTsSync;
      codec::store16(p.data() + 1, from == 0 ? 0x5000 : 0x1000);
      p[3] = static_cast<std::uint8_t>(0x10 | (counter++ & 0x0f));
      std::copy_n(section.begin() + static_cast<std::ptrdiff_t>(from),
                  std::min(section.size() - from, kTsPacketSize - 4), p.begin() + 4);
      out.insert(out.end(), p.begin(), p.end());
    }
    // A packet of another PID, with payload.
    out.insert(out.end(), begin, begin + kTsPacketSize);
    codec::store16(out.data() + out.size() - kTsPacketSize + 1, 0x0200);
  }
  return out;
}

void feed(Bed& bed, TsSource& source, int packets) {
  for (int at = 0; at < packets; at += 500) {
    bed.stream->write(source.make(std::min(500, packets - at)), kernel::monotonic_now());
    REQUIRE(bed.run_until_released(bed.counters.packets_in));
  }
}

std::uint64_t first_listed(Bed& bed) {
  const auto playlist = bed.stream->segmenter().playlist("");
  REQUIRE(playlist != nullptr);
  return std::stoull(playlist->substr(playlist->find("SEQUENCE:") + 9));
}

std::vector<std::uint8_t> read_whole(Body& body, std::size_t most, Body::Next end = Body::Next::end) {
  std::vector<std::uint8_t> got;
  Body::Piece piece = body.peek();
  for (; piece.next == Body::Next::bytes; piece = body.peek()) {
    const std::size_t n = std::min(most, piece.bytes.size());
    got.insert(got.end(), piece.bytes.begin(), piece.bytes.begin() + static_cast<std::ptrdiff_t>(n));
    body.consume(n);
  }
  CHECK(piece.next == end);
  return got;
}

}  // namespace

TEST_CASE("viewer: a segment is the ring's bytes, whatever the pieces it is taken in") {
  Bed bed;
  TsSource source(fast());
  feed(bed, source, 40'000);
  plane::Segment segment = *bed.stream->segmenter().find(first_listed(bed));
  const std::uint8_t* const begin = bed.stream->ring().at(segment.begin);
  const std::vector<std::uint8_t> expected(begin, begin + (segment.end - segment.begin));
  for (const std::size_t most : {1000U, 188U, 65'536U, 777U}) {
    plane::SegmentBody body(*bed.stream, segment);
    CHECK(read_whole(body, most) == expected);
  }
  // Tables that do not stand in the ring come first.
  segment.psi.append(codec::Bytes(expected).first(2 * kTsPacketSize));
  plane::SegmentBody with_tables(*bed.stream, segment);
  const auto got = read_whole(with_tables, 100);
  REQUIRE(got.size() == segment.size());
  CHECK(std::equal(expected.begin(), expected.begin() + 2 * kTsPacketSize, got.begin()));
  CHECK(std::equal(expected.begin(), expected.end(), got.begin() + 2 * kTsPacketSize));
}

TEST_CASE("viewer: a segment that the ring passes is broken off and counted, never filled with other bytes") {
  Bed bed(ring_of(2 << 20));
  TsSource source(fast());
  feed(bed, source, 25'000);
  const plane::Segment* segment = bed.stream->segmenter().find(first_listed(bed));
  REQUIRE(segment != nullptr);
  plane::SegmentBody body(*bed.stream, *segment);
  const auto piece = body.peek();
  REQUIRE(piece.next == Body::Next::bytes);
  body.consume(1000);
  feed(bed, source, 10'000);
  CHECK(body.peek().next == Body::Next::broken);
  CHECK(bed.counters.segment_overruns == 1);
}

TEST_CASE(
    "viewer: tables that take six packets are sent whole after every jump, in the middle of a packet or "
    "not") {
  plane::StreamOptions options = ring_of(2 << 20);
  // What is written here comes by jerks.
  options.smoothing.reset();
  Bed bed(options);
  TsSource source(fast());
  std::uint8_t counter = 0;
  const auto next = [&] { return with_long_tables(source.make(100), counter); };
  for (int i = 0; i < 60; i++) bed.stream->write(next(), kernel::monotonic_now());
  REQUIRE(bed.run_until_released(bed.counters.packets_in));
  const plane::AccessPoint* const point = bed.stream->newest_access_point();
  REQUIRE(point != nullptr);
  REQUIRE(point->psi.size == 6 * kTsPacketSize);
  plane::FollowerBody body(*bed.stream, 1, 50 * kMillisecond);
  std::vector<std::uint8_t> got;
  for (int step = 0; step < 400; step++) {
    bed.stream->write(next(), kernel::monotonic_now());
    REQUIRE(bed.run_until_released(bed.counters.packets_in));
    const auto piece = body.peek();
    if (piece.next != Body::Next::bytes) continue;
    const std::size_t n = std::min<std::size_t>(97, piece.bytes.size());
    got.insert(got.end(), piece.bytes.begin(), piece.bytes.begin() + static_cast<std::ptrdiff_t>(n));
    body.consume(n);
  }
  const std::uint64_t drops = body.follower()->drops;
  CHECK(drops > 3);
  CHECK(damage_of(got).broken == 0);
  codec::SectionAssembler pat;
  codec::SectionAssembler pmt;
  std::uint64_t pats = 0;
  std::uint64_t pmts = 0;
  for (std::size_t at = 0; at + kTsPacketSize <= got.size(); at += kTsPacketSize) {
    const auto packet = codec::TsPacket::parse(codec::Bytes(got).subspan(at, kTsPacketSize));
    if (packet->pid() == codec::kPidPat && pat.push(*packet)) pats++;
    if (packet->pid() == 0x1000 && pmt.push(*packet)) pmts++;
  }
  // The first entry, and every jump; the last may not have got so far.
  CHECK(pats >= drops);
  CHECK(pmts + 1 >= drops);
}

TEST_CASE(
    "viewer: one that is overtaken while there is no access point waits for the next, and reads nothing "
    "false") {
  Bed bed(ring_of(1 << 20));
  SourceOptions options = fast();
  options.group = 1 << 20;
  TsSource source(options);
  feed(bed, source, 2000);
  plane::FollowerBody body(*bed.stream, 1, 60 * kSecond);
  Reader reader;
  reader.read(body, 1000);
  feed(bed, source, 12'000);
  while (reader.read(body, 1000) > 0) {
  }
  // The packet begun is finished, no more.
  CHECK(reader.bytes.size() == 6 * kTsPacketSize);
  CHECK(body.peek().next == Body::Next::wait);
  CHECK(body.follower()->drops == 0);
  // Another source brings an access point.
  bed.stream->splice();
  TsSource next(fast());
  feed(bed, next, 6000);
  while (reader.read(body, 1000) > 0) {
  }
  CHECK(body.follower()->drops == 1);
  CHECK(reader.bytes.size() > 100 * kTsPacketSize);
  CHECK(damage_of(reader.bytes).broken == 0);
  const auto entry =
      codec::TsPacket::parse(codec::Bytes(reader.bytes).subspan(6 * kTsPacketSize, kTsPacketSize));
  REQUIRE(entry.has_value());
  CHECK(entry->pid() == codec::kPidPat);
}

TEST_CASE("viewer: lag is media behind the edge, at the ends of what is known too") {
  Bed bed;
  CHECK(bed.stream->edge_before(kSecond) == 0);
  TsSource source(fast());
  feed(bed, source, 25'000);
  // Half a second of media at 50,000 packets a second.
  CHECK(bed.stream->edge_before(10 * kSecond) == 0);
  const auto edge = static_cast<double>(bed.stream->ring().released_position());
  CHECK(edge - static_cast<double>(bed.stream->edge_before(100 * kMillisecond)) ==
        doctest::Approx(5000.0 * kTsPacketSize).epsilon(0.05));
  CHECK(edge - static_cast<double>(bed.stream->edge_before(0)) < 2 * plane::kFullPayload);
}

TEST_CASE("viewer: many come and go while the stream tells them") {
  struct Leaving final : http::AnswerListener {
    void on_answer_progress() noexcept override {
      told++;
      // As a connection that fails while it sends.
      body.reset();
    }
    std::unique_ptr<plane::FollowerBody> body;
    int told = 0;
  };
  Bed bed;
  TsSource source(fast());
  feed(bed, source, 6000);
  std::vector<Leaving> leaving(50);
  std::vector<std::unique_ptr<plane::FollowerBody>> staying;
  for (auto& one : leaving) {
    one.body = std::make_unique<plane::FollowerBody>(*bed.stream, 1, kSecond);
    one.body->listen(one);
    staying.push_back(std::make_unique<plane::FollowerBody>(*bed.stream, 1, kSecond));
  }
  CHECK(bed.counters.viewers_continuous == 100);
  feed(bed, source, 6000);
  for (const auto& one : leaving) CHECK(one.told == 1);
  CHECK(bed.counters.viewers_continuous == 50);
  staying.clear();
  CHECK(bed.counters.viewers_continuous == 0);
}
