#include "plane/loop.h"

#include <pthread.h>
#include <signal.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "kernel/thread.h"

namespace sluice::plane {

using kernel::gauge;

Loop::Loop(std::uint32_t index, LoopCounters& counters, std::function<void(kernel::Nanos)> housekeeping)
    : index_(index), counters_(counters), housekeeping_(std::move(housekeeping)) {}

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

void Loop::post(std::function<void()> command) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(command));
  }
  reactor_.wake();
}

void Loop::run() noexcept {
  pthread_setname_np(pthread_self(), ("sluice-loop" + std::to_string(index_)).c_str());
  kernel::prefer_latency();
  while (!stopping_.load()) {
    if (reactor_.turn()) run_commands();
    if (reactor_.now() >= next_housekeeping_) keep_house();
  }
  run_commands();
}

void Loop::run_commands() noexcept {
  std::vector<Command> commands;
  std::vector<std::function<void()>> posted;
  {
    const std::lock_guard lock(mutex_);
    commands.swap(commands_);
    posted.swap(posted_);
  }
  for (const auto& command : posted) command();
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
  const kernel::Nanos now = reactor_.now();
  next_housekeeping_ = now + kernel::kSecond;
  gauge(counters_.wakeups, reactor_.wakeups());
  gauge(counters_.events, reactor_.events());
  gauge(counters_.busy_ns, static_cast<std::uint64_t>(reactor_.busy()));
  if (measured_at_ != 0 && now > measured_at_)
    gauge(counters_.busy_permille,
          static_cast<std::uint64_t>((reactor_.busy() - measured_busy_) * 1000 / (now - measured_at_)));
  measured_at_ = now;
  measured_busy_ = reactor_.busy();
  gauge(counters_.measured, counters_.measured + 1);
  housekeeping_(now);
}

}  // namespace sluice::plane
