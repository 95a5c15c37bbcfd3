// Combinations of byte vectors by GF2P8AFFINEQB; only galois.cc chooses them. It multiplies by a matrix of
// 8 x 8 bits: any field's multiplication by a constant is one. `matrices` has one for each output, input
// after input, with room for kMatricesBehind more behind the last.
#pragma once

#include "repair/galois_vectors.h"

namespace sluice::repair {

#if defined(__x86_64__)

constexpr std::size_t kMatricesBehind = 3;

[[nodiscard]] std::uint64_t galois_matrix(std::uint8_t coefficient) noexcept;
[[nodiscard]] bool has_gfni() noexcept;
[[nodiscard]] bool has_gfni_avx512() noexcept;
/** Of at least 32 bytes. */
void combine_gfni(const std::uint64_t* matrices, const GaloisVectors& vectors) noexcept;
/** Of at least 64 bytes. */
void combine_gfni_avx512(const std::uint64_t* matrices, const GaloisVectors& vectors) noexcept;
/** Of vectors of eight bytes. */
void combine_eight_gfni(const std::uint64_t* matrices, const GaloisVectors& vectors) noexcept;

#endif

}  // namespace sluice::repair
