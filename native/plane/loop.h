// The thread that runs a reactor, and the way other threads ask it for something.
#pragma once

#include <atomic>
#include <condition_variable>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "kernel/reactor.h"
#include "kernel/result.h"
#include "plane/counters.h"

namespace sluice::plane {

/** One loop thread. Never calls into V8 and never throws; commands from other threads run between turns, in
 * the order in which they came. */
class Loop {
 public:
  /** `name`: the thread's, up to 15 characters; `housekeeping` is called on it about once a second. */
  Loop(std::string name, LoopCounters& counters, std::function<void(kernel::Nanos)> housekeeping);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop() { stop(); }

  /**
   * With `cpu` the thread runs nowhere else.
   * @returns why there is no thread: SYSTEM_CALL, or CPU_UNKNOWN
   */
  std::optional<kernel::Error> start(std::optional<unsigned> cpu = std::nullopt);
  /** Ends the thread after the present turn. Idempotent; from any other thread. */
  void stop();
  /** Runs `command` on the thread and waits for it; throws here what it throws. From any other thread, while
   * the loop runs. */
  void call(const std::function<void()>& command);
  /** Runs `command`, which does not throw, on the thread, without waiting for it. From any thread; what comes
   * after the end of the loop is destroyed here, and what waits then by stop(). */
  void post(std::function<void()> command);
  [[nodiscard]] kernel::Reactor& reactor() noexcept { return reactor_; }

 private:
  bool start_thread();
  void run() noexcept;
  void run_commands() noexcept;
  void keep_house() noexcept;
  void measure(kernel::Nanos now) noexcept;

  struct Waiter {
    bool done = false;
    std::exception_ptr failure;
  };
  struct Command {
    std::function<void()> run;
    /** Null where nobody waits. */
    Waiter* waiter;
  };

  const std::string name_;
  LoopCounters& counters_;
  std::function<void(kernel::Nanos)> housekeeping_;
  kernel::Reactor reactor_;
  std::thread thread_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable done_;
  std::vector<Command> commands_;
  bool ended_ = false;
  kernel::Nanos next_housekeeping_ = 0;
  // Of the last housekeeping.
  kernel::Nanos measured_at_ = 0;
  kernel::Nanos measured_busy_ = 0;
  std::uint64_t measured_wakeups_ = 0;
};

}  // namespace sluice::plane
