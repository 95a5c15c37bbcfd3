// When the packets of a stream leave: the media clock says from when on, the smoother how long after that.
#pragma once

#include <optional>

#include "plane/media_clock.h"
#include "plane/ring.h"
#include "plane/smoother.h"

namespace sluice::plane {

/**
 * A packet's media time, mapped by the clock, is what the smoother takes for its arrival. What the ring holds
 * is made known half a second ahead, because by then the clock has hardly been corrected any more. All times
 * are CLOCK_MONOTONIC; sequence numbers are extended ones of the ring.
 */
class Departures {
 public:
  /** `lookahead` of `smoothing` is not looked at. Without smoothing rates are measured and every packet
   * leaves at its media time. */
  Departures(Ring& ring, MediaClock& clock, const std::optional<SmootherOptions>& smoothing);

  /** Call before due() and leave() in a wake-up. */
  void plan(Nanos now) noexcept;
  /** When a packet that has not been released leaves. */
  [[nodiscard]] Nanos due(std::int64_t sequence) const noexcept {
    return sequence < planned_ ? smoother_.due(media_due(sequence)) : media_due(sequence);
  }
  /**
   * The first that has not been released leaves. A delayed one gets the RTP timestamp of when it does: the
   * target transmission time (RFC 2250 section 2), so that receivers see no jitter.
   */
  void leave(std::int64_t sequence) noexcept;
  /** The media time of everything published has passed; the smoother may still hold some of it. */
  [[nodiscard]] bool exhausted(Nanos now) const noexcept;
  /** What was published last came too late: it and everything after it waits for `at`; what is held does not.
   * False when it came in time. */
  bool postpone_late(Nanos now, Nanos at) noexcept;
  /** Another timeline begins: the pause before it says nothing about the rate. */
  void restart() noexcept { smoother_.restart(); }
  SmootherState state(Nanos now) noexcept { return smoother_.state(now); }

 private:
  [[nodiscard]] Nanos media_due(std::int64_t sequence) const noexcept {
    const Nanos at = clock_.departure(ring_.descriptor(sequence).media_time);
    return sequence < held_before_ ? at - held_moved_ : at;
  }

  Ring& ring_;
  MediaClock& clock_;
  Smoother smoother_;
  /** The first that the smoother does not know. */
  std::int64_t planned_;
  /** What was held when the clock was moved, and by how much. */
  std::int64_t held_before_;
  Nanos held_moved_ = 0;
};

}  // namespace sluice::plane
