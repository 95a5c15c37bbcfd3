#include "kernel/reactor.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "kernel/prefetch.h"

namespace sluice::kernel {

namespace {

constexpr int kEventsPerTurn = 256;
constexpr Nanos kLongestWait = kSecond;
/** So many of the watchers that are called next are loaded, and so much of each. */
constexpr std::size_t kSoon = 2;
constexpr std::size_t kWatcherBytes = 128;

int wait_for_events(int epoll, epoll_event* ready, Nanos wait) noexcept {
  const timespec timeout{static_cast<time_t>(wait / kSecond), static_cast<long>(wait % kSecond)};
  const int n = epoll_pwait2(epoll, ready, kEventsPerTurn, &timeout, nullptr);
  if (n >= 0 || errno != ENOSYS) return n;
  // Before Linux 5.11: whole milliseconds, rounded up so that the turn does not begin before its deadline.
  return epoll_wait(epoll, ready, kEventsPerTurn, static_cast<int>((wait + kMillisecond - 1) / kMillisecond));
}

}  // namespace

Nanos monotonic_now() noexcept {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<Nanos>(t.tv_sec) * kSecond + t.tv_nsec;
}

Timer::~Timer() {
  if (armed()) reactor_->disarm(*this);
}

Reactor::Reactor() : epoll_(epoll_create1(EPOLL_CLOEXEC)), event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  now_ = monotonic_now();
  heap_.reserve(64);
  gone_.reserve(64);
  epoll_event e{};
  e.events = EPOLLIN;
  e.data.ptr = nullptr;
  if (ok()) epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, event_.get(), &e);
}

Reactor::~Reactor() {
  for (Timer* timer : heap_) timer->index_ = Timer::kIdle;
  for (Disposable* object : disposed_) delete object;
}

bool Reactor::watch(int fd, std::uint32_t epoll_events, Watcher& watcher) noexcept {
  epoll_event e{};
  e.events = epoll_events;
  e.data.ptr = &watcher;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &e) == 0;
}

bool Reactor::rewatch(int fd, std::uint32_t epoll_events, Watcher& watcher) noexcept {
  epoll_event e{};
  e.events = epoll_events;
  e.data.ptr = &watcher;
  return epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &e) == 0;
}

void Reactor::unwatch(int fd, const Watcher& watcher) noexcept {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  gone_.push_back(&watcher);
}

void Reactor::arm(Timer& timer, Nanos deadline) {
  if (timer.armed()) disarm(timer);
  timer.reactor_ = this;
  timer.deadline_ = running_timers_ ? std::max(deadline, now_ + 1) : deadline;
  heap_.push_back(&timer);
  timer.index_ = heap_.size() - 1;
  sift_up(timer.index_);
}

void Reactor::disarm(Timer& timer) noexcept {
  if (!timer.armed()) return;
  const std::size_t hole = timer.index_;
  timer.index_ = Timer::kIdle;
  Timer* last = heap_.back();
  heap_.pop_back();
  if (last == &timer) return;
  place(hole, last);
  sift_up(hole);
  sift_down(last->index_);
}

void Reactor::place(std::size_t i, Timer* timer) noexcept {
  heap_[i] = timer;
  timer->index_ = i;
}

void Reactor::sift_up(std::size_t i) noexcept {
  Timer* const timer = heap_[i];
  while (i > 0 && heap_[(i - 1) / 2]->deadline_ > timer->deadline_) {
    place(i, heap_[(i - 1) / 2]);
    i = (i - 1) / 2;
  }
  place(i, timer);
}

void Reactor::sift_down(std::size_t i) noexcept {
  Timer* const timer = heap_[i];
  for (std::size_t child = 2 * i + 1; child < heap_.size(); child = 2 * i + 1) {
    if (child + 1 < heap_.size() && heap_[child + 1]->deadline_ < heap_[child]->deadline_) child++;
    if (heap_[child]->deadline_ >= timer->deadline_) break;
    place(i, heap_[child]);
    i = child;
  }
  place(i, timer);
}

void Reactor::run_timers() noexcept {
  // Timers armed by a callback for a time already past wait for the next turn, so that descriptors are not
  // starved.
  running_timers_ = true;
  while (!heap_.empty() && heap_.front()->deadline_ <= now_) {
    Timer* timer = heap_.front();
    disarm(*timer);
    fired_++;
    timer->on_timer(now_);
  }
  running_timers_ = false;
}

bool Reactor::turn() noexcept {
  Nanos wait = kLongestWait;
  const Nanos before = monotonic_now();
  if (!heap_.empty()) wait = std::clamp<Nanos>(heap_.front()->deadline_ - before, 0, kLongestWait);
  std::array<epoll_event, kEventsPerTurn>
      ready;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by the kernel
  const int n = wait_for_events(epoll_.get(), ready.data(), wait);
  const auto count = static_cast<std::size_t>(std::max(n, 0));
  for (std::size_t i = 0; i < std::min(count, kSoon); i++) prefetch(ready[i].data.ptr, kWatcherBytes);
  now_ = monotonic_now();
  wakeups_++;
  gone_.clear();
  bool woken = false;
  run_timers();
  for (std::size_t i = 0; i < count; i++) {
    if (i + kSoon < count) prefetch(ready[i + kSoon].data.ptr, kWatcherBytes);
    auto* watcher = static_cast<Watcher*>(ready[i].data.ptr);
    if (watcher == nullptr) {
      std::uint64_t value = 0;
      [[maybe_unused]] const ssize_t drained = ::read(event_.get(), &value, sizeof value);
      woken = true;
    } else if (std::find(gone_.begin(), gone_.end(), watcher) == gone_.end()) {
      fired_++;
      watcher->on_ready(ready[i].events);
    }
  }
  for (std::size_t i = 0; i < disposed_.size(); i++) delete disposed_[i];
  disposed_.clear();
  busy_ += monotonic_now() - now_;
  return woken;
}

void Reactor::wake() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(event_.get(), &one, sizeof one);
}

void Reactor::dispose(Disposable* object) {
  disposed_.push_back(object);
}

}  // namespace sluice::kernel
