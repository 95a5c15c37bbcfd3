#include "repair/galois_affine.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "repair/galois.h"

namespace sluice::repair {

namespace {

/** Bit `out` of a product is the parity of what row `out` selects of the other factor; row 7 is the lowest
 * byte. */
constexpr std::uint64_t make_matrix(std::uint8_t coefficient) noexcept {
  std::uint64_t matrix = 0;
  for (unsigned in = 0; in < 8; in++) {
    const unsigned product = galois_product(coefficient, static_cast<std::uint8_t>(1U << in));
    for (unsigned out = 0; out < 8; out++)
      matrix |= std::uint64_t{product >> out & 1} << (8 * (7 - out) + in);
  }
  return matrix;
}

constexpr std::array<std::uint64_t, 256> make_matrices() noexcept {
  std::array<std::uint64_t, 256> made{};
  for (unsigned a = 0; a < 256; a++) made[a] = make_matrix(static_cast<std::uint8_t>(a));
  return made;
}

constexpr std::array<std::uint64_t, 256> kMatrices = make_matrices();

/** Outputs at a time: twice as many sums, and what they are made of, are as many registers as AVX2 has. */
constexpr std::size_t kMostOutputs = 6;

/** Some outputs' bytes from `at` on. */
struct Piece {
  /** Of the first input and the first of these outputs; `stride` from one input to the next. */
  const std::uint64_t* matrices;
  std::size_t stride;
  std::span<const std::uint8_t* const> inputs;
  std::uint8_t* const* outputs;
  std::size_t at;
};

// Both widths are the same but for their instructions: a function has one target, and lends it to nobody.
// Loops are unrolled, else the sums are in memory.

template <unsigned kOutputs, unsigned kVectors>
__attribute__((target("gfni,avx512bw"))) void combine_piece_64(const Piece& p) noexcept {
  __m512i sums[kOutputs][kVectors];
#pragma GCC unroll 6
  for (auto& sum : sums)
#pragma GCC unroll 2
    for (__m512i& one : sum) one = _mm512_setzero_si512();
  const std::uint64_t* matrices = p.matrices;
  for (const std::uint8_t* const input : p.inputs) {
    __m512i bytes[kVectors];
#pragma GCC unroll 2
    for (unsigned v = 0; v < kVectors; v++) bytes[v] = _mm512_loadu_si512(input + p.at + v * 64);
#pragma GCC unroll 6
    for (unsigned i = 0; i < kOutputs; i++) {
      const __m512i matrix = _mm512_set1_epi64(static_cast<long long>(matrices[i]));
#pragma GCC unroll 2
      for (unsigned v = 0; v < kVectors; v++)
        sums[i][v] = _mm512_xor_si512(sums[i][v], _mm512_gf2p8affine_epi64_epi8(bytes[v], matrix, 0));
    }
    matrices += p.stride;
  }
#pragma GCC unroll 6
  for (unsigned i = 0; i < kOutputs; i++)
#pragma GCC unroll 2
    for (unsigned v = 0; v < kVectors; v++) _mm512_storeu_si512(p.outputs[i] + p.at + v * 64, sums[i][v]);
}

template <unsigned kOutputs, unsigned kVectors>
__attribute__((target("gfni,avx2"))) void combine_piece_32(const Piece& p) noexcept {
  __m256i sums[kOutputs][kVectors];
#pragma GCC unroll 6
  for (auto& sum : sums)
#pragma GCC unroll 2
    for (__m256i& one : sum) one = _mm256_setzero_si256();
  const std::uint64_t* matrices = p.matrices;
  for (const std::uint8_t* const input : p.inputs) {
    __m256i bytes[kVectors];
#pragma GCC unroll 2
    for (unsigned v = 0; v < kVectors; v++)
      bytes[v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(input + p.at + v * 32));
#pragma GCC unroll 6
    for (unsigned i = 0; i < kOutputs; i++) {
      const __m256i matrix = _mm256_set1_epi64x(static_cast<long long>(matrices[i]));
#pragma GCC unroll 2
      for (unsigned v = 0; v < kVectors; v++)
        sums[i][v] = _mm256_xor_si256(sums[i][v], _mm256_gf2p8affine_epi64_epi8(bytes[v], matrix, 0));
    }
    matrices += p.stride;
  }
#pragma GCC unroll 6
  for (unsigned i = 0; i < kOutputs; i++)
#pragma GCC unroll 2
    for (unsigned v = 0; v < kVectors; v++)
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(p.outputs[i] + p.at + v * 32), sums[i][v]);
}

using Combine = void (*)(const Piece&) noexcept;
/** By number of outputs less one. */
using Combines = std::array<Combine, kMostOutputs>;

template <unsigned kVectors>
constexpr Combines kBy64{combine_piece_64<1, kVectors>, combine_piece_64<2, kVectors>,
                         combine_piece_64<3, kVectors>, combine_piece_64<4, kVectors>,
                         combine_piece_64<5, kVectors>, combine_piece_64<6, kVectors>};
template <unsigned kVectors>
constexpr Combines kBy32{combine_piece_32<1, kVectors>, combine_piece_32<2, kVectors>,
                         combine_piece_32<3, kVectors>, combine_piece_32<4, kVectors>,
                         combine_piece_32<5, kVectors>, combine_piece_32<6, kVectors>};

/** The same bytes of all outputs, in groups that are about equal: a small one loads as much as a large. */
void combine_column(const std::uint64_t* matrices, const GaloisVectors& v, std::size_t at,
                    const Combines& combines) noexcept {
  const std::size_t outputs = v.outputs.size();
  std::size_t groups = (outputs + kMostOutputs - 1) / kMostOutputs;
  for (std::size_t i = 0; groups > 0; groups--) {
    const std::size_t some = (outputs - i) / groups;
    combines[some - 1]({matrices + i, outputs, v.inputs, v.outputs.data() + i, at});
    i += some;
  }
}

/** Column by column, so that what several groups of outputs read of the inputs is in the nearest cache. The
 * last one overlaps the one before: what is written there is the same once more. */
void combine_columns(const std::uint64_t* matrices, const GaloisVectors& v, std::size_t width,
                     const Combines& two, const Combines& one) noexcept {
  std::size_t at = 0;
  for (; at + 2 * width <= v.size; at += 2 * width) combine_column(matrices, v, at, two);
  for (; at + width <= v.size; at += width) combine_column(matrices, v, at, one);
  if (at < v.size) combine_column(matrices, v, v.size - width, one);
}

}  // namespace

