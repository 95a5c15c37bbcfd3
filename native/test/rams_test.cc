#include "codec/rams.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

using namespace sluice;
using codec::Bytes;
namespace rams = codec::rams;

namespace {

using Octets = std::vector<std::uint8_t>;

struct Written {
  std::array<std::uint8_t, rams::kMostControl> room{};
  rams::Writer writer{room};
};

Octets octets(Bytes bytes) {
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_CASE("RAMS-R: byte by byte, and read again (RFC 6285 section 7.2)") {
  Written out;
  const Octets one = octets(out.writer.request({{}, 500, 2000, 10'000'000'000}, 0xcafebabe));
  CHECK(one == Octets{1, 0, 0, 0, 1, 0, 0, 4,    0xca, 0xfe, 0xba, 0xbe, 2, 0, 0, 4, 0,    0,    1,    0xf4,
                      3, 0, 0, 4, 0, 0, 7, 0xd0, 4,    0,    0,    8,    0, 0, 0, 2, 0x54, 0x0b, 0xe4, 0});
  const auto read = rams::parse_request(one);
  REQUIRE(read.has_value());
  CHECK(read->wants(0xcafebabe));
  CHECK(!read->wants(0xcafebabf));
  CHECK(read->min_fill == 500);
  CHECK(read->max_fill == 2000);
  CHECK(read->max_rate == 10'000'000'000);
  // Of the whole session: an element without a value.
  const Octets all = octets(out.writer.request({}, std::nullopt));
  CHECK(all == Octets{1, 0, 0, 0, 1, 0, 0, 0});
  CHECK(rams::parse_request(all)->wants(7));
  // What is not known is passed over (section 7.1); what is asked for must be said.
  CHECK(
      rams::parse_request(Octets{1, 0, 0, 0, 200, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0, 1, 0, 0, 0}).has_value());
  CHECK(!rams::parse_request(Octets{1, 0, 0, 0}));
  CHECK(!rams::parse_request(Octets{1, 0, 0, 0, 1, 0, 0, 3, 0, 0, 0, 0}));
  CHECK(!rams::parse_request(Octets{1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 2, 0, 0, 0, 0}));
}

TEST_CASE("RAMS-I: byte by byte, and read again (RFC 6285 section 7.3)") {
  Written out;
  const Octets made = octets(out.writer.information({3, 200, 0xcafebabe, 0x1234, 250, 1500, 16'000'000}));
  CHECK(made == Octets{2,    3,    0, 200,  31, 0, 0, 4, 0xca, 0xfe, 0xba, 0xbe, 32, 0,    0,    2,
                       0x12, 0x34, 0, 0,    33, 0, 0, 4, 0,    0,    0,    250,  34, 0,    0,    4,
                       0,    0,    5, 0xdc, 35, 0, 0, 8, 0,    0,    0,    0,    0,  0xf4, 0x24, 0});
  const auto read = rams::parse_information(made);
  REQUIRE(read.has_value());
  CHECK(read->number == 3);
  CHECK(read->response == 200);
  CHECK(read->source == 0xcafebabe);
  CHECK(read->first_sequence == 0x1234);
  CHECK(read->earliest_join == 250);
  CHECK(read->duration == 1500);
  CHECK(read->max_rate == 16'000'000);
  const auto refused = rams::parse_information(out.writer.information({0, 505, {}, {}, 0, {}, {}}));
  REQUIRE(refused.has_value());
  CHECK(refused->response == static_cast<std::uint16_t>(rams::Response::not_eligible));
  CHECK(refused->earliest_join == 0);
  CHECK(!refused->first_sequence);
}

TEST_CASE("RAMS-T: byte by byte, and read again (RFC 6285 section 7.4)") {
  Written out;
  const Octets made = octets(out.writer.termination({0x00051234}));
  CHECK(made == Octets{3, 0, 0, 0, 61, 0, 0, 4, 0, 5, 0x12, 0x34});
  CHECK(rams::parse_termination(made)->first_multicast == 0x51234);
  const Octets at_once = octets(out.writer.termination({}));
  CHECK(at_once == Octets{3, 0, 0, 0});
  CHECK(!rams::parse_termination(at_once)->first_multicast);
  CHECK(!rams::parse_termination(Octets{3, 0, 0, 0, 61, 0, 0, 2, 0, 5, 0, 0}));
}

TEST_CASE("RAMS: cut at every length, and of random bytes, nothing is read that is not there") {
  Written out;
  const Octets made = octets(out.writer.information({3, 200, 1, 2, 3, 4, 5}));
  for (std::size_t size = 0; size < made.size(); size++) {
    const Octets cut(made.begin(), made.begin() + static_cast<std::ptrdiff_t>(size));
    // Whole elements before the cut are a message of their own.
    if (size % 4 != 0) CHECK(!rams::parse_information(cut));
  }
  std::mt19937 random(1);
  int read = 0;
  for (int i = 0; i < 300'000; i++) {
    Octets bytes(random() % 40);
    for (std::uint8_t& byte : bytes)
      byte = static_cast<std::uint8_t>(random() % 8 == 0 ? random() : random() % 5);
    read += rams::parse_request(bytes) ? 1 : 0;
    read += rams::parse_information(bytes) ? 1 : 0;
    read += rams::parse_termination(bytes) ? 1 : 0;
  }
  CHECK(read > 100);
}
