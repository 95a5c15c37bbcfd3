// Leaves that end at once, and hosts that are cut off: by what is known of each host.
#include <set>

#include "test/querier_bed.h"

using namespace sluice;
using codec::RecordType;
using membership::ImmediateLeave;
using membership::QuerierOptions;
using test::kNever;
using test::kSecond;
using test::querier_options;
using test::QuerierBed;

namespace {

QuerierOptions leaving(ImmediateLeave leave, bool v4 = true) {
  QuerierOptions options = querier_options(v4);
  options.immediate_leave = leave;
  return options;
}

/** Channels of one bed, by number; source 0 is any. */
struct Allowed final : membership::ChannelList {
  explicit Allowed(const QuerierBed& bed) : family(bed.family) {}
  void add(unsigned group, unsigned source) {
    channels.insert({family.group(group), source == 0 ? family.any() : family.source(source)});
  }
  [[nodiscard]] bool allows(const codec::IpAddress& group,
                            const codec::IpAddress& source) const noexcept override {
    return channels.contains({group, source}) || channels.contains({group, family.any()});
  }
  test::Family family;
  std::set<membership::Channel> channels;
};

}  // namespace

TEST_CASE("querier immediate: tracked, the last host's leave ends the group at once, without a query") {
  for (const bool v4 : {true, false}) {
    QuerierBed bed(leaving(ImmediateLeave::tracked, v4));
    bed.settled();
    bed.record(1, RecordType::to_exclude);
    bed.record(2, RecordType::to_exclude);
    bed.clear();
    bed.record(1, RecordType::to_include);
    CHECK(bed.queries() == "Q(G)");
    bed.pass(kSecond / 2);
    bed.record(2, RecordType::is_exclude);
    bed.pass(10 * kSecond);
    bed.clear();
    bed.record(2, RecordType::to_include);
    CHECK(bed.state() == "-");
    CHECK(bed.queries().empty());
    CHECK(bed.changed_groups.size() == 1);
    CHECK(bed.querier.counters().immediate_leaves == 1);
    bed.pass(10 * kSecond);
    CHECK(bed.queries().empty());
  }
}

TEST_CASE("querier immediate: tracked, a source ends at once when no host wants it, else it is asked for") {
  QuerierBed bed(leaving(ImmediateLeave::tracked));
  bed.settled();
  bed.record(1, RecordType::allow, {1, 2});
  bed.record(2, RecordType::allow, {2});
  bed.clear();
  bed.record(1, RecordType::block, {1, 2});
  CHECK(bed.state() == "IN(2)");
  CHECK(bed.queries() == "Q(G,2)");
  bed.pass(2 * kSecond);
  CHECK(bed.state() == "-");
}

TEST_CASE("querier immediate: tracked, a source that all in EXCLUDE mode do not want is blocked at once") {
  QuerierBed bed(leaving(ImmediateLeave::tracked));
  bed.settled();
  bed.record(1, RecordType::to_exclude);
  bed.record(2, RecordType::to_exclude);
  bed.record(1, RecordType::block, {7});
  CHECK(bed.queries() == "Q(G,7)");
  bed.record(2, RecordType::is_include, {7});
  bed.record(2, RecordType::block, {7});
  CHECK(bed.state() == "EX(;7)");
}

TEST_CASE(
    "querier immediate: tracked, those in INCLUDE mode keep their sources when the last in EXCLUDE mode "
    "leaves") {
  QuerierBed bed(leaving(ImmediateLeave::tracked));
  bed.settled();
  bed.record(2, RecordType::allow, {5});
  bed.pass(20 * kSecond);
  bed.record(1, RecordType::to_exclude);
  CHECK(bed.state() == "EX(;)");
  bed.record(1, RecordType::to_include);
  CHECK(bed.state() == "IN(5)");
  CHECK(bed.source_timer(5) == 250);
}

