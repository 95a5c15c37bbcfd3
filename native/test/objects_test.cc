// The store: one flight per name whatever happens to it, and memory that is counted and given back.
#include <doctest/doctest.h>

#include <vector>

#include "test/allocations.h"
#include "test/store_bed.h"

using namespace sluice;
using kernel::kSecond;
using objects::Found;
using objects::Object;
using objects::Phase;
using test::bytes_of_text;
using test::CountingReader;
using test::StoreBed;
using test::text_of;

TEST_CASE("objects: whoever asks joins the one flight, and what grows; then it is a hit until it expires") {
  StoreBed bed;
  const auto object = bed.first("a");
  for (int i = 0; i < 3; i++) {
    const Found found = bed.store->want("a");
    CHECK_FALSE(found.first);
    CHECK(found.object == object);
  }
  bed.begin(object, 1);
  bed.turn();
  CHECK(bed.store->want("a").object == object);
  CHECK(bed.store->append(object, bytes_of_text("abc")) == nullptr);
  bed.store->complete(object);
  CHECK(object->phase() == Phase::complete);
  const Found again = bed.store->want("a");
  CHECK_MESSAGE(again.first, "it was fresh for less than a turn");
  CHECK(again.object != object);
  CHECK(bed.store->want("a").object == again.object);
  CHECK(bed.counters.misses == 2);
  CHECK(bed.counters.joined == 5);
  CHECK(bed.counters.hits == 0);

  bed.make("b", "x");
  CHECK(bed.store->want("b").object->phase() == Phase::complete);
  CHECK(bed.counters.hits == 1);
}

