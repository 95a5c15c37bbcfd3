#include "codec/mld.h"

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
namespace mld = codec::mld;

namespace {

const codec::IpEnds& ends() {
  static const codec::IpEnds all{ip("fe80::1"), ip("ff02::1")};
  return all;
}

const Octets kQuery1{
    0x82, 0x00,                    // query, code
    0x00, 0x00,                    // checksum: see summed_all()
    0x27, 0x10, 0x00, 0x00,        // 10,000 ms, reserved
    0,    0,    0,    0,    0, 0,  // general
    0,    0,    0,    0,    0, 0,  //
    0,    0,    0,    0,           //
};
const Octets kQuery2{
    0x82, 0x00,                                // query, code
    0x00, 0x00,                                // checksum
    0x80, 0x01, 0x00, 0x00,                    // (0x1000 + 1) << 3 = 32,776 ms, reserved
    0xff, 0x3e, 0,    0,    0,    0, 0, 0,     // ff3e::8000:1
    0,    0,    0,    0,    0x80, 0, 0, 0x01,  //
    0x0a, 0x7d,                                // S, QRV 2; QQIC 125 s
    0x00, 0x01,                                // one source
    0x20, 0x01, 0x0d, 0xb8, 0,    0, 0, 0,     // 2001:db8::1
    0,    0,    0,    0,    0,    0, 0, 0x01,  //
};
const Octets kReport2{
    0x8f, 0x00,                                // report of version 2, reserved
    0x00, 0x00,                                // checksum
    0x00, 0x00, 0x00, 0x02,                    // reserved, two records
    0x05, 0x01, 0x00, 0x01,                    // allow, one word of auxiliary data, one source
    0xff, 0x3e, 0,    0,    0,    0, 0, 0,     // ff3e::8000:1
    0,    0,    0,    0,    0x80, 0, 0, 0x01,  //
    0x20, 0x01, 0x0d, 0xb8, 0,    0, 0, 0,     // 2001:db8::1
    0,    0,    0,    0,    0,    0, 0, 0x01,  //
    0xde, 0xad, 0xbe, 0xef,                    // auxiliary data
    0x02, 0x00, 0x00, 0x00,                    // is_exclude nothing
    0xff, 0x05, 0,    0,    0,    0, 0, 0,     // ff05::7
    0,    0,    0,    0,    0,    0, 0, 0x07,  //
};

/** With the checksum of an ICMPv6 message between ends(). */
Octets sealed(Octets bytes) {
  const std::size_t size = bytes.size();
  return summed(std::move(bytes), codec::pseudo_header_sum(ends(), 58, size));
}

Octets version1(std::uint8_t type) {
  Octets bytes = kQuery2;
  bytes.resize(24);
  bytes[0] = type;
  bytes[4] = bytes[5] = 0;
  return bytes;
}

Octets written(const MembershipQuery& query) {
  std::array<std::uint8_t, 1280> room{};
  return octets(Bytes(room).first(mld::write_query(query, ends(), room)));
}

Octets written(std::uint8_t version, std::initializer_list<GroupRecord> records) {
  std::array<std::uint8_t, 1280> room{};
  const MembershipReport report{version, Sequence<GroupRecord>(std::span(records.begin(), records.size()))};
  return octets(Bytes(room).first(mld::write_report(report, ends(), room)));
}

}  // namespace

