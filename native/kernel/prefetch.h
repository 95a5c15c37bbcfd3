// Memory that will be wanted soon.
#pragma once

#include <cstddef>

namespace sluice::kernel {

/**
 * Begins to load the first `bytes` of an object into the cache. With thousands of flows each packet finds
 * those of its own cold: asked for before the system call that brings the packet, they are there when it
 * returns. `at` may be anything.
 */
inline void prefetch(const void* at, std::size_t bytes) noexcept {
  constexpr std::size_t kLine = 64;
  for (std::size_t i = 0; i < bytes; i += kLine) __builtin_prefetch(static_cast<const char*>(at) + i);
}

}  // namespace sluice::kernel
