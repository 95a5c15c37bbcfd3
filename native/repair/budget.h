// How much may go out: so much a second, and a burst at once.
#pragma once

#include <algorithm>

#include "repair/round_trip.h"

namespace sluice::repair {

/** A bucket of bytes; time is an argument and does not go back. */
class Budget {
 public:
  /** `rate` in bytes a second, `burst` in bytes: what is there at first, and at most. */
  Budget(std::uint64_t rate, std::uint64_t burst) noexcept
      : rate_(static_cast<double>(rate)), burst_(static_cast<double>(burst)), left_(burst_) {}

  /** False when so much is not there; nothing is taken then. */
  bool take(std::size_t bytes, Nanos now) noexcept {
    left_ = std::min(burst_, left_ + rate_ * static_cast<double>(now - at_) / 1e9);
    at_ = now;
    const auto wanted = static_cast<double>(bytes);
    if (left_ < wanted) return false;
    left_ -= wanted;
    return true;
  }
  /** In bytes a second, from now on. */
  void set_rate(std::uint64_t rate) noexcept { rate_ = static_cast<double>(rate); }
  /** For what was taken and not used. */
  void give_back(std::size_t bytes) noexcept { left_ = std::min(burst_, left_ + static_cast<double>(bytes)); }

 private:
  double rate_;
  double burst_;
  double left_;
  Nanos at_ = 0;
};

}  // namespace sluice::repair
