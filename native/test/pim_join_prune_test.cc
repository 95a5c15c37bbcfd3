#include "codec/pim_join_prune.h"

#include <map>
#include <set>

#include "test/allocations.h"
#include "test/control_bytes.h"

using namespace sluice;
using namespace sluice::test;
using codec::Bytes;
using codec::IpAddress;
using codec::IpEnds;
using codec::Sequence;
namespace pim = codec::pim;
using pim::JoinPrune;
using pim::JoinPruneGroup;
using pim::JoinPruneSource;

namespace {

// Each byte by hand.
const Octets kJoin{
    0x23, 0x00, 0xba, 0xb5,                          // version 2, join/prune, checksum
    0x01, 0x00, 0x0a, 0x00, 0x00, 0x0d,              // upstream neighbour 10.0.0.13
    0x00, 0x01, 0x00, 0xd2,                          // reserved, one group, 210 s
    0x01, 0x00, 0x00, 0x20, 0xef, 0x0a, 0x0b, 0x0c,  // 239.10.11.12/32
    0x00, 0x01, 0x00, 0x00,                          // one join, no prune
    0x01, 0x00, 0x07, 0x20, 0x0a, 0x09, 0x09, 0x09,  // 10.9.9.9: S, W, R
};
const Octets kBoth{
    0x23, 0x00, 0x00, 0x00,                          // version 2, join/prune, checksum
    0x01, 0x00, 0x0a, 0x00, 0x00, 0x0d,              // upstream neighbour 10.0.0.13
    0x00, 0x02, 0xff, 0xff,                          // reserved, two groups, for ever
    0x01, 0x00, 0x00, 0x04, 0xe0, 0x00, 0x00, 0x00,  // 224.0.0.0/4: of (*,*,RP), which was given up
    0x00, 0x01, 0x00, 0x00,                          // one join, no prune
    0x01, 0x00, 0x07, 0x20, 0x01, 0x01, 0x01, 0x01,  // 1.1.1.1: S, W, R
    0x01, 0x00, 0x00, 0x20, 0xe8, 0x01, 0x02, 0x03,  // 232.1.2.3/32
    0x00, 0x03, 0x00, 0x02,                          // three joins, two prunes
    0x01, 0x00, 0x04, 0x20, 0x0a, 0x00, 0x00, 0x05,  // 10.0.0.5: S
    0x01, 0x00, 0x06, 0x20, 0x0a, 0x00, 0x00, 0x06,  // 10.0.0.6: wildcard, but not of the RP's tree
    0x02, 0x00, 0x04, 0x80, 0x20, 0x01, 0x0d, 0xb8,  // 2001:db8::1: of the other family
    0,    0,    0,    0,    0,    0,    0,    0,     //
    0,    0,    0,    1,                             //
    0x01, 0x00, 0x05, 0x20, 0x0a, 0x00, 0x00, 0x07,  // 10.0.0.7: S, R
    0x01, 0x00, 0x04, 0x20, 0xe1, 0x00, 0x00, 0x07,  // 225.0.0.7, which is no source
};

IpEnds ends_of(bool v4) {
  return v4 ? IpEnds{ip("10.0.0.14"), ip("224.0.0.13")} : IpEnds{ip("fe80::1"), ip("ff02::d")};
}

pim::Message message_of(const Octets& bytes, bool v4 = true) {
  pim::Message message;
  REQUIRE(pim::parse(bytes, ends_of(v4), message) == pim::Find::message);
  REQUIRE(message.type == pim::Type::join_prune);
  return message;
}

Octets sealed(Octets bytes) {
  pim::seal(bytes, ends_of(true));
  return bytes;
}

std::vector<JoinPruneSource> sources(const Sequence<JoinPruneSource>& sequence) {
  return {sequence.begin(), sequence.end()};
}

/** Groups that own their lists. */
struct Wanted {
  IpAddress group;
  std::vector<JoinPruneSource> joins;
  std::vector<JoinPruneSource> prunes;
};

/** All messages that are sent for what is wanted of a neighbour, none longer than `room`. */
std::vector<Octets> written(const std::vector<Wanted>& wanted, std::size_t room, bool v4 = true) {
  std::vector<JoinPruneGroup> groups;
  for (const Wanted& one : wanted) {
    groups.push_back(
        {one.group, Sequence<JoinPruneSource>(one.joins), Sequence<JoinPruneSource>(one.prunes)});
  }
  const JoinPrune message{v4 ? ip("10.0.0.13") : ip("fe80::2"), 210, Sequence<JoinPruneGroup>(groups)};
  Octets space(room);
  std::vector<Octets> out;
  const std::size_t count = pim::write_join_prune(message, ends_of(v4), space,
                                                  [&out](Bytes bytes) { out.push_back(octets(bytes)); });
  CHECK(count == out.size());
  for (const Octets& one : out) CHECK(one.size() <= room);
  return out;
}

using Entry = std::tuple<IpAddress, IpAddress, bool, bool, bool>;

/** What messages tell, regardless of how it is split: group, source, wildcard, rpt, joined. */
std::multiset<Entry> told(const std::vector<Octets>& messages, bool v4 = true) {
  std::multiset<Entry> out;
  for (const Octets& bytes : messages) {
    const auto read = pim::parse_join_prune(message_of(bytes, v4));
    REQUIRE(read.has_value());
    CHECK(read->holdtime_s == 210);
    std::set<IpAddress> groups;
    for (const JoinPruneGroup& group : read->groups) {
      CHECK(groups.insert(group.group).second);
      CHECK_FALSE((group.joins.empty() && group.prunes.empty()));
      for (const JoinPruneSource& s : group.joins)
        out.insert({group.group, s.address, s.wildcard, s.rpt, true});
      for (const JoinPruneSource& s : group.prunes)
        out.insert({group.group, s.address, s.wildcard, s.rpt, false});
    }
  }
  return out;
}

std::multiset<Entry> told(const std::vector<Wanted>& wanted) {
  std::multiset<Entry> out;
  for (const Wanted& w : wanted) {
    for (const JoinPruneSource& s : w.joins) out.insert({w.group, s.address, s.wildcard, s.rpt, true});
    for (const JoinPruneSource& s : w.prunes) out.insert({w.group, s.address, s.wildcard, s.rpt, false});
  }
  return out;
}

IpAddress numbered(bool v4, std::uint32_t first, std::uint32_t number) {
  if (v4) return IpAddress::v4((first << 24) + number);
  std::array<std::uint8_t, 16> bytes{static_cast<std::uint8_t>(first == 10 ? 0x20 : 0xff), 0x3e};
  codec::store32(bytes.data() + 12, number);
  return IpAddress::v6(bytes.data());
}

}  // namespace

