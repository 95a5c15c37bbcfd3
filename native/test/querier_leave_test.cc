// How groups and sources end: last-member queries, races, others' queries.
#include "test/querier_bed.h"

using namespace sluice;
using codec::RecordType;
using membership::QuerierOptions;
using test::kMillisecond;
using test::kSecond;
using test::querier_options;
using test::QuerierBed;

TEST_CASE("querier leave: the group is asked for twice in two seconds, then it ends") {
  for (const bool v4 : {true, false}) {
    QuerierBed bed(querier_options(v4));
    bed.settled();
    bed.record(1, RecordType::to_exclude);
    bed.clear();
    bed.record(1, RecordType::to_include);
    REQUIRE(bed.sent.size() == 1);
    const auto query = bed.sent[0].query;
    CHECK(query.group == bed.family.group(1));
    CHECK(query.max_response_ms == 1000);
    CHECK(query.version == bed.family.newest());
    CHECK(query.robustness == 2);
    CHECK(query.interval_s == 125);
    CHECK(bed.view().asked);
    CHECK(bed.queries() == "Q(G)");
    bed.pass(999 * kMillisecond);
    CHECK(bed.queries().empty());
    bed.pass(kMillisecond);
    CHECK(bed.queries() == "Q(G)");
    bed.pass(kSecond - 1);
    CHECK(bed.forwards(1));
    CHECK(bed.changed_groups.empty());
    bed.pass(1);
    CHECK(bed.state() == "-");
    CHECK(bed.changed_groups.size() == 1);
    bed.pass(10 * kSecond);
    CHECK(bed.queries().empty());
    CHECK(bed.querier.counters().group_queries_sent == 2);
  }
}

TEST_CASE("querier leave: another member's answer keeps the group, and later queries say so") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::to_exclude);
  bed.record(2, RecordType::to_exclude);
  bed.clear();
  bed.record(1, RecordType::to_include);
  bed.pass(500 * kMillisecond);
  bed.record(2, RecordType::is_exclude);
  bed.pass(500 * kMillisecond);
  CHECK(bed.queries() == "Q(G) Qs(G)");
  bed.pass(10 * kSecond);
  CHECK(bed.state() == "EX(;)");
  CHECK(bed.changed_groups.empty());
}

TEST_CASE("querier leave: the last moment is in time") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::to_exclude);
  bed.record(1, RecordType::to_include);
  bed.clear();
  bed.pass(2 * kSecond - 1);
  bed.record(2, RecordType::is_exclude);
  bed.pass(100 * kSecond);
  CHECK(bed.state() == "EX(;)");
  CHECK(bed.changed_groups.empty());
}

TEST_CASE("querier leave: who leaves and is back within the last-member time has missed nothing") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::to_exclude);
  bed.clear();
  for (int i = 0; i < 20; i++) {
    bed.record(1, RecordType::to_include);
    bed.pass(300 * kMillisecond);
    bed.record(1, RecordType::to_exclude);
    bed.pass(400 * kMillisecond);
    CHECK(bed.forwards(1));
  }
  CHECK(bed.changed_groups.empty());
  bed.pass(10 * kSecond);
  CHECK(bed.state() == "EX(;)");
}

TEST_CASE("querier leave: a leave that is repeated asks no more, one after an answer asks anew") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::to_exclude);
  bed.record(2, RecordType::to_exclude);
  bed.record(1, RecordType::to_include);
  bed.pass(400 * kMillisecond);
  bed.record(1, RecordType::to_include);
  CHECK(bed.queries() == "Q(G)");
  bed.record(2, RecordType::is_exclude);
  bed.record(2, RecordType::to_include);
  CHECK(bed.queries() == "Q(G)");
  bed.pass(2 * kSecond - 1);
  CHECK(bed.queries() == "Q(G)");
  CHECK(bed.forwards(1));
  bed.pass(1);
  CHECK(bed.state() == "-");
}

TEST_CASE("querier leave: a blocked source is asked for, and ends alone") {
  for (const bool v4 : {true, false}) {
    QuerierBed bed(querier_options(v4));
    bed.settled();
    bed.record(1, RecordType::allow, {1, 2});
    bed.clear();
    bed.record(1, RecordType::block, {1});
    CHECK(bed.queries() == "Q(G,1)");
    bed.pass(kSecond);
    CHECK(bed.queries() == "Q(G,1)");
    bed.pass(kSecond);
    CHECK(bed.state() == "IN(2)");
    CHECK(bed.querier.counters().source_queries_sent == 2);
  }
}

