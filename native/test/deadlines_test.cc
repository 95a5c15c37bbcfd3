#include "membership/deadlines.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>

using namespace sluice::membership;

namespace {

struct Noted final : Deadline {
  explicit Noted(std::vector<int>& to, int with = 0) : log(to), number(with) {}
  void on_deadline(Nanos) noexcept override { log.push_back(number); }
  std::vector<int>& log;
  int number;
};

}  // namespace

TEST_CASE("deadlines: each is called once, earliest first, and the next is known") {
  Deadlines deadlines;
  std::vector<int> log;
  Noted a(log, 1);
  Noted b(log, 2);
  Noted c(log, 3);
  CHECK(deadlines.next() == kNever);
  deadlines.set(a, 30);
  deadlines.set(b, 10);
  deadlines.set(c, 20);
  CHECK(deadlines.next() == 10);
  CHECK(a.remaining(12) == 18);
  deadlines.run(9);
  CHECK(log.empty());
  deadlines.run(20);
  CHECK(log == std::vector<int>{2, 3});
  CHECK(!b.is_set());
  CHECK(b.at() == kNever);
  CHECK(b.remaining(0) == 0);
  deadlines.run(100);
  CHECK(log == std::vector<int>{2, 3, 1});
  CHECK(deadlines.next() == kNever);
}

TEST_CASE("deadlines: one may be moved, cleared, set to never, or destroyed") {
  Deadlines deadlines;
  std::vector<int> log;
  Noted moved(log, 1);
  Noted cleared(log, 2);
  Noted never(log, 3);
  auto destroyed = std::make_unique<Noted>(log, 4);
  deadlines.set(moved, 10);
  deadlines.set(cleared, 10);
  deadlines.set(never, 10);
  deadlines.set(*destroyed, 10);
  deadlines.set(moved, 50);
  cleared.clear();
  cleared.clear();
  deadlines.set(never, kNever);
  destroyed.reset();
  CHECK(deadlines.size() == 1);
  deadlines.run(49);
  CHECK(log.empty());
  deadlines.set(moved, 49);
  deadlines.run(49);
  CHECK(log == std::vector<int>{1});
}

TEST_CASE(
    "deadlines: within a call one may set itself again or destroy itself, and a run ends all the same") {
  struct Again final : Deadline {
    Again(Deadlines& in, int& to) : deadlines(in), calls(to) {}
    void on_deadline(Nanos) noexcept override {
      calls++;
      deadlines.set(*this, 5);
    }
    Deadlines& deadlines;
    int& calls;
  };
  struct Gone final : Deadline {
    explicit Gone(std::unique_ptr<Gone>& by) : owner(by) {}
    void on_deadline(Nanos) noexcept override { owner.reset(); }
    std::unique_ptr<Gone>& owner;
  };
  Deadlines deadlines;
  int calls = 0;
  Again again(deadlines, calls);
  std::unique_ptr<Gone> gone;
  gone = std::make_unique<Gone>(gone);
  deadlines.set(again, 1);
  deadlines.set(*gone, 2);
  deadlines.run(10);
  CHECK(calls == 1);
  CHECK(gone == nullptr);
  CHECK(deadlines.next() == 11);
  deadlines.run(11);
  CHECK(calls == 2);
}

TEST_CASE("deadlines: those that outlive them are not set any more") {
  std::vector<int> log;
  Noted left(log);
  {
    Deadlines deadlines;
    deadlines.set(left, 10);
  }
  CHECK(!left.is_set());
}

TEST_CASE("deadlines: a timer calls its owner") {
  struct Owner {
    void ring(Nanos now) noexcept { rung = now; }
    Nanos rung = 0;
    Timer<&Owner::ring> timer{*this};
  };
  Deadlines deadlines;
  Owner owner;
  deadlines.set(owner.timer, 7);
  deadlines.run(8);
  CHECK(owner.rung == 8);
}

TEST_CASE("deadlines: thousands set, moved and cleared at random come as a sorted list of them says") {
  std::mt19937 random(7);
  Deadlines deadlines;
  std::vector<int> log;
  std::vector<std::unique_ptr<Noted>> all;
  std::map<int, Nanos> model;
  all.reserve(3000);
  for (int i = 0; i < 3000; i++) all.push_back(std::make_unique<Noted>(log, i));
  Nanos now = 0;
  for (int step = 0; step < 60000; step++) {
    const int which = static_cast<int>(random() % all.size());
    switch (random() % 8) {
      case 0:
        all[static_cast<std::size_t>(which)]->clear();
        model.erase(which);
        break;
      case 1: {
        now += random() % 50;
        log.clear();
        deadlines.run(now);
        std::vector<Nanos> times;
        for (const int number : log) {
          REQUIRE(model.contains(number));
          times.push_back(model[number]);
          model.erase(number);
        }
        CHECK(std::is_sorted(times.begin(), times.end()));
        if (!times.empty()) CHECK(times.back() <= now);
        REQUIRE(std::all_of(model.begin(), model.end(), [&](const auto& one) { return one.second > now; }));
        break;
      }
      default:
        model[which] = now + 1 + static_cast<Nanos>(random() % 5000);
        deadlines.set(*all[static_cast<std::size_t>(which)], model[which]);
    }
    REQUIRE(deadlines.size() == model.size());
  }
}