TEST_CASE("PIM join/prune: byte by byte, and written the same (RFC 7761 section 4.9.5)") {
  const auto join = pim::parse_join_prune(message_of(kJoin));
  REQUIRE(join.has_value());
  CHECK(join->upstream == ip("10.0.0.13"));
  CHECK(join->holdtime_s == 210);
  REQUIRE(join->groups.count() == 1);
  CHECK(join->groups.begin()->group == ip("239.10.11.12"));
  CHECK(sources(join->groups.begin()->joins) == std::vector{JoinPruneSource{ip("10.9.9.9"), true, true}});
  CHECK(join->groups.begin()->prunes.empty());
  const auto again = written({{ip("239.10.11.12"), {{ip("10.9.9.9"), true, true}}, {}}}, 1480);
  REQUIRE(again.size() == 1);
  CHECK(again[0] == kJoin);
}

TEST_CASE("PIM join/prune: entries that do not count are passed over, the others read") {
  const Octets bytes = sealed(kBoth);
  const auto both = pim::parse_join_prune(message_of(bytes));
  REQUIRE(both.has_value());
  CHECK(both->holdtime_s == pim::kForever);
  REQUIRE(both->groups.count() == 1);
  const JoinPruneGroup group = *both->groups.begin();
  CHECK(group.group == ip("232.1.2.3"));
  CHECK(sources(group.joins) == std::vector{JoinPruneSource{ip("10.0.0.5"), false, false}});
  CHECK(sources(group.prunes) == std::vector{JoinPruneSource{ip("10.0.0.7"), false, true}});
}

