// Combinations of byte vectors by tables of products with half bytes; only galois.cc chooses them. `rows` has
// a coefficient for each input, output after output.
#pragma once

#include "repair/galois_vectors.h"

namespace sluice::repair {

/** One byte after the other. */
void combine_portable(const std::uint8_t* rows, const GaloisVectors& vectors) noexcept;

#if defined(__x86_64__)

[[nodiscard]] bool has_avx2() noexcept;
/** 32 bytes at a time. */
void combine_avx2(const std::uint8_t* rows, const GaloisVectors& vectors) noexcept;
/** Of vectors of eight bytes, at most 255 inputs. */
void combine_eight_avx2(const std::uint8_t* rows, const GaloisVectors& vectors) noexcept;

#endif

}  // namespace sluice::repair
