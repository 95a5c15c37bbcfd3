// Zeroed memory of which only what is written costs anything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace sluice::kernel {

/** `count` words, all zero, on pages of their own that the kernel gives when they are first written; null,
 * with errno, when there is no address space. */
[[nodiscard]] std::shared_ptr<std::uint64_t[]> sparse_words(std::size_t count);

}  // namespace sluice::kernel
