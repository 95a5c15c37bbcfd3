// Readiness and timers of one thread: epoll with nanosecond deadlines.
#pragma once

#include <cstdint>
#include <vector>

#include "kernel/fd.h"

namespace sluice::kernel {

/** CLOCK_MONOTONIC in nanoseconds. */
using Nanos = std::int64_t;
constexpr Nanos kMillisecond = 1'000'000;
constexpr Nanos kSecond = 1'000'000'000;

[[nodiscard]] Nanos monotonic_now() noexcept;

/** The next multiple of `step` (> 0) that is not before `at`: timers that can wait so fall together, and
 * share a wake-up. */
[[nodiscard]] constexpr Nanos next_beat(Nanos at, Nanos step) noexcept {
  return (at + step - 1) / step * step;
}

/** Told when a watched descriptor is ready. Must be unwatched before it is destroyed. */
class Watcher {
 public:
  virtual void on_ready(std::uint32_t epoll_events) noexcept = 0;

 protected:
  ~Watcher() = default;
};

/** Told once when its deadline has passed; disarmed before the call. Disarms itself when destroyed. */
class Timer {
 public:
  Timer() noexcept = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  virtual void on_timer(Nanos now) noexcept = 0;
  [[nodiscard]] bool armed() const noexcept { return index_ != kIdle; }

 protected:
  ~Timer();

 private:
  friend class Reactor;
  static constexpr std::size_t kIdle = static_cast<std::size_t>(-1);
  class Reactor* reactor_ = nullptr;
  Nanos deadline_ = 0;
  std::size_t index_ = kIdle;
};

/** Something whose destruction waits until the callbacks of the present wake-up have returned. */
class Disposable {
 public:
  virtual ~Disposable() = default;
};

/**
 * One thread's event source. All members are for that thread only, save wake().
 * A watcher may unwatch itself or others, and timers may be armed and disarmed, from within any callback.
 */
class Reactor {
 public:
  Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;
  ~Reactor();

  /** False (with errno) when the kernel could not give an epoll instance or an eventfd. */
  [[nodiscard]] bool ok() const noexcept { return static_cast<bool>(epoll_) && static_cast<bool>(event_); }
  /** Watches `fd` for `epoll_events` (level-triggered unless EPOLLET is given). False with errno on failure.
   */
  bool watch(int fd, std::uint32_t epoll_events, Watcher& watcher) noexcept;
  bool rewatch(int fd, std::uint32_t epoll_events, Watcher& watcher) noexcept;
  /** `watcher` is not called again, not even for events already fetched in this wake-up. */
  void unwatch(int fd, const Watcher& watcher) noexcept;
  /** Arms or moves a timer; a deadline in the past fires in the next turn. Allocates only when more timers
   * than ever are armed. */
  void arm(Timer& timer, Nanos deadline);
  void disarm(Timer& timer) noexcept;
  /** Time at which the present wake-up began. */
  [[nodiscard]] Nanos now() const noexcept { return now_; }
  /** Waits for the next deadline or event and calls everybody concerned. True when wake() was called since
   * the last turn. */
  bool turn() noexcept;
  /** From any thread: ends the wait of turn(). */
  void wake() noexcept;
  /** Destroys `object` at the end of this turn. */
  void dispose(Disposable* object);
  [[nodiscard]] std::uint64_t wakeups() const noexcept { return wakeups_; }
  [[nodiscard]] std::uint64_t events() const noexcept { return fired_; }
  [[nodiscard]] Nanos busy() const noexcept { return busy_; }

 private:
  void run_timers() noexcept;
  void sift_up(std::size_t i) noexcept;
  void sift_down(std::size_t i) noexcept;
  void place(std::size_t i, Timer* timer) noexcept;

  Fd epoll_;
  Fd event_;
  Nanos now_ = 0;
  bool running_timers_ = false;
  std::vector<Timer*> heap_;
  std::vector<const Watcher*> gone_;
  std::vector<Disposable*> disposed_;
  std::uint64_t wakeups_ = 0;
  std::uint64_t fired_ = 0;
  Nanos busy_ = 0;
};

}  // namespace sluice::kernel
