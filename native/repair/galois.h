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
  /** The same for vectors of eight bytes: ISA-L takes such short ones byte by byte. At most 255 inputs. */
  void combine_eight(const std::uint8_t* const* inputs, std::uint8_t* const* outputs) const noexcept;

 private:
  /** The coefficients as they were set. */
  std::vector<std::uint8_t> rows_;
  /** What ISA-L makes of them: up to 32 bytes for each. */
  std::vector<std::uint8_t> prepared_;
  std::size_t inputs_ = 0;
  std::size_t outputs_ = 0;
};

}  // namespace sluice::repair
