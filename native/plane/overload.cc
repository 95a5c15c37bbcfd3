#include "plane/overload.h"

namespace sluice::plane {

void Overload::observe(Nanos waited, Nanos now) noexcept {
  if (waited <= kLagging)
    lagging_since_ = 0;
  else if (lagging_since_ == 0)
    lagging_since_ = now;
  if (now - changed_ < kStep) return;
  if (lagging_since_ != 0 && now - lagging_since_ >= kStep) {
    // The next priority at which there are flows gives way, unless there are none above it.
    unsigned lowest = level_;
    while (lowest < kPriorities && flows_[lowest] == 0) lowest++;
    unsigned above = lowest + 1;
    while (above < kPriorities && flows_[above] == 0) above++;
    if (above >= kPriorities) return;
    level_ = lowest + 1;
    changed_ = now;
  } else if (waited < kCaughtUp && level_ > 0) {
    level_--;
    while (level_ > 0 && flows_[level_ - 1] == 0) level_--;
    changed_ = now;
  }
}

}  // namespace sluice::plane
