// How many of something may happen in a second.
#pragma once

#include <algorithm>

#include "membership/deadlines.h"

namespace sluice::membership {

class TokenBucket {
 public:
  /** `rate` in a second, 0: without limit; `burst` of them at once, 0: as many as in a second. */
  TokenBucket(unsigned rate, unsigned burst) noexcept
      : pause_(rate == 0 ? 0 : kSecond / rate), slack_(pause_ * ((burst == 0 ? rate : burst) - Nanos{1})) {}

  /** Whether one more may happen now; then it has. */
  bool take(Nanos now) noexcept {
    if (pause_ == 0) return true;
    const Nanos due = std::max(due_, now);
    if (due - now > slack_) return false;
    due_ = due + pause_;
    return true;
  }

 private:
  Nanos pause_;
  /** How far ahead of their even rhythm they may happen. */
  Nanos slack_;
  Nanos due_ = 0;
};

}  // namespace sluice::membership
