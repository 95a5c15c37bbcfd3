#include "repair/galois.h"

#include <algorithm>
#include <array>
#include <cstring>

#ifdef SLUICE_ISAL
#include <isa-l/erasure_code.h>
#elif defined(__x86_64__)
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

}  // namespace

std::uint8_t galois_product(std::uint8_t a, std::uint8_t b) noexcept {
  if (a == 0 || b == 0) return 0;
  return kLogarithms.power[std::size_t{kLogarithms.log[a]} + kLogarithms.log[b]];
}

std::uint8_t galois_inverse(std::uint8_t a) noexcept {
  return a == 0 ? 0 : kLogarithms.power[255U - kLogarithms.log[a]];
}

/** Gauss and Jordan, in place: each column becomes one of the inverse once it has been used. */
bool galois_invert(std::span<std::uint8_t> matrix, std::size_t n) noexcept {
  std::array<std::uint8_t, 256> from{};
  const auto at = [&](std::size_t row, std::size_t column) -> std::uint8_t& {
    return matrix[row * n + column];
  };
  for (std::size_t i = 0; i < n; i++) {
    std::size_t pivot = i;
    while (pivot < n && at(pivot, i) == 0) pivot++;
    if (pivot == n) return false;
    from[i] = static_cast<std::uint8_t>(pivot);
    if (pivot != i) std::swap_ranges(&at(i, 0), &at(i, 0) + n, &at(pivot, 0));
    const std::uint8_t scale = galois_inverse(at(i, i));
    at(i, i) = 1;
    for (std::size_t column = 0; column < n; column++) at(i, column) = galois_product(at(i, column), scale);
    for (std::size_t row = 0; row < n; row++) {
      const std::uint8_t factor = at(row, i);
      if (row == i || factor == 0) continue;
      at(row, i) = 0;
      for (std::size_t column = 0; column < n; column++)
        at(row, column) ^= galois_product(at(i, column), factor);
    }
  }
  // Rows that were exchanged are columns of the inverse.
  for (std::size_t i = n; i-- > 0;) {
    if (from[i] == i) continue;
    for (std::size_t row = 0; row < n; row++) std::swap(at(row, i), at(row, from[i]));
  }
  return true;
}

GaloisTables::GaloisTables(std::size_t inputs, std::size_t outputs) : tables_(32 * inputs * outputs) {}

#ifdef SLUICE_ISAL

bool galois_by_isal() noexcept {
  return true;
}

void GaloisTables::set(std::span<const std::uint8_t> rows, std::size_t inputs, std::size_t outputs) noexcept {
  inputs_ = inputs;
  outputs_ = outputs;
  // ISA-L writes nothing to what it is given.
  ec_init_tables(static_cast<int>(inputs), static_cast<int>(outputs), const_cast<std::uint8_t*>(rows.data()),
                 tables_.data());
}

void GaloisTables::combine(std::size_t size, const std::uint8_t* const* inputs,
                           std::uint8_t* const* outputs) const noexcept {
  ec_encode_data(static_cast<int>(size), static_cast<int>(inputs_), static_cast<int>(outputs_),
                 const_cast<std::uint8_t*>(tables_.data()), const_cast<std::uint8_t**>(inputs),
                 const_cast<std::uint8_t**>(outputs));
}

#else

namespace {

using Table = const std::uint8_t*;

void add_narrow(std::uint8_t* out, const std::uint8_t* in, std::size_t size, Table table) noexcept {
  for (std::size_t i = 0; i < size; i++)
    out[i] = static_cast<std::uint8_t>(out[i] ^ table[in[i] & 15] ^ table[16 + (in[i] >> 4)]);
}

#if defined(__x86_64__)

bool wide() noexcept {
  static const bool has = __builtin_cpu_supports("avx2") != 0;
  return has;
}

/** Gives how much it has done. */
__attribute__((target("avx2"))) std::size_t add_wide(std::uint8_t* out, const std::uint8_t* in,
                                                     std::size_t size, Table table) noexcept {
  const __m256i low = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  const __m256i high =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table + 16)));
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

void add(std::uint8_t* out, const std::uint8_t* in, std::size_t size, Table table) noexcept {
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

void GaloisTables::set(std::span<const std::uint8_t> rows, std::size_t inputs, std::size_t outputs) noexcept {
  inputs_ = inputs;
  outputs_ = outputs;
  for (std::size_t i = 0; i < inputs * outputs; i++) {
    for (unsigned half = 0; half < 16; half++) {
      tables_[32 * i + half] = galois_product(rows[i], static_cast<std::uint8_t>(half));
      tables_[32 * i + 16 + half] = galois_product(rows[i], static_cast<std::uint8_t>(half << 4));
    }
  }
}

void GaloisTables::combine(std::size_t size, const std::uint8_t* const* inputs,
                           std::uint8_t* const* outputs) const noexcept {
  for (std::size_t i = 0; i < outputs_; i++) {
    std::fill_n(outputs[i], size, std::uint8_t{0});
    for (std::size_t j = 0; j < inputs_; j++)
      add(outputs[i], inputs[j], size, tables_.data() + 32 * (i * inputs_ + j));
  }
}

#endif

}  // namespace sluice::repair
