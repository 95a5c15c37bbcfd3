#include "kernel/reactor.h"

#include <doctest/doctest.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "test/allocations.h"

using namespace sluice::kernel;

namespace {

struct FunctionTimer final : Timer {
  std::function<void(Nanos)> action;
  void on_timer(Nanos now) noexcept override { action(now); }
};

struct FunctionWatcher final : Watcher {
  std::function<void(std::uint32_t)> action;
  void on_ready(std::uint32_t events) noexcept override { action(events); }
};

/** An eventfd that is readable from the start. */
Fd ready_fd() {
  return Fd(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
}

}  // namespace

TEST_CASE("reactor: timers fire in the order of their deadlines, whatever the order of arming") {
  Reactor reactor;
  REQUIRE(reactor.ok());
  const Nanos base = monotonic_now() - kSecond;
  std::vector<Nanos> fired;
  std::array<FunctionTimer, 50> timers;
  for (std::size_t i = 0; i < timers.size(); i++) {
    const Nanos deadline = base + static_cast<Nanos>((i * 37) % timers.size());
    timers[i].action = [&fired, deadline](Nanos now) {
      CHECK(now >= deadline);
      fired.push_back(deadline);
    };
    reactor.arm(timers[i], deadline);
  }
  reactor.turn();
  REQUIRE(fired.size() == timers.size());
  CHECK(std::is_sorted(fired.begin(), fired.end()));
}

TEST_CASE("reactor: a timer is not armed while it is called, and fires once") {
  Reactor reactor;
  int calls = 0;
  FunctionTimer timer;
  timer.action = [&](Nanos) {
    calls++;
    CHECK_FALSE(timer.armed());
  };
  reactor.arm(timer, 0);
  CHECK(timer.armed());
  reactor.turn();
  reactor.wake();
  reactor.turn();
  CHECK(calls == 1);
}

TEST_CASE("reactor: a timer never fires before its deadline") {
  Reactor reactor;
  const Nanos deadline = monotonic_now() + 3 * kMillisecond;
  Nanos at = 0;
  FunctionTimer timer;
  timer.action = [&](Nanos now) { at = now; };
  reactor.arm(timer, deadline);
  while (at == 0) reactor.turn();
  CHECK(at >= deadline);
}

TEST_CASE("reactor: arming again moves a timer, in both directions") {
  Reactor reactor;
  std::vector<int> order;
  FunctionTimer a;
  FunctionTimer b;
  a.action = [&](Nanos) { order.push_back(1); };
  b.action = [&](Nanos) { order.push_back(2); };
  reactor.arm(a, 10);
  reactor.arm(b, 20);
  reactor.arm(a, 30);
  reactor.turn();
  CHECK(order == std::vector<int>{2, 1});
  order.clear();
  reactor.arm(a, monotonic_now() + 3600 * kSecond);
  reactor.arm(b, 20);
  reactor.arm(a, 10);
  reactor.turn();
  CHECK(order == std::vector<int>{1, 2});
}

TEST_CASE("reactor: timers disarmed from the middle of the heap leave the others in order") {
  for (std::size_t gone = 0; gone < 15; gone++) {
    Reactor reactor;
    std::vector<std::size_t> fired;
    std::array<FunctionTimer, 15> timers;
    for (std::size_t i = 0; i < timers.size(); i++) {
      timers[i].action = [&fired, i](Nanos) { fired.push_back(i); };
      reactor.arm(timers[i], static_cast<Nanos>(i));
    }
    reactor.disarm(timers[gone]);
    reactor.disarm(timers[gone]);
    reactor.turn();
    CHECK(fired.size() == timers.size() - 1);
    CHECK(std::is_sorted(fired.begin(), fired.end()));
    CHECK(std::find(fired.begin(), fired.end(), gone) == fired.end());
  }
}

TEST_CASE("reactor: a callback may disarm and destroy other timers that are due") {
  Reactor reactor;
  auto victim = std::make_unique<FunctionTimer>();
  bool called = false;
  victim->action = [&](Nanos) { called = true; };
  FunctionTimer killer;
  killer.action = [&](Nanos) { victim.reset(); };
  reactor.arm(killer, 1);
  reactor.arm(*victim, 2);
  reactor.turn();
  CHECK_FALSE(called);
}

TEST_CASE("reactor: a timer that re-arms itself in the past waits for the next turn") {
  Reactor reactor;
  int calls = 0;
  FunctionTimer timer;
  FunctionTimer far;
  timer.action = [&](Nanos) {
    calls++;
    reactor.arm(timer, 0);
  };
  far.action = [](Nanos) {};
  reactor.arm(timer, 0);
  SUBCASE("alone") {}
  SUBCASE("with timers of the future armed") {
    reactor.arm(far, monotonic_now() + 3600 * kSecond);
  }
  reactor.turn();
  CHECK(calls == 1);
  reactor.turn();
  CHECK(calls == 2);
}

TEST_CASE("reactor: a timer destroyed after its reactor does not touch it") {
  FunctionTimer timer;
  timer.action = [](Nanos) {};
  {
    Reactor reactor;
    reactor.arm(timer, monotonic_now() + kSecond);
  }
  CHECK_FALSE(timer.armed());
}

TEST_CASE("reactor: watch, rewatch and unwatch") {
  Reactor reactor;
  const Fd fd = ready_fd();
  std::uint32_t seen = 0;
  FunctionWatcher watcher;
  watcher.action = [&](std::uint32_t events) { seen |= events; };
  REQUIRE(reactor.watch(fd.get(), EPOLLIN, watcher));
  CHECK_FALSE(reactor.watch(fd.get(), EPOLLIN, watcher));
  reactor.turn();
  CHECK(seen == EPOLLIN);
  seen = 0;
  REQUIRE(reactor.rewatch(fd.get(), EPOLLOUT, watcher));
  reactor.turn();
  CHECK(seen == EPOLLOUT);
  seen = 0;
  reactor.unwatch(fd.get(), watcher);
  reactor.wake();
  reactor.turn();
  CHECK(seen == 0);
  CHECK_FALSE(reactor.watch(-1, EPOLLIN, watcher));
}

TEST_CASE("reactor: whichever of two ready watchers comes first unwatches and destroys the other") {
  Reactor reactor;
  const Fd fa = ready_fd();
  const Fd fb = ready_fd();
  auto a = std::make_unique<FunctionWatcher>();
  auto b = std::make_unique<FunctionWatcher>();
  int calls = 0;
  a->action = [&](std::uint32_t) {
    calls++;
    reactor.unwatch(fb.get(), *b);
  };
  b->action = [&](std::uint32_t) {
    calls++;
    reactor.unwatch(fa.get(), *a);
  };
  reactor.watch(fa.get(), EPOLLIN, *a);
  reactor.watch(fb.get(), EPOLLIN, *b);
  reactor.turn();
  CHECK(calls == 1);
}

TEST_CASE("reactor: a watcher may unwatch itself, and be watched again in the same callback") {
  Reactor reactor;
  const Fd fd = ready_fd();
  int calls = 0;
  FunctionWatcher watcher;
  watcher.action = [&](std::uint32_t) {
    calls++;
    reactor.unwatch(fd.get(), watcher);
    reactor.watch(fd.get(), EPOLLIN, watcher);
  };
  reactor.watch(fd.get(), EPOLLIN, watcher);
  reactor.turn();
  reactor.turn();
  CHECK(calls == 2);
}

TEST_CASE("reactor: a timer may unwatch a descriptor whose event was fetched in the same turn") {
  Reactor reactor;
  const Fd fd = ready_fd();
  bool called = false;
  FunctionWatcher watcher;
  watcher.action = [&](std::uint32_t) { called = true; };
  FunctionTimer timer;
  timer.action = [&](Nanos) { reactor.unwatch(fd.get(), watcher); };
  reactor.watch(fd.get(), EPOLLIN, watcher);
  reactor.arm(timer, 0);
  reactor.turn();
  CHECK_FALSE(called);
}

TEST_CASE("reactor: what is disposed lives until the end of the turn, and may dispose more") {
  struct Witness final : Disposable {
    std::function<void()> at_end;
    ~Witness() override { at_end(); }
    Witness() = default;
    Witness(const Witness&) = delete;
    Witness& operator=(const Witness&) = delete;
  };
  Reactor reactor;
  int gone = 0;
  FunctionTimer first;
  FunctionTimer second;
  first.action = [&](Nanos) {
    auto* outer = new Witness;
    outer->at_end = [&] {
      gone++;
      auto* inner = new Witness;
      inner->at_end = [&] { gone++; };
      reactor.dispose(inner);
    };
    reactor.dispose(outer);
  };
  second.action = [&](Nanos) { CHECK(gone == 0); };
  reactor.arm(first, 0);
  reactor.arm(second, 1);
  reactor.turn();
  CHECK(gone == 2);
}

TEST_CASE("reactor: wake from another thread ends the wait, and is told once") {
  Reactor reactor;
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> sent{0};
  std::thread other([&] {
    while (!stop.load()) {
      reactor.wake();
      sent.fetch_add(1);
      std::this_thread::yield();
    }
  });
  for (int woken = 0; woken < 1000;) woken += reactor.turn() ? 1 : 0;
  stop = true;
  other.join();
  CHECK(sent.load() >= 1000);
  reactor.turn();
  FunctionTimer soon;
  soon.action = [](Nanos) {};
  reactor.arm(soon, 0);
  CHECK_FALSE(reactor.turn());
}

TEST_CASE("reactor: a steady state of timers and descriptors allocates nothing") {
  Reactor reactor;
  const Fd fd = ready_fd();
  std::uint64_t events = 0;
  FunctionWatcher watcher;
  watcher.action = [&](std::uint32_t) { events++; };
  FunctionTimer timer;
  timer.action = [&](Nanos now) { reactor.arm(timer, now); };
  reactor.watch(fd.get(), EPOLLIN, watcher);
  reactor.arm(timer, 0);
  reactor.turn();
  const auto before = sluice::test::allocations();
  for (int i = 0; i < 1000; i++) reactor.turn();
  CHECK(sluice::test::allocations() == before);
  CHECK(events >= 1000);
}

TEST_CASE("reactor: counts wake-ups, callbacks and busy time") {
  Reactor reactor;
  FunctionTimer timer;
  timer.action = [](Nanos begin) {
    while (monotonic_now() < begin + kMillisecond) {
    }
  };
  reactor.arm(timer, 0);
  reactor.turn();
  CHECK(reactor.wakeups() == 1);
  CHECK(reactor.events() == 1);
  CHECK(reactor.busy() >= kMillisecond);
}