TEST_CASE("querier leave: sources that are blocked again while nobody has answered are asked for no more") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::allow, {1, 2});
  bed.clear();
  bed.record(1, RecordType::block, {1});
  bed.pass(400 * kMillisecond);
  bed.record(1, RecordType::block, {1});
  CHECK(bed.queries() == "Q(G,1)");
  bed.pass(1600 * kMillisecond);
  CHECK(bed.queries() == "Q(G,1)");
  CHECK(bed.state() == "IN(2)");
}

TEST_CASE("querier leave: sources that are answered for are asked for with the S flag, the others without") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::allow, {1, 2, 3});
  bed.clear();
  bed.record(1, RecordType::block, {1, 2});
  bed.pass(500 * kMillisecond);
  bed.record(2, RecordType::is_include, {1});
  bed.pass(500 * kMillisecond);
  CHECK(bed.queries() == "Q(G,1 2) Qs(G,1) Q(G,2)");
  bed.pass(kSecond);
  CHECK(bed.state() == "IN(1 3)");
}

TEST_CASE("querier leave: queries that are due and new ones are sent together") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::allow, {1, 2});
  bed.clear();
  bed.record(1, RecordType::block, {1});
  bed.pass(500 * kMillisecond);
  bed.record(1, RecordType::block, {2});
  CHECK(bed.queries() == "Q(G,1) Q(G,1 2)");
  bed.pass(kSecond);
  CHECK(bed.queries() == "Q(G,2)");
  bed.pass(500 * kMillisecond);
  CHECK(bed.state() == "IN(2)");
  bed.pass(500 * kMillisecond);
  CHECK(bed.state() == "-");
}

TEST_CASE("querier leave: with the group, only sources that nobody has answered for are asked for") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::is_exclude, {9});
  bed.record(2, RecordType::allow, {1, 2});
  bed.clear();
  bed.record(1, RecordType::to_include);
  CHECK(bed.queries() == "Q(G) Q(G,1 2)");
  bed.pass(300 * kMillisecond);
  bed.record(2, RecordType::is_include, {1});
  bed.pass(kSecond);
  CHECK(bed.queries() == "Q(G) Q(G,2)");
  bed.pass(kSecond);
  CHECK(bed.state() == "IN(1)");
}

TEST_CASE("querier leave: more sources than a packet has room for are asked for in several") {
  for (const bool v4 : {true, false}) {
    QuerierOptions options = querier_options(v4);
    CHECK(options.sources_of_a_query() == (v4 ? 366 : 89));
    options.query_sources = 2;
    QuerierBed bed(options);
    bed.settled();
    bed.record(1, RecordType::allow, {1, 2, 3, 4, 5});
    bed.clear();
    bed.record(1, RecordType::to_include);
    CHECK(bed.queries() == "Q(G,1 2) Q(G,3 4) Q(G,5)");
  }
}

TEST_CASE("querier leave: count and interval of the last-member queries can be told") {
  QuerierOptions options = querier_options();
  options.last_member_count = 3;
  options.last_member_interval = 200 * kMillisecond;
  QuerierBed bed(options);
  bed.settled();
  bed.record(1, RecordType::to_exclude);
  bed.record(1, RecordType::to_include);
  CHECK(bed.sent[0].query.max_response_ms == 200);
  bed.pass(600 * kMillisecond - 1);
  CHECK(bed.queries() == "Q(G) Q(G) Q(G)");
  CHECK(bed.forwards(1));
  bed.pass(1);
  CHECK(bed.state() == "-");
}

TEST_CASE(
    "querier leave: in EXCLUDE mode a source that nobody wants any more is blocked after it was asked for") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::to_exclude);
  bed.clear();
  bed.record(1, RecordType::block, {7});
  CHECK(bed.state() == "EX(7;)");
  CHECK(bed.queries() == "Q(G,7)");
  bed.pass(2 * kSecond);
  CHECK(bed.state() == "EX(;7)");
  bed.record(1, RecordType::allow, {7});
  CHECK(bed.forwards(7));
}

