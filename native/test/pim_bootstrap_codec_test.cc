#include "codec/pim_bootstrap.h"

#include <map>

#include "test/control_bytes.h"

using namespace sluice;
using namespace sluice::test;
using codec::Bytes;
using codec::IpAddress;
using codec::IpEnds;
using codec::IpPrefix;
using codec::Sequence;
namespace pim = codec::pim;
using pim::Bootstrap;
using pim::BootstrapRange;
using pim::GroupRange;
using pim::RendezvousPoint;

namespace {

// Each byte by hand.
const Octets kBootstrap{
    0x24, 0x00, 0xa6, 0x52,                          // version 2, bootstrap, checksum
    0x12, 0x34, 0x1e, 0x40,                          // fragment tag, hash mask 30, priority 64
    0x01, 0x00, 0x0a, 0x00, 0x00, 0x01,              // bootstrap router 10.0.0.1
    0x01, 0x00, 0x00, 0x04, 0xe0, 0x00, 0x00, 0x00,  // 224.0.0.0/4
    0x02, 0x02, 0x00, 0x00,                          // two RPs, both here
    0x01, 0x00, 0x0a, 0x00, 0x00, 0x02,              // RP 10.0.0.2
    0x00, 0x96, 0x00, 0x00,                          // 150 s, priority 0
    0x01, 0x00, 0x0a, 0x00, 0x00, 0x03,              // RP 10.0.0.3
    0x00, 0x96, 0x00, 0x00,                          // 150 s, priority 0
};
const Octets kCandidate{
    0x28, 0x00, 0xea, 0x61,                          // version 2, candidate RP, checksum
    0x01, 0x00, 0x00, 0x96,                          // one range, priority 0, 150 s
    0x01, 0x00, 0x0a, 0x00, 0x00, 0x03,              // RP 10.0.0.3
    0x01, 0x00, 0x00, 0x04, 0xe0, 0x00, 0x00, 0x00,  // 224.0.0.0/4
};

IpEnds ends_of(bool v4) {
  return v4 ? IpEnds{ip("10.0.0.5"), ip("224.0.0.13")} : IpEnds{ip("fe80::1"), ip("ff02::d")};
}

pim::Message message_of(const Octets& bytes, bool v4 = true) {
  pim::Message message;
  REQUIRE(pim::parse(bytes, ends_of(v4), message) == pim::Find::message);
  return message;
}

Octets sealed(Octets bytes) {
  pim::seal(bytes, ends_of(true));
  return bytes;
}

/** A range that owns its RPs. */
struct Range {
  GroupRange groups;
  std::vector<RendezvousPoint> points;
};

std::vector<Octets> written(Bootstrap bootstrap, const std::vector<Range>& ranges, std::size_t room,
                            bool v4 = true) {
  std::vector<BootstrapRange> views;
  for (const Range& range : ranges) {
    views.push_back({range.groups, static_cast<std::uint8_t>(range.points.size()),
                     Sequence<RendezvousPoint>(range.points)});
  }
  bootstrap.ranges = Sequence<BootstrapRange>(views);
  Octets space(room);
  std::vector<Octets> out;
  const std::size_t count = pim::write_bootstrap(bootstrap, ends_of(v4), space,
                                                 [&out](Bytes bytes) { out.push_back(octets(bytes)); });
  for (const Octets& one : out) CHECK(one.size() <= room);
  if (count == 0) return {};
  CHECK(count == out.size());
  return out;
}

Range range_of(bool v4, std::uint32_t number, std::size_t points) {
  std::array<std::uint8_t, 16> group{0xff, 0x3e, 0, static_cast<std::uint8_t>(number)};
  const IpPrefix prefix = v4 ? IpPrefix{IpAddress::v4(0xef000000 + (number << 16)), 16}
                             : IpPrefix{IpAddress::v6(group.data()), 32};
  Range range{{prefix, false, false}, {}};
  for (std::size_t i = 0; i < points; i++) {
    std::array<std::uint8_t, 16> address{0x20, 1, 0x0d, 0xb8};
    address[15] = static_cast<std::uint8_t>(i + 1);
    range.points.push_back(
        {v4 ? IpAddress::v4(0x0a000001 + static_cast<std::uint32_t>(i)) : IpAddress::v6(address.data()), 150,
         static_cast<std::uint8_t>(i)});
  }
  return range;
}

}  // namespace