TEST_CASE(
    "querier immediate: tracked, until all have been asked and had time to answer, leaves are asked about") {
  QuerierBed bed(leaving(ImmediateLeave::tracked));
  bed.querier.start(bed.family.host(10), bed.now);
  bed.record(1, RecordType::to_exclude);
  bed.record(1, RecordType::to_exclude, {}, 2);
  // The second query comes after a quarter of the interval, and is answered within ten seconds.
  bed.pass(31 * kSecond + kSecond / 4 + 10 * kSecond - 1);
  bed.clear();
  bed.record(1, RecordType::to_include);
  CHECK(bed.queries() == "Q(G)");
  bed.pass(1);
  bed.record(1, RecordType::to_include, {}, 2);
  CHECK(bed.state(2) == "-");
}

TEST_CASE("querier immediate: tracked, after a restart a host that missed the first query keeps its group") {
  for (const bool v4 : {true, false}) {
    QuerierBed bed(leaving(ImmediateLeave::tracked, v4));
    bed.querier.start(bed.family.host(10), bed.now);
    bed.pass(3 * kSecond);
    bed.record(1, RecordType::is_exclude);
    bed.pass(8 * kSecond);
    bed.clear();
    bed.record(1, RecordType::to_include);
    CHECK(bed.queries() == "Q(G)");
    bed.pass(kSecond / 2);
    bed.record(2, RecordType::is_exclude);
    bed.pass(20 * kSecond);
    CHECK(bed.state() == "EX(;)");
  }
}

TEST_CASE(
    "querier immediate: tracked, only queries of the elected querier count as asking, with time to answer") {
  QuerierBed bed(leaving(ImmediateLeave::tracked));
  bed.querier.start(bed.family.host(10), bed.now);
  auto hasty = bed.query();
  hasty.max_response_ms = 0;
  for (int i = 0; i < 5; i++) {
    bed.hear(bed.family.any(), hasty);
    bed.hear(bed.family.host(11), hasty);
  }
  bed.pass(kSecond);
  CHECK(bed.querier.election().settled_at() == kNever);
  bed.hear(bed.family.host(9), hasty);
  CHECK(bed.querier.election().settled_at() == bed.now + 10 * kSecond);
}

TEST_CASE(
    "querier immediate: tracked, older hosts and such without address are silent or alike, and are asked") {
  QuerierBed bed(leaving(ImmediateLeave::tracked));
  bed.settled();
  bed.record(2, RecordType::is_exclude, {}, 1, 2);
  bed.record(1, RecordType::to_exclude);
  bed.clear();
  bed.record(1, RecordType::to_include);
  bed.record(2, RecordType::to_include, {}, 1, 2);
  CHECK(bed.queries() == "Q(G)");
  bed.pass(2 * kSecond);
  CHECK(bed.state() == "-");
  bed.querier.on_record(bed.family.any(), {RecordType::to_exclude, bed.family.group(1), {}}, 3, bed.now);
  bed.record(1, RecordType::to_exclude);
  bed.clear();
  bed.record(1, RecordType::to_include);
  CHECK(bed.queries() == "Q(G)");
  CHECK(bed.view().hosts.empty());
  bed.pass(2 * kSecond);
  CHECK(bed.state() == "-");
}

TEST_CASE("querier immediate: tracked, once the older hosts' time is over leaves end at once again") {
  QuerierBed bed(leaving(ImmediateLeave::tracked));
  bed.settled();
  bed.record(2, RecordType::is_exclude, {}, 1, 2);
  bed.pass(200 * kSecond);
  bed.record(1, RecordType::to_exclude);
  bed.pass(60 * kSecond);
  bed.clear();
  bed.record(1, RecordType::to_include);
  CHECK(bed.queries() == "Q(G)");
  bed.pass(10 * kSecond);
  bed.record(1, RecordType::to_exclude);
  bed.clear();
  bed.record(1, RecordType::to_include);
  CHECK(bed.queries().empty());
  CHECK(bed.state() == "-");
}

TEST_CASE("querier immediate: tracked, where not all hosts could be kept leaves are asked about") {
  QuerierOptions options = leaving(ImmediateLeave::tracked);
  options.limits.hosts_per_group = 1;
  QuerierBed bed(options);
  bed.settled();
  bed.record(1, RecordType::to_exclude);
  bed.record(2, RecordType::to_exclude);
  CHECK(bed.querier.counters().hosts_refused == 1);
  bed.clear();
  bed.record(1, RecordType::to_include);
  CHECK(bed.queries() == "Q(G)");
}

