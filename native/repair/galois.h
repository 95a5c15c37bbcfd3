// Linear combinations of byte vectors over GF(2^8), polynomial 0x11d: by ISA-L where it was built in, else by
// our own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sluice::repair {

/** a x b. */
[[nodiscard]] std::uint8_t galois_product(std::uint8_t a, std::uint8_t b) noexcept;
/** 1 / a; 0 for 0. */
[[nodiscard]] std::uint8_t galois_inverse(std::uint8_t a) noexcept;
/** Inverts a square matrix of `n` rows, row by row; false when it is singular, and `matrix` is of no use
 * then. */
[[nodiscard]] bool galois_invert(std::span<std::uint8_t> matrix, std::size_t n) noexcept;

/** Whether ISA-L does the work. */
[[nodiscard]] bool galois_by_isal() noexcept;

/** Prepared coefficients of `outputs` combinations of `inputs` vectors. */
class GaloisTables {
 public:
  /** Allocates for so many at most; set() does not. */
  GaloisTables(std::size_t inputs, std::size_t outputs);
  /** `rows` has a coefficient for each input, output after output. */
  void set(std::span<const std::uint8_t> rows, std::size_t inputs, std::size_t outputs) noexcept;
  /** outputs[i] = sum of coefficient (i, j) x inputs[j], each of `size` bytes; none overlaps another. */
  void combine(std::size_t size, const std::uint8_t* const* inputs,
               std::uint8_t* const* outputs) const noexcept;

 private:
  /** 32 bytes for each coefficient: its products with the low and the high half of a byte. */
  std::vector<std::uint8_t> tables_;
  std::size_t inputs_ = 0;
  std::size_t outputs_ = 0;
};

}  // namespace sluice::repair
