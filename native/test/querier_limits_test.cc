// What is not taken, what is there without hosts, what is shown, and what it all costs.
#include "test/allocations.h"
#include "test/querier_bed.h"

using namespace sluice;
using codec::IpAddress;
using codec::RecordType;
using membership::QuerierOptions;
using test::Family;
using test::kSecond;
using test::querier_options;
using test::QuerierBed;

TEST_CASE("querier limits: beyond so many groups none is taken, and what is there goes on") {
  QuerierOptions options = querier_options();
  options.limits.groups = 3;
  QuerierBed bed(options);
  bed.settled();
  for (unsigned group = 1; group <= 5; group++) bed.record(1, RecordType::to_exclude, {}, group);
  CHECK(bed.querier.groups() == 3);
  CHECK(bed.querier.counters().groups_refused == 2);
  bed.record(2, RecordType::is_exclude, {}, 3);
  CHECK(bed.querier.counters().groups_refused == 2);
  bed.record(1, RecordType::to_include, {}, 1);
  bed.pass(2 * kSecond);
  bed.record(1, RecordType::to_exclude, {}, 5);
  CHECK(bed.state(5) == "EX(;)");
}

TEST_CASE(
    "querier limits: beyond so many sources of a group none is taken, and the others of the record are") {
  QuerierOptions options = querier_options();
  options.limits.sources_per_group = 3;
  QuerierBed bed(options);
  bed.settled();
  bed.record(1, RecordType::allow, {1, 2});
  bed.record(2, RecordType::allow, {3, 4, 1});
  CHECK(bed.state() == "IN(1 2 3)");
  CHECK(bed.querier.counters().sources_refused == 1);
  // Those that go make room for those that come with the same record.
  bed.record(1, RecordType::to_exclude, {3, 5, 6});
  CHECK(bed.state() == "EX(3;5 6)");
  // What is not taken is not blocked.
  bed.record(1, RecordType::is_exclude, {3, 5, 6, 7});
  CHECK(bed.forwards(7));
  CHECK(bed.querier.counters().sources_refused == 2);
}

TEST_CASE("querier limits: beyond so many sources of all groups a group without any is not there") {
  QuerierOptions options = querier_options();
  options.limits.sources = 4;
  QuerierBed bed(options);
  bed.settled();
  bed.record(1, RecordType::allow, {1, 2, 3, 4, 5});
  CHECK(bed.state() == "IN(1 2 3 4)");
  CHECK(bed.querier.sources() == 4);
  bed.clear();
  bed.record(1, RecordType::allow, {1}, 2);
  CHECK(bed.state(2) == "-");
  CHECK(bed.querier.groups() == 1);
  bed.pass(300 * kSecond);
  CHECK(bed.querier.sources() == 0);
}

TEST_CASE("querier limits: hosts beyond the limit are heard all the same") {
  QuerierOptions options = querier_options();
  options.limits.hosts = 2;
  QuerierBed bed(options);
  bed.settled();
  for (unsigned group = 1; group <= 4; group++) bed.record(1, RecordType::to_exclude, {}, group);
  CHECK(bed.querier.groups() == 4);
  CHECK(bed.querier.hosts() == 2);
  CHECK(bed.querier.counters().hosts_refused == 2);
  bed.record(1, RecordType::to_include, {}, 4);
  CHECK(bed.querier.counters().hosts_refused == 2);
  bed.pass(2 * kSecond);
  CHECK(bed.state(4) == "-");
}

TEST_CASE("querier limits: groups of link scope, of the other family, or none at all are ignored") {
  for (const bool v4 : {true, false}) {
    QuerierBed bed(querier_options(v4));
    bed.settled();
    const IpAddress link = v4 ? IpAddress::v4(0xe0000016) : Family::v6(0xff, 0x02, 0x16);
    for (const IpAddress& group : {link, Family{!v4}.group(1), bed.family.source(1)})
      bed.querier.on_record(bed.family.host(1), {RecordType::to_exclude, group, {}}, bed.family.newest(),
                            bed.now);
    CHECK(bed.querier.groups() == 0);
    CHECK(bed.querier.counters().ignored_records == 3);
  }
}

TEST_CASE("querier limits: IPv6 reports come from link-local addresses, IPv4 ones also from nobody yet") {
  QuerierBed v6(querier_options(false));
  v6.settled();
  for (const IpAddress& host : {Family::v6(0x20, 0x01, 1), v6.family.any()})
    v6.querier.on_record(host, {RecordType::to_exclude, v6.family.group(1), {}}, 2, v6.now);
  CHECK(v6.querier.groups() == 0);
  QuerierBed v4;
  v4.settled();
  v4.querier.on_record(v4.family.any(), {RecordType::to_exclude, v4.family.group(1), {}}, 3, v4.now);
  CHECK(v4.state() == "EX(;)");
}

TEST_CASE("querier limits: an SSM group is joined by sources only, unless told otherwise") {
  for (const bool v4 : {true, false}) {
    const IpAddress group = v4 ? IpAddress::v4(0xe8010203) : Family::v6(0xff, 0x3e, 1);
    QuerierOptions options = querier_options(v4);
    QuerierBed bed(options);
    bed.settled();
    const auto record = [&](QuerierBed& to, RecordType type, unsigned version, bool named) {
      const auto list = to.sources({1});
      to.querier.on_record(to.family.host(1),
                           {type, group, named ? codec::SourceList(list) : codec::SourceList()}, version,
                           to.now);
    };
    record(bed, RecordType::to_exclude, bed.family.newest(), false);
    record(bed, RecordType::is_exclude, bed.family.newest(), true);
    record(bed, RecordType::is_exclude, bed.family.newest() - 1, false);
    CHECK(bed.querier.groups() == 0);
    CHECK(bed.querier.counters().ignored_records == 3);
    record(bed, RecordType::allow, bed.family.newest(), true);
    CHECK(bed.querier.forwards(group, bed.family.source(1)));
    options.ssm = false;
    QuerierBed other(options);
    other.settled();
    record(other, RecordType::is_exclude, other.family.newest() - 1, false);
    CHECK(other.querier.wants_any_source(group));
  }
}

