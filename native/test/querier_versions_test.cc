// Older hosts, and older routers beside us (RFC 9776 section 7.3, RFC 9777 section 8.3).
#include "test/querier_bed.h"

using namespace sluice;
using codec::RecordType;
using membership::Generation;
using membership::QuerierOptions;
using test::kSecond;
using test::querier_options;
using test::QuerierBed;

namespace {

/** IGMPv2, MLDv1. */
unsigned second(const QuerierBed& bed) {
  return bed.family.v4 ? 2 : 1;
}

QuerierOptions speaking(std::uint8_t version, bool v4 = true) {
  QuerierOptions options = querier_options(v4);
  options.version = version;
  return options;
}

}  // namespace

TEST_CASE("querier versions: a report of IGMPv2 or MLDv1 joins, its leave is asked about in our version") {
  for (const bool v4 : {true, false}) {
    QuerierBed bed(querier_options(v4));
    bed.settled();
    bed.record(1, RecordType::is_exclude, {}, 1, second(bed));
    CHECK(bed.state() == "EX(;)");
    CHECK(bed.group_timer() == 270);
    CHECK(bed.view().compatibility == Generation::second);
    bed.record(1, RecordType::to_include, {}, 1, second(bed));
    CHECK(bed.sent[0].query.version == bed.family.newest());
    CHECK(bed.queries() == "Q(G)");
    bed.pass(2 * kSecond);
    CHECK(bed.state() == "-");
  }
}

TEST_CASE("querier versions: beside an older host nobody can block sources") {
  for (const bool v4 : {true, false}) {
    QuerierBed bed(querier_options(v4));
    bed.settled();
    bed.record(1, RecordType::is_exclude, {}, 1, second(bed));
    bed.record(2, RecordType::block, {1});
    bed.record(2, RecordType::to_exclude, {2});
    CHECK(bed.state() == "EX(;)");
    CHECK(bed.queries().empty());
    bed.record(2, RecordType::to_include, {3});
    CHECK(bed.state() == "EX(3;)");
    CHECK(bed.queries() == "Q(G)");
  }
}

TEST_CASE(
    "querier versions: an older host is thought present for its time after its last report, then no more") {
  for (const bool v4 : {true, false}) {
    QuerierBed bed(querier_options(v4));
    bed.settled();
    bed.record(1, RecordType::is_exclude, {}, 1, second(bed));
    bed.record(2, RecordType::to_exclude);
    bed.pass(100 * kSecond);
    bed.record(1, RecordType::is_exclude, {}, 1, second(bed));
    bed.record(2, RecordType::is_exclude);
    // RFC 9776 section 8.13: 2 * 125 + 10.
    bed.pass(260 * kSecond - 1);
    bed.record(2, RecordType::block, {1});
    CHECK(bed.view().compatibility == Generation::second);
    CHECK(bed.state() == "EX(;)");
    bed.pass(1);
    CHECK(bed.view().compatibility == Generation::third);
    bed.record(2, RecordType::block, {1});
    CHECK(bed.state() == "EX(1;)");
  }
}

TEST_CASE("querier versions: an older host's leave does not make it present") {
  QuerierBed bed;
  bed.settled();
  bed.record(2, RecordType::to_exclude);
  bed.record(1, RecordType::to_include, {}, 1, 2);
  CHECK(bed.view().compatibility == Generation::third);
}

TEST_CASE("querier versions: beside a host of IGMPv1 leaves mean nothing") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::is_exclude, {}, 1, 1);
  bed.record(2, RecordType::is_exclude, {}, 1, 2);
  CHECK(bed.view().compatibility == Generation::first);
  bed.record(2, RecordType::to_include, {}, 1, 2);
  bed.record(3, RecordType::to_include);
  bed.record(3, RecordType::block, {4});
  CHECK(bed.queries().empty());
  CHECK(bed.state() == "EX(;)");
  bed.pass(270 * kSecond);
  CHECK(bed.state() == "-");
}

TEST_CASE("querier versions: after IGMPv1 comes IGMPv2 as long as that has been heard") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::is_exclude, {}, 1, 1);
  bed.pass(100 * kSecond);
  bed.record(2, RecordType::is_exclude, {}, 1, 2);
  bed.pass(160 * kSecond - 1);
  CHECK(bed.view().compatibility == Generation::first);
  bed.pass(1);
  CHECK(bed.view().compatibility == Generation::second);
  bed.record(2, RecordType::to_include, {}, 1, 2);
  CHECK(bed.group_timer() == 2);
}

TEST_CASE("querier versions: it is kept for each group") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::is_exclude, {}, 1, 2);
  bed.record(1, RecordType::is_exclude, {}, 2, 3);
  CHECK(bed.view(1).compatibility == Generation::second);
  CHECK(bed.view(2).compatibility == Generation::third);
}

TEST_CASE("querier versions: configured to IGMPv2 or MLDv1, queries are of that, and name no sources") {
  for (const bool v4 : {true, false}) {
    const auto version = static_cast<std::uint8_t>(v4 ? 2 : 1);
    QuerierBed bed(speaking(version, v4));
    bed.settled();
    bed.record(1, RecordType::is_exclude, {}, 1, version);
    bed.record(2, RecordType::is_include, {1, 2});
    bed.record(2, RecordType::block, {1});
    bed.clear();
    bed.record(1, RecordType::to_include, {}, 1, version);
    CHECK(bed.sent[0].query.version == version);
    CHECK(bed.queries() == "Q(G)");
    bed.pass(2 * kSecond);
    CHECK(bed.queries() == "Q(G)");
    CHECK(bed.state() == "IN(1 2)");
    bed.record(2, RecordType::to_include);
    CHECK(bed.queries().empty());
    bed.pass(268 * kSecond);
    CHECK(bed.state() == "-");
  }
}

TEST_CASE(
    "querier versions: configured to IGMPv2 or MLDv1, who was answered asks no more: there is no S flag") {
  for (const bool v4 : {true, false}) {
    const auto version = static_cast<std::uint8_t>(v4 ? 2 : 1);
    QuerierBed bed(speaking(version, v4));
    bed.settled();
    bed.record(1, RecordType::is_exclude, {}, 1, version);
    bed.record(1, RecordType::to_include, {}, 1, version);
    bed.pass(kSecond / 2);
    bed.record(2, RecordType::is_exclude, {}, 1, version);
    bed.pass(10 * kSecond);
    CHECK(bed.queries() == "Q(G)");
    bed.querier.forget(bed.family.host(2), bed.family.group(1), bed.now);
    CHECK(bed.queries() == "Q(G)");
  }
}

TEST_CASE("querier versions: configured to IGMPv1 nobody is asked about a group, and leaves mean nothing") {
  QuerierBed bed(speaking(1));
  bed.settled();
  bed.record(1, RecordType::is_exclude, {}, 1, 2);
  bed.record(1, RecordType::to_include, {}, 1, 2);
  CHECK(bed.queries().empty());
  CHECK(bed.group_timer() == 270);
  bed.querier.forget(bed.family.host(1), bed.now);
  CHECK(bed.queries().empty());
  CHECK(bed.state() == "-");
}
