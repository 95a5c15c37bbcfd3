// What a loop does not send when it cannot send everything.
#pragma once

#include <array>

#include "kernel/reactor.h"

namespace sluice::plane {

using kernel::kMillisecond;
using kernel::Nanos;

/**
 * Two rules, for one loop. (1) A packet that has waited longer than kStalest is not sent: what is sent is
 * fresh, and a queue that has built up is gone at the cost of reading it. (2) While packets have waited
 * longer than kLagging for a whole kStep, flows of the lowest priority present give way, one priority more
 * every kStep; those of the highest never do. As soon as packets wait less than kCaughtUp, they come back,
 * one priority every kStep. Time is an argument.
 */
class Overload {
 public:
  static constexpr unsigned kPriorities = 8;
  static constexpr Nanos kStalest = 100 * kMillisecond;
  static constexpr Nanos kLagging = 20 * kMillisecond;
  static constexpr Nanos kCaughtUp = 5 * kMillisecond;
  static constexpr Nanos kStep = 50 * kMillisecond;

  /** A flow of a priority, 0 to 7, has come or gone. */
  void enter(unsigned priority) noexcept { flows_[priority]++; }
  void leave(unsigned priority) noexcept { flows_[priority]--; }

  /** How long the oldest packet of those just read had waited. */
  void observe(Nanos waited, Nanos now) noexcept;
  /** Whether flows of this priority give way now. */
  [[nodiscard]] bool sheds(unsigned priority) const noexcept { return priority < level_; }
  [[nodiscard]] static bool stale(Nanos arrival, Nanos now) noexcept { return now - arrival > kStalest; }
  /** Priorities below this one give way. */
  [[nodiscard]] unsigned level() const noexcept { return level_; }

 private:
  std::array<std::size_t, kPriorities> flows_{};
  unsigned level_ = 0;
  Nanos changed_ = 0;
  /** Since when nobody was caught up; 0 while somebody is. */
  Nanos lagging_since_ = 0;
};

}  // namespace sluice::plane