TEST_CASE("PIM join/prune: what is malformed as a whole") {
  const auto read = [](std::size_t at, unsigned value) {
    return pim::parse_join_prune(message_of(sealed(with(kJoin, at, value)))).has_value();
  };
  CHECK(read(11, 0));         // no group
  CHECK_FALSE(read(11, 2));   // more groups than there are
  CHECK_FALSE(read(23, 2));   // more joins than there are
  CHECK_FALSE(read(25, 1));   // more prunes than there are
  CHECK_FALSE(read(4, 2));    // the neighbour's address of another family
  CHECK_FALSE(read(5, 1));    // of another encoding
  CHECK_FALSE(read(6, 230));  // not one neighbour
  CHECK_FALSE(read(26, 3));   // a source of no family
  CHECK_FALSE(read(27, 1));   // with attributes (RFC 5384)
  CHECK_FALSE(read(29, 31));  // masked
  CHECK_FALSE(read(17, 33));  // more bits than there are
}

TEST_CASE("PIM join/prune: all that is wanted is told, however it must be split") {
  std::mt19937 random(5);
  for (int round = 0; round < 60; round++) {
    const bool v4 = round % 2 == 0;
    std::vector<Wanted> wanted(1 + random() % 40);
    std::uint32_t number = 1;
    for (std::size_t i = 0; i < wanted.size(); i++) {
      wanted[i].group = numbered(v4, 239, static_cast<std::uint32_t>(i) + 1);
      for (std::size_t n = random() % (i % 10 == 0 ? 200 : 5); n > 0; n--)
        wanted[i].joins.push_back({numbered(v4, 10, number++), false, false});
      for (std::size_t n = random() % 20; n > 0; n--)
        wanted[i].prunes.push_back({numbered(v4, 10, number++), false, random() % 2 == 0});
      if (random() % 3 == 0) wanted[i].joins.push_back({numbered(v4, 10, 0xffffff), true, true});
    }
    const std::size_t room = 600 + random() % 900;
    const auto messages = written(wanted, room, v4);
    CHECK(told(messages, v4) == told(wanted));
    // Not more messages than need be: each but the last is so full that the next group's or source's part did
    // not fit.
    std::size_t bytes = 0;
    for (const Octets& message : messages) bytes += message.size();
    CHECK(messages.size() <= 1 + bytes / (room / 3));
  }
}

