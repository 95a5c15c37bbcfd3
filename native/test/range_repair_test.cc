// Packets by HTTP, at the server: every byte of an answer, and what is refused.
#include "plane/range_repair.h"

#include <doctest/doctest.h>

#include "http/rtp_range.h"
#include "plane/routes.h"
#include "test/stream_bed.h"

using namespace sluice;
using http::Body;
using http::RtpRange;
using plane::RangeRepair;

namespace {

using Ranges = std::vector<RtpRange>;

plane::StreamOptions small_ring() {
  auto options = test::stream_options();
  options.ring_bytes = 1 << 20;
  // The first sequence number is of its low bits.
  options.ssrc = 0x12347fff;
  return options;
}

/** A stream whose ring is filled directly; the payload of each packet says which one it is. */
struct Bed : test::StreamBed {
  Bed() : StreamBed(small_ring()) {}
  /** Up to, not including, the number; all depart. */
  void fill(std::int64_t end, std::uint16_t size = 188) {
    plane::Ring& ring = stream->ring();
    while (ring.next_sequence() < end) {
      const auto number = static_cast<std::uint16_t>(ring.next_sequence());
      std::vector<std::uint8_t> payload(size, static_cast<std::uint8_t>(number));
      codec::store16(payload.data(), number);
      const std::uint64_t position = ring.write_position();
      ring.append(payload);
      ring.publish(position, size, 0, number * 90U, false);
      ring.release(ring.next_sequence(), ring.write_position());
    }
  }
  http::Answer ask(const std::string& range) {
    http::Request request;
    request.method = http::Request::Method::get;
    request.range = range;
    return repair.answer(*stream, request, now);
  }

  RangeRepair repair{10'000'000};
  plane::Nanos now = 0;
};

/** What a packet of the bed must be. */
std::uint16_t number_of(codec::Bytes datagram) {
  const auto packet = codec::parse_rtp(datagram);
  REQUIRE(packet.has_value());
  const std::uint16_t number = packet->header.sequence;
  CHECK(packet->header.ssrc == 0x12347fff);
  CHECK(packet->header.timestamp == number * 90U);
  CHECK(codec::load16(packet->payload.data()) == number);
  CHECK(packet->payload.back() == static_cast<std::uint8_t>(number));
  return number;
}

/** The numbers of the packets of an answer; every byte of which is looked at. */
std::vector<std::uint16_t> numbers_of(http::Answer& answer, std::size_t step = 1'000'000) {
  REQUIRE(answer.body);
  test::Reader reader;
  while (reader.read(*answer.body, step) > 0) continue;
  CHECK(answer.body->peek().next == Body::Next::end);
  CHECK(answer.length == reader.bytes.size());
  std::vector<std::uint16_t> numbers;
  for (codec::Bytes rest = reader.bytes; !rest.empty();) {
    REQUIRE(rest.size() >= 2);
    const std::size_t size = codec::load16(rest.data());
    REQUIRE(rest.size() >= 2 + size);
    numbers.push_back(number_of(rest.subspan(2, size)));
    rest = rest.subspan(2 + size);
  }
  return numbers;
}

bool has(const http::Answer& answer, const std::string& line) {
  return answer.fields.find(line + "\r\n") != std::string::npos;
}

}  // namespace