std::uint64_t galois_matrix(std::uint8_t coefficient) noexcept {
  return kMatrices[coefficient];
}

bool has_gfni() noexcept {
  return __builtin_cpu_supports("gfni") != 0 && __builtin_cpu_supports("avx2") != 0;
}

bool has_gfni_avx512() noexcept {
  return has_gfni() && __builtin_cpu_supports("avx512bw") != 0;
}

void combine_gfni(const std::uint64_t* matrices, const GaloisVectors& vectors) noexcept {
  combine_columns(matrices, vectors, 32, kBy32<2>, kBy32<1>);
}

void combine_gfni_avx512(const std::uint64_t* matrices, const GaloisVectors& vectors) noexcept {
  combine_columns(matrices, vectors, 64, kBy64<2>, kBy64<1>);
}

/** An input is in each lane, and the lanes' matrices are those of four outputs. */
__attribute__((target("gfni,avx2"))) void combine_eight_gfni(const std::uint64_t* matrices,
                                                             const GaloisVectors& v) noexcept {
  const std::size_t outputs = v.outputs.size();
  for (std::size_t i = 0; i < outputs; i += 4) {
    __m256i sum = _mm256_setzero_si256();
    for (std::size_t j = 0; j < v.inputs.size(); j++) {
      long long input = 0;
      std::memcpy(&input, v.inputs[j], sizeof input);
      const auto* const four = reinterpret_cast<const __m256i*>(matrices + j * outputs + i);
      sum = _mm256_xor_si256(
          sum, _mm256_gf2p8affine_epi64_epi8(_mm256_set1_epi64x(input), _mm256_loadu_si256(four), 0));
    }
    alignas(32) std::array<std::uint64_t, 4> sums;
    _mm256_store_si256(reinterpret_cast<__m256i*>(sums.data()), sum);
    for (std::size_t k = 0; k < std::min<std::size_t>(4, outputs - i); k++)
      std::memcpy(v.outputs[i + k], &sums[k], sizeof sums[k]);
  }
}

}  // namespace sluice::repair

#endif
