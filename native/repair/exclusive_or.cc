#include "repair/exclusive_or.h"

#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sluice::repair {

using codec::Bytes;
using codec::MutableBytes;

namespace {

template <typename Word>
inline void word(std::uint8_t* into, const std::uint8_t* from) noexcept {
  Word a = 0;
  Word b = 0;
  std::memcpy(&a, into, sizeof a);
  std::memcpy(&b, from, sizeof b);
  a ^= b;
  std::memcpy(into, &a, sizeof a);
}

/** What is left behind the last whole block, eight bytes at a time; TS packets leave four. */
void narrow(std::uint8_t* into, const std::uint8_t* from, std::size_t size) noexcept {
  for (; size >= 8; size -= 8, into += 8, from += 8) word<std::uint64_t>(into, from);
  if (size >= 4) {
    word<std::uint32_t>(into, from);
    size -= 4, into += 4, from += 4;
  }
  for (; size > 0; size--) *into++ ^= *from++;
}

#if defined(__x86_64__)

bool wide() noexcept {
  static const bool has = __builtin_cpu_supports("avx2") != 0;
  return has;
}

__attribute__((target("avx2"))) inline void block(std::uint8_t* into, __m256i value) noexcept {
  auto* const at = reinterpret_cast<__m256i*>(into);
  _mm256_storeu_si256(at, _mm256_xor_si256(_mm256_loadu_si256(at), value));
}

__attribute__((target("avx2"))) inline __m256i load(const std::uint8_t* from) noexcept {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}

/** Gives how much it has done. */
__attribute__((target("avx2"))) std::size_t one_wide(std::uint8_t* into, const std::uint8_t* from,
                                                     std::size_t size) noexcept {
  std::size_t i = 0;
  for (; i + 64 <= size; i += 64) {
    block(into + i, load(from + i));
    block(into + i + 32, load(from + i + 32));
  }
  for (; i + 32 <= size; i += 32) block(into + i, load(from + i));
  return i;
}

__attribute__((target("avx2"))) std::size_t two_wide(std::uint8_t* first, std::uint8_t* second,
                                                     const std::uint8_t* from, std::size_t size) noexcept {
  std::size_t i = 0;
  for (; i + 32 <= size; i += 32) {
    const __m256i value = load(from + i);
    block(first + i, value);
    block(second + i, value);
  }
  return i;
}

#endif

}  // namespace

void exclusive_or(MutableBytes into, Bytes from) noexcept {
  std::size_t done = 0;
#if defined(__x86_64__)
  if (wide()) done = one_wide(into.data(), from.data(), from.size());
#endif
  narrow(into.data() + done, from.data() + done, from.size() - done);
}

void exclusive_or(MutableBytes first, MutableBytes second, Bytes from) noexcept {
  std::size_t done = 0;
#if defined(__x86_64__)
  if (wide()) done = two_wide(first.data(), second.data(), from.data(), from.size());
#endif
  narrow(first.data() + done, from.data() + done, from.size() - done);
  narrow(second.data() + done, from.data() + done, from.size() - done);
}

}  // namespace sluice::repair
