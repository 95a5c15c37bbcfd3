#include "codec/igmp.h"

#include "codec/membership_wire.h"
#include "test/allocations.h"
#include "test/control_bytes.h"

using namespace sluice;
using namespace sluice::test;
using codec::Bytes;
using codec::GroupRecord;
using codec::IpAddress;
using codec::MembershipKind;
using codec::MembershipMessage;
using codec::MembershipQuery;
using codec::MembershipReport;
using codec::RecordType;
using codec::Sequence;
using codec::SourceList;
namespace igmp = codec::igmp;

namespace {

// Each byte by hand, checksums included.
const Octets kQuery1{
    0x11, 0x00,              // query, code 0: version 1
    0xee, 0xff,              // checksum
    0x00, 0x00, 0x00, 0x00,  // general
};
const Octets kQuery2{
    0x11, 0x64,              // query, 100 tenths of a second
    0xee, 0x9b,              // checksum
    0x00, 0x00, 0x00, 0x00,  // general
};
const Octets kQuery3{
    0x11, 0x8a,              // query, (0x10 + 10) << 3 = 208 tenths
    0xe4, 0xd6,              // checksum
    0xe8, 0x01, 0x02, 0x03,  // 232.1.2.3
    0x0b, 0x95,              // S, QRV 3; QQIC (0x10 + 5) << 4 = 336 s
    0x00, 0x02,              // sources
    0x0a, 0x00, 0x00, 0x01,  // 10.0.0.1
    0x0a, 0x00, 0x00, 0x02,  // 10.0.0.2
};
const Octets kReport3{
    0x22, 0x00,              // report of version 3, reserved
    0x5c, 0x42,              // checksum
    0x00, 0x00, 0x00, 0x04,  // reserved, four records
    0x01, 0x01, 0x00, 0x01,  // is_include, one word of auxiliary data, one source
    0xe8, 0x01, 0x02, 0x03,  // 232.1.2.3
    0x0a, 0x00, 0x00, 0x01,  // 10.0.0.1
    0xde, 0xad, 0xbe, 0xef,  // auxiliary data
    0x04, 0x00, 0x00, 0x00,  // to_exclude nothing
    0xef, 0x01, 0x01, 0x01,  // 239.1.1.1
    0x07, 0x00, 0x00, 0x00,  // a type that is unknown
    0xef, 0x01, 0x01, 0x02,  // 239.1.1.2
    0x06, 0x00, 0x00, 0x02,  // block, two sources
    0xe8, 0x01, 0x02, 0x04,  // 232.1.2.4
    0x0a, 0x00, 0x00, 0x02,  // 10.0.0.2
    0x0a, 0x00, 0x00, 0x03,  // 10.0.0.3
};

Octets written(const MembershipQuery& query) {
  std::array<std::uint8_t, 1480> room{};
  return octets(Bytes(room).first(igmp::write_query(query, room)));
}

Octets written(std::uint8_t version, std::initializer_list<GroupRecord> records) {
  std::array<std::uint8_t, 1480> room{};
  const MembershipReport report{version, Sequence<GroupRecord>(std::span(records.begin(), records.size()))};
  return octets(Bytes(room).first(igmp::write_report(report, room)));
}

std::vector<IpAddress> addresses(const SourceList& sources) {
  return {sources.begin(), sources.end()};
}

}  // namespace

