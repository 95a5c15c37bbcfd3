#include "repair/galois.h"

#include <algorithm>
#include <array>
#include <cstring>

#ifdef SLUICE_ISAL
#include <isa-l/erasure_code.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sluice::repair {

namespace {

constexpr unsigned kPolynomial = 0x11d;

struct Logarithms {
  std::array<std::uint8_t, 256> log{};
  std::array<std::uint8_t, 510> power{};
};

constexpr Logarithms make_logarithms() noexcept {
  Logarithms made;
  unsigned value = 1;
  for (unsigned i = 0; i < 255; i++) {
    made.power[i] = made.power[i + 255] = static_cast<std::uint8_t>(value);
    made.log[value] = static_cast<std::uint8_t>(i);
    value <<= 1;
    if ((value & 0x100) != 0) value ^= kPolynomial;
  }
  return made;
}

constexpr Logarithms kLogarithms = make_logarithms();

constexpr std::uint8_t product(std::uint8_t a, std::uint8_t b) noexcept {
  if (a == 0 || b == 0) return 0;
  return kLogarithms.power[std::size_t{kLogarithms.log[a]} + kLogarithms.log[b]];
}

/** Of one coefficient: its products with 0 to 15, then with 0x00 to 0xf0. */
using Products = std::array<std::uint8_t, 32>;

constexpr std::array<Products, 256> make_products() noexcept {
  std::array<Products, 256> made{};
  for (unsigned a = 0; a < 256; a++) {
    for (unsigned half = 0; half < 16; half++) {
      made[a][half] = product(static_cast<std::uint8_t>(a), static_cast<std::uint8_t>(half));
      made[a][16 + half] = product(static_cast<std::uint8_t>(a), static_cast<std::uint8_t>(half << 4));
    }
  }
  return made;
}

alignas(32) constexpr std::array<Products, 256> kProducts = make_products();

#if defined(__x86_64__)

bool wide() noexcept {
  static const bool has = __builtin_cpu_supports("avx2") != 0;
  return has;
}

/** Low halves of the bytes in the lower lane, high halves in the upper: one shuffle looks up both. */
__attribute__((target("avx2"))) void eight_wide(const std::uint8_t* rows, std::size_t inputs,
                                                std::size_t outputs, const std::uint8_t* const* in,
                                                std::uint8_t* const* out) noexcept {
  alignas(32) std::array<std::array<std::uint8_t, 32>, 255> halves;
  for (std::size_t j = 0; j < inputs; j++) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(in[j]));
    const __m128i low = _mm_set1_epi8(15);
    const __m256i both =
        _mm256_set_m128i(_mm_and_si128(_mm_srli_epi16(bytes, 4), low), _mm_and_si128(bytes, low));
    _mm256_store_si256(reinterpret_cast<__m256i*>(halves[j].data()), both);
  }
  for (std::size_t i = 0; i < outputs; i++) {
    __m256i sum = _mm256_setzero_si256();
    for (std::size_t j = 0; j < inputs; j++) {
      const auto* const products = reinterpret_cast<const __m256i*>(kProducts[rows[i * inputs + j]].data());
      sum = _mm256_xor_si256(
          sum, _mm256_shuffle_epi8(_mm256_load_si256(products),
                                   _mm256_load_si256(reinterpret_cast<const __m256i*>(halves[j].data()))));
    }
    const __m128i both = _mm_xor_si128(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out[i]), both);
  }
}

#endif

void eight_narrow(const std::uint8_t* rows, std::size_t inputs, std::size_t outputs,
                  const std::uint8_t* const* in, std::uint8_t* const* out) noexcept {
  for (std::size_t i = 0; i < outputs; i++) {
    std::fill_n(out[i], 8, std::uint8_t{0});
    for (std::size_t j = 0; j < inputs; j++)
      for (std::size_t at = 0; at < 8; at++) out[i][at] ^= product(rows[i * inputs + j], in[j][at]);
  }
}

}  // namespace

