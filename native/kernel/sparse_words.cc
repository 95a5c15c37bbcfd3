#include "kernel/sparse_words.h"

#include <sys/mman.h>

namespace sluice::kernel {

std::shared_ptr<std::uint64_t[]> sparse_words(std::size_t count) {
  const std::size_t size = count * sizeof(std::uint64_t);
  void* const at =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  return {static_cast<std::uint64_t*>(at), [size](std::uint64_t* words) { munmap(words, size); }};
}

}  // namespace sluice::kernel
