// What all ways to combine byte vectors are given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice::repair {

/** Vectors of `size` bytes, of which none overlaps another. */
struct GaloisVectors {
  std::size_t size;
  std::span<const std::uint8_t* const> inputs;
  std::span<std::uint8_t* const> outputs;
};

}  // namespace sluice::repair