std::uint8_t galois_product(std::uint8_t a, std::uint8_t b) noexcept {
  return product(a, b);
}

std::uint8_t galois_inverse(std::uint8_t a) noexcept {
  return a == 0 ? 0 : kLogarithms.power[255U - kLogarithms.log[a]];
}

void GaloisTables::combine_eight(const std::uint8_t* const* inputs,
                                 std::uint8_t* const* outputs) const noexcept {
#if defined(__x86_64__)
  if (wide()) return eight_wide(rows_.data(), inputs_, outputs_, inputs, outputs);
#endif
  eight_narrow(rows_.data(), inputs_, outputs_, inputs, outputs);
}

#ifdef SLUICE_ISAL

bool galois_by_isal() noexcept {
  return true;
}

GaloisTables::GaloisTables(std::size_t inputs, std::size_t outputs)
    : rows_(inputs * outputs), prepared_(32 * inputs * outputs) {}

void GaloisTables::set(std::span<const std::uint8_t> rows, std::size_t inputs, std::size_t outputs) noexcept {
  inputs_ = inputs;
  outputs_ = outputs;
  std::copy(rows.begin(), rows.end(), rows_.begin());
  ec_init_tables(static_cast<int>(inputs), static_cast<int>(outputs), rows_.data(), prepared_.data());
}

void GaloisTables::combine(std::size_t size, const std::uint8_t* const* inputs,
                           std::uint8_t* const* outputs) const noexcept {
  // ISA-L does nothing where it has no input. It writes nothing to what it is given.
  if (inputs_ == 0) {
    for (std::size_t i = 0; i < outputs_; i++) std::fill_n(outputs[i], size, std::uint8_t{0});
    return;
  }
  ec_encode_data(static_cast<int>(size), static_cast<int>(inputs_), static_cast<int>(outputs_),
                 const_cast<std::uint8_t*>(prepared_.data()), const_cast<std::uint8_t**>(inputs),
                 const_cast<std::uint8_t**>(outputs));
}

#else

namespace {

void add_narrow(std::uint8_t* out, const std::uint8_t* in, std::size_t size, const Products& table) noexcept {
  for (std::size_t i = 0; i < size; i++)
    out[i] = static_cast<std::uint8_t>(out[i] ^ table[in[i] & 15] ^ table[16 + (in[i] >> 4)]);
}

#if defined(__x86_64__)

/** Gives how much it has done. */
__attribute__((target("avx2"))) std::size_t add_wide(std::uint8_t* out, const std::uint8_t* in,
                                                     std::size_t size, const Products& table) noexcept {
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
  return i;
}

#endif

void add(std::uint8_t* out, const std::uint8_t* in, std::size_t size, const Products& table) noexcept {
  std::size_t done = 0;
#if defined(__x86_64__)
  if (wide()) done = add_wide(out, in, size, table);
#endif
  add_narrow(out + done, in + done, size - done, table);
}

}  // namespace

bool galois_by_isal() noexcept {
  return false;
}

GaloisTables::GaloisTables(std::size_t inputs, std::size_t outputs) : rows_(inputs * outputs) {}

void GaloisTables::set(std::span<const std::uint8_t> rows, std::size_t inputs, std::size_t outputs) noexcept {
  inputs_ = inputs;
  outputs_ = outputs;
  std::copy(rows.begin(), rows.end(), rows_.begin());
}

void GaloisTables::combine(std::size_t size, const std::uint8_t* const* inputs,
                           std::uint8_t* const* outputs) const noexcept {
  for (std::size_t i = 0; i < outputs_; i++) {
    std::fill_n(outputs[i], size, std::uint8_t{0});
    for (std::size_t j = 0; j < inputs_; j++)
      add(outputs[i], inputs[j], size, kProducts[rows_[i * inputs_ + j]]);
  }
}

#endif

}  // namespace sluice::repair
