#include "test/querier_bed.h"

using namespace sluice;
using membership::QuerierOptions;
using test::Family;
using test::kSecond;
using test::Nanos;
using test::querier_options;
using test::QuerierBed;

namespace {

std::vector<double> times(const QuerierBed& bed, Nanos since) {
  std::vector<double> all;
  for (const auto& one : bed.sent) all.push_back(static_cast<double>(one.at - since) / kSecond);
  return all;
}

}  // namespace

TEST_CASE(
    "querier election: at the start a querier asks at once, after a quarter of the interval, then "
    "regularly") {
  for (const bool v4 : {true, false}) {
    CAPTURE(v4);
    QuerierBed bed(querier_options(v4));
    const Nanos start = bed.now;
    bed.querier.start(bed.family.host(10), bed.now);
    CHECK(bed.querier.election().is_querier());
    bed.pass(300 * kSecond);
    CHECK(times(bed, start) == std::vector<double>{0, 31.25, 156.25, 281.25});
    const auto& query = bed.sent.front().query;
    CHECK(query.version == bed.family.newest());
    CHECK(query.group == bed.family.any());
    CHECK(query.max_response_ms == 10000);
    CHECK(query.robustness == 2);
    CHECK(query.interval_s == 125);
    CHECK(!query.suppress);
    CHECK(bed.querier.counters().general_queries_sent == 4);
  }
}

TEST_CASE(
    "querier election: the startup's count and interval can be told, and robustness beyond 7 is not sent") {
  QuerierOptions options = querier_options();
  options.startup_count = 4;
  options.startup_interval = 2 * kSecond;
  options.query_interval = 20 * kSecond;
  options.robustness = 8;
  QuerierBed bed(options);
  const Nanos start = bed.now;
  bed.querier.start(bed.family.host(10), bed.now);
  bed.pass(30 * kSecond);
  CHECK(times(bed, start) == std::vector<double>{0, 2, 4, 6, 26});
  CHECK(bed.sent.front().query.robustness == 0);
}

TEST_CASE(
    "querier election: who hears a lower address falls silent until that has been silent for long enough") {
  for (const bool v4 : {true, false}) {
    CAPTURE(v4);
    QuerierBed bed(querier_options(v4));
    bed.settled();
    bed.hear(bed.family.host(11), bed.query());
    CHECK(bed.querier.election().is_querier());
    bed.hear(bed.family.host(9), bed.query());
    CHECK(!bed.querier.election().is_querier());
    CHECK(bed.querier.election().querier() == bed.family.host(9));
    // RFC 9776 section 8.5: 2 * 125 + 10 / 2.
    bed.pass(255 * kSecond - 1);
    CHECK(bed.sent.empty());
    bed.pass(1);
    CHECK(bed.querier.election().is_querier());
    CHECK(bed.querier.election().querier() == bed.family.host(10));
    CHECK(bed.queries() == "Q()");
    bed.pass(125 * kSecond);
    CHECK(bed.queries() == "Q()");
    CHECK(bed.querier.counters().elections == 3);
  }
}

TEST_CASE("querier election: a startup that another has interrupted is not made up for") {
  QuerierBed bed;
  bed.querier.start(bed.family.host(10), bed.now);
  bed.hear(bed.family.host(9), bed.query());
  const Nanos heard = bed.now;
  bed.clear();
  bed.pass(400 * kSecond);
  CHECK(times(bed, heard) == std::vector<double>{255, 380});
}

TEST_CASE("querier election: every query of a lower address keeps us silent") {
  QuerierBed bed;
  bed.settled();
  for (int i = 0; i < 10; i++) {
    bed.hear(bed.family.host(i % 2 == 0 ? 8 : 9), bed.query());
    bed.pass(125 * kSecond);
    CHECK(bed.sent.empty());
    CHECK(bed.querier.election().other_remaining(bed.now) == 130 * kSecond);
  }
}

