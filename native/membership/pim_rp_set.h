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

  bool operator==(const RpMapping&) const noexcept = default;
};

/** Section 4.7.2: Value(G,M,C). */
[[nodiscard]] std::uint32_t rp_hash(const codec::IpAddress& group, unsigned mask_bits,
                                    const codec::IpAddress& rp) noexcept;

/** The mappings that hold now. */
struct RpSet {
  std::vector<RpMapping> mappings;
  /** Bits of a group's address that choose among RPs. */
  unsigned hash_mask_bits = 30;

  /** Longest range, then priority, then hash. None where nobody serves it. */
  [[nodiscard]] std::optional<codec::IpAddress> rp_of(const codec::IpAddress& group) const noexcept;
};

}  // namespace sluice::membership
