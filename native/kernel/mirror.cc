#include "kernel/mirror.h"

#include <sys/mman.h>

#include <utility>

#include "kernel/fd.h"

namespace sluice::kernel {

Result<MirrorMemory> MirrorMemory::create(std::size_t size) {
  MirrorMemory m;
  // Closed once it is mapped: there may be thousands of rings.
  const Fd fd(memfd_create("sluice-ring", MFD_CLOEXEC));
  if (!fd || ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return system_error("memory for a ring");
  void* const both = mmap(nullptr, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (both == MAP_FAILED) return system_error("address space for a ring");
  m.base_ = static_cast<std::uint8_t*>(both);
  m.size_ = size;
  for (int copy = 0; copy < 2; copy++) {
    void* const half = m.base_ + static_cast<std::size_t>(copy) * size;
    if (mmap(half, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd.get(), 0) == MAP_FAILED)
      return system_error("mapping of a ring");
  }
  return m;
}

MirrorMemory::MirrorMemory(MirrorMemory&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MirrorMemory& MirrorMemory::operator=(MirrorMemory&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(size_, other.size_);
  return *this;
}

MirrorMemory::~MirrorMemory() {
  if (base_ != nullptr) munmap(base_, 2 * size_);
}

}  // namespace sluice::kernel
