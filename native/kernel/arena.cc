#include "kernel/arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <utility>

namespace sluice::kernel {

Result<Arena> Arena::create(std::size_t size) {
  Arena arena;
  arena.fd_.reset(memfd_create("sluice-objects", MFD_CLOEXEC));
  if (!arena.fd_ || ftruncate(arena.fd_.get(), static_cast<off_t>(size)) != 0)
    return system_error("shared memory for " + std::to_string(size) + " bytes of objects");
  void* const base =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, arena.fd_.get(), 0);
  if (base == MAP_FAILED) return system_error("mapping " + std::to_string(size) + " bytes for objects");
  arena.base_ = static_cast<std::uint8_t*>(base);
  arena.size_ = size;
  return arena;
}

Arena::Arena(Arena&& other) noexcept
    : fd_(std::move(other.fd_)), base_(std::exchange(other.base_, nullptr)), size_(other.size_) {}

Arena& Arena::operator=(Arena&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(base_, other.base_);
  std::swap(size_, other.size_);
  return *this;
}

Arena::~Arena() {
  if (base_ != nullptr) munmap(base_, size_);
}

void Arena::discard(std::uint64_t offset, std::size_t size) noexcept {
  // What cannot be given back stays in use; nothing reads it any more.
  static_cast<void>(fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                              static_cast<off_t>(offset), static_cast<off_t>(size)));
}

}  // namespace sluice::kernel