TEST_CASE("querier leave: other routers' queries lower timers unless they say not to") {
  for (const bool v4 : {true, false}) {
    QuerierBed bed(querier_options(v4));
    bed.settled();
    bed.record(1, RecordType::is_exclude);
    bed.record(1, RecordType::is_include, {1, 2});
    auto query = bed.query(1);
    query.suppress = true;
    bed.hear(bed.family.host(11), query);
    CHECK(bed.group_timer() == 270);
    query.suppress = false;
    bed.hear(bed.family.host(11), query, {1});
    CHECK(bed.group_timer() == 270);
    CHECK(bed.source_timer(1) == 2);
    CHECK(bed.source_timer(2) == 270);
    bed.hear(bed.family.host(11), query);
    CHECK(bed.group_timer() == 2);
    bed.pass(kSecond);
    bed.hear(bed.family.host(11), query);
    CHECK(bed.group_timer() == 1);
    bed.pass(kSecond);
    CHECK(bed.state() == "IN(2)");
  }
}

TEST_CASE("querier leave: timers go down to the time that the one who asks gives for answers") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::is_exclude);
  auto query = bed.query(1);
  query.max_response_ms = 5000;
  bed.hear(bed.family.host(11), query);
  CHECK(bed.group_timer() == 10);
  query.max_response_ms = 0;
  bed.hear(bed.family.host(11), query);
  CHECK(bed.group_timer() == 2);
}

TEST_CASE("querier leave: whoever asks for answers sooner than we would does not end what hosts still want") {
  for (const bool v4 : {true, false}) {
    QuerierBed bed(querier_options(v4));
    bed.settled();
    bed.record(1, RecordType::is_exclude);
    bed.record(1, RecordType::is_include, {1});
    auto query = bed.query(1);
    query.max_response_ms = 1;
    bed.hear(bed.family.host(11), query);
    bed.hear(bed.family.host(11), query, {1});
    CHECK(bed.group_timer() == 2);
    CHECK(bed.source_timer(1) == 2);
    bed.pass(kSecond);
    bed.record(1, RecordType::is_exclude);
    bed.pass(10 * kSecond);
    CHECK(bed.state() == "EX(;)");
  }
}

TEST_CASE("querier leave: a query for a group in INCLUDE mode, or for one that is not there, does nothing") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::allow, {1});
  bed.hear(bed.family.host(11), bed.query(1));
  bed.hear(bed.family.host(11), bed.query(2), {1});
  bed.pass(100 * kSecond);
  CHECK(bed.state() == "IN(1)");
}

TEST_CASE("querier leave: who is not the querier lets the querier ask") {
  QuerierBed bed;
  bed.settled();
  bed.hear(bed.family.host(9), bed.query());
  bed.record(1, RecordType::to_exclude);
  bed.record(1, RecordType::to_include);
  CHECK(bed.queries().empty());
  CHECK(bed.group_timer() == 270);
  bed.hear(bed.family.host(9), bed.query(1));
  bed.pass(2 * kSecond);
  CHECK(bed.state() == "-");
}

TEST_CASE("querier leave: who ceases to be the querier ceases to ask") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::allow, {1});
  bed.record(1, RecordType::to_exclude, {}, 2);
  bed.clear();
  bed.record(1, RecordType::block, {1});
  bed.record(1, RecordType::to_include, {}, 2);
  CHECK(bed.queries() == "Q(G,1) Q(G)");
  bed.hear(bed.family.host(9), bed.query());
  bed.pass(10 * kSecond);
  CHECK(bed.queries().empty());
  CHECK(bed.state() == "-");
  CHECK(bed.state(2) == "-");
}

TEST_CASE("querier leave: a host that is gone without a word is forgotten after a membership interval") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::to_exclude);
  bed.record(2, RecordType::to_exclude);
  bed.pass(200 * kSecond);
  bed.record(2, RecordType::is_exclude);
  CHECK(bed.view().hosts.size() == 2);
  bed.pass(70 * kSecond);
  CHECK(bed.view().hosts.size() == 1);
  bed.pass(200 * kSecond);
  CHECK(bed.state() == "-");
  CHECK(bed.querier.hosts() == 0);
}