TEST_CASE("PIM bootstrap: byte by byte, and written the same (RFC 5059 section 4.1)") {
  const auto read = pim::parse_bootstrap(message_of(kBootstrap));
  REQUIRE(read.has_value());
  CHECK(read->fragment_tag == 0x1234);
  CHECK(read->hash_mask_bits == 30);
  CHECK(read->priority == 64);
  CHECK(read->router == ip("10.0.0.1"));
  CHECK_FALSE(read->no_forward);
  REQUIRE(read->ranges.count() == 1);
  const BootstrapRange range = *read->ranges.begin();
  CHECK(range.range.groups == IpPrefix{ip("224.0.0.0"), 4});
  CHECK_FALSE(range.range.zone);
  CHECK(range.total == 2);
  const std::vector<RendezvousPoint> points(range.points.begin(), range.points.end());
  REQUIRE(points.size() == 2);
  CHECK(points[1].address == ip("10.0.0.3"));
  CHECK(points[1].holdtime_s == 150);
  std::vector<Octets> again;
  Octets room(1480);
  // What was read can be sent on as it is.
  CHECK(pim::write_bootstrap(*read, ends_of(true), room,
                             [&](Bytes bytes) { again.push_back(octets(bytes)); }) == 1);
  REQUIRE(again.size() == 1);
  CHECK(again[0] == kBootstrap);
}

TEST_CASE("PIM bootstrap: flags, and what is malformed or does not count") {
  const auto read = [](std::size_t at, unsigned value) {
    // Kept while the test runs: what is read points into it.
    static std::vector<Octets> kept;
    kept.push_back(sealed(with(kBootstrap, at, value)));
    return pim::parse_bootstrap(message_of(kept.back()));
  };
  CHECK(read(1, 0x80)->no_forward);
  CHECK(read(16, 0x01)->ranges.begin()->range.zone);
  CHECK(read(16, 0x80)->ranges.begin()->range.bidirectional);
  CHECK(read(18, 0x0a)->ranges.empty());  // a range of no groups
  CHECK(read(22, 9)->ranges.begin()->total == 9);
  CHECK_FALSE(read(22, 1));    // more here than in all
  CHECK_FALSE(read(23, 1));    // what follows is no range
  CHECK_FALSE(read(6, 33));    // more bits than there are
  CHECK_FALSE(read(8, 2));     // the router's address of another family
  CHECK_FALSE(read(10, 230));  // no router
  CHECK_FALSE(read(26, 2));    // an RP's address of another family
  Octets none(kBootstrap.begin(), kBootstrap.begin() + 14);
  CHECK(pim::parse_bootstrap(message_of(sealed(none)))->ranges.empty());
}

TEST_CASE("PIM bootstrap: fragments, each range whole where it can be (section 4.1.1)") {
  for (const bool v4 : {true, false}) {
    Bootstrap bootstrap{true, 0x1234, 30, 64, v4 ? ip("10.0.0.9") : ip("2001:db8::9"), {}};
    std::vector<Range> ranges;
    for (std::uint32_t i = 0; i < 40; i++) ranges.push_back(range_of(v4, i, i == 7 ? 200 : i % 5));
    std::map<IpAddress, std::vector<RendezvousPoint>> points;
    std::map<IpAddress, std::size_t> fragments;
    const auto messages = written(bootstrap, ranges, 900, v4);
    CHECK(messages.size() > 3);
    for (const Octets& bytes : messages) {
      const auto read = pim::parse_bootstrap(message_of(bytes, v4));
      REQUIRE(read.has_value());
      CHECK(read->no_forward);
      CHECK(read->fragment_tag == 0x1234);
      CHECK(read->hash_mask_bits == 30);
      CHECK(read->priority == 64);
      CHECK(read->router == bootstrap.router);
      for (const BootstrapRange& range : read->ranges) {
        auto& all = points[range.range.groups.address];
        all.insert(all.end(), range.points.begin(), range.points.end());
        fragments[range.range.groups.address]++;
        CHECK(range.total == ranges[fragments.size() - 1].points.size());
      }
    }
    REQUIRE(points.size() == ranges.size());
    for (const Range& range : ranges) {
      const auto& all = points[range.groups.groups.address];
      REQUIRE(all.size() == range.points.size());
      for (std::size_t i = 0; i < all.size(); i++) {
        CHECK(all[i].address == range.points[i].address);
        CHECK(all[i].priority == range.points[i].priority);
      }
      CHECK((fragments[range.groups.groups.address] == 1) == (range.points.size() < 200));
    }
  }
}