TEST_CASE(
    "querier immediate: tracked, a host that once named too much is known again when it no longer does") {
  QuerierOptions options = leaving(ImmediateLeave::tracked);
  options.limits.sources_per_group = 1;
  QuerierBed bed(options);
  bed.settled();
  bed.record(1, RecordType::allow, {1, 2});
  bed.pass(200 * kSecond);
  bed.record(1, RecordType::is_include, {1});
  bed.pass(70 * kSecond - 1);
  bed.record(1, RecordType::block, {1});
  CHECK(bed.view().asked);
  bed.record(1, RecordType::allow, {1});
  bed.pass(1);
  bed.record(1, RecordType::block, {1});
  CHECK(bed.state() == "-");
}

TEST_CASE("querier immediate: tracked, one who is not the querier ends it at once, too") {
  QuerierBed bed(leaving(ImmediateLeave::tracked));
  bed.settled();
  bed.hear(bed.family.host(9), bed.query());
  bed.record(1, RecordType::to_exclude);
  bed.record(1, RecordType::to_include);
  CHECK(bed.state() == "-");
}

TEST_CASE(
    "querier immediate: tracked, a long TO_IN that comes in parts keeps all of them for those who answer") {
  QuerierBed bed(leaving(ImmediateLeave::tracked));
  bed.settled();
  bed.record(1, RecordType::to_exclude);
  bed.clear();
  bed.record(1, RecordType::to_include, {1, 2});
  CHECK(bed.state() == "IN(1 2)");
  bed.record(1, RecordType::to_include, {3, 4});
  CHECK(bed.state() == "IN(1 2 3 4)");
  CHECK(bed.queries() == "Q(G,1 2)");
  bed.pass(kSecond / 2);
  bed.record(1, RecordType::is_include, {1, 2});
  bed.pass(10 * kSecond);
  CHECK(bed.state() == "IN(1 2 3 4)");
  CHECK(bed.view().hosts[0].sources.size() == 4);
}

TEST_CASE("querier immediate: tracked, a host's answer about sources does not end its EXCLUDE mode") {
  QuerierBed bed(leaving(ImmediateLeave::tracked));
  bed.settled();
  bed.record(1, RecordType::to_exclude, {3});
  bed.record(1, RecordType::is_include, {3});
  CHECK(bed.view().hosts[0].excludes);
  CHECK(bed.view().hosts[0].sources.empty());
  bed.record(2, RecordType::to_exclude);
  bed.record(2, RecordType::to_include);
  CHECK(bed.queries() == "Q(G)");
}

TEST_CASE("querier immediate: always, a leave ends the group whoever is there") {
  QuerierBed bed(leaving(ImmediateLeave::always));
  bed.settled();
  bed.record(1, RecordType::is_exclude, {}, 1, 2);
  bed.record(2, RecordType::is_exclude, {}, 1, 2);
  bed.clear();
  bed.record(1, RecordType::to_include, {}, 1, 2);
  CHECK(bed.state() == "-");
  CHECK(bed.queries().empty());
  bed.record(1, RecordType::allow, {1, 2}, 2);
  bed.record(2, RecordType::allow, {1}, 2);
  bed.record(1, RecordType::block, {1}, 2);
  CHECK(bed.state(2) == "IN(2)");
  bed.record(1, RecordType::to_exclude, {2}, 2);
  CHECK(bed.state(2) == "EX(;2)");
  bed.record(1, RecordType::to_include, {3}, 2);
  CHECK(bed.state(2) == "IN(3)");
  CHECK(bed.queries().empty());
}