TEST_CASE("PIM join/prune: more than 255 groups, and the smallest room") {
  std::vector<Wanted> wanted;
  for (std::uint32_t i = 1; i <= 600; i++)
    wanted.push_back({numbered(true, 239, i), {{numbered(true, 10, i), false, false}}, {}});
  const auto large = written(wanted, 65'000);
  CHECK(large.size() == 3);
  CHECK(told(large) == told(wanted));
  const auto smallest = written(wanted, kJoin.size());
  CHECK(smallest.size() == 600);
  CHECK(told(smallest) == told(wanted));
  CHECK(written(wanted, kJoin.size() - 1).empty());
  CHECK(written({}, 1480).empty());
  CHECK(written({{ip("239.1.1.1"), {}, {}}}, 1480).empty());
}

TEST_CASE(
    "PIM join/prune: a shared tree's prunes stay beside its join, the smallest of them (section 4.9.5.2)") {
  for (const bool v4 : {true, false}) {
    Wanted tree{numbered(v4, 239, 1), {{numbered(v4, 10, 0xffffff), true, true}}, {}};
    for (std::uint32_t i = 1; i <= 1000; i++)
      tree.prunes.push_back({numbered(v4, 10, i * 7919 % 100'003), false, true});
    for (std::uint32_t i = 0; i < 300; i++)
      tree.prunes.push_back({numbered(v4, 10, 200'000 + i), false, false});
    tree.joins.push_back({numbered(v4, 10, 300'000), false, false});
    const Wanted before{numbered(v4, 239, 2), {{numbered(v4, 10, 1), false, false}}, {}};
    const auto messages = written({before, tree, before}, 1480, v4);
    // (*,G) stands in one message, with as many prunes as there is room for, and these are the smallest.
    std::vector<IpAddress> beside;
    std::size_t trees = 0;
    std::size_t rest = 0;
    for (const Octets& bytes : messages) {
      const auto read = pim::parse_join_prune(message_of(bytes, v4));
      REQUIRE(read.has_value());
      for (const JoinPruneGroup& group : read->groups) {
        const auto joins = sources(group.joins);
        const bool shared =
            std::any_of(joins.begin(), joins.end(), [](const JoinPruneSource& s) { return s.wildcard; });
        trees += shared ? 1 : 0;
        for (const JoinPruneSource& source : group.prunes) {
          CHECK(source.rpt == shared);
          if (shared) beside.push_back(source.address);
          rest += shared ? 0 : 1;
        }
        if (shared) CHECK(bytes.size() + (v4 ? 8 : 20) > 1480);
      }
    }
    CHECK(trees == 1);
    CHECK(rest == 300);
    std::sort(beside.begin(), beside.end());
    std::vector<IpAddress> all;
    for (std::uint32_t i = 1; i <= 1000; i++) all.push_back(numbered(v4, 10, i * 7919 % 100'003));
    std::sort(all.begin(), all.end());
    all.resize(beside.size());
    CHECK(beside == all);
    CHECK(beside.size() == (v4 ? 180 : 70));
  }
}

TEST_CASE("PIM join/prune: split and read without the heap") {
  std::vector<JoinPruneSource> sources;
  for (std::uint32_t i = 1; i <= 2000; i++) sources.push_back({numbered(true, 10, i), false, i % 2 == 0});
  const std::vector<JoinPruneSource> shared{{ip("10.9.9.9"), true, true}};
  using List = Sequence<JoinPruneSource>;
  const std::array<JoinPruneGroup, 2> groups{
      {{ip("239.1.1.1"), List(sources), List(sources)}, {ip("239.1.1.2"), List(shared), List(sources)}}};
  const JoinPrune message{ip("10.0.0.13"), 210, Sequence<JoinPruneGroup>(groups)};
  const IpEnds ends = ends_of(true);
  std::array<std::uint8_t, 1480> room;
  std::size_t entries = 0;
  const std::uint64_t before = allocations();
  const std::size_t messages = pim::write_join_prune(message, ends, room, [&](Bytes bytes) {
    pim::Message header;
    if (pim::parse(bytes, ends, header) != pim::Find::message) return;
    const auto read = pim::parse_join_prune(header);
    if (!read) return;
    for (const JoinPruneGroup& group : read->groups) entries += group.joins.count() + group.prunes.count();
  });
  CHECK(allocations() == before);
  // All of the first group; of the second the join with what fits beside it, and the prunes that need not be
  // beside it.
  CHECK(entries == 4000 + 1 + 180 + 1000);
  CHECK(messages == 30);
}

TEST_CASE("PIM join/prune: cut, changed and random bytes are never read beyond their end") {
  std::size_t entries = 0;
  const auto look = [&entries](const Octets& bytes) {
    if (bytes.size() < 4) return;
    for (const bool v4 : {true, false}) {
      const auto read = pim::parse_join_prune({pim::Type::join_prune, 0, v4, Bytes(bytes).subspan(4)});
      if (!read) continue;
      std::size_t count = 0;
      for (const JoinPruneGroup& group : read->groups)
        count += 1 + group.joins.count() + group.prunes.count();
      CHECK(count * 8 <= bytes.size());
      entries += count;
    }
  };
  for (const Octets& bytes : {kJoin, kBoth}) damaged(bytes, look);
  CHECK(entries > 1000);
}
