#include "plane/departures.h"

#include <limits>

namespace sluice::plane {

namespace {

constexpr Nanos kLookahead = 500 * kernel::kMillisecond;
/** 90 kHz from 27 MHz. */
constexpr std::int64_t kTicksPerRtp = 300;
/** Of the timestamp in the RTP header. */
constexpr std::size_t kTimestampAt = 4;

SmootherOptions planned(const std::optional<SmootherOptions>& smoothing) {
  SmootherOptions options = smoothing.value_or(SmootherOptions{});
  options.lookahead = kLookahead;
  if (!smoothing) options.threshold = std::numeric_limits<double>::infinity();
  return options;
}

}  // namespace

Departures::Departures(Ring& ring, MediaClock& clock, const std::optional<SmootherOptions>& smoothing)
    : ring_(ring),
      clock_(clock),
      smoother_(planned(smoothing)),
      planned_(ring.next_sequence()),
      held_before_(planned_) {}

void Departures::plan(Nanos now) noexcept {
  for (; planned_ < ring_.next_sequence(); planned_++) {
    const Nanos at = media_due(planned_);
    if (at > now + kLookahead) return;
    smoother_.push(ring_.descriptor(planned_).size, at);
  }
}

void Departures::leave(std::int64_t sequence) noexcept {
  const Nanos at = media_due(sequence);
  const Nanos due = smoother_.due(at);
  smoother_.take(ring_.descriptor(sequence).size, at);
  if (due > at)
    codec::store32(ring_.header(sequence) + kTimestampAt,
                   static_cast<std::uint32_t>(clock_.media_at(due) / kTicksPerRtp));
}

bool Departures::exhausted(Nanos now) const noexcept {
  return ring_.released_sequence() == ring_.next_sequence() || media_due(ring_.next_sequence() - 1) <= now;
}

bool Departures::postpone_late(Nanos now, Nanos at) noexcept {
  const Nanos first = media_due(planned_);
  if (first >= now) return false;
  clock_.postpone(at - first);
  held_moved_ = at - first + (ring_.released_sequence() < held_before_ ? held_moved_ : 0);
  held_before_ = planned_;
  return true;
}

}  // namespace sluice::plane
