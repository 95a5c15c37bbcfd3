// Counters that one thread writes and others read without a lock.
#pragma once

#include <atomic>
#include <cstdint>

namespace sluice::kernel {

/** Adds to a counter; only its owning thread may call this. */
inline void bump(std::uint64_t& counter, std::uint64_t n = 1) noexcept {
  std::atomic_ref<std::uint64_t> ref(counter);
  ref.store(ref.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

/** What another thread's counter stands at. */
inline std::uint64_t read(std::uint64_t& counter) noexcept {
  return std::atomic_ref<std::uint64_t>(counter).load(std::memory_order_relaxed);
}

/** Sets a gauge. */
inline void gauge(std::uint64_t& counter, std::uint64_t value) noexcept {
  std::atomic_ref<std::uint64_t>(counter).store(value, std::memory_order_relaxed);
}

}  // namespace sluice::kernel
