// Linear combinations of byte vectors over GF(2^8), polynomial 0x11d: by the fastest of several ways.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sluice::repair {

constexpr unsigned kGaloisPolynomial = 0x11d;

/** Powers of x, and their inverse. */
struct GaloisLogarithms {
  std::array<std::uint8_t, 256> log{};
  std::array<std::uint8_t, 510> power{};
};

constexpr GaloisLogarithms make_galois_logarithms() noexcept {
  GaloisLogarithms made;
  unsigned value = 1;
  for (unsigned i = 0; i < 255; i++) {
    made.power[i] = made.power[i + 255] = static_cast<std::uint8_t>(value);
    made.log[value] = static_cast<std::uint8_t>(i);
    value <<= 1;
    if ((value & 0x100) != 0) value ^= kGaloisPolynomial;
  }
  return made;
}

inline constexpr GaloisLogarithms kGaloisLogarithms = make_galois_logarithms();

/** a x b. */
[[nodiscard]] constexpr std::uint8_t galois_product(std::uint8_t a, std::uint8_t b) noexcept {
  if (a == 0 || b == 0) return 0;
  return kGaloisLogarithms.power[std::size_t{kGaloisLogarithms.log[a]} + kGaloisLogarithms.log[b]];
}
/** 1 / a; 0 for 0. */
[[nodiscard]] constexpr std::uint8_t galois_inverse(std::uint8_t a) noexcept {
  return a == 0 ? 0 : kGaloisLogarithms.power[255U - kGaloisLogarithms.log[a]];
}

/** A way to combine; from the slowest to the fastest. */
enum class GaloisKernel : std::uint8_t { portable, avx2, isal, gfni, gfni_avx512 };

/** The ways that this processor and this build have, from the slowest to the fastest. */
[[nodiscard]] std::span<const GaloisKernel> galois_kernels() noexcept;
[[nodiscard]] const char* galois_name(GaloisKernel kernel) noexcept;

/** Prepared coefficients of `outputs` combinations of `inputs` vectors. */
class GaloisTables {
 public:
  /** Allocates for so many at most; set() does not. `kernel` is one of galois_kernels(). */
  GaloisTables(std::size_t inputs, std::size_t outputs, GaloisKernel kernel = galois_kernels().back());
  /** `rows` has a coefficient for each input, output after output. */
  void set(std::span<const std::uint8_t> rows, std::size_t inputs, std::size_t outputs) noexcept;
  /** outputs[i] = sum of coefficient (i, j) x inputs[j], each of `size` bytes; none overlaps another. */
  void combine(std::size_t size, const std::uint8_t* const* inputs,
               std::uint8_t* const* outputs) const noexcept;
  /** The same for vectors of eight bytes, which combine() takes byte by byte. At most 255 inputs. */
  void combine_eight(const std::uint8_t* const* inputs, std::uint8_t* const* outputs) const noexcept;

 private:
  GaloisKernel kernel_;
  /** The coefficients as they were set. */
  std::vector<std::uint8_t> rows_;
  /** What ISA-L makes of them: up to 32 bytes for each. */
  std::vector<std::uint8_t> prepared_;
  /** What kernels of GFNI take: of each coefficient its matrix, input after input. */
  std::vector<std::uint64_t> matrices_;
  std::size_t inputs_ = 0;
  std::size_t outputs_ = 0;
};

}  // namespace sluice::repair
