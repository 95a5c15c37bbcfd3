#include "plane/loop.h"

#include <pthread.h>
#include <signal.h>

#include <cerrno>
#include <system_error>

#include "kernel/thread.h"

namespace sluice::plane {

using kernel::gauge;

Loop::Loop(LoopCounters& counters, std::function<void(kernel::Nanos)> housekeeping)
    : counters_(counters), housekeeping_(std::move(housekeeping)) {}

bool Loop::start() {
  if (!reactor_.ok()) return false;
  // Signals are for Node's own threads: the new thread inherits a mask that blocks them all.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& e) {
    errno = e.code().value();
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread_.joinable();
}

void Loop::stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true);
  reactor_.wake();
  thread_.join();
}

void Loop::call(const std::function<void()>& command) {
  bool done = false;
  std::exception_ptr failure;
  {
    std::unique_lock lock(mutex_);
    commands_.push_back({&command, &done, &failure});
    reactor_.wake();
    done_.wait(lock, [&] { return done; });
  }
  if (failure) std::rethrow_exception(failure);
}

void Loop::run() noexcept {
  pthread_setname_np(pthread_self(), "sluice-loop");
  kernel::prefer_latency();
  while (!stopping_.load()) {
    if (reactor_.turn()) run_commands();
    if (reactor_.now() >= next_housekeeping_) keep_house();
  }
  run_commands();
}

void Loop::run_commands() noexcept {
  std::vector<Command> commands;
  {
    const std::lock_guard lock(mutex_);
    commands.swap(commands_);
  }
  for (const Command& command : commands) {
    // Want of memory, at most: the caller's thread can tell it, this one cannot.
    try {
      (*command.run)();
    } catch (...) {
      *command.failure = std::current_exception();
    }
    kernel::bump(counters_.commands);
    const std::lock_guard lock(mutex_);
    *command.done = true;
  }
  done_.notify_all();
}

void Loop::keep_house() noexcept {
  next_housekeeping_ = reactor_.now() + kernel::kSecond;
  gauge(counters_.wakeups, reactor_.wakeups());
  gauge(counters_.events, reactor_.events());
  gauge(counters_.busy_ns, static_cast<std::uint64_t>(reactor_.busy()));
  housekeeping_(reactor_.now());
}

}  // namespace sluice::plane
