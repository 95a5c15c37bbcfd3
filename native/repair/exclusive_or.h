// Exclusive or of byte ranges, as wide as the processor has it.
#pragma once

#include "codec/bytes.h"

namespace sluice::repair {

/** `into[i] ^= from[i]`; `into` is at least as long. The ranges do not overlap. */
void exclusive_or(codec::MutableBytes into, codec::Bytes from) noexcept;

/** Both targets at once, for what is protected twice: it is read once. Each is at least as long as `from`. */
void exclusive_or(codec::MutableBytes first, codec::MutableBytes second, codec::Bytes from) noexcept;

}  // namespace sluice::repair