TEST_CASE("MLD queries: the version is told by the length (RFC 9777 section 8.1)") {
  const MembershipMessage one = mld::parse(kQuery1);
  REQUIRE(one.kind == MembershipKind::query);
  CHECK(one.query.version == 1);
  CHECK(one.query.group == IpAddress::any(false));
  CHECK(one.query.max_response_ms == 10'000);
  // Version 1 has no floating form.
  CHECK(mld::parse(with(kQuery1, 4, 0x80)).query.max_response_ms == 0x8010);
  const MembershipMessage two = mld::parse(kQuery2);
  REQUIRE(two.kind == MembershipKind::query);
  CHECK(two.query.version == 2);
  CHECK(two.query.group == ip("ff3e::8000:1"));
  CHECK(two.query.max_response_ms == 32'776);
  CHECK(two.query.suppress);
  CHECK(two.query.robustness == 2);
  CHECK(two.query.interval_s == 125);
  REQUIRE(two.query.sources.size() == 1);
  CHECK(two.query.sources[0] == ip("2001:db8::1"));
  for (std::size_t size = 25; size < 28; size++) {
    Octets between = kQuery1;
    between.resize(size);
    CHECK(mld::parse(between).kind == MembershipKind::malformed);
  }
}

TEST_CASE("MLD reports: older ones are one record, newer ones are read in turn") {
  const Octets older = version1(131);
  const MembershipMessage report = mld::parse(older);
  REQUIRE(report.kind == MembershipKind::report);
  CHECK(report.report.version == 1);
  CHECK(report.report.records.begin()->type == RecordType::is_exclude);
  CHECK(report.report.records.begin()->group == ip("ff3e::8000:1"));
  CHECK(mld::parse(with(older, 0, 132)).report.records.begin()->type == RecordType::to_include);
  const MembershipMessage two = mld::parse(kReport2);
  REQUIRE(two.kind == MembershipKind::report);
  CHECK(two.report.version == 2);
  const std::vector<GroupRecord> records(two.report.records.begin(), two.report.records.end());
  REQUIRE(records.size() == 2);
  CHECK(records[0].type == RecordType::allow);
  CHECK(records[0].group == ip("ff3e::8000:1"));
  REQUIRE(records[0].sources.size() == 1);
  CHECK(records[0].sources[0] == ip("2001:db8::1"));
  CHECK(records[1].type == RecordType::is_exclude);
  CHECK(records[1].group == ip("ff05::7"));
}

TEST_CASE("MLD: what is no message, and what is damaged") {
  CHECK(mld::parse({}).kind == MembershipKind::malformed);
  CHECK(mld::parse(Octets{135, 0, 0, 0}).kind == MembershipKind::other);
  CHECK(mld::parse(Octets{143, 0, 0, 0, 0, 0}).kind == MembershipKind::malformed);
  CHECK(mld::parse(with(kQuery2, 27, 2)).kind == MembershipKind::malformed);
  CHECK(mld::parse(with(kReport2, 7, 3)).kind == MembershipKind::malformed);
  CHECK(mld::parse(with(kReport2, 9, 9)).kind == MembershipKind::malformed);
  CHECK(mld::parse(with(kQuery2, 8, 0xfe)).kind == MembershipKind::malformed);
  CHECK(mld::parse(with(kQuery2, 28, 0xff)).kind == MembershipKind::malformed);
  CHECK(mld::parse(with(kReport2, 12, 0xfe)).report.records.count() == 1);
  CHECK(mld::parse(with(kReport2, 28, 0xff)).report.records.count() == 1);
  // An IPv4 address in an IPv6 one is no source.
  Octets mapped = kReport2;
  const auto inside = ip("10.0.0.1").bytes();
  std::copy(inside.begin(), inside.end(), mapped.begin() + 28);
  CHECK(mld::parse(mapped).report.records.count() == 1);
}

TEST_CASE("MLD: the checksum covers the pseudo header (RFC 8200 section 8.1)") {
  const Octets query = sealed(kQuery2);
  CHECK(mld::checksum_fits(query, ends()));
  CHECK_FALSE(mld::checksum_fits(query, {ip("fe80::2"), ip("ff02::1")}));
  CHECK_FALSE(mld::checksum_fits(with(query, 43, 9), ends()));
  Octets longer = query;
  longer.push_back(0);
  CHECK_FALSE(mld::checksum_fits(longer, ends()));
}

TEST_CASE("MLD: written byte by byte, and what cannot be told is not") {
  const std::vector sources{ip("2001:db8::1")};
  const std::vector four{ip("10.0.0.1")};
  CHECK(written({1, IpAddress::any(false), 10'000}) == sealed(kQuery1));
  CHECK(written({2, ip("ff3e::8000:1"), 32'776, true, 2, 125, SourceList(sources)}) == sealed(kQuery2));
  CHECK(written({2, ip("ff3e::8000:1"), 32'783, true, 2, 125, SourceList(sources)}) == sealed(kQuery2));
  CHECK(written(1, {{RecordType::is_exclude, ip("ff3e::8000:1"), {}}}) == sealed(version1(131)));
  CHECK(written(1, {{RecordType::to_include, ip("ff3e::8000:1"), {}}}) == sealed(version1(132)));
  // Auxiliary data are never sent.
  Octets plain = with(kReport2, 9, 0);
  plain.erase(plain.begin() + 44, plain.begin() + 48);
  CHECK(written(2, {{RecordType::allow, ip("ff3e::8000:1"), SourceList(sources)},
                    {RecordType::is_exclude, ip("ff05::7"), {}}}) == sealed(plain));
  CHECK(written({3, IpAddress::any(false)}).empty());
  CHECK(written({2, IpAddress::any(true)}).empty());
  CHECK(written({2, ip("239.1.1.1")}).empty());
  CHECK(written({1, ip("ff3e::1"), 0, false, 0, 0, SourceList(sources)}).empty());
  CHECK(written({2, ip("ff3e::1"), 0, false, 0, 0, SourceList(four)}).empty());
  CHECK(written(2, {{RecordType::allow, ip("239.1.1.1"), {}}}).empty());
  CHECK(written(1, {{RecordType::block, ip("ff3e::1"), {}}}).empty());
  std::array<std::uint8_t, 43> small{};
  CHECK(mld::write_query({2, ip("ff3e::1"), 0, false, 0, 0, SourceList(sources)}, ends(), small) == 0);
}

TEST_CASE("MLD: the IP header of what may be believed (RFC 9777 sections 5.1.14 and 5.2.13)") {
  const auto faults = [](const char* source, const char* destination, unsigned hops, bool alert,
                         const Octets& bytes) {
    return mld::faults({{ip(source), ip(destination)}, static_cast<std::uint8_t>(hops), alert},
                       mld::parse(bytes));
  };
  using Faults = codec::ControlFaults;
  CHECK(faults("fe80::1", "ff02::1", 1, true, kQuery1) == Faults{});
  CHECK(faults("fe80::1", "ff02::1", 64, false, kQuery1) == Faults{true, true, false, false});
  CHECK(faults("2001:db8::1", "ff02::1", 1, true, kQuery1) == Faults{false, false, true, false});
  CHECK(faults("::", "ff02::16", 1, true, kReport2) == Faults{false, false, true, false});
  CHECK(faults("fe80::1", "ff02::16", 1, true, kReport2) == Faults{});
  CHECK(faults("fe80::1", "ff02::2", 1, true, kReport2) == Faults{false, false, false, true});
  CHECK(faults("fe80::1", "ff3e::8000:1", 1, true, kQuery2) == Faults{});
  CHECK(faults("fe80::1", "fe80::9", 1, true, kQuery2) == Faults{});
  CHECK(faults("fe80::1", "ff3e::8000:1", 1, true, version1(131)) == Faults{});
  CHECK(faults("fe80::1", "ff02::2", 1, true, version1(131)) == Faults{false, false, false, true});
  CHECK(faults("fe80::1", "ff02::2", 1, true, version1(132)) == Faults{});
  CHECK(mld::destination({2, IpAddress::any(false)}) == ip("ff02::1"));
  CHECK(mld::destination({2, ip("ff3e::1")}) == ip("ff3e::1"));
}

TEST_CASE("MLD: cut, changed and random bytes are never read beyond their end") {
  std::size_t read = 0;
  const auto look = [&read](const Octets& bytes) {
    const MembershipMessage message = mld::parse(bytes);
    std::size_t sources = message.query.sources.size();
    for (const GroupRecord& record : message.report.records) {
      CHECK(record.group.is_multicast());
      for (const IpAddress source : record.sources) CHECK(source.is_unicast());
      sources += record.sources.size();
      read++;
    }
    CHECK(sources * 16 <= bytes.size());
    (void)mld::checksum_fits(bytes, ends());
  };
  for (const Octets& message : {kQuery1, kQuery2, kReport2, version1(131), version1(132)})
    damaged(message, look);
  CHECK(read > 1000);
}
