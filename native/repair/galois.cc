#include "repair/galois.h"

#include <algorithm>

#include "repair/galois_affine.h"
#include "repair/galois_halves.h"

#ifdef SLUICE_ISAL
#include <isa-l/erasure_code.h>
#endif

namespace sluice::repair {

namespace {

/** Those that there are, in the order of GaloisKernel. */
struct Kernels {
  std::array<GaloisKernel, 5> all{};
  std::size_t count = 0;
  void add(GaloisKernel kernel, bool is_there) noexcept {
    if (is_there) all[count++] = kernel;
  }
};

Kernels find_kernels() noexcept {
  Kernels found;
  found.add(GaloisKernel::portable, true);
#if defined(__x86_64__)
  found.add(GaloisKernel::avx2, has_avx2());
#endif
#ifdef SLUICE_ISAL
  found.add(GaloisKernel::isal, true);
#endif
#if defined(__x86_64__)
  found.add(GaloisKernel::gfni, has_gfni());
  found.add(GaloisKernel::gfni_avx512, has_gfni_avx512());
#endif
  return found;
}

}  // namespace

std::span<const GaloisKernel> galois_kernels() noexcept {
  static const Kernels kernels = find_kernels();
  return {kernels.all.data(), kernels.count};
}

const char* galois_name(GaloisKernel kernel) noexcept {
  switch (kernel) {
    case GaloisKernel::portable:
      return "portable";
    case GaloisKernel::avx2:
      return "AVX2";
    case GaloisKernel::isal:
      return "ISA-L";
    case GaloisKernel::gfni:
      return "GFNI";
    case GaloisKernel::gfni_avx512:
      return "GFNI, AVX-512";
  }
  return "";
}

GaloisTables::GaloisTables(std::size_t inputs, std::size_t outputs, GaloisKernel kernel)
    : kernel_(kernel), rows_(inputs * outputs) {
  if (kernel == GaloisKernel::isal) prepared_.resize(32 * inputs * outputs);
#if defined(__x86_64__)
  if (kernel >= GaloisKernel::gfni) matrices_.resize(inputs * outputs + kMatricesBehind);
#endif
}

void GaloisTables::set(std::span<const std::uint8_t> rows, std::size_t inputs, std::size_t outputs) noexcept {
  inputs_ = inputs;
  outputs_ = outputs;
  std::copy(rows.begin(), rows.end(), rows_.begin());
#ifdef SLUICE_ISAL
  if (kernel_ == GaloisKernel::isal)
    ec_init_tables(static_cast<int>(inputs), static_cast<int>(outputs), rows_.data(), prepared_.data());
#endif
#if defined(__x86_64__)
  if (kernel_ < GaloisKernel::gfni) return;
  for (std::size_t i = 0; i < outputs; i++)
    for (std::size_t j = 0; j < inputs; j++)
      matrices_[j * outputs + i] = galois_matrix(rows_[i * inputs + j]);
#endif
}

void GaloisTables::combine(std::size_t size, const std::uint8_t* const* inputs,
                           std::uint8_t* const* outputs) const noexcept {
  const GaloisVectors vectors{size, {inputs, inputs_}, {outputs, outputs_}};
#ifdef SLUICE_ISAL
  // ISA-L does nothing where it has no input. It writes nothing to what it is given.
  if (kernel_ == GaloisKernel::isal && inputs_ > 0)
    return ec_encode_data(static_cast<int>(size), static_cast<int>(inputs_), static_cast<int>(outputs_),
                          const_cast<std::uint8_t*>(prepared_.data()), const_cast<std::uint8_t**>(inputs),
                          const_cast<std::uint8_t**>(outputs));
#endif
#if defined(__x86_64__)
  if (kernel_ == GaloisKernel::gfni_avx512 && size >= 64)
    return combine_gfni_avx512(matrices_.data(), vectors);
  if (kernel_ >= GaloisKernel::gfni && size >= 32) return combine_gfni(matrices_.data(), vectors);
  if (kernel_ == GaloisKernel::avx2) return combine_avx2(rows_.data(), vectors);
#endif
  combine_portable(rows_.data(), vectors);
}

void GaloisTables::combine_eight(const std::uint8_t* const* inputs,
                                 std::uint8_t* const* outputs) const noexcept {
  const GaloisVectors vectors{8, {inputs, inputs_}, {outputs, outputs_}};
#if defined(__x86_64__)
  if (kernel_ >= GaloisKernel::gfni) return combine_eight_gfni(matrices_.data(), vectors);
  static const bool wide = has_avx2();
  if (kernel_ > GaloisKernel::portable && wide) return combine_eight_avx2(rows_.data(), vectors);
#endif
  combine_portable(rows_.data(), vectors);
}

}  // namespace sluice::repair
