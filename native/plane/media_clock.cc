#include "plane/media_clock.h"

#include <algorithm>
#include <limits>

namespace sluice::plane {

namespace {

constexpr double kNanosPerTick = 1e9 / static_cast<double>(codec::kSystemClock);
/** A deviation of the level is worked off over this time. */
constexpr double kSettleNanos = 300e9;
constexpr Nanos kNone = std::numeric_limits<Nanos>::max();

}  // namespace

void MediaClock::start(std::int64_t media, Nanos at) noexcept {
  running_ = true;
  base_media_ = media;
  base_time_ = at;
  relearn(at);
}

void MediaClock::relearn(Nanos now) noexcept {
  windows_ = 0;
  window_end_ = now + kWindow;
  least_now_ = kNone;
  least_before_ = kNone;
}

Nanos MediaClock::departure(std::int64_t media) const noexcept {
  return base_time_ +
         static_cast<Nanos>(static_cast<double>(media - base_media_) * kNanosPerTick * (1 - correction_));
}

std::int64_t MediaClock::media_at(Nanos at) const noexcept {
  return base_media_ +
         static_cast<std::int64_t>(static_cast<double>(at - base_time_) / kNanosPerTick / (1 - correction_));
}

void MediaClock::rebase(Nanos now) noexcept {
  base_media_ = media_at(now);
  base_time_ = now;
}

void MediaClock::observe(Nanos level, Nanos now) noexcept {
  least_now_ = std::min(least_now_, level);
  if (now < window_end_) return;
  const Nanos least = std::min(least_now_, least_before_);
  least_before_ = least_now_;
  least_now_ = kNone;
  window_end_ = now + kWindow;
  if (least == kNone) return;
  // The first window holds the start, when the buffer is still filling; the next two tell where the level
  // rests, and from then on it is held there.
  if (++windows_ <= 3) {
    set_point_ = least;
    return;
  }
  rebase(now);
  correction_ =
      std::clamp(static_cast<double>(least - set_point_) / kSettleNanos, -kMaxCorrection, kMaxCorrection);
}

}  // namespace sluice::plane