TEST_CASE("querier limits: static groups are forwarded without hosts, and stay when hosts leave") {
  QuerierBed bed;
  bed.settled();
  bed.querier.add_static(bed.family.group(1), bed.family.any());
  bed.querier.add_static(bed.family.group(2), bed.family.source(1));
  bed.querier.add_static(bed.family.group(2), bed.family.source(2));
  bed.querier.add_static(bed.family.group(2), bed.family.source(2));
  CHECK(bed.changed_groups.size() == 3);
  CHECK(bed.forwards(9, 1));
  CHECK(bed.querier.wants_any_source(bed.family.group(1)));
  CHECK(bed.forwards(2, 2));
  CHECK(!bed.forwards(3, 2));
  CHECK(!bed.querier.wants_any_source(bed.family.group(2)));
  bed.record(1, RecordType::to_exclude, {2}, 2);
  std::map<IpAddress, bool> named;
  bed.querier.each_source(bed.family.group(2),
                          [&](const IpAddress& source, bool forwarded) { named.emplace(source, forwarded); });
  CHECK(named == std::map<IpAddress, bool>{{bed.family.source(1), true}, {bed.family.source(2), true}});
  CHECK(bed.view(2).statics.size() == 2);
  CHECK(bed.view(1).statics == std::vector<IpAddress>{bed.family.any()});
  bed.record(1, RecordType::to_include, {}, 2);
  bed.pass(10 * kSecond);
  CHECK(bed.forwards(2, 2));
  bed.clear();
  bed.querier.remove_static(bed.family.group(2), bed.family.source(2));
  bed.querier.remove_static(bed.family.group(2), bed.family.source(2));
  bed.querier.remove_static(bed.family.group(3), bed.family.any());
  CHECK(bed.changed_groups.size() == 1);
  CHECK(!bed.forwards(2, 2));
  CHECK(bed.forwards(1, 2));
}

TEST_CASE("querier limits: the end of the interface is the end of what hosts want") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::to_exclude, {}, 1);
  bed.record(1, RecordType::allow, {1}, 2);
  bed.querier.add_static(bed.family.group(3), bed.family.any());
  bed.clear();
  bed.querier.stop();
  CHECK(bed.changed_groups.size() == 2);
  CHECK(!bed.forwards(1, 1));
  CHECK(bed.forwards(1, 3));
  CHECK(bed.deadlines.size() == 0);
  CHECK(bed.querier.hosts() == 0);
  CHECK(bed.querier.sources() == 0);
}

TEST_CASE("querier limits: a group is shown with its hosts and its sources") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::to_exclude, {4});
  bed.pass(30 * kSecond);
  bed.record(2, RecordType::allow, {5});
  bed.pass(10 * kSecond);
  const auto view = bed.view();
  CHECK(view.excludes);
  CHECK(view.remaining == 230 * kSecond);
  CHECK(view.age == 40 * kSecond);
  CHECK(!view.asked);
  CHECK(view.last_reporter == bed.family.host(2));
  REQUIRE(view.hosts.size() == 2);
  CHECK(view.hosts[0].address == bed.family.host(1));
  CHECK(view.hosts[0].excludes);
  CHECK(view.hosts[0].version == 3);
  CHECK(view.hosts[0].age == 40 * kSecond);
  CHECK(view.hosts[0].remaining == 230 * kSecond);
  CHECK(view.hosts[0].sources == bed.sources({4}));
  CHECK(!view.hosts[1].excludes);
  CHECK(view.hosts[1].remaining == 260 * kSecond);
  REQUIRE(view.sources.size() == 2);
  CHECK(!view.sources[0].forwarded);
  CHECK(view.sources[1].forwarded);
  CHECK(view.sources[1].remaining == 260 * kSecond);
}

TEST_CASE(
    "querier limits: of 10,000 joins each is told once, what confirms them takes nothing, and all of it "
    "ends") {
  QuerierBed bed;
  bed.settled();
  for (unsigned group = 0; group < 10000; group++) bed.record(1, RecordType::to_exclude, {}, group);
  CHECK(bed.querier.groups() == 10000);
  CHECK(bed.changed_groups.size() == 10000);
  // A group's own, its host's, and the general query's.
  CHECK(bed.deadlines.size() == 20001);
  bed.clear();
  const auto host = bed.family.host(1);
  const auto before = test::allocations();
  for (unsigned group = 0; group < 10000; group++)
    bed.querier.on_record(host, {RecordType::is_exclude, bed.family.group(group), {}}, 3, bed.now);
  CHECK(test::allocations() == before);
  CHECK(bed.changed_groups.empty());
  for (unsigned group = 0; group < 10000; group++) bed.record(1, RecordType::to_include, {}, group);
  CHECK(bed.sent.size() == 10000);
  bed.pass(2 * kSecond);
  CHECK(bed.sent.size() == 20000);
  CHECK(bed.changed_groups.size() == 10000);
  CHECK(bed.querier.groups() == 0);
  CHECK(bed.deadlines.size() == 1);
}
