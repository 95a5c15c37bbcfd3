#include "codec/numbering.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

using namespace sluice;
using codec::Bytes;
using codec::Numbering;

namespace {

using Octets = std::vector<std::uint8_t>;

/** PT 33, number 0x1234, timestamp and SSRC; no extension. */
const Octets kHeader{0x80, 0x21, 0x12, 0x34, 0, 0, 0, 90, 0xca, 0xfe, 0xba, 0xbe};

Octets numbered(Numbering numbering, std::uint32_t number, const Octets& payload) {
  Octets made(codec::numbered_header_size(numbering));
  codec::write_numbered_header(numbering, kHeader.data(), number, made.data());
  made.insert(made.end(), payload.begin(), payload.end());
  return made;
}

std::optional<Octets> plain(Bytes datagram, Numbering numbering, std::optional<std::uint32_t> option = {}) {
  Octets room(datagram.size() + codec::kRtpHeaderSize);
  const auto rtp = codec::as_rtp(datagram, numbering, option, room);
  if (!rtp) return std::nullopt;
  return Octets(rtp->begin(), rtp->end());
}

}  // namespace

TEST_CASE("numbering: an RTP header extension, byte by byte (RFC 8285 section 4.2)") {
  const Octets made = numbered(Numbering::extension, 0x00091234, {0x47, 1});
  const Octets expected{0x90, 0x21, 0x12, 0x34, 0, 0, 0,    90,   0xca, 0xfe, 0xba, 0xbe, 0xbe,
                        0xde, 0,    2,    0x13, 0, 9, 0x12, 0x34, 0,    0,    0,    0x47, 1};
  CHECK(made == expected);
  CHECK(codec::extension_number(made) == 0x00091234);
  // Other elements before it, and bytes that fill up.
  const Octets others{0x90, 0x21, 0,    1, 0,    0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0,
                      3,    0x20, 0xff, 0, 0x13, 0, 0, 0, 7, 0, 0, 0, 0,    0x47};
  CHECK(codec::extension_number(others) == 7);
  // The two-byte form is another.
  Octets two = made;
  two[12] = 0x10;
  two[13] = 0;
  CHECK(!codec::extension_number(two));
  // Nothing is read behind an element of type 15.
  Octets ended = others;
  ended[16] = 0xf0;
  CHECK(!codec::extension_number(ended));
  CHECK(!codec::extension_number(kHeader));
}

TEST_CASE("numbering: a field, byte by byte; the RTP that is made of it") {
  const Octets made = numbered(Numbering::field, 0x00091234, {0x47, 1});
  CHECK(made == Octets{0, 9, 0x12, 0x34, 0x47, 1});
  CHECK(plain(made, Numbering::field) == Octets{0x80, 0x21, 0x12, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0x47, 1});
  CHECK(!plain(Octets{0, 0, 0, 1}, Numbering::field));
}

TEST_CASE("numbering: IP options, byte by byte (RFC 791, RFC 8200 section 4.6)") {
  Octets v4(codec::kNumberOptionSize);
  codec::write_number_option(false, 0x00091234, v4.data());
  CHECK(v4 == Octets{158, 6, 0, 9, 0x12, 0x34, 1, 1});
  Octets v6(codec::kNumberOptionSize);
  codec::write_number_option(true, 0x00091234, v6.data());
  CHECK(v6 == Octets{0, 0, 0x1e, 4, 0, 9, 0x12, 0x34});
  CHECK(codec::option_number(false, v4) == 0x00091234);
  CHECK(codec::option_number(true, v6) == 0x00091234);
  // Behind others: a router alert (RFC 2113), and padding of both kinds.
  CHECK(codec::option_number(false, Octets{148, 4, 0, 0, 1, 158, 6, 0, 0, 0, 5}) == 5);
  CHECK(codec::option_number(true, Octets{17, 1, 0, 1, 2, 0, 0, 0x1e, 4, 0, 0, 0, 5}) == 5);
  CHECK(!codec::option_number(false, Octets{0, 158, 6, 0, 0, 0, 5}));
  CHECK(!codec::option_number(false, Octets{148, 1, 158, 6, 0, 0, 0, 5}));
  CHECK(!codec::option_number(false, {}));
  CHECK(!codec::option_number(true, Octets{17}));
}

TEST_CASE("numbering: what is numbered becomes plain RTP with the number's low half") {
  const Octets payload(188, 0x47);
  Octets expected = kHeader;
  expected[2] = 0xab;
  expected[3] = 0xcd;
  expected.insert(expected.end(), payload.begin(), payload.end());
  CHECK(plain(numbered(Numbering::extension, 0x5abcd, payload), Numbering::extension) == expected);
  CHECK(plain(numbered(Numbering::rtp, 0, payload), Numbering::option, 0x5abcd) == expected);
  CHECK(!plain(numbered(Numbering::rtp, 0, payload), Numbering::option));
  CHECK(!plain(numbered(Numbering::rtp, 0, payload), Numbering::extension));
}

TEST_CASE("numbering: cut at every length, and of random bytes, nothing is read that is not there") {
  const Octets whole = numbered(Numbering::extension, 7, {});
  for (std::size_t size = 0; size < whole.size(); size++) {
    const Octets cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK(!plain(cut, Numbering::extension));
  }
  std::mt19937 random(1);
  int read = 0;
  for (int i = 0; i < 200'000; i++) {
    Octets bytes(random() % 48);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
    if (bytes.size() > 16 && (i & 1) != 0) {
      bytes[0] = 0x90;
      bytes[12] = 0xbe;
      bytes[13] = 0xde;
      bytes[14] = 0;
      bytes[15] &= 7;
      bytes[16] = 0x13;
    }
    read += plain(bytes, Numbering::extension) ? 1 : 0;
    read += plain(bytes, Numbering::field) ? 1 : 0;
    read += codec::option_number((i & 2) != 0, bytes) ? 1 : 0;
  }
  CHECK(read > 1000);
}
