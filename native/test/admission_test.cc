#include "test/admission_bed.h"

using namespace sluice;
using codec::IpAddress;
using codec::RecordType;
using test::AdmissionOptions;
using test::Denial;
using test::Gate;
using test::holding_admission;
using test::kMillisecond;
using test::kSecond;
using test::open_admission;
using test::querier_options;

TEST_CASE("admission: open, everything passes, and only what is new is told") {
  Gate gate(open_admission());
  gate.record(1, RecordType::to_exclude);
  gate.record(1, RecordType::is_exclude);
  gate.record(2, RecordType::is_exclude, {}, 1, 2);
  gate.record(1, RecordType::allow, {1, 2}, 2);
  CHECK(gate.told() == "admitted:1 admitted:2/1 admitted:2/2");
  CHECK(gate.bed.state(1) == "EX(;)");
  CHECK(gate.bed.state(2) == "IN(1 2)");
  CHECK(gate.admission.counters().admitted == 3);
  CHECK(gate.passed == 4);
}

TEST_CASE("admission: what is not authorised is denied, what is passes, and leaves always do") {
  Gate gate({});
  gate.authorise(1);
  gate.record(1, RecordType::to_exclude, {}, 1);
  gate.record(1, RecordType::to_exclude, {}, 2);
  CHECK(gate.told() == "admitted:1 not-authorised:2");
  CHECK(gate.bed.state(2) == "-");
  gate.record(1, RecordType::to_include, {}, 1);
  CHECK(gate.bed.view().asked);
  gate.record(1, RecordType::to_include, {}, 2);
  gate.record(1, RecordType::block, {1}, 2);
  CHECK(gate.passed == 4);
  CHECK(gate.told().empty());
  CHECK(gate.denied(Denial::not_authorised) == 1);
}

TEST_CASE(
    "admission: an authorised source is no right to the group of any source, a group is one to every "
    "source") {
  Gate gate({});
  gate.authorise(1, 7);
  gate.record(1, RecordType::to_exclude);
  gate.record(1, RecordType::to_exclude, {8});
  gate.record(1, RecordType::is_exclude, {}, 1, 2);
  CHECK(gate.bed.state() == "-");
  CHECK(gate.denied(Denial::not_authorised) == 3);
  gate.record(1, RecordType::allow, {7});
  CHECK(gate.bed.state() == "IN(7)");
  gate.authorise(2);
  gate.record(1, RecordType::allow, {7, 8}, 2);
  CHECK(gate.bed.state(2) == "IN(7 8)");
}

TEST_CASE("admission: of a record's sources those that are allowed pass") {
  Gate gate({});
  gate.authorise(1, 1);
  gate.authorise(1, 3);
  gate.record(1, RecordType::allow, {1, 2, 3, 4});
  CHECK(gate.bed.state() == "IN(1 3)");
  gate.record(1, RecordType::is_include, {2, 4});
  CHECK(gate.passed == 1);
  CHECK(gate.denied(Denial::not_authorised) == 4);
}

TEST_CASE("admission: TO_IN leaves what it does not name, whether what it names is allowed or not") {
  Gate gate({});
  gate.authorise(1);
  gate.record(1, RecordType::to_exclude);
  gate.admission.authorise(gate.channel(1, 5), test::kNever, gate.bed.now);
  gate.admission.revoke(gate.channel(1), gate.bed.now);
  CHECK(gate.bed.state() == "-");
  gate.record(1, RecordType::allow, {5});
  gate.record(1, RecordType::to_include, {6});
  CHECK(gate.bed.queries() == "Q(G,5)");
  gate.bed.pass(2 * kSecond);
  CHECK(gate.bed.state() == "-");
}

TEST_CASE(
    "admission: a join that is held passes when it is authorised in time, with what its host has said") {
  for (const unsigned version : {3U, 2U}) {
    Gate gate(holding_admission(500 * kMillisecond));
    gate.record(1, RecordType::is_exclude, {}, 1, version);
    gate.record(1, RecordType::is_exclude, {}, 1, version);
    CHECK(gate.told() == "held:1");
    CHECK(gate.admission.held() == 1);
    gate.bed.pass(400 * kMillisecond);
    CHECK(gate.bed.state() == "-");
    gate.authorise(1);
    CHECK(gate.bed.state() == "EX(;)");
    CHECK(gate.bed.view().hosts[0].version == version);
    CHECK(gate.told() == "admitted:1");
    gate.bed.pass(kSecond);
    CHECK(gate.told().empty());
    CHECK(gate.admission.counters().released == 1);
    CHECK(gate.admission.counters().held == 1);
    CHECK(gate.denied(Denial::held_expired) == 0);
  }
}

TEST_CASE("admission: a join that is held too long is denied, and may be held again") {
  Gate gate(holding_admission(500 * kMillisecond));
  gate.record(1, RecordType::to_exclude);
  gate.bed.pass(300 * kMillisecond);
  gate.record(1, RecordType::to_exclude);
  gate.bed.pass(200 * kMillisecond);
  CHECK(gate.told() == "held:1 held-expired:1");
  CHECK(gate.denied(Denial::held_expired) == 1);
  gate.record(1, RecordType::to_exclude);
  CHECK(gate.told() == "held:1");
  gate.authorise(1);
  CHECK(gate.bed.state() == "EX(;)");
}