TEST_CASE("IGMP queries: the version is told by length and code (RFC 9776 section 7.1)") {
  const MembershipMessage one = igmp::parse(kQuery1);
  REQUIRE(one.kind == MembershipKind::query);
  CHECK(one.query.version == 1);
  CHECK(one.query.group == IpAddress::any(true));
  CHECK(one.query.max_response_ms == 10'000);
  const MembershipMessage two = igmp::parse(kQuery2);
  REQUIRE(two.kind == MembershipKind::query);
  CHECK(two.query.version == 2);
  CHECK(two.query.max_response_ms == 10'000);
  // Version 2 has no floating form.
  CHECK(igmp::parse(summed(with(kQuery2, 1, 0x8a))).query.max_response_ms == 13'800);
  const MembershipMessage three = igmp::parse(kQuery3);
  REQUIRE(three.kind == MembershipKind::query);
  CHECK(three.query.version == 3);
  CHECK(three.query.group == ip("232.1.2.3"));
  CHECK(three.query.max_response_ms == 20'800);
  CHECK(three.query.suppress);
  CHECK(three.query.robustness == 3);
  CHECK(three.query.interval_s == 336);
  CHECK(addresses(three.query.sources) == std::vector{ip("10.0.0.1"), ip("10.0.0.2")});
  CHECK(three.query.sources[1] == ip("10.0.0.2"));
  CHECK(three.query.sources.contains(ip("10.0.0.1")));
  CHECK_FALSE(three.query.sources.contains(ip("10.0.0.3")));
  for (std::size_t size = 9; size < 12; size++) {
    CAPTURE(size);
    Octets between = kQuery2;
    between.resize(size);
    CHECK(igmp::parse(summed(between)).kind == MembershipKind::malformed);
  }
}

TEST_CASE("IGMP reports: older ones are one record, newer ones are read in turn") {
  const Octets report2 = summed({0x16, 0, 0, 0, 239, 1, 1, 1});
  const MembershipMessage two = igmp::parse(report2);
  REQUIRE(two.kind == MembershipKind::report);
  CHECK(two.report.version == 2);
  REQUIRE(two.report.records.count() == 1);
  CHECK(two.report.records.begin()->type == RecordType::is_exclude);
  CHECK(two.report.records.begin()->group == ip("239.1.1.1"));
  CHECK(two.report.records.begin()->sources.empty());
  CHECK(igmp::parse(summed(with(report2, 0, 0x12))).report.version == 1);
  const Octets left = summed(with(report2, 0, 0x17));
  const MembershipMessage leave = igmp::parse(left);
  REQUIRE(leave.kind == MembershipKind::report);
  CHECK(leave.report.version == 2);
  CHECK(leave.report.records.begin()->type == RecordType::to_include);
  const MembershipMessage three = igmp::parse(kReport3);
  REQUIRE(three.kind == MembershipKind::report);
  CHECK(three.report.version == 3);
  std::vector<GroupRecord> records(three.report.records.begin(), three.report.records.end());
  REQUIRE(records.size() == 3);
  CHECK(records[0].type == RecordType::is_include);
  CHECK(records[0].group == ip("232.1.2.3"));
  CHECK(addresses(records[0].sources) == std::vector{ip("10.0.0.1")});
  CHECK(records[1].type == RecordType::to_exclude);
  CHECK(records[1].group == ip("239.1.1.1"));
  CHECK(records[1].sources.empty());
  CHECK(records[2].type == RecordType::block);
  CHECK(addresses(records[2].sources) == std::vector{ip("10.0.0.2"), ip("10.0.0.3")});
}

TEST_CASE("IGMP: what is no message, a damaged one, and bytes behind the last record") {
  CHECK(igmp::parse({}).kind == MembershipKind::malformed);
  CHECK(igmp::parse(summed({0x13, 2, 0, 0, 0, 0, 0, 0})).kind == MembershipKind::other);  // DVMRP
  CHECK(igmp::parse(with(kQuery3, 19, 3)).kind == MembershipKind::bad_checksum);
  CHECK(igmp::parse(with(kReport3, 47, 5)).kind == MembershipKind::bad_checksum);
  // More is told than there is.
  CHECK(igmp::parse(summed(with(kQuery3, 11, 3))).kind == MembershipKind::malformed);
  CHECK(igmp::parse(summed(with(kReport3, 7, 5))).kind == MembershipKind::malformed);
  CHECK(igmp::parse(summed(with(kReport3, 9, 9))).kind == MembershipKind::malformed);
  CHECK(igmp::parse(summed(with(kReport3, 43, 3))).kind == MembershipKind::malformed);
  // Not of a group; of sources in a general query; with sources that are none.
  CHECK(igmp::parse(summed(with(kQuery3, 4, 0xd8))).kind == MembershipKind::malformed);
  Octets general = kQuery3;
  std::fill(general.begin() + 4, general.begin() + 8, std::uint8_t{0});
  CHECK(igmp::parse(summed(general)).kind == MembershipKind::malformed);
  CHECK(igmp::parse(summed(with(kQuery3, 12, 0xe1))).kind == MembershipKind::malformed);
  CHECK(igmp::parse(summed({0x16, 0, 0, 0, 10, 1, 1, 1})).kind == MembershipKind::malformed);
  // Records with such are passed over, the others count.
  CHECK(igmp::parse(summed(with(kReport3, 12, 0x0a))).report.records.count() == 2);
  CHECK(igmp::parse(summed(with(kReport3, 16, 0xe1))).report.records.count() == 2);
  // What follows is summed, but means nothing (sections 4.1.10 and 4.2.11).
  for (const Octets& whole : {kQuery3, kReport3}) {
    Octets longer = whole;
    longer.insert(longer.end(), {1, 2, 3});
    CHECK(igmp::parse(longer).kind == MembershipKind::bad_checksum);
    longer = summed(longer);
    const MembershipMessage read = igmp::parse(longer);
    CHECK(read.kind == igmp::parse(whole).kind);
    CHECK(read.query.sources.size() == igmp::parse(whole).query.sources.size());
    CHECK(read.report.records.count() == igmp::parse(whole).report.records.count());
  }
}

TEST_CASE("IGMP: written byte by byte") {
  const std::vector sources{ip("10.0.0.1"), ip("10.0.0.2")};
  CHECK(written({1, IpAddress::any(true)}) == kQuery1);
  CHECK(written({2, IpAddress::any(true), 10'000}) == kQuery2);
  CHECK(written({3, ip("232.1.2.3"), 20'800, true, 3, 336, SourceList(sources)}) == kQuery3);
  // Between two codes: the lower; beyond the last: the last.
  CHECK(written({3, ip("232.1.2.3"), 21'599, true, 3, 351, SourceList(sources)}) == kQuery3);
  CHECK(written({3, IpAddress::any(true), 99'999'999, false, 8, 99'999, {}}) ==
        summed({0x11, 0xff, 0, 0, 0, 0, 0, 0, 0x00, 0xff, 0, 0}));
  // A code of 0 would be version 1.
  CHECK(written({2, ip("239.1.1.1"), 20}) == summed({0x11, 1, 0, 0, 239, 1, 1, 1}));
  CHECK(written({2, ip("239.1.1.1"), 30'000}) == summed({0x11, 255, 0, 0, 239, 1, 1, 1}));
  CHECK(written(1, {{RecordType::is_exclude, ip("239.1.1.1"), {}}}) == summed({0x12, 0, 0, 0, 239, 1, 1, 1}));
  CHECK(written(2, {{RecordType::is_exclude, ip("239.1.1.1"), {}}}) == summed({0x16, 0, 0, 0, 239, 1, 1, 1}));
  CHECK(written(2, {{RecordType::to_include, ip("239.1.1.1"), {}}}) == summed({0x17, 0, 0, 0, 239, 1, 1, 1}));
  CHECK(written(3, {{RecordType::allow, ip("232.1.1.1"), SourceList(sources)}}) ==
        summed({0x22, 0, 0, 0, 0, 0, 0, 1, 5, 0, 0, 2, 232, 1, 1, 1, 10, 0, 0, 1, 10, 0, 0, 2}));
}

TEST_CASE("IGMP: what cannot be told is not written") {
  const std::vector sources{ip("10.0.0.1")};
  const std::vector groups{ip("239.1.1.1")};
  CHECK(written({0, IpAddress::any(true)}).empty());
  CHECK(written({4, IpAddress::any(true)}).empty());
  CHECK(written({3, IpAddress::any(false)}).empty());
  CHECK(written({3, ip("ff3e::1")}).empty());
  CHECK(written({3, ip("10.0.0.1")}).empty());
  CHECK(written({1, ip("239.1.1.1")}).empty());
  CHECK(written({2, ip("239.1.1.1"), 0, false, 0, 0, SourceList(sources)}).empty());
  CHECK(written({3, IpAddress::any(true), 0, false, 0, 0, SourceList(sources)}).empty());
  CHECK(written({3, ip("239.1.1.1"), 0, false, 0, 0, SourceList(groups)}).empty());
  CHECK(written(1, {{RecordType::to_include, ip("239.1.1.1"), {}}}).empty());
  CHECK(written(2, {{RecordType::block, ip("239.1.1.1"), {}}}).empty());
  CHECK(written(2, {{RecordType::is_exclude, ip("239.1.1.1"), SourceList(sources)}}).empty());
  CHECK(written(2, {}).empty());
  CHECK(written(3, {{RecordType::block, ip("10.1.1.1"), {}}}).empty());
  std::array<std::uint8_t, 19> small{};
  CHECK(igmp::write_query(
            {3, ip("232.1.2.3"), 0, false, 0, 0, SourceList(std::vector{ip("10.0.0.1"), ip("10.0.0.2")})},
            small) == 0);
}

TEST_CASE("IGMP times: every code is what it tells, and what is told is the largest code below") {
  using namespace codec::membership_wire;
  for (const unsigned mantissa : {4U, 12U}) {
    const std::uint32_t codes = 16U << mantissa;
    for (std::uint32_t code = 0; code < codes; code++) {
      const std::uint32_t value = decode_time(code, mantissa);
      CHECK(encode_time(value, mantissa) == code);
      if (code > 0) {
        CHECK(decode_time(code - 1, mantissa) < value);
        CHECK(encode_time(value - 1, mantissa) == code - 1);
      }
    }
    CHECK(encode_time(0xffffffff, mantissa) == codes - 1);
  }
  CHECK(decode_time(0xff, 4) == 31'744);
  CHECK(decode_time(0xffff, 12) == 8'387'584);
}

TEST_CASE("IGMP: the IP header of what may be believed (RFC 9776 sections 4 and 9)") {
  const auto faults = [](const char* source, const char* destination, unsigned ttl, bool alert,
                         const Octets& bytes) {
    return igmp::faults({{ip(source), ip(destination)}, static_cast<std::uint8_t>(ttl), alert},
                        igmp::parse(bytes));
  };
  using Faults = codec::ControlFaults;
  const Octets report2 = summed({0x16, 0, 0, 0, 239, 1, 1, 1});
  const Octets leave = summed({0x17, 0, 0, 0, 239, 1, 1, 1});
  CHECK(faults("10.0.0.1", "224.0.0.1", 1, true, kQuery2) == Faults{});
  CHECK(faults("10.0.0.1", "224.0.0.1", 2, false, kQuery2) == Faults{true, true, false, false});
  CHECK(faults("10.0.0.1", "224.0.0.1", 1, false, kQuery1) == Faults{});
  CHECK(faults("0.0.0.0", "224.0.0.1", 1, true, kQuery2) == Faults{false, false, true, false});
  CHECK(faults("10.0.0.1", "10.0.0.9", 1, true, kQuery2) == Faults{});
  CHECK(faults("10.0.0.1", "239.1.1.1", 1, true, kQuery2) == Faults{false, false, false, true});
  CHECK(faults("10.0.0.1", "232.1.2.3", 1, true, kQuery3) == Faults{});
  CHECK(faults("10.0.0.1", "224.0.0.1", 1, true, kQuery3) == Faults{false, false, false, true});
  CHECK(faults("0.0.0.0", "224.0.0.22", 1, true, kReport3) == Faults{});
  CHECK(faults("10.0.0.1", "224.0.0.2", 1, true, kReport3) == Faults{false, false, false, true});
  CHECK(faults("10.0.0.1", "239.1.1.1", 1, true, report2) == Faults{});
  CHECK(faults("10.0.0.1", "224.0.0.2", 1, true, report2) == Faults{false, false, false, true});
  CHECK(faults("10.0.0.1", "224.0.0.2", 1, true, leave) == Faults{});
  CHECK(faults("10.0.0.1", "239.1.1.1", 1, true, leave) == Faults{});
  CHECK(faults("239.1.1.1", "224.0.0.2", 1, true, leave) == Faults{false, false, true, false});
  CHECK(igmp::destination({3, IpAddress::any(true)}) == ip("224.0.0.1"));
  CHECK(igmp::destination({3, ip("232.1.2.3")}) == ip("232.1.2.3"));
}

TEST_CASE("IGMP: a report of thousands of records is read and written without the heap") {
  std::vector<GroupRecord> records(5000);
  const std::vector sources{ip("10.0.0.1"), ip("10.0.0.2")};
  for (std::size_t i = 0; i < records.size(); i++) {
    const auto group = IpAddress::v4(0xe8010000 + static_cast<std::uint32_t>(i));
    records[i] = {i % 2 == 0 ? RecordType::allow : RecordType::block, group,
                  i % 3 == 0 ? SourceList(sources) : SourceList()};
  }
  Octets room(65'535);
  const std::uint64_t before = allocations();
  const std::size_t size = igmp::write_report({3, Sequence<GroupRecord>(records)}, room);
  const MembershipMessage read = igmp::parse(Bytes(room).first(size));
  std::size_t same = 0;
  auto expected = records.begin();
  for (const GroupRecord& record : read.report.records) {
    same += record.type == expected->type && record.group == expected->group ? 1 : 0;
    ++expected;
  }
  CHECK(allocations() == before);
  CHECK(same == records.size());
}

TEST_CASE("IGMP: cut, changed and random bytes are never read beyond their end") {
  std::size_t read = 0;
  const auto look = [&read](const Octets& bytes) {
    for (const Octets& copy : {bytes, summed(bytes)}) {
      const MembershipMessage message = igmp::parse(copy);
      std::size_t sources = message.query.sources.size();
      for (const GroupRecord& record : message.report.records) {
        CHECK(record.group.is_multicast());
        for (const IpAddress source : record.sources) CHECK(source.is_unicast());
        sources += record.sources.size();
        read++;
      }
      CHECK(sources * 4 <= copy.size());
    }
  };
  for (const Octets& message : {kQuery1, kQuery2, kQuery3, kReport3, summed({0x17, 0, 0, 0, 239, 1, 1, 1})})
    damaged(message, look);
  std::mt19937 random(3);
  for (int i = 0; i < 20'000; i++) {
    Octets bytes(random() % 60);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random() % 4 == 0 ? random() : random() % 3);
    if (!bytes.empty()) bytes[0] = random() % 2 == 0 ? 0x11 : 0x22;
    look(bytes);
  }
  CHECK(read > 1000);
}
