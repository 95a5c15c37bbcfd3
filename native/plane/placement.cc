#include "plane/placement.h"

#include <algorithm>
#include <utility>

namespace sluice::plane {

namespace {

/** Loops whose busy time differs by less are alike: how much is there is the steadier measure. */
constexpr std::uint64_t kStep = 50;

std::uint64_t expected_busy(const LoopLoad& load) noexcept {
  return load.measured == 0 ? load.busy : load.busy * load.placed / load.measured;
}

}  // namespace

std::size_t least_loaded(std::span<const LoopLoad> loads) noexcept {
  const auto order = [](const LoopLoad& load) { return std::pair(expected_busy(load) / kStep, load.placed); };
  const auto least = std::min_element(
      loads.begin(), loads.end(), [&](const LoopLoad& a, const LoopLoad& b) { return order(a) < order(b); });
  return static_cast<std::size_t>(least - loads.begin());
}

}  // namespace sluice::plane
