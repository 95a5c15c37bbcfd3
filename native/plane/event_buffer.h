// Events on their way to a thread that may be busy: bounded, but for those that must not be lost.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

namespace sluice::plane {

template <class Event>
class EventBuffer {
 public:
  /** Beyond so many that wait, what may be lost is. */
  static constexpr std::size_t kMost = 65'536;

  /** From any thread. True when whoever takes them is to be called: it has not been since it last took. */
  [[nodiscard]] bool push(Event event, bool may_be_lost) {
    const std::lock_guard lock(mutex_);
    if (may_be_lost && events_.size() >= kMost) {
      lost_.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
    events_.push_back(std::move(event));
    return !std::exchange(called_, true);
  }
  /** All that wait, in the order in which they came. */
  [[nodiscard]] std::vector<Event> take() {
    const std::lock_guard lock(mutex_);
    called_ = false;
    return std::exchange(events_, {});
  }
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_.load(std::memory_order_relaxed); }

 private:
  std::mutex mutex_;
  std::vector<Event> events_;
  bool called_ = false;
  std::atomic<std::uint64_t> lost_{0};
};

}  // namespace sluice::plane