TEST_CASE("admission: sources are held one by one; a group's right releases them all, a source's its own") {
  Gate gate(holding_admission(kSecond));
  gate.record(1, RecordType::allow, {1, 2, 3});
  gate.record(2, RecordType::allow, {2});
  gate.record(1, RecordType::allow, {1}, 2);
  CHECK(gate.told() == "held:1/1 held:1/2 held:1/3 held:1/2 held:2/1");
  gate.authorise(1, 2);
  CHECK(gate.bed.state() == "IN(2)");
  CHECK(gate.bed.view().hosts.size() == 2);
  CHECK(gate.told() == "admitted:1/2");
  gate.authorise(1);
  CHECK(gate.bed.state() == "IN(1 2 3)");
  CHECK(gate.bed.state(2) == "-");
  CHECK(gate.admission.held() == 1);
}

TEST_CASE("admission: who leaves while it is held does not come when it is authorised") {
  Gate gate(holding_admission(kSecond));
  gate.record(1, RecordType::to_exclude, {}, 1);
  gate.record(1, RecordType::allow, {1, 2}, 2);
  gate.record(2, RecordType::allow, {2}, 2);
  gate.record(1, RecordType::to_exclude, {}, 3);
  gate.record(1, RecordType::to_include, {}, 1);
  gate.record(1, RecordType::block, {2}, 2);
  gate.record(1, RecordType::to_include, {4}, 3);
  for (const unsigned group : {1U, 2U, 3U}) gate.authorise(group);
  CHECK(gate.bed.state(1) == "-");
  CHECK(gate.bed.state(2) == "IN(1 2)");
  CHECK(gate.bed.view(2).hosts.size() == 2);
  CHECK(gate.bed.view(2).hosts[0].sources == gate.bed.sources({1}));
  CHECK(gate.bed.state(3) == "IN(4)");
  CHECK(gate.admission.held() == 0);
  gate.record(1, RecordType::allow, {1, 2}, 4);
  gate.record(1, RecordType::to_include, {}, 4);
  CHECK(gate.admission.held() == 0);
}

TEST_CASE("admission: an authorisation that ends, by time or by word, ends what it was for at once") {
  for (const bool by_time : {true, false}) {
    Gate gate({});
    gate.authorise(1, 0, gate.bed.now + 60 * kSecond);
    gate.authorise(1, 5);
    gate.authorise(2);
    gate.record(1, RecordType::to_exclude, {}, 1);
    gate.record(2, RecordType::allow, {5, 6}, 1);
    gate.record(1, RecordType::to_exclude, {}, 2);
    gate.bed.clear();
    gate.bed.pass(60 * kSecond - 1);
    CHECK(gate.bed.state() == "EX(5 6;)");
    if (by_time) gate.bed.pass(1);
    if (!by_time) gate.admission.revoke(gate.channel(1), gate.bed.now);
    CHECK(gate.bed.state() == "IN(5)");
    CHECK(gate.bed.state(2) == "EX(;)");
    CHECK(gate.bed.changed_groups == std::vector<IpAddress>{gate.bed.family.group(1)});
    CHECK(gate.admission.counters().revoked == 1);
    CHECK(gate.refusals == 1);
    // Nobody knows of it here, and it is said all the same.
    gate.admission.revoke(gate.channel(1), gate.bed.now);
    CHECK(gate.admission.counters().revoked == 1);
    CHECK(gate.refusals == 2);
    CHECK(gate.admission.authorised() == 2);
    gate.record(1, RecordType::is_exclude, {}, 1);
    CHECK(gate.denied(Denial::not_authorised) == 1);
  }
}

TEST_CASE("admission: a lease can be made longer, shorter, or endless") {
  Gate gate({});
  gate.authorise(1, 0, gate.bed.now + 10 * kSecond);
  gate.record(1, RecordType::to_exclude);
  gate.authorise(1, 0, gate.bed.now + 20 * kSecond);
  gate.bed.pass(15 * kSecond);
  CHECK(gate.bed.state() == "EX(;)");
  gate.authorise(1);
  gate.bed.pass(100 * kSecond);
  CHECK(gate.bed.state() == "EX(;)");
  gate.authorise(1, 0, gate.bed.now + kSecond);
  gate.bed.pass(kSecond);
  CHECK(gate.bed.state() == "-");
  CHECK(gate.admission.authorised() == 0);
}

TEST_CASE("admission: other tables hold from then on, release what they allow, and tell what is to end") {
  Gate gate(holding_admission(kSecond));
  gate.record(1, RecordType::to_exclude, {}, 1);
  gate.record(1, RecordType::to_exclude, {}, 0x100);
  AdmissionOptions options = open_admission();
  options.ranges = {{{gate.bed.family.group(0), 24}, {}}};
  gate.admission.configure(options, gate.bed.now);
  CHECK(gate.bed.state(1) == "EX(;)");
  CHECK(gate.admission.held() == 1);
  gate.admission.configure({}, gate.bed.now);
  CHECK(gate.bed.state(1) == "EX(;)");
  gate.bed.querier.restrict(gate.admission, gate.bed.now);
  CHECK(gate.bed.state(1) == "-");
}

TEST_CASE("admission: both families") {
  Gate gate(holding_admission(kSecond), querier_options(false));
  gate.record(1, RecordType::to_exclude, {}, 1, 2);
  gate.record(1, RecordType::allow, {1}, 2, 2);
  gate.authorise(1);
  gate.authorise(2, 1);
  CHECK(gate.bed.state(1) == "EX(;)");
  CHECK(gate.bed.state(2) == "IN(1)");
}
