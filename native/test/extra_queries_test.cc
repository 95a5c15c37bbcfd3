#include <algorithm>

#include "test/admission_bed.h"

using namespace sluice;
using codec::RecordType;
using membership::ExtraQueries;
using test::AdmissionOptions;
using test::Gate;
using test::holding_admission;
using test::kSecond;
using test::open_admission;
using test::querier_options;
using test::QuerierBed;

namespace {

/** As an interface does. */
void configure(Gate& gate, const AdmissionOptions& options) {
  gate.admission.configure(options, gate.bed.now);
  gate.bed.querier.restrict(gate.admission, gate.bed.now);
}

}  // namespace

TEST_CASE(
    "extra queries: who has in time what stays theirs is neither cut nor asked when tables become stricter") {
  Gate gate(open_admission());
  gate.record(1, RecordType::to_exclude, {}, 1);
  gate.record(1, RecordType::to_exclude, {}, 2);
  gate.bed.clear();
  gate.authorise(1);
  configure(gate, {});
  CHECK(gate.bed.state(1) == "EX(;)");
  CHECK(gate.bed.state(2) == "-");
  CHECK(gate.bed.changed_groups == std::vector{gate.bed.family.group(2)});
  gate.bed.pass(0);
  REQUIRE(gate.bed.sent.size() == 1);
  CHECK(gate.bed.sent.front().query.group == gate.bed.family.group(2));
}

TEST_CASE(
    "extra queries: what a lease that ends has cut is asked for at once, again in case it is lost, and "
    "held") {
  for (const bool v4 : {true, false}) {
    Gate gate(holding_admission(5 * kSecond), querier_options(v4));
    const unsigned version = gate.bed.family.newest();
    gate.authorise(1, 0, gate.bed.now + 10 * kSecond);
    gate.record(1, RecordType::to_exclude, {}, 1, version);
    gate.bed.clear();
    gate.bed.pass(10 * kSecond + 1);
    CHECK(gate.bed.state() == "-");
    CHECK(gate.bed.queries() == "Qs(G)");
    gate.record(1, RecordType::is_exclude, {}, 1, version);
    CHECK(gate.admission.held() == 1);
    gate.bed.pass(kSecond);
    CHECK(gate.bed.queries() == "Qs(G)");
    gate.authorise(1);
    CHECK(gate.bed.state() == "EX(;)");
    gate.bed.pass(5 * kSecond);
    CHECK(gate.bed.queries().empty());
  }
}

TEST_CASE("extra queries: what is authorised after it was denied is asked for at once") {
  Gate gate({});
  gate.authorise(7);
  gate.bed.pass(kSecond);
  CHECK(gate.bed.queries().empty());
  gate.record(1, RecordType::to_exclude, {}, 1);
  gate.authorise(1);
  gate.bed.pass(0);
  CHECK(gate.bed.queries() == "Qs(G)");
  gate.record(1, RecordType::is_exclude, {}, 1);
  CHECK(gate.bed.state() == "EX(;)");
  gate.bed.pass(2 * kSecond);
  gate.bed.clear();
  // It has it: nothing is new.
  gate.authorise(1, 0, gate.bed.now + 60 * kSecond);
  gate.bed.pass(kSecond);
  CHECK(gate.bed.queries().empty());
}

TEST_CASE("extra queries: other tables for hosts that were denied lead to a general query") {
  Gate gate({});
  gate.record(1, RecordType::to_exclude, {}, 1);
  configure(gate, open_admission());
  gate.bed.pass(0);
  CHECK(gate.bed.queries() == "Q()");
  gate.bed.pass(10 * kSecond);
  CHECK(gate.bed.queries() == "Q()");
  gate.bed.pass(100 * kSecond);
  CHECK(gate.bed.queries().empty());
}

TEST_CASE(
    "extra queries: about very many groups hosts are asked by one query, and none is sent sooner than its "
    "rhythm") {
  QuerierBed bed;
  bed.settled();
  for (unsigned group = 1; group <= ExtraQueries::kMostGroups; group++)
    bed.querier.ask(bed.family.group(group), bed.now);
  bed.pass(0);
  CHECK(bed.sent.size() == ExtraQueries::kMostGroups);
  for (int i = 0; i < 100; i++) bed.querier.ask(bed.family.group(1), bed.now);
  bed.pass(0);
  CHECK(bed.sent.size() == ExtraQueries::kMostGroups);
  bed.clear();
  for (unsigned group = 100; group <= 200; group++) bed.querier.ask(bed.family.group(group), bed.now);
  bed.pass(0);
  CHECK(std::ranges::count_if(bed.sent, [](const auto& one) { return one.query.group.is_any(); }) == 1);
  CHECK(bed.sent.size() <= 1 + ExtraQueries::kMostGroups);
}

TEST_CASE("extra queries: an older querier asks as it can, and one that is not elected does not ask") {
  auto options = querier_options();
  options.version = 2;
  QuerierBed older(options);
  older.settled();
  older.querier.ask(older.family.group(1), older.now);
  older.pass(0);
  CHECK(older.queries() == "Q(G)");
  options.version = 1;
  QuerierBed oldest(options);
  oldest.settled();
  oldest.querier.ask(oldest.family.group(1), oldest.now);
  oldest.pass(0);
  CHECK(oldest.queries() == "Q()");

  QuerierBed other;
  other.settled();
  other.hear(other.family.host(1), other.query());
  other.querier.ask(other.family.group(1), other.now);
  other.pass(10 * kSecond);
  CHECK(other.queries().empty());
  QuerierBed ended;
  ended.settled();
  ended.querier.ask(ended.family.group(1), ended.now);
  ended.querier.stop();
  ended.pass(10 * kSecond);
  CHECK(ended.queries().empty());
}
