// The tables of RFC 9776 sections 6.4.1 and 6.4.2 (RFC 9777 sections 7.4.1 and 7.4.2), row by row, and the
// timers of section 6.5.
#include <map>

#include "test/querier_bed.h"

using namespace sluice;
using codec::RecordType;
using test::kSecond;
using test::querier_options;
using test::QuerierBed;

namespace {

/** The membership interval: 2 * 125 + 2 * 10; what is left of one 50 seconds later; the last member query
 * time. */
constexpr double kFull = 270;
constexpr double kLeft = 220;
constexpr double kAsked = 2;
constexpr double kNone = 0;

struct Row {
  const char* name;
  bool exclude;
  RecordType type;
  const char* state;
  double group_timer;
  /** Of sources that are there then. */
  std::map<unsigned, double> timers;
  const char* queries;
};

/** INCLUDE (1 2), or EXCLUDE (1 2; 3 4), since 50 seconds. */
void begin(QuerierBed& bed, bool exclude) {
  if (exclude) bed.record(1, RecordType::is_exclude, {3, 4});
  bed.record(1, RecordType::is_include, {1, 2});
  REQUIRE(bed.state() == (exclude ? "EX(1 2;3 4)" : "IN(1 2)"));
  bed.pass(50 * kSecond);
  bed.clear();
}

void play(QuerierBed& bed, const Row& row) {
  CAPTURE(row.name);
  CAPTURE(bed.family.v4);
  begin(bed, row.exclude);
  // B of the INCLUDE rows, A of the EXCLUDE ones: one that is there, one that is not or is blocked, and a new
  // one.
  bed.record(1, row.type, row.exclude ? std::vector<unsigned>{2, 3, 5} : std::vector<unsigned>{2, 3});
  CHECK(bed.state() == row.state);
  CHECK(bed.group_timer() == row.group_timer);
  for (const auto& timer : row.timers) {
    CAPTURE(timer.first);
    CHECK(bed.source_timer(timer.first) == timer.second);
  }
  CHECK(bed.queries() == row.queries);
}

const std::vector<Row> of_the_querier{
    {"INCLUDE (A), IS_IN (B)",
     false,
     RecordType::is_include,
     "IN(1 2 3)",
     kNone,
     {{1, kLeft}, {2, kFull}, {3, kFull}},
     ""},
    {"INCLUDE (A), IS_EX (B)", false, RecordType::is_exclude, "EX(2;3)", kFull, {{2, kLeft}, {3, kNone}}, ""},
    {"EXCLUDE (X,Y), IS_IN (A)",
     true,
     RecordType::is_include,
     "EX(1 2 3 5;4)",
     kLeft,
     {{1, kLeft}, {2, kFull}, {3, kFull}, {5, kFull}, {4, kNone}},
     ""},
    {"EXCLUDE (X,Y), IS_EX (A)",
     true,
     RecordType::is_exclude,
     "EX(2 5;3)",
     kFull,
     {{2, kLeft}, {5, kFull}, {3, kNone}},
     ""},
    {"INCLUDE (A), ALLOW (B)",
     false,
     RecordType::allow,
     "IN(1 2 3)",
     kNone,
     {{1, kLeft}, {2, kFull}, {3, kFull}},
     ""},
    {"INCLUDE (A), BLOCK (B)",
     false,
     RecordType::block,
     "IN(1 2)",
     kNone,
     {{1, kLeft}, {2, kAsked}},
     "Q(G,2)"},
    {"INCLUDE (A), TO_EX (B)",
     false,
     RecordType::to_exclude,
     "EX(2;3)",
     kFull,
     {{2, kAsked}, {3, kNone}},
     "Q(G,2)"},
    {"INCLUDE (A), TO_IN (B)",
     false,
     RecordType::to_include,
     "IN(1 2 3)",
     kNone,
     {{1, kAsked}, {2, kFull}, {3, kFull}},
     "Q(G,1)"},
    {"EXCLUDE (X,Y), ALLOW (A)",
     true,
     RecordType::allow,
     "EX(1 2 3 5;4)",
     kLeft,
     {{1, kLeft}, {2, kFull}, {3, kFull}, {5, kFull}},
     ""},
    {"EXCLUDE (X,Y), BLOCK (A)",
     true,
     RecordType::block,
     "EX(1 2 5;3 4)",
     kLeft,
     {{1, kLeft}, {2, kAsked}, {5, kAsked}, {3, kNone}},
     "Q(G,2 5)"},
    {"EXCLUDE (X,Y), TO_EX (A)",
     true,
     RecordType::to_exclude,
     "EX(2 5;3)",
     kFull,
     {{2, kAsked}, {5, kAsked}, {3, kNone}},
     "Q(G,2 5)"},
    {"EXCLUDE (X,Y), TO_IN (A)",
     true,
     RecordType::to_include,
     "EX(1 2 3 5;4)",
     kAsked,
     {{1, kAsked}, {2, kFull}, {3, kFull}, {5, kFull}},
     "Q(G) Q(G,1)"},
};

/** Who is not the querier sends nothing and lowers nothing: there the group's timer shows as that of new
 * sources. */
const std::vector<Row> of_others{
    {"INCLUDE (A), BLOCK (B)", false, RecordType::block, "IN(1 2)", kNone, {{1, kLeft}, {2, kLeft}}, ""},
    {"INCLUDE (A), TO_EX (B)", false, RecordType::to_exclude, "EX(2;3)", kFull, {{2, kLeft}, {3, kNone}}, ""},
    {"INCLUDE (A), TO_IN (B)",
     false,
     RecordType::to_include,
     "IN(1 2 3)",
     kNone,
     {{1, kLeft}, {2, kFull}, {3, kFull}},
     ""},
    {"EXCLUDE (X,Y), BLOCK (A)",
     true,
     RecordType::block,
     "EX(1 2 5;3 4)",
     kLeft,
     {{1, kLeft}, {2, kLeft}, {5, kLeft}},
     ""},
    {"EXCLUDE (X,Y), TO_EX (A)",
     true,
     RecordType::to_exclude,
     "EX(2 5;3)",
     kFull,
     {{2, kLeft}, {5, kLeft}},
     ""},
    {"EXCLUDE (X,Y), TO_IN (A)",
     true,
     RecordType::to_include,
     "EX(1 2 3 5;4)",
     kLeft,
     {{1, kLeft}, {2, kFull}, {3, kFull}, {5, kFull}},
     ""},
};

}  // namespace

