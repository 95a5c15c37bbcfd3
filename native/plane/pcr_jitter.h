// How regularly the clock references of a stream arrive.
#pragma once

#include <array>

#include "codec/mpegts.h"
#include "kernel/reactor.h"

namespace sluice::plane {

/**
 * PCR jitter at arrival. Every PCR gives a point (PCR time, arrival time). PCR time is taken back to the
 * first byte of the datagram, along the rate between this PCR and the one before (2.4.2.2), so that the place
 * of a PCR within its datagram does not count as jitter. A line is fitted to the points of the last four
 * seconds by least squares: its slope is the sender's clock against ours, its offset the mean transit. Points
 * further off than 2.5 times the root mean square are left out and the line is fitted once more. The figure
 * is the largest |arrival - line| over the last second.
 */
class PcrJitter {
 public:
  struct Sample {
    /** 27 MHz, modulo codec::kPcrModulus. */
    std::int64_t pcr = 0;
    kernel::Nanos arrival = 0;
    /** Bytes of the stream up to and including the packet. */
    std::uint64_t position = 0;
    /** Bytes of the datagram before the packet. */
    std::size_t offset = 0;
    /** discontinuity_indicator of the packet. */
    bool announced = false;
  };

  /** False when the PCR does not continue the one before: announced, or further off than loss or delay
   * explain. */
  bool push(const Sample& sample) noexcept;
  void reset() noexcept;
  /** The figure, ns; 0 until there are enough points. Renewed five times a second. */
  [[nodiscard]] kernel::Nanos deviation() const noexcept { return deviation_; }

 private:
  static constexpr std::size_t kPoints = 512;
  struct Point {
    /** PCR time, ns since the first PCR. */
    double clock = 0;
    /** Arrival less PCR time, ns, relative to the first point. */
    double transit = 0;
    kernel::Nanos arrival = 0;
  };
  struct Line {
    double offset = 0;
    double slope = 0;
    [[nodiscard]] double off(const Point& p) const noexcept { return p.transit - (offset + slope * p.clock); }
  };

  [[nodiscard]] const Point& point(std::size_t i) const noexcept { return points_[(first_ + i) % kPoints]; }
  void begin(const Sample& sample) noexcept;
  void add(double clock, kernel::Nanos arrival) noexcept;
  /** Fit to the points no further than `limit` from `line`. */
  [[nodiscard]] Line fit(const Line& line, double limit) const noexcept;
  [[nodiscard]] double rms(const Line& line) const noexcept;
  void measure(kernel::Nanos now) noexcept;

  std::array<Point, kPoints> points_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  bool begun_ = false;
  Sample last_;
  kernel::Nanos origin_ = 0;
  /** 27 MHz ticks since the first PCR. */
  std::int64_t ticks_ = 0;
  double ns_per_byte_ = 0;
  kernel::Nanos measured_at_ = 0;
  kernel::Nanos deviation_ = 0;
};

}  // namespace sluice::plane
