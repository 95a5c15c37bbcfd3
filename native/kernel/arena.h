// Shared memory that is given back page by page.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernel/fd.h"
#include "kernel/result.h"

namespace sluice::kernel {

/**
 * A large sparse memfd, mapped once. Addresses are cheap here, only pages that are written cost memory;
 * discard() gives those of a range back.
 */
class Arena {
 public:
  static constexpr std::size_t kPage = 4096;

  /** `size` bytes of address space, a multiple of the page. */
  static Result<Arena> create(std::size_t size);
  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&& other) noexcept;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::uint8_t* at(std::uint64_t offset) const noexcept { return base_ + offset; }
  /** Frees the pages of a range; both ends on page borders. */
  void discard(std::uint64_t offset, std::size_t size) noexcept;

 private:
  Arena() noexcept = default;

  Fd fd_;
  std::uint8_t* base_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace sluice::kernel
