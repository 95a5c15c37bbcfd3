#include "repair/galois_halves.h"

#include <algorithm>
#include <array>

#include "repair/galois.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sluice::repair {

namespace {

/** Of one coefficient: its products with 0 to 15, then with 0x00 to 0xf0. */
using Products = std::array<std::uint8_t, 32>;

constexpr std::array<Products, 256> make_products() noexcept {
  std::array<Products, 256> made{};
  for (unsigned a = 0; a < 256; a++) {
    for (unsigned half = 0; half < 16; half++) {
      made[a][half] = galois_product(static_cast<std::uint8_t>(a), static_cast<std::uint8_t>(half));
      made[a][16 + half] = galois_product(static_cast<std::uint8_t>(a), static_cast<std::uint8_t>(half << 4));
    }
  }
  return made;
}

alignas(32) constexpr std::array<Products, 256> kProducts = make_products();

void add_portable(std::uint8_t* out, const std::uint8_t* in, std::size_t size,
                  const Products& table) noexcept {
  for (std::size_t i = 0; i < size; i++)
    out[i] = static_cast<std::uint8_t>(out[i] ^ table[in[i] & 15] ^ table[16 + (in[i] >> 4)]);
}

/** Sums up products that `add` makes of an output, an input, their size and the table of a coefficient. */
template <typename Add>
void sum_up(const std::uint8_t* rows, const GaloisVectors& v, Add add) noexcept {
  for (std::uint8_t* const out : v.outputs) {
    std::fill_n(out, v.size, std::uint8_t{0});
    for (const std::uint8_t* const in : v.inputs) add(out, in, v.size, kProducts[*rows++]);
  }
}

}  // namespace

void combine_portable(const std::uint8_t* rows, const GaloisVectors& vectors) noexcept {
  sum_up(rows, vectors, add_portable);
}

#if defined(__x86_64__)

namespace {

__attribute__((target("avx2"))) void add_avx2(std::uint8_t* out, const std::uint8_t* in, std::size_t size,
                                              const Products& table) noexcept {
  const __m256i low =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table.data())));
  const __m256i high =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table.data() + 16)));
  const __m256i half = _mm256_set1_epi8(15);
  std::size_t i = 0;
  for (; i + 32 <= size; i += 32) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + i));
    auto* const at = reinterpret_cast<__m256i*>(out + i);
    const __m256i product =
        _mm256_xor_si256(_mm256_shuffle_epi8(low, _mm256_and_si256(bytes, half)),
                         _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), half)));
    _mm256_storeu_si256(at, _mm256_xor_si256(_mm256_loadu_si256(at), product));
  }
  add_portable(out + i, in + i, size - i, table);
}

}  // namespace

bool has_avx2() noexcept {
  return __builtin_cpu_supports("avx2") != 0;
}

void combine_avx2(const std::uint8_t* rows, const GaloisVectors& vectors) noexcept {
  sum_up(rows, vectors, add_avx2);
}

/** Low halves of the bytes in the lower lane, high halves in the upper: one shuffle looks up both. */
__attribute__((target("avx2"))) void combine_eight_avx2(const std::uint8_t* rows,
                                                        const GaloisVectors& v) noexcept {
  const std::size_t inputs = v.inputs.size();
  alignas(32) std::array<std::array<std::uint8_t, 32>, 255> halves;
  for (std::size_t j = 0; j < inputs; j++) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(v.inputs[j]));
    const __m128i low = _mm_set1_epi8(15);
    const __m256i both =
        _mm256_set_m128i(_mm_and_si128(_mm_srli_epi16(bytes, 4), low), _mm_and_si128(bytes, low));
    _mm256_store_si256(reinterpret_cast<__m256i*>(halves[j].data()), both);
  }
  for (std::uint8_t* const out : v.outputs) {
    __m256i sum = _mm256_setzero_si256();
    for (std::size_t j = 0; j < inputs; j++) {
      const auto* const products = reinterpret_cast<const __m256i*>(kProducts[*rows++].data());
      sum = _mm256_xor_si256(
          sum, _mm256_shuffle_epi8(_mm256_load_si256(products),
                                   _mm256_load_si256(reinterpret_cast<const __m256i*>(halves[j].data()))));
    }
    const __m128i both = _mm_xor_si128(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out), both);
  }
}

#endif

}  // namespace sluice::repair
