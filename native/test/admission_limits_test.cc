// Ranges, numbers of groups, rates, and what is held.
#include "test/admission_bed.h"
#include "test/allocations.h"

using namespace sluice;
using codec::IpAddress;
using codec::RecordType;
using test::AdmissionOptions;
using test::Denial;
using test::Gate;
using test::holding_admission;
using test::kMillisecond;
using test::kSecond;
using test::Nanos;
using test::open_admission;

TEST_CASE("admission: beyond so many that are held the others are denied") {
  AdmissionOptions options = holding_admission(kSecond);
  options.most_held = 2;
  Gate gate(options);
  gate.record(1, RecordType::allow, {1, 2, 3});
  CHECK(gate.told() == "held:1/1 held:1/2 hold-limit:1/3");
  gate.bed.pass(kSecond);
  CHECK(gate.admission.held() == 0);
  gate.record(1, RecordType::allow, {3});
  CHECK(gate.admission.held() == 1);
}

TEST_CASE("admission: ranges of groups and sources; a range of sources is no right to any source") {
  AdmissionOptions options = open_admission();
  const test::Family v4;
  options.ranges = {{{v4.group(0x100), 24}, {}},
                    {{v4.group(0x200), 24}, {v4.source(0x100), 24}},
                    {{v4.group(0x400), 24}, {v4.any(), 1}}};
  Gate gate(options);
  gate.record(1, RecordType::to_exclude, {}, 0x1ff);
  gate.record(1, RecordType::to_exclude, {}, 0x200);
  gate.record(1, RecordType::allow, {0x101, 0x201}, 0x201);
  gate.record(1, RecordType::to_exclude, {}, 0x300);
  CHECK(gate.bed.querier.has(v4.group(0x1ff)));
  CHECK(!gate.bed.querier.has(v4.group(0x200)));
  CHECK(gate.bed.forwards(0x101, 0x201));
  CHECK(!gate.bed.forwards(0x201, 0x201));
  CHECK(!gate.bed.querier.has(v4.group(0x300)));
  CHECK(gate.denied(Denial::range) == 3);
  gate.record(1, RecordType::to_exclude, {}, 0x400);
  CHECK(gate.denied(Denial::range) == 4);
  gate.record(1, RecordType::allow, {1}, 0x400);
  CHECK(gate.bed.forwards(1, 0x400));
}

TEST_CASE("admission: a range holds against what is authorised, too") {
  AdmissionOptions options = holding_admission(kSecond);
  options.ranges = {{{test::Family{}.group(0), 24}, {}}};
  Gate gate(options);
  gate.authorise(0x100);
  gate.record(1, RecordType::to_exclude, {}, 0x100);
  CHECK(gate.denied(Denial::range) == 1);
  CHECK(gate.admission.held() == 0);
}

TEST_CASE("admission: groups at a time are limited, sources of one are not, and what ends makes room") {
  AdmissionOptions options = open_admission();
  options.groups = 2;
  Gate gate(options);
  gate.record(1, RecordType::allow, {1}, 1);
  gate.record(1, RecordType::to_exclude, {}, 2);
  gate.record(1, RecordType::to_exclude, {}, 3);
  gate.record(1, RecordType::allow, {2, 3}, 1);
  gate.record(1, RecordType::is_exclude, {}, 2);
  CHECK(gate.bed.state(1) == "IN(1 2 3)");
  CHECK(gate.bed.state(3) == "-");
  CHECK(gate.denied(Denial::group_limit) == 1);
  gate.record(1, RecordType::to_include, {}, 2);
  gate.bed.pass(2 * kSecond);
  gate.record(1, RecordType::to_exclude, {}, 3);
  CHECK(gate.bed.state(3) == "EX(;)");
}

