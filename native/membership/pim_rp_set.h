// Which RP serves which group (RFC 7761 section 4.7).
#pragma once

#include <optional>
#include <vector>

#include "codec/ip_address.h"

namespace sluice::membership {

struct RpMapping {
  codec::IpPrefix groups;
  codec::IpAddress rp;
  /** The lower the better. */
  std::uint8_t priority = 0;
  /** Set, not told by a bootstrap router: before those that serve ranges of the same length. */
  bool fixed = false;
  /** The range is not of PIM-SM (RFC 5015): no RP of ours serves it. */
  bool bidirectional = false;
  /** Bits of a group's address that choose among RPs of a range. */
  std::uint8_t hash_mask_bits = 30;

  bool operator==(const RpMapping&) const noexcept = default;
};

/** Section 4.7.2: Value(G,M,C). */
[[nodiscard]] std::uint32_t rp_hash(const codec::IpAddress& group, unsigned mask_bits,
                                    const codec::IpAddress& rp) noexcept;

/** Longest range, then priority, then hash. None where nobody serves the group. */
[[nodiscard]] std::optional<codec::IpAddress> rp_of(std::span<const RpMapping> mappings,
                                                    const codec::IpAddress& group) noexcept;

}  // namespace sluice::membership
