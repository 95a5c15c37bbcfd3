#include "repair/galois.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

using namespace sluice;
using repair::GaloisKernel;
using repair::GaloisTables;

namespace {

using Vector = std::vector<std::uint8_t>;

/** Vectors that begin `offset` bytes behind a line of the cache, with bytes around them that nobody touches.
 */
class Vectors {
 public:
  Vectors(std::size_t count, std::size_t size, std::size_t offset) : size_(size), begin_(64 + offset) {
    for (std::size_t i = 0; i < count; i++) {
      all_.emplace_back(begin_ + size + 64, kUntouched);
      pointers_.push_back(all_.back().data() + begin_);
    }
  }
  std::uint8_t* operator[](std::size_t i) { return pointers_[i]; }
  [[nodiscard]] std::uint8_t* const* out() const { return pointers_.data(); }
  [[nodiscard]] const std::uint8_t* const* in() const { return pointers_.data(); }
  [[nodiscard]] bool only_these_written() const {
    return std::all_of(all_.begin(), all_.end(), [this](const Vector& one) {
      const auto untouched = [](std::uint8_t byte) { return byte == kUntouched; };
      const auto body = one.begin() + static_cast<std::ptrdiff_t>(begin_);
      return std::all_of(one.begin(), body, untouched) &&
             std::all_of(body + static_cast<std::ptrdiff_t>(size_), one.end(), untouched);
    });
  }

 private:
  static constexpr std::uint8_t kUntouched = 0xa5;
  std::size_t size_;
  std::size_t begin_;
  std::vector<Vector> all_;
  std::vector<std::uint8_t*> pointers_;
};

/** Random combinations of random bytes, compared with the products of single bytes. */
bool combines(GaloisKernel kernel, std::size_t inputs, std::size_t outputs, std::size_t size, bool eight,
              std::mt19937& random) {
  Vector rows(inputs * outputs);
  for (std::uint8_t& one : rows) one = static_cast<std::uint8_t>(random());
  Vectors in(inputs, size, random() % 64);
  Vectors out(outputs, size, random() % 64);
  for (std::size_t j = 0; j < inputs; j++)
    for (std::size_t k = 0; k < size; k++) in[j][k] = static_cast<std::uint8_t>(random());
  // Larger than what is set, as a decoder's are.
  GaloisTables tables(inputs + 3, outputs + 2, kernel);
  tables.set(rows, inputs, outputs);
  if (eight) {
    tables.combine_eight(in.in(), out.out());
  } else {
    tables.combine(size, in.in(), out.out());
  }
  for (std::size_t i = 0; i < outputs; i++) {
    for (std::size_t k = 0; k < size; k++) {
      std::uint8_t sum = 0;
      for (std::size_t j = 0; j < inputs; j++) sum ^= repair::galois_product(rows[i * inputs + j], in[j][k]);
      if (out[i][k] != sum) return false;
    }
  }
  return out.only_these_written();
}

}  // namespace

TEST_CASE("galois: arithmetic over GF(2^8) is a field's") {
  for (unsigned a = 1; a < 256; a++) {
    const auto byte = static_cast<std::uint8_t>(a);
    REQUIRE(repair::galois_product(byte, repair::galois_inverse(byte)) == 1);
    REQUIRE(repair::galois_product(byte, 1) == byte);
    REQUIRE(repair::galois_product(byte, 0) == 0);
    // Multiplication by x, as the polynomial says.
    const unsigned doubled = (a << 1) ^ ((a & 0x80) != 0 ? repair::kGaloisPolynomial : 0U);
    REQUIRE(repair::galois_product(byte, 2) == doubled);
  }
}

TEST_CASE("galois: ways to combine, the slowest first") {
  const auto kernels = repair::galois_kernels();
  REQUIRE(!kernels.empty());
  CHECK(kernels.front() == GaloisKernel::portable);
  CHECK(std::is_sorted(kernels.begin(), kernels.end()));
#ifdef SLUICE_ISAL
  constexpr bool isal = true;
#else
  constexpr bool isal = false;
#endif
  CHECK((std::find(kernels.begin(), kernels.end(), GaloisKernel::isal) != kernels.end()) == isal);
}

TEST_CASE("galois: every product, by every way there is") {
  for (const GaloisKernel kernel : repair::galois_kernels()) {
    CAPTURE(repair::galois_name(kernel));
    Vectors in(1, 256, 0);
    for (unsigned byte = 0; byte < 256; byte++) in[0][byte] = static_cast<std::uint8_t>(byte);
    Vectors out(1, 256, 0);
    GaloisTables tables(1, 1, kernel);
    for (unsigned a = 0; a < 256; a++) {
      const auto coefficient = static_cast<std::uint8_t>(a);
      tables.set({&coefficient, 1}, 1, 1);
      tables.combine(256, in.in(), out.out());
      for (unsigned byte = 0; byte < 256; byte++)
        REQUIRE(out[0][byte] == repair::galois_product(coefficient, static_cast<std::uint8_t>(byte)));
    }
  }
}

TEST_CASE("galois: combinations of any size, anywhere, are those of single bytes") {
  std::mt19937 random(4);
  for (const GaloisKernel kernel : repair::galois_kernels()) {
    CAPTURE(repair::galois_name(kernel));
    for (std::size_t size = 0; size < 260; size++) {
      CAPTURE(size);
      REQUIRE(combines(kernel, 1 + random() % 6, 1 + size % 20, size, false, random));
    }
    for (const std::size_t outputs : {4U, 14U, 29U}) {
      REQUIRE(combines(kernel, 30, outputs, 1316, false, random));
      REQUIRE(combines(kernel, 200, outputs, 8, true, random));
    }
    for (std::size_t outputs = 1; outputs < 20; outputs++)
      REQUIRE(combines(kernel, 1 + random() % 255, outputs, 8, true, random));
    REQUIRE(combines(kernel, 0, 3, 100, false, random));
  }
}
