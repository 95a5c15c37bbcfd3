// Which loop gets what comes next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice::plane {

/** What a loop has to do. */
struct LoopLoad {
  /** Of the last second that was measured, in thousandths. */
  std::uint64_t busy = 0;
  /** How much was placed there then. */
  std::size_t measured = 0;
  /** How much is placed there. */
  std::size_t placed = 0;
};

/**
 * The loop with the least to do: by its busy time in steps of a twentieth, then by how much is placed there,
 * then the first. What has come since the last second is taken to need as much as the rest does on average.
 * `loads` is not empty.
 */
[[nodiscard]] std::size_t least_loaded(std::span<const LoopLoad> loads) noexcept;

}  // namespace sluice::plane
