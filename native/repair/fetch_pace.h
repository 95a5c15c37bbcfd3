// When a fetch from elsewhere is worth its while: how long fetches take, and how long none is tried after
// they failed.
#pragma once

#include <algorithm>

#include "repair/round_trip.h"

namespace sluice::repair {

constexpr Nanos kNever = INT64_MAX;

/** Of one fetch at a time. Time is an argument and does not go back. */
class FetchPace {
 public:
  /** Between attempts that fail: none after the first of them, then so long, doubled up to the most. */
  static constexpr Nanos kFirstPause = 200 * kMillisecond;
  static constexpr Nanos kLongestPause = 5'000 * kMillisecond;
  /** Where fetches take too long, one is tried so often all the same: they may have become faster. */
  static constexpr Nanos kProbe = 1'000 * kMillisecond;

  /** A fetch is thought to take `first` until one was measured. */
  explicit FetchPace(Nanos first) noexcept : taken_(first) {}

  /** From when on the next may begin; kNever while one is under way. */
  [[nodiscard]] Nanos ready() const noexcept { return busy_ ? kNever : ready_; }
  /** So long before its time a packet is fetched at the latest: room for a second attempt, but half of the
   * playout delay is the others'. */
  [[nodiscard]] Nanos reserve(Nanos playout) const noexcept {
    const Nanos patience = taken_.patience();
    return std::min(2 * patience, std::max(playout / 2, patience));
  }
  /** Whether one that begins now may be there by then. */
  [[nodiscard]] bool in_time(Nanos due, Nanos now) const noexcept {
    if (now > due) return false;
    return !taken_.measured() || now + taken_.smoothed() <= due || now >= begun_ + kProbe;
  }
  /** For so long an answer is waited for. */
  [[nodiscard]] Nanos bound(Nanos playout) const noexcept {
    constexpr Nanos kLeast = 50 * kMillisecond;
    constexpr Nanos kSlow = 3;
    if (!taken_.measured()) return playout;
    return std::max(kLeast, std::min(kSlow * taken_.patience(), playout));
  }

  void begin(Nanos now) noexcept {
    busy_ = true;
    begun_ = now;
  }
  void end(bool answered, Nanos now) noexcept {
    const Nanos took = now - begun_;
    busy_ = false;
    if (answered) {
      // How long it took to fail tells nothing of how long it takes now.
      if (failed_) taken_ = RoundTrip(took);
      taken_.measure(took);
      pause_ = 0;
      failed_ = false;
      ready_ = now;
      return;
    }
    taken_.measure(std::max(took, taken_.smoothed()));
    if (failed_) pause_ = std::clamp(2 * pause_, kFirstPause, kLongestPause);
    failed_ = true;
    ready_ = now + pause_;
  }
  [[nodiscard]] Nanos smoothed() const noexcept { return taken_.smoothed(); }

 private:
  RoundTrip taken_;
  bool busy_ = false;
  bool failed_ = false;
  Nanos begun_ = 0;
  Nanos ready_ = 0;
  Nanos pause_ = 0;
};

}  // namespace sluice::repair