TEST_CASE("querier immediate: a host that is forgotten takes with it what no other wants") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::to_exclude, {}, 1);
  bed.record(1, RecordType::to_exclude, {}, 2);
  bed.record(2, RecordType::to_exclude, {}, 2);
  bed.record(1, RecordType::allow, {1, 2}, 3);
  bed.record(2, RecordType::allow, {2}, 3);
  bed.record(2, RecordType::to_exclude, {}, 4);
  bed.record(1, RecordType::allow, {1}, 5);
  bed.record(2, RecordType::to_exclude, {1}, 5);
  CHECK(bed.state(5) == "EX(1;)");
  bed.clear();
  bed.querier.forget(bed.family.host(1), bed.now);
  CHECK(bed.state(1) == "-");
  CHECK(bed.state(2) == "EX(;)");
  CHECK(bed.state(3) == "IN(2)");
  CHECK(bed.state(4) == "EX(;)");
  CHECK(bed.state(5) == "EX(;1)");
  CHECK(bed.changed_groups.size() == 3);
  CHECK(bed.queries().empty());
  bed.querier.forget(bed.family.host(2), bed.family.group(2), bed.now);
  CHECK(bed.state(2) == "-");
  CHECK(bed.state(4) == "EX(;)");
  bed.querier.forget(bed.family.host(1), bed.family.group(4), bed.now);
  bed.querier.forget(bed.family.host(1), bed.family.group(77), bed.now);
  CHECK(bed.state(4) == "EX(;)");
}

TEST_CASE(
    "querier immediate: others that a forgotten host has silenced are cut off with it, and asked at once") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::is_exclude, {}, 1, 2);
  bed.clear();
  bed.querier.forget(bed.family.host(1), bed.now);
  CHECK(bed.state() == "-");
  CHECK(bed.queries() == "Qs(G)");
  bed.record(2, RecordType::is_exclude, {}, 1, 2);
  CHECK(bed.state() == "EX(;)");
  // One that was silent itself.
  bed.querier.forget(bed.family.host(3), bed.now);
  CHECK(bed.state() == "EX(;)");
  bed.querier.forget(bed.family.host(3), bed.family.group(1), bed.now);
  CHECK(bed.queries() == "Qs(G)");
}

TEST_CASE("querier immediate: what a list does not allow any more ends at once, the rest stays") {
  for (const bool v4 : {true, false}) {
    QuerierBed bed(querier_options(v4));
    bed.settled();
    bed.record(1, RecordType::to_exclude, {}, 1);
    bed.record(1, RecordType::allow, {1, 2}, 2);
    bed.record(2, RecordType::allow, {5}, 3);
    bed.record(1, RecordType::to_exclude, {6}, 3);
    bed.record(2, RecordType::allow, {7}, 3);
    bed.record(1, RecordType::to_exclude, {}, 4);
    Allowed list(bed);
    list.add(1, 0);
    list.add(2, 2);
    list.add(3, 5);
    bed.clear();
    bed.querier.restrict(list, bed.now);
    CHECK(bed.state(1) == "EX(;)");
    CHECK(bed.state(2) == "IN(2)");
    CHECK(bed.state(3) == "IN(5)");
    CHECK(bed.state(4) == "-");
    CHECK(bed.changed_groups.size() == 3);
    CHECK(bed.view(3).hosts.size() == 1);
    list.channels.clear();
    bed.querier.restrict(bed.family.group(1), list, bed.now);
    CHECK(bed.state(1) == "-");
    CHECK(bed.state(2) == "IN(2)");
    bed.querier.restrict(list, bed.now);
    CHECK(bed.querier.groups() == 0);
    CHECK(bed.querier.hosts() == 0);
    CHECK(bed.querier.sources() == 0);
  }
}

TEST_CASE("querier immediate: sources that were only asked about do not outlive their group's right") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::to_exclude);
  bed.record(1, RecordType::block, {7});
  CHECK(bed.state() == "EX(7;)");
  bed.querier.restrict(Allowed(bed), bed.now);
  CHECK(bed.state() == "-");
}

TEST_CASE("querier immediate: among very many hosts and sources the hosts are asked, which takes less time") {
  QuerierBed bed(leaving(ImmediateLeave::tracked));
  bed.settled();
  const std::vector<unsigned> all{1, 2, 3, 4};
  for (unsigned host = 1; host <= 600; host++) bed.record(host, RecordType::allow, all);
  bed.clear();
  bed.record(600, RecordType::block, {4});
  CHECK(bed.queries() == "Q(G,4)");
  CHECK(bed.querier.counters().immediate_leaves == 0);
  bed.record(1, RecordType::is_include, all);
  bed.pass(10 * kSecond);
  CHECK(bed.state() == "IN(1 2 3 4)");
}
