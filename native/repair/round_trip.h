// The time from a question to its answer, as RFC 6298 estimates it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace sluice::repair {

/** CLOCK_MONOTONIC in nanoseconds, or a test's clock. */
using Nanos = std::int64_t;
constexpr Nanos kMillisecond = 1'000'000;

class RoundTrip {
 public:
  /** `first` is taken until one was measured. */
  explicit RoundTrip(Nanos first) noexcept : smoothed_(first), variation_(first / 2) {}

  /** An answer to what had been asked once only (Karn): of others it is not known which question it answers.
   */
  void measure(Nanos taken) noexcept {
    if (!measured_) {
      measured_ = true;
      smoothed_ = taken;
      variation_ = taken / 2;
      return;
    }
    variation_ += (std::abs(taken - smoothed_) - variation_) / 4;
    smoothed_ += (taken - smoothed_) / 8;
  }

  [[nodiscard]] bool measured() const noexcept { return measured_; }
  [[nodiscard]] Nanos smoothed() const noexcept { return smoothed_; }
  /** After so long without an answer there will be none. */
  [[nodiscard]] Nanos patience() const noexcept {
    constexpr Nanos kGrain = kMillisecond;
    return smoothed_ + std::max(kGrain, std::min(4 * variation_, smoothed_ / 2));
  }

 private:
  Nanos smoothed_;
  Nanos variation_;
  bool measured_ = false;
};

}  // namespace sluice::repair