TEST_CASE("admission: a join that was held meets the limit of groups when it is authorised") {
  AdmissionOptions options = holding_admission(kSecond);
  options.groups = 1;
  Gate gate(options);
  gate.record(1, RecordType::to_exclude, {}, 1);
  gate.record(1, RecordType::to_exclude, {}, 2);
  gate.authorise(2);
  gate.authorise(1);
  CHECK(gate.bed.state(2) == "EX(;)");
  CHECK(gate.bed.state(1) == "-");
  CHECK(gate.told() == "held:1 held:2 admitted:2 groups:1");
  CHECK(gate.admission.held() == 0);
}

TEST_CASE("admission: new joins a second are limited, answers to queries are not") {
  AdmissionOptions options = open_admission();
  options.joins_per_second = 10;
  options.burst = 3;
  Gate gate(options);
  for (unsigned group = 1; group <= 5; group++) gate.record(1, RecordType::to_exclude, {}, group);
  CHECK(gate.bed.querier.groups() == 3);
  CHECK(gate.denied(Denial::rate_limit) == 2);
  for (int i = 0; i < 100; i++) gate.record(1, RecordType::is_exclude, {}, 1);
  CHECK(gate.denied(Denial::rate_limit) == 2);
  gate.bed.pass(100 * kMillisecond);
  gate.record(1, RecordType::to_exclude, {}, 4);
  gate.record(1, RecordType::to_exclude, {}, 5);
  CHECK(gate.bed.querier.groups() == 4);
  gate.bed.pass(10 * kSecond);
  for (unsigned group = 10; group <= 20; group++) gate.record(1, RecordType::to_exclude, {}, group);
  CHECK(gate.bed.querier.groups() == 7);
}

TEST_CASE("admission: what is held costs its host's joins once") {
  AdmissionOptions options = holding_admission(kSecond);
  options.joins_per_second = 1;
  options.burst = 2;
  Gate gate(options);
  for (int i = 0; i < 5; i++) gate.record(1, RecordType::to_exclude, {}, 1);
  gate.record(1, RecordType::to_exclude, {}, 2);
  gate.record(1, RecordType::to_exclude, {}, 3);
  CHECK(gate.told() == "held:1 held:2 rate:3");
}

TEST_CASE("admission: a storm of joins is counted whole, and told in part") {
  AdmissionOptions options;
  options.events_per_second = 5;
  Gate gate(options);
  for (unsigned group = 1; group <= 100; group++) gate.record(1, RecordType::to_exclude, {}, group);
  CHECK(gate.denied(Denial::not_authorised) == 100);
  CHECK(gate.admission.counters().events_suppressed == 95);
  CHECK(gate.refusals == 100);
}

TEST_CASE("admission: 10,000 joins pass, and what confirms them takes nothing from the heap") {
  AdmissionOptions options = open_admission();
  options.events_per_second = 1;
  Gate gate(options);
  for (unsigned group = 0; group < 10000; group++) gate.record(1, RecordType::to_exclude, {}, group);
  CHECK(gate.admission.counters().admitted == 10000);
  CHECK(gate.bed.querier.groups() == 10000);
  const IpAddress host = gate.bed.family.host(1);
  const auto before = test::allocations();
  for (unsigned group = 0; group < 10000; group++)
    gate.admission.on_record(host, {RecordType::is_exclude, gate.bed.family.group(group), {}}, 3,
                             gate.bed.now);
  CHECK(test::allocations() == before);
  CHECK(gate.admission.counters().admitted == 10000);
}

TEST_CASE("token bucket: so many at once, then so many a second, and never more than that saved up") {
  membership::TokenBucket bucket(10, 3);
  const auto taken = [&](Nanos now) {
    int count = 0;
    while (count < 100 && bucket.take(now)) count++;
    return count;
  };
  CHECK(taken(0) == 3);
  CHECK(taken(100 * kMillisecond - 1) == 0);
  CHECK(taken(100 * kMillisecond) == 1);
  CHECK(taken(350 * kMillisecond) == 2);
  CHECK(taken(1000 * kSecond) == 3);
  membership::TokenBucket a_second(4, 0);
  int count = 0;
  while (a_second.take(0)) count++;
  CHECK(count == 4);
  membership::TokenBucket without(0, 0);
  for (int i = 0; i < 1000; i++) CHECK(without.take(0));
}
