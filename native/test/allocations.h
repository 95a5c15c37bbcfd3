// Counts what the calling thread takes from the heap, so that a test can say that a path takes nothing.
#pragma once

#include <cstdint>

namespace sluice::test {

/** Calls of any operator new by this thread so far. */
[[nodiscard]] std::uint64_t allocations() noexcept;

}  // namespace sluice::test
