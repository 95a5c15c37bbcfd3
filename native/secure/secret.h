// Bytes that nobody can guess, and what becomes of them.
#pragma once

#include <cstdint>
#include <span>

namespace sluice::secure {

/** Fills all of it; false when there is no entropy to be had. */
bool random_bytes(std::span<std::uint8_t> bytes) noexcept;

/** Zeroes what is not needed any more, also where a compiler would leave it out. */
void wipe(std::span<std::uint8_t> bytes) noexcept;

}  // namespace sluice::secure
