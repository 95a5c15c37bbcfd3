#include "plane/loop.h"

#include <pthread.h>
#include <signal.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "kernel/thread.h"

namespace sluice::plane {

using kernel::gauge;

Loop::Loop(std::string name, LoopCounters& counters, std::function<void(kernel::Nanos)> housekeeping)
    : name_(std::move(name)), counters_(counters), housekeeping_(std::move(housekeeping)) {}

std::optional<kernel::Error> Loop::start(std::optional<unsigned> cpu) {
  if (!reactor_.ok() || !start_thread()) return kernel::system_error("starting a loop of the plane");
  if (!cpu) return std::nullopt;
  bool bound = false;
  call([&] { bound = kernel::stay_on_cpu(*cpu); });
  if (bound) return std::nullopt;
  stop();
  return kernel::Error{"CPU_UNKNOWN", "no loop can run on CPU " + std::to_string(*cpu) +
                                          ": it is not there, or this program may not use it"};
}

/** False with errno. */
bool Loop::start_thread() {
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
  std::vector<Command> late;
  const std::lock_guard lock(mutex_);
  ended_ = true;
  late.swap(commands_);
}

void Loop::call(const std::function<void()>& command) {
  Waiter waiter;
  {
    std::unique_lock lock(mutex_);
    commands_.push_back({std::ref(command), &waiter});
    reactor_.wake();
    done_.wait(lock, [&] { return waiter.done; });
  }
  if (waiter.failure) std::rethrow_exception(waiter.failure);
}

void Loop::post(std::function<void()> command) {
  const std::lock_guard lock(mutex_);
  if (ended_) return;
  commands_.push_back({std::move(command), nullptr});
  // Who came first has woken it already.
  if (commands_.size() == 1) reactor_.wake();
}

void Loop::run() noexcept {
  pthread_setname_np(pthread_self(), name_.c_str());
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
    kernel::bump(counters_.commands);
    if (command.waiter == nullptr) {
      command.run();
      continue;
    }
    // Want of memory, at most: the caller's thread can tell it, this one cannot.
    try {
      command.run();
    } catch (...) {
      command.waiter->failure = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    command.waiter->done = true;
  }
  done_.notify_all();
}

void Loop::keep_house() noexcept {
  const kernel::Nanos now = reactor_.now();
  next_housekeeping_ = now + kernel::kSecond;
  gauge(counters_.wakeups, reactor_.wakeups());
  gauge(counters_.events, reactor_.events());
  gauge(counters_.busy_ns, static_cast<std::uint64_t>(reactor_.busy()));
  measure(now);
  housekeeping_(now);
}

/** What it had to do since it was last asked, about a second ago. */
void Loop::measure(kernel::Nanos now) noexcept {
  const kernel::Nanos span = now - measured_at_;
  if (measured_at_ != 0 && span > 0) {
    const auto wakeups = static_cast<kernel::Nanos>(reactor_.wakeups() - measured_wakeups_);
    gauge(counters_.busy_permille,
          static_cast<std::uint64_t>((reactor_.busy() - measured_busy_) * 1000 / span));
    gauge(counters_.wakeups_per_second, static_cast<std::uint64_t>(wakeups * kernel::kSecond / span));
    kernel::bump(counters_.measured);
  }
  measured_at_ = now;
  measured_busy_ = reactor_.busy();
  measured_wakeups_ = reactor_.wakeups();
}

}  // namespace sluice::plane