TEST_CASE(
    "querier election: the elected querier's robustness and intervals are taken over, ours come back with "
    "us") {
  QuerierBed bed;
  bed.settled();
  auto query = bed.query();
  query.robustness = 5;
  query.interval_s = 60;
  query.max_response_ms = 4000;
  bed.hear(bed.family.host(9), query);
  CHECK(bed.querier.election().other_remaining(bed.now) == (5 * 60 + 2) * kSecond);
  bed.record(1, codec::RecordType::is_exclude);
  CHECK(bed.group_timer() == 5 * 60 + 2 * 4);
  query.robustness = 0;
  query.interval_s = 0;
  bed.hear(bed.family.host(9), query);
  CHECK(bed.querier.election().other_remaining(bed.now) == 252 * kSecond);
  bed.pass(252 * kSecond);
  CHECK(bed.querier.election().is_querier());
  bed.record(1, codec::RecordType::is_exclude);
  CHECK(bed.group_timer() == 2 * 125 + 2 * 10);
}

TEST_CASE("querier election: what is not told, or comes from the one who lost, changes nothing") {
  QuerierBed bed;
  bed.settled();
  auto query = bed.query();
  query.robustness = 7;
  query.interval_s = 10;
  bed.hear(bed.family.host(11), query);
  bed.record(1, codec::RecordType::is_exclude);
  CHECK(bed.group_timer() == 270);
}

TEST_CASE("querier election: IPv4 elects by general queries, IPv6 by any") {
  for (const bool v4 : {true, false}) {
    QuerierBed bed(querier_options(v4));
    bed.settled();
    bed.hear(bed.family.host(9), bed.query(1));
    CHECK(bed.querier.election().is_querier() == v4);
  }
}

TEST_CASE("querier election: a snooping switch that asks from 0.0.0.0 is not elected") {
  QuerierBed bed;
  bed.settled();
  bed.hear(bed.family.any(), bed.query());
  CHECK(bed.querier.election().is_querier());
}

TEST_CASE("querier election: of IPv6 only link-local addresses count, and of those the last 64 bits") {
  QuerierBed bed(querier_options(false));
  bed.settled();
  bed.hear(Family::v6(0x20, 0x01, 1), bed.query());
  bed.hear(bed.family.any(), bed.query());
  CHECK(bed.querier.election().is_querier());
  CHECK(bed.querier.counters().ignored_queries == 2);
  bed.hear(Family::v6(0xfe, 0x81, 11), bed.query());
  CHECK(bed.querier.election().is_querier());
  bed.hear(Family::v6(0xfe, 0xbf, 9), bed.query());
  CHECK(!bed.querier.election().is_querier());
}

TEST_CASE("querier election: a query of the other family is ignored") {
  QuerierBed bed;
  bed.settled();
  auto query = bed.query();
  query.group = codec::IpAddress::any(false);
  bed.querier.on_query(bed.family.host(9), query, bed.now);
  CHECK(bed.querier.election().is_querier());
  CHECK(bed.querier.counters().ignored_queries == 1);
}

TEST_CASE("querier election: older and newer routers are told of, IGMPv2 takes part, IGMPv1 does not") {
  QuerierBed bed;
  bed.settled();
  auto query = bed.query();
  query.robustness = 0;
  query.interval_s = 0;
  query.version = 1;
  bed.hear(bed.family.host(9), query);
  CHECK(bed.querier.election().is_querier());
  query.version = 2;
  bed.hear(bed.family.host(9), query);
  CHECK(!bed.querier.election().is_querier());
  CHECK(bed.querier.counters().other_version_queries == 2);
}

TEST_CASE("querier election: configured to IGMPv1 there is none") {
  QuerierOptions options = querier_options();
  options.version = 1;
  QuerierBed bed(options);
  bed.settled();
  bed.hear(bed.family.host(9), bed.query());
  CHECK(bed.querier.election().is_querier());
  bed.pass(125 * kSecond);
  CHECK(bed.sent.back().query.version == 1);
}

