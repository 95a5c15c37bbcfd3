// The sender's clock, recovered: when a moment of the media timeline departs.
#pragma once

#include "codec/mpegts.h"
#include "kernel/reactor.h"

namespace sluice::plane {

using kernel::Nanos;

/**
 * Maps the media timeline (27 MHz) to CLOCK_MONOTONIC. The mapping's speed is corrected by the buffer level:
 * were the sender's clock faster than ours, the least level of each window would creep up, and down were it
 * slower. The least is taken because segmented inputs fill the buffer in steps.
 */
class MediaClock {
 public:
  /** Bound of the correction: some times the 30 ppm that a sender may be off (13818-1 2.4.2.1), to work off
   * deviations. */
  static constexpr double kMaxCorrection = 200e-6;
  static constexpr Nanos kWindow = 10 * kernel::kSecond;

  [[nodiscard]] bool running() const noexcept { return running_; }
  /** `media` departs at `at`; forgets what was learnt of the level. */
  void start(std::int64_t media, Nanos at) noexcept;
  [[nodiscard]] Nanos departure(std::int64_t media) const noexcept;
  [[nodiscard]] std::int64_t media_at(Nanos at) const noexcept;
  /** Everything that has not departed waits longer by `by`. */
  void postpone(Nanos by) noexcept { base_time_ += by; }
  /** The level has changed for another reason than the clocks: forgets where it rested, but not the
   * correction. */
  void relearn(Nanos now) noexcept;
  /** Tells how long before its departure the newest media arrived; call it at every arrival. */
  void observe(Nanos level, Nanos now) noexcept;
  /** Correction in force, parts per 10^9; positive is faster. */
  [[nodiscard]] std::int64_t correction_ppb() const noexcept {
    return static_cast<std::int64_t>(correction_ * 1e9);
  }

 private:
  void rebase(Nanos now) noexcept;

  bool running_ = false;
  std::int64_t base_media_ = 0;
  Nanos base_time_ = 0;
  double correction_ = 0;
  Nanos window_end_ = 0;
  Nanos least_now_ = 0;
  Nanos least_before_ = 0;
  Nanos set_point_ = 0;
  int windows_ = 0;
};

}  // namespace sluice::plane