TEST_CASE("rtp ranges: what is one, and what is none") {
  CHECK(http::parse_rtp_ranges("rtp=5-7") == Ranges{{5, 7}});
  CHECK(http::parse_rtp_ranges("RTP=0-65535") == Ranges{{0, 65'535}});
  CHECK(http::parse_rtp_ranges("rtp=65530-3") == Ranges{{65'530, 3}});
  CHECK(http::parse_rtp_ranges("rtp=5-7, 12-12\t,,9-9") == Ranges{{5, 7}, {12, 12}, {9, 9}});
  for (const char* none :
       {"", "rtp", "rtp=", "rtp=,", "bytes=5-7", "rtp=5", "rtp=5-", "rtp=-7", "rtp=5-65536", "rtp=5-7;",
        "rtp=a-b", "rtp=5--7", "rtp=+5-7", "rtp=5-7 8-9", "xrtp=5-7", "rtp =5-7"})
    CHECK_MESSAGE(!http::parse_rtp_ranges(none), none);
  CHECK(RtpRange{65'530, 3}.size() == 10);
  CHECK(RtpRange{7, 6}.size() == 65'536);
  CHECK(RtpRange{7, 7}.size() == 1);
}

TEST_CASE("rtp ranges: as they are asked for, over the wrap") {
  const std::vector<std::int64_t> numbers{65'533, 65'534, 65'536, 65'537, 65'538, 65'600};
  const std::string text = http::rtp_ranges(numbers);
  CHECK(text == "rtp=65533-65534,0-2,64-64");
  CHECK(http::parse_rtp_ranges(text) == Ranges{{65'533, 65'534}, {0, 2}, {64, 64}});
}

TEST_CASE("range repair: packets as they departed, each behind its length") {
  Bed bed;
  bed.fill(0x7fff + 20);
  http::Answer answer = bed.ask("rtp=32770-32772");
  CHECK(answer.status == 206);
  CHECK(std::string(answer.content_type) == "application/octet-stream");
  CHECK(has(answer, "Content-Range: rtp 32770-32772/*"));
  CHECK(has(answer, "Accept-Ranges: rtp"));
  CHECK(numbers_of(answer) == std::vector<std::uint16_t>{32'770, 32'771, 32'772});
  CHECK(bed.counters.range_served == 1);
  CHECK(bed.counters.range_packets == 3);
  CHECK(bed.counters.range_bytes == 3 * (2 + 12 + 188));
}

TEST_CASE("range repair: over the wrap of 16 bits, and the newest of those with the same number") {
  Bed bed;
  bed.fill(65'546);
  http::Answer answer = bed.ask("rtp=65534-3");
  CHECK(has(answer, "Content-Range: rtp 65534-3/*"));
  CHECK(numbers_of(answer) == std::vector<std::uint16_t>{65'534, 65'535, 0, 1, 2, 3});
  bed.fill(2 * 65'536 + 10);
  http::Answer later = bed.ask("rtp=65534-3");
  CHECK(numbers_of(later) == std::vector<std::uint16_t>{65'534, 65'535, 0, 1, 2, 3});
}

TEST_CASE("range repair: several ranges are one answer, in order, each packet once") {
  Bed bed;
  bed.fill(0x7fff + 50);
  http::Answer answer = bed.ask("rtp=32790-32790, 32770-32772, 32771-32774");
  CHECK(has(answer, "Content-Range: rtp 32770-32790/*"));
  CHECK(numbers_of(answer) == std::vector<std::uint16_t>{32'770, 32'771, 32'772, 32'773, 32'774, 32'790});
}

TEST_CASE(
    "range repair: what is gone, or has not departed, is left out; where nothing is left, 416 says what is") {
  Bed bed;
  bed.fill(0x7fff + 5000);
  const std::int64_t end = bed.stream->ring().released_sequence();
  const std::int64_t oldest = bed.stream->ring().oldest_sequence();
  REQUIRE(oldest > 0x7fff);
  http::Answer old = bed.ask("rtp=" + std::to_string(oldest - 3) + "-" + std::to_string(oldest + 2));
  CHECK(old.status == 206);
  CHECK(numbers_of(old).size() == 3);
  CHECK(has(old, "Content-Range: rtp " + std::to_string(oldest) + "-" + std::to_string(oldest + 2) + "/*"));
  http::Answer ahead = bed.ask("rtp=" + std::to_string(end - 1) + "-" + std::to_string(end + 3));
  CHECK(numbers_of(ahead) == std::vector<std::uint16_t>{static_cast<std::uint16_t>(end - 1)});
  const http::Answer none = bed.ask("rtp=1-10");
  CHECK(none.status == 416);
  CHECK(has(none, "Content-Range: rtp */" + std::to_string(oldest) + "-" + std::to_string(end - 1)));
  CHECK(bed.counters.range_gone == 1);
  // Large packets: bytes run out before descriptors do.
  bed.fill(end + 3000, 1316);
  const http::Answer large = bed.ask("rtp=1-10");
  plane::Ring& ring = bed.stream->ring();
  std::int64_t first = ring.oldest_sequence();
  while (!ring.holds(first)) first++;
  CHECK(first > ring.oldest_sequence());
  CHECK(has(large, "Content-Range: rtp */" + std::to_string(first) + "-" +
                       std::to_string(ring.released_sequence() - 1)));
}

TEST_CASE("range repair: before anything has departed there is nothing") {
  Bed bed;
  const http::Answer answer = bed.ask("rtp=0-10");
  CHECK(answer.status == 416);
  CHECK(answer.fields.find("Content-Range") == std::string::npos);
}

TEST_CASE("range repair: without a range that can be read 400, of too many packets 416") {
  Bed bed;
  bed.fill(0x7fff + 600);
  for (const char* range : {"", "bytes=0-", "rtp=5", "rtp=70000-70001"}) {
    const http::Answer answer = bed.ask(range);
    CHECK_MESSAGE(answer.status == 400, range);
    CHECK(answer.text->find("Range: rtp=") != std::string::npos);
  }
  CHECK(bed.ask("rtp=32767-33279").status == 416);
  CHECK(bed.ask("rtp=1-0").status == 416);
  CHECK(bed.ask("rtp=0-400,0-400").status == 416);
  CHECK(bed.counters.range_malformed == 7);
  http::Answer most = bed.ask("rtp=32767-33278");
  CHECK(numbers_of(most, 1000).size() == RangeRepair::kMostPackets);
}

TEST_CASE("range repair: a budget for all") {
  Bed bed;
  bed.repair = RangeRepair(100'000);
  bed.fill(0x7fff + 600, 1316);
  std::size_t bytes = 0;
  const auto ask_on = [&] {
    for (int i = 0; i < 100; i++) {
      const http::Answer answer = bed.ask("rtp=33000-33099");
      if (answer.status == 503) CHECK(answer.retry_after == 1);
      bytes += answer.length.value_or(0);
    }
  };
  ask_on();
  const std::size_t burst = RangeRepair::kMostPackets * 1330;
  CHECK(bytes <= burst);
  CHECK(bytes > burst - 100 * 1330);
  bed.now += 10 * kernel::kSecond;
  ask_on();
  CHECK(bytes <= burst + 1'000'000);
  CHECK(bed.counters.range_shed > 0);
  CHECK(bed.counters.range_bytes == bytes);
}

TEST_CASE("range repair: an answer that the ring passes, or whose stream goes, breaks off") {
  Bed bed;
  bed.fill(0x7fff + 600, 1316);
  http::Answer overtaken = bed.ask("rtp=33000-33199");
  test::Reader reader;
  REQUIRE(reader.read(*overtaken.body, 1000) == 1000);
  bed.fill(0x7fff + 3000, 1316);
  // What was copied is whole.
  while (reader.read(*overtaken.body, 100'000) > 0) continue;
  CHECK(reader.bytes.size() % 1330 == 0);
  CHECK(reader.bytes.size() < *overtaken.length);
  CHECK(overtaken.body->peek().next == Body::Next::broken);

  http::Answer orphan = bed.ask("rtp=35700-35710");
  REQUIRE(orphan.body);
  bed.stream.reset();
  CHECK(orphan.body->peek().next == Body::Next::broken);
}

TEST_CASE("range repair: a route of its own") {
  Bed bed;
  bed.fill(0x7fff + 20);
  plane::Routes routes([&](std::uint64_t handle) { return handle == 7 ? bed.stream.get() : nullptr; });
  const auto repair = std::make_shared<RangeRepair>(10'000'000);
  routes.set("/live/news/main.rtp", plane::PacketsRoute{7, repair});
  routes.set("/live/gone/main.rtp", plane::PacketsRoute{8, repair});
  const auto remote = *kernel::Address::parse("127.0.0.1", 1);
  http::Request request;
  request.path = "/live/news/main.rtp";
  request.range = "rtp=32768-32769";
  http::Answer answer = routes.resolve(request, remote);
  CHECK(answer.status == 206);
  CHECK(*answer.source == "test/main");
  CHECK(numbers_of(answer).size() == 2);
  request.path = "/live/gone/main.rtp";
  CHECK(routes.resolve(request, remote).status == 404);
  CHECK(plane::stream_of(plane::PacketsRoute{7, repair}) == 7);
}