TEST_CASE("querier election: MLDv1 elects like MLDv2") {
  QuerierOptions options = querier_options(false);
  options.version = 1;
  QuerierBed bed(options);
  bed.settled();
  auto query = bed.query();
  query.version = 1;
  bed.hear(bed.family.host(9), query);
  CHECK(!bed.querier.election().is_querier());
  CHECK(bed.querier.counters().other_version_queries == 0);
}

TEST_CASE("querier election: another address of ours can make us the querier, or nobody") {
  QuerierBed bed;
  bed.settled();
  bed.hear(bed.family.host(9), bed.query());
  bed.querier.readdress(bed.family.host(12), bed.now);
  CHECK(!bed.querier.election().is_querier());
  bed.querier.readdress(bed.family.host(8), bed.now);
  CHECK(bed.querier.election().is_querier());
  CHECK(bed.queries() == "Q()");
  bed.querier.readdress(bed.family.host(7), bed.now);
  CHECK(bed.querier.election().querier() == bed.family.host(7));
  CHECK(bed.queries().empty());
  bed.querier.readdress(bed.family.any(), bed.now);
  CHECK(!bed.querier.election().is_querier());
  bed.pass(1000 * kSecond);
  CHECK(bed.queries().empty());
  CHECK(bed.querier.election().querier() == bed.family.any());
}

TEST_CASE("querier election: without an address it listens, and begins when it has one") {
  QuerierBed bed;
  bed.querier.start(bed.family.any(), bed.now);
  bed.pass(500 * kSecond);
  CHECK(bed.sent.empty());
  const Nanos start = bed.now;
  bed.querier.readdress(bed.family.host(10), bed.now);
  bed.pass(40 * kSecond);
  CHECK(times(bed, start) == std::vector<double>{0, 31.25});
}

TEST_CASE(
    "querier election: whose address is gone while another asks stays silent when that one falls silent") {
  QuerierBed bed;
  bed.settled();
  bed.hear(bed.family.host(9), bed.query());
  bed.querier.readdress(bed.family.any(), bed.now);
  bed.pass(1000 * kSecond);
  CHECK(bed.sent.empty());
  bed.querier.readdress(bed.family.host(10), bed.now);
  CHECK(bed.queries() == "Q()");
}

TEST_CASE("querier election: stopped it neither asks nor listens") {
  QuerierBed bed;
  bed.settled();
  bed.querier.stop();
  bed.hear(bed.family.host(9), bed.query());
  bed.pass(1000 * kSecond);
  CHECK(bed.sent.empty());
  CHECK(bed.deadlines.size() == 0);
  bed.querier.start(bed.family.host(10), bed.now);
  CHECK(bed.querier.election().is_querier());
}

TEST_CASE(
    "querier election: other options hold from the next query on, the elected querier's values before them") {
  QuerierBed bed;
  bed.settled();
  QuerierOptions options = querier_options();
  options.version = 2;
  options.query_interval = 20 * kSecond;
  options.immediate_leave = membership::ImmediateLeave::always;
  bed.record(1, codec::RecordType::is_exclude);
  bed.querier.configure(options, bed.now);
  CHECK(bed.state() == "EX(;)");
  CHECK(bed.group_timer() == 270);
  bed.pass(20 * kSecond);
  REQUIRE(bed.sent.size() == 1);
  CHECK(bed.sent[0].query.version == 2);
  CHECK(bed.sent[0].query.interval_s == 20);
  bed.record(1, codec::RecordType::is_exclude);
  CHECK(bed.group_timer() == 60);
  bed.record(1, codec::RecordType::to_include);
  CHECK(bed.state() == "-");
  bed.hear(bed.family.host(9), bed.query());
  bed.querier.configure(querier_options(), bed.now);
  CHECK(bed.querier.election().timing().interval == 125 * kSecond);
  options.query_interval = 30 * kSecond;
  bed.querier.configure(options, bed.now);
  CHECK(bed.querier.election().timing().interval == 125 * kSecond);
  CHECK(!bed.querier.election().is_querier());
}
