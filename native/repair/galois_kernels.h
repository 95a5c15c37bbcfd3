// The ways to combine byte vectors: one file for each kind of them. Only galois.cc chooses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace sluice::repair {

/** `inputs` and `outputs` vectors of `size` bytes, of which none overlaps another. */
struct GaloisVectors {
  std::size_t size;
  std::span<const std::uint8_t* const> inputs;
  std::span<std::uint8_t* const> outputs;
};

// By tables of products with half bytes. `rows` has a coefficient for each input, output after output.
void combine_portable(const std::uint8_t* rows, const GaloisVectors& vectors) noexcept;
/** Of vectors of eight bytes. */
void combine_eight_portable(const std::uint8_t* rows, const GaloisVectors& vectors) noexcept;

#if defined(__x86_64__)

[[nodiscard]] bool has_avx2() noexcept;
void combine_avx2(const std::uint8_t* rows, const GaloisVectors& vectors) noexcept;
/** Of vectors of eight bytes, at most 255 inputs. */
void combine_eight_avx2(const std::uint8_t* rows, const GaloisVectors& vectors) noexcept;

// By GF2P8AFFINEQB: multiplication by a coefficient is a matrix of 8 x 8 bits. `matrices` has one for each
// output, input after input, with room for kMatricesBehind more behind the last.
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