TEST_CASE("objects: waiters are told once per wait, all of them, within slices of a turn") {
  StoreBed bed;
  const auto object = bed.first("a");
  std::vector<CountingReader> readers(10'000);
  for (auto& reader : readers) object->wait(reader);
  CHECK(bed.counters.wakes == 0);
  bed.turn();
  CHECK_MESSAGE(bed.counters.wakes == 0, "nothing is polled");
  bed.begin(object, kSecond, 3);
  REQUIRE(bed.store->append(object, bytes_of_text("abc")) == nullptr);
  CHECK(bed.turn_until([&] { return bed.counters.wakes == readers.size(); }));
  CHECK(std::all_of(readers.begin(), readers.end(), [](const auto& reader) { return reader.told == 1; }));
  bed.store->complete(object);
  for (int i = 0; i < 5; i++) bed.turn();
  CHECK_MESSAGE(bed.counters.wakes == readers.size(), "who does not wait again is not told again");
}

TEST_CASE("objects: a reader that goes while it waits, or is about to be told, is not told") {
  StoreBed bed;
  const auto object = bed.first("a");
  auto waits = std::make_unique<CountingReader>();
  auto is_told = std::make_unique<CountingReader>();
  CountingReader stays;
  object->wait(*waits);
  object->wait(*is_told);
  object->wait(stays);
  waits.reset();
  bed.store->fail(object, {500, 0, "no"});
  is_told.reset();
  CHECK(bed.turn_until([&] { return stays.told == 1; }));
  CHECK(bed.counters.wakes == 1);
}

TEST_CASE("objects: a refused flight tells its waiters; the next asker begins another") {
  StoreBed bed;
  const auto object = bed.first("a");
  CountingReader reader;
  object->wait(reader);
  bed.store->fail(object, {500, 7, "no"});
  CHECK(bed.turn_until([&] { return reader.told == 1; }));
  CHECK(object->phase() == Phase::refused);
  CHECK(object->refusal().retry_after == 7);
  CHECK_FALSE(bed.store->flight(object->ticket()));
  CHECK(bed.store->want("a").first);
  CHECK(bed.counters.refused == 1);
}

TEST_CASE("objects: one cut short keeps what came; the next asker begins another, however it was cut") {
  StoreBed bed;
  enum class Cut { failed, too_few };
  for (const Cut cut : {Cut::failed, Cut::too_few}) {
    const auto object = bed.first("a");
    bed.begin(object, kSecond, 10);
    REQUIRE(bed.store->append(object, bytes_of_text("abc")) == nullptr);
    if (cut == Cut::failed) {
      bed.store->fail(object, {});
    } else {
      bed.store->complete(object);
    }
    CHECK(object->phase() == Phase::failed);
    CHECK(text_of(object->bytes_from(1)) == "bc");
    CHECK(bed.counters.growing == 0);
  }
  CHECK(bed.counters.failed == 2);
  CHECK(bed.counters.objects == 0);
}

TEST_CASE("objects: fresh again by 304; in the place of an error only as long as allowed") {
  StoreBed bed;
  const auto old = bed.first("a");
  REQUIRE_FALSE(bed.store->begin(old, {}, {1, 3600 * kSecond, 0}));
  bed.store->complete(old);
  bed.turn();

  const auto second = bed.first("a");
  CHECK(bed.store->revalidate(second, {1, 3600 * kSecond, 0}));
  CHECK(second->phase() == Phase::replaced);
  CHECK(second->instead() == old);
  CHECK_FALSE_MESSAGE(bed.store->revalidate(second, {}), "it has landed");
  bed.turn();

  const auto third = bed.first("a");
  bed.store->fail(third, {502, 0, "no"});
  CHECK(third->phase() == Phase::replaced);
  CHECK(third->instead() == old);
  CHECK(bed.counters.stale == 1);

  const auto fourth = bed.first("a");
  REQUIRE(bed.store->revalidate(fourth, {1, 0, 0}));
  bed.turn();
  const auto fifth = bed.first("a");
  bed.store->fail(fifth, {502, 0, "no"});
  CHECK(fifth->phase() == Phase::refused);
  CHECK(bed.counters.revalidated == 2);
  CHECK_FALSE(bed.store->revalidate(bed.first("b"), {}));
}

TEST_CASE("objects: what is asked for anew is neither evicted nor lost to a purge until that is settled") {
  StoreBed bed({.budget = 3 * (4096 + 2048), .largest = 8192});
  bed.make("a", "old", 1);
  bed.turn();
  const auto flight = bed.first("a");
  for (int i = 0; i < 5; i++) bed.make("other" + std::to_string(i), "x");
  CHECK(bed.counters.evicted == 3);
  CHECK(bed.store->purge("a") == 1);
  CHECK(bed.store->revalidate(flight, {kSecond, 0, 0}));
  CHECK(text_of(flight->instead()->bytes_from(0)) == "old");
  CHECK_MESSAGE(bed.store->want("a").first, "but nobody gets it who asks after the purge");
}

TEST_CASE("objects: a purge cuts nobody, and what was asked for before it is not given out after it") {
  StoreBed bed;
  bed.make("s:a", "1");
  bed.make("t:a", "2");
  const auto growing = bed.first("s:b");
  bed.begin(growing);
  const auto flight = bed.first("s:c");
  CHECK(bed.store->purge("s:") == 2);
  CHECK(bed.store->want("s:a").first);
  CHECK(bed.store->want("s:b").first);
  const Found fresh = bed.store->want("s:c");
  CHECK(fresh.first);
  CHECK_FALSE(bed.store->want("t:a").first);

  REQUIRE(bed.store->append(growing, bytes_of_text("abc")) == nullptr);
  bed.store->complete(growing);
  CHECK(growing->phase() == Phase::complete);
  bed.begin(flight);
  bed.store->complete(flight);
  CHECK_MESSAGE(bed.store->want("s:c").object == fresh.object, "the flight after the purge counts");
  CHECK(bed.counters.objects == 1);
}

TEST_CASE("objects: a flight that was purged and that nobody waits for has ended") {
  StoreBed bed;
  auto flight = bed.first("a");
  const std::uint64_t ticket = flight->ticket();
  bed.store->purge("");
  CHECK(bed.store->flight(ticket) == flight);
  flight.reset();
  CHECK_FALSE(bed.store->flight(ticket));
}

TEST_CASE("objects: flights are given up by age and by name; what comes for them later is refused") {
  StoreBed bed;
  const auto object = bed.first("s:a");
  const auto other = bed.first("t:a");
  bed.store->refuse_wanted("t:", {404, 0, "gone"});
  CHECK(other->phase() == Phase::refused);
  CHECK(object->phase() == Phase::wanted);
  bed.turn();
  bed.store->expire_wanted(bed.reactor.now(), {504, 0, "late"});
  CHECK(object->refusal().status == 504);
  const auto wrong = bed.store->begin(object, {}, {});
  REQUIRE(wrong);
  CHECK(std::string(wrong->code) == "UPSTREAM_TIMEOUT");
  CHECK(object->phase() == Phase::refused);
}

TEST_CASE("objects: least used gives way; what is read never does, and then there is no room, by name") {
  StoreBed bed({.budget = 3 * (4096 + 1100), .largest = 8192});
  bed.make("a", "a");
  bed.make("b", "b");
  const auto read = bed.make("c", "c");
  bed.store->want("a");
  bed.make("d", "d");
  CHECK(bed.counters.evicted == 1);
  CHECK_FALSE(bed.store->want("a").first);
  CHECK(bed.store->want("b").first);

  const auto a = bed.store->want("a").object;
  const auto d = bed.store->want("d").object;
  const auto more = bed.first("e");
  objects::Head head;
  const auto full = bed.store->begin(more, head, {});
  REQUIRE(full);
  CHECK(std::string(full->code) == "OBJECT_STORE_FULL");
  CHECK(text_of(read->bytes_from(0)) == "c");
  CHECK(bed.counters.evicted == 1);
}

TEST_CASE("objects: too large by its length, or as it comes") {
  StoreBed bed({.budget = 64 * 1024, .largest = 8192});
  const auto object = bed.first("a");
  objects::Head head;
  head.length = 8193;
  const auto wrong = bed.store->begin(object, head, {});
  REQUIRE(wrong);
  CHECK(std::string(wrong->code) == "OBJECT_TOO_LARGE");
  bed.begin(object);
  CHECK(bed.store->append(object, bytes_of_text(std::string(8192, 'x'))) == nullptr);
  const char* const late = bed.store->append(object, bytes_of_text("x"));
  REQUIRE(late != nullptr);
  CHECK(std::string(late) == "OBJECT_TOO_LARGE");
  CHECK(object->phase() == Phase::failed);

  StoreBed small({.budget = 8192, .largest = 1 << 20});
  const auto over = small.first("a");
  head.length = 8193;
  CHECK_MESSAGE(small.store->begin(over, head, {}), "more than the whole budget");
}

TEST_CASE("objects: all memory is counted, names and fields too, and is given back with the last reader") {
  StoreBed bed;
  const std::string name(3000, 'n');
  {
    auto object = bed.first(name);
    objects::Head head;
    head.fields = std::string(20'000, 'f');
    REQUIRE_FALSE(bed.store->begin(object, head, {kSecond, 0, 0}));
    CHECK_MESSAGE(bed.store->used() > 26'000, "before any byte of the body");
    REQUIRE(bed.store->append(object, bytes_of_text(std::string(5000, 'x'))) == nullptr);
    bed.store->complete(object);
    const std::size_t used = bed.store->used();
    CHECK(used > 31'000);
    bed.store->purge("");
    CHECK_MESSAGE(bed.store->used() == used, "a reader holds it");
  }
  CHECK(bed.store->used() == 0);
  CHECK(bed.counters.used_bytes == 0);
  CHECK(bed.counters.objects == 0);
}

TEST_CASE("objects: nothing is taken from the heap while an object grows and many readers are told") {
  StoreBed bed({.budget = 256 << 20, .largest = 64 << 20});
  const auto object = bed.first("a");
  bed.begin(object);
  std::vector<CountingReader> readers(200);
  const std::string piece(64 * 1024, 'x');
  std::uint64_t taken = 0;
  for (int i = 0; i < 40; i++) {
    const std::uint64_t wakes = bed.counters.wakes;
    for (auto& reader : readers) object->wait(reader);
    const std::uint64_t before = test::allocations();
    REQUIRE(bed.store->append(object, bytes_of_text(piece)) == nullptr);
    const kernel::Nanos end = kernel::monotonic_now() + 10 * kSecond;
    while (bed.counters.wakes < wakes + readers.size() && kernel::monotonic_now() < end) bed.turn();
    // The first rounds make room for timers.
    if (i >= 3) taken += test::allocations() - before;
    REQUIRE(bed.counters.wakes == wakes + readers.size());
  }
  CHECK(taken == 0);
}
