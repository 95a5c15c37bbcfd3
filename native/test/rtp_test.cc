#include "codec/rtp.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <vector>

using namespace sluice::codec;

namespace {

/** One MPEG-TS packet would do as payload; four bytes are easier to read. */
const std::vector<std::uint8_t> kPlain = {
    0x80,                    // V=2 P=0 X=0 CC=0
    0x21,                    // M=0 PT=33 (MP2T)
    0xfe, 0xdc,              // sequence number 65244
    0x01, 0x23, 0x45, 0x67,  // timestamp 19088743
    0xca, 0xfe, 0xba, 0xbe,  // SSRC
    0x47, 0x1f, 0xff, 0x10,  // payload
};

const std::vector<std::uint8_t> kEverything = {
    0xb2,                    // V=2 P=1 X=1 CC=2
    0xe0,                    // M=1 PT=96
    0x00, 0x01,              // sequence number 1
    0xff, 0xff, 0xff, 0xff,  // timestamp
    0x00, 0x00, 0x00, 0x01,  // SSRC
    0x11, 0x11, 0x11, 0x11,  // CSRC 1
    0x22, 0x22, 0x22, 0x22,  // CSRC 2
    0xbe, 0xde,              // extension: defined by profile (RFC 8285 one-byte form)
    0x00, 0x01,              // extension: length 1 word
    0x10, 0xaa, 0x00, 0x00,  // extension: id 1, length 1, padding
    0xde, 0xad,              // payload
    0x00, 0x02,              // padding: 2 bytes, this one included
};

}  // namespace

TEST_CASE("rtp: a plain packet, byte by byte") {
  const auto packet = parse_rtp(kPlain);
  REQUIRE(packet.has_value());
  CHECK_FALSE(packet->header.marker);
  CHECK(packet->header.payload_type == kPayloadTypeMp2t);
  CHECK(packet->header.sequence == 0xfedc);
  CHECK(packet->header.timestamp == 0x01234567);
  CHECK(packet->header.ssrc == 0xcafebabe);
  CHECK(packet->payload.data() == kPlain.data() + 12);
  CHECK(packet->payload.size() == 4);
}

TEST_CASE("rtp: CSRC list, header extension and padding are taken off") {
  const auto packet = parse_rtp(kEverything);
  REQUIRE(packet.has_value());
  CHECK(packet->header.marker);
  CHECK(packet->header.payload_type == 96);
  CHECK(packet->header.sequence == 1);
  CHECK(packet->header.timestamp == 0xffffffff);
  CHECK(packet->header.ssrc == 1);
  REQUIRE(packet->payload.size() == 2);
  CHECK(packet->payload[0] == 0xde);
  CHECK(packet->payload[1] == 0xad);
}

TEST_CASE("rtp: truncation at every length is refused or gives a payload inside the datagram") {
  for (const auto& whole : {kPlain, kEverything}) {
    for (std::size_t size = 0; size < whole.size(); size++) {
      CAPTURE(size);
      // A copy of exactly this size, so that the address sanitizer sees every byte read past the end.
      const std::vector<std::uint8_t> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      const auto packet = parse_rtp(cut);
      if (size < 12) CHECK_FALSE(packet.has_value());
      if (packet && !packet->payload.empty()) {
        CHECK(packet->payload.data() >= cut.data() + 12);
        CHECK(packet->payload.data() + packet->payload.size() <= cut.data() + cut.size());
      }
    }
  }
}

TEST_CASE("rtp: what is not RTP version 2, or has impossible lengths, is refused") {
  auto with = [](std::size_t at, std::uint8_t value, std::vector<std::uint8_t> bytes) {
    bytes[at] = value;
    return bytes;
  };
  CHECK_FALSE(parse_rtp(with(0, 0x00, kPlain)).has_value());                         // version 0
  CHECK_FALSE(parse_rtp(with(0, 0x40, kPlain)).has_value());                         // version 1
  CHECK_FALSE(parse_rtp(with(0, 0xc0, kPlain)).has_value());                         // version 3
  CHECK_FALSE(parse_rtp(with(0, 0x47, kPlain)).has_value());                         // a TS packet
  CHECK_FALSE(parse_rtp(with(0, 0x8f, kPlain)).has_value());                         // 15 CSRC in 16 bytes
  CHECK_FALSE(parse_rtp(with(23, 0xff, kEverything)).has_value());                   // extension of 255 words
  CHECK_FALSE(parse_rtp(with(kEverything.size() - 1, 0, kEverything)).has_value());  // padding of 0 bytes
  CHECK_FALSE(
      parse_rtp(with(kEverything.size() - 1, 5, kEverything)).has_value());  // more padding than payload
  const auto all_padding = parse_rtp(with(kEverything.size() - 1, 4, kEverything));
  REQUIRE(all_padding.has_value());
  CHECK(all_padding->payload.empty());
}

TEST_CASE("rtp: a written header is read back") {
  for (const bool marker : {false, true}) {
    for (const std::uint16_t sequence : {0, 1, 0x7fff, 0x8000, 0xffff}) {
      std::array<std::uint8_t, kRtpHeaderSize> bytes{};
      write_rtp_header({marker, 33, sequence, 0xfffffffe, 0x80000001}, bytes.data());
      const auto packet = parse_rtp(bytes);
      REQUIRE(packet.has_value());
      CHECK(packet->header.marker == marker);
      CHECK(packet->header.payload_type == 33);
      CHECK(packet->header.sequence == sequence);
      CHECK(packet->header.timestamp == 0xfffffffe);
      CHECK(packet->header.ssrc == 0x80000001);
      CHECK(packet->payload.empty());
    }
  }
  std::array<std::uint8_t, kRtpHeaderSize> written{};
  write_rtp_header({false, 33, 0xfedc, 0x01234567, 0xcafebabe}, written.data());
  CHECK(std::equal(written.begin(), written.end(), kPlain.begin()));
}

TEST_CASE("rtp: sequence numbers are extended over the wrap from many start values") {
  for (const std::int64_t start : {0LL, 1LL, 2LL, 100LL, 32766LL, 32767LL, 32768LL, 32769LL, 65533LL, 65534LL,
                                   65535LL, 65536LL, 65537LL, 131071LL, 1LL << 32, (1LL << 40) + 65535}) {
    for (const std::int64_t step :
         {-32768LL, -32767LL, -1000LL, -1LL, 0LL, 1LL, 2LL, 1000LL, 32766LL, 32767LL}) {
      CAPTURE(start);
      CAPTURE(step);
      const std::int64_t expected = start + step;
      CHECK(extend_sequence(start, static_cast<std::uint16_t>(expected)) == expected);
    }
  }
}