TEST_CASE("PIM bootstrap: every fragment about a zone begins with it") {
  Bootstrap bootstrap{false, 1, 30, 64, ip("10.0.0.9"), {}};
  std::vector<Range> ranges{range_of(true, 1, 2)};
  ranges[0].groups.zone = true;
  for (std::uint32_t i = 2; i < 60; i++) ranges.push_back(range_of(true, i, 3));
  const auto messages = written(bootstrap, ranges, 500);
  CHECK(messages.size() > 3);
  std::size_t count = 0;
  for (const Octets& bytes : messages) {
    const auto read = pim::parse_bootstrap(message_of(bytes));
    REQUIRE(read.has_value());
    const BootstrapRange first = *read->ranges.begin();
    CHECK(first.range.zone);
    CHECK(first.range.groups == ranges[0].groups.groups);
    CHECK(first.total == 2);
    CHECK(first.points.count() == (&bytes == &messages.front() ? 2 : 0));
    count += read->ranges.count() - 1;
  }
  CHECK(count == ranges.size() - 1);
}

TEST_CASE("PIM bootstrap: without ranges, and with too little room") {
  Bootstrap bootstrap{false, 1, 30, 64, ip("10.0.0.9"), {}};
  CHECK(written(bootstrap, {}, 14).size() == 1);
  CHECK(written(bootstrap, {}, 13).empty());
  CHECK(written(bootstrap, {range_of(true, 1, 1)}, 36).size() == 1);
  CHECK(written(bootstrap, {range_of(true, 1, 1)}, 35).empty());
  CHECK(written(bootstrap, {range_of(true, 1, 256)}, 1480).empty());
}

TEST_CASE("PIM candidate RP: byte by byte, and written the same (RFC 5059 section 4.2)") {
  const auto read = pim::parse_candidate_rp(message_of(kCandidate));
  REQUIRE(read.has_value());
  CHECK(read->point.address == ip("10.0.0.3"));
  CHECK(read->point.holdtime_s == 150);
  CHECK(read->point.priority == 0);
  REQUIRE(read->ranges.count() == 1);
  CHECK(read->ranges.begin()->groups == IpPrefix{ip("224.0.0.0"), 4});
  Octets room(kCandidate.size());
  CHECK(pim::write_candidate_rp(*read, ends_of(true), room) == kCandidate.size());
  CHECK(room == kCandidate);
  Octets small(kCandidate.size() - 1);
  CHECK(pim::write_candidate_rp(*read, ends_of(true), small) == 0);
  const auto changed = [](std::size_t at, unsigned value) {
    return pim::parse_candidate_rp(message_of(sealed(with(kCandidate, at, value)))).has_value();
  };
  CHECK(changed(4, 0));
  CHECK_FALSE(changed(4, 2));
  CHECK_FALSE(changed(8, 2));
  CHECK_FALSE(changed(10, 230));
  CHECK_FALSE(changed(17, 33));
  const std::vector<GroupRange> many(256, range_of(true, 1, 0).groups);
  Octets large(4000);
  CHECK(pim::write_candidate_rp({{ip("10.0.0.3"), 150, 0}, Sequence<GroupRange>(many)}, ends_of(true),
                                large) == 0);
}

TEST_CASE("PIM bootstrap and candidate RP: cut, changed and random bytes are never read beyond their end") {
  std::size_t entries = 0;
  const auto look = [&entries](const Octets& bytes) {
    if (bytes.size() < 4) return;
    for (const bool v4 : {true, false}) {
      const pim::Message message{pim::Type::bootstrap, bytes[1], v4, Bytes(bytes).subspan(4)};
      std::size_t count = 0;
      if (const auto read = pim::parse_bootstrap(message))
        for (const BootstrapRange& range : read->ranges) count += 1 + range.points.count();
      CHECK(count * 10 <= bytes.size());
      if (const auto read = pim::parse_candidate_rp(message)) entries += read->ranges.count();
      entries += count;
    }
  };
  for (const Octets& bytes : {kBootstrap, kCandidate}) damaged(bytes, look);
  CHECK(entries > 1000);
}