TEST_CASE("querier states: every row of the tables, as the querier") {
  for (const bool v4 : {true, false}) {
    for (const Row& row : of_the_querier) {
      QuerierBed bed(querier_options(v4));
      bed.settled();
      play(bed, row);
    }
  }
}

TEST_CASE("querier states: every row that queries, where another is the querier") {
  for (const bool v4 : {true, false}) {
    for (const Row& row : of_others) {
      QuerierBed bed(querier_options(v4));
      bed.settled();
      bed.hear(bed.family.host(9), bed.query());
      play(bed, row);
    }
  }
}

TEST_CASE("querier states: what only leaves makes no group") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::to_include);
  bed.record(1, RecordType::is_include);
  bed.record(1, RecordType::allow);
  bed.record(1, RecordType::block, {1});
  CHECK(bed.state() == "-");
  CHECK(bed.queries().empty());
  CHECK(bed.changed_groups.empty());
  CHECK(bed.querier.hosts() == 0);
}

TEST_CASE("querier states: in INCLUDE mode a source whose timer runs out goes, the last one with its group") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::allow, {1});
  bed.pass(10 * kSecond);
  bed.record(2, RecordType::allow, {2});
  CHECK(bed.forwards(1));
  CHECK(bed.forwards(2));
  CHECK(!bed.forwards(3));
  bed.clear();
  bed.pass(260 * kSecond - 1);
  CHECK(bed.state() == "IN(1 2)");
  bed.pass(1);
  CHECK(bed.state() == "IN(2)");
  CHECK(bed.changed_groups.size() == 1);
  bed.pass(10 * kSecond);
  CHECK(bed.state() == "-");
  CHECK(bed.changed_groups.size() == 2);
  CHECK(bed.querier.sources() == 0);
}

TEST_CASE(
    "querier states: in EXCLUDE mode a source whose timer runs out is not forwarded any more, and stays") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::is_include, {1});
  bed.pass(100 * kSecond);
  bed.record(2, RecordType::is_exclude, {1});
  CHECK(bed.state() == "EX(1;)");
  bed.clear();
  bed.pass(170 * kSecond);
  CHECK(bed.state() == "EX(;1)");
  CHECK(!bed.forwards(1));
  CHECK(bed.forwards(2));
  CHECK(bed.changed_groups.size() == 1);
}

TEST_CASE("querier states: when the group's timer runs out, what is forwarded by name is what stays") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::is_exclude, {3, 4});
  bed.pass(100 * kSecond);
  bed.record(2, RecordType::allow, {1, 2});
  CHECK(bed.state() == "EX(1 2;3 4)");
  bed.pass(170 * kSecond);
  CHECK(bed.state() == "IN(1 2)");
  CHECK(!bed.forwards(5));
  bed.pass(100 * kSecond);
  CHECK(bed.state() == "-");
}

TEST_CASE("querier states: a source that is due with its group goes with it") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::is_exclude, {2});
  bed.record(1, RecordType::allow, {1});
  bed.clear();
  bed.pass(270 * kSecond);
  CHECK(bed.state() == "-");
  CHECK(bed.querier.sources() == 0);
  CHECK(bed.querier.hosts() == 0);
}

TEST_CASE(
    "querier states: reports that confirm what is there change nothing, ones that change it say so once") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::to_exclude);
  CHECK(bed.changed_groups == std::vector<codec::IpAddress>{bed.family.group(1)});
  for (int i = 0; i < 5; i++) {
    bed.pass(100 * kSecond);
    bed.record(1, RecordType::is_exclude);
    bed.record(2, RecordType::is_exclude);
  }
  CHECK(bed.changed_groups.size() == 1);
  CHECK(bed.state() == "EX(;)");
  bed.record(3, RecordType::allow, {1}, 2);
  bed.record(3, RecordType::is_include, {1}, 2);
  CHECK(bed.changed_groups.size() == 2);
  bed.record(3, RecordType::allow, {2, 3}, 2);
  CHECK(bed.changed_groups.size() == 3);
}

TEST_CASE("querier states: sources that are named twice are one") {
  QuerierBed bed;
  bed.settled();
  bed.record(1, RecordType::allow, {1, 1, 2, 1});
  CHECK(bed.state() == "IN(1 2)");
  bed.record(1, RecordType::to_exclude, {3, 3, 2});
  CHECK(bed.state() == "EX(2;3)");
  CHECK(bed.querier.sources() == 4);
}

TEST_CASE("querier states: groups do not touch each other") {
  QuerierBed bed;
  bed.settled();
  for (unsigned group = 1; group <= 50; group++) bed.record(1, RecordType::to_exclude, {}, group);
  bed.record(1, RecordType::to_include, {}, 25);
  bed.pass(2 * kSecond);
  for (unsigned group = 1; group <= 50; group++) CHECK(bed.state(group) == (group == 25 ? "-" : "EX(;)"));
}
