// Memory that continues at its own beginning.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernel/result.h"

namespace sluice::kernel {

/**
 * A memfd mapped twice, back to back: a range that begins inside the first copy may run past its end and
 * reads on at the beginning, so that a ring of bytes never has to be cut at the wrap.
 */
class MirrorMemory {
 public:
  /** `size` is a power of two and a multiple of the page size. */
  static Result<MirrorMemory> create(std::size_t size);
  MirrorMemory() noexcept = default;
  MirrorMemory(MirrorMemory&& other) noexcept;
  MirrorMemory& operator=(MirrorMemory&& other) noexcept;
  ~MirrorMemory();

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /** The byte at an absolute position of a stream; `size()` contiguous bytes follow. */
  [[nodiscard]] std::uint8_t* at(std::uint64_t position) const noexcept {
    return base_ + (position & (size_ - 1));
  }

 private:
  std::uint8_t* base_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace sluice::kernel
