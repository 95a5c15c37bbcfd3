#include "membership/pim_rp_set.h"

#include <tuple>

namespace sluice::membership {

using codec::IpAddress;

namespace {

/** The 32 bits that stand for an address; the exclusive-or of an IPv6 address's words. */
std::uint32_t digest(const codec::Bytes address) noexcept {
  std::uint32_t all = 0;
  for (std::size_t i = 0; i < address.size(); i += 4) all ^= codec::load32(address.data() + i);
  return all;
}

IpAddress masked(const IpAddress& address, unsigned bits) noexcept {
  auto bytes = address.bytes();
  const unsigned kept = bits + (address.is_v4() ? 96 : 0);
  for (unsigned i = 0; i < 16; i++) {
    const unsigned here = kept <= 8 * i ? 0 : std::min(8U, kept - 8 * i);
    bytes[i] &= static_cast<std::uint8_t>(0xff00U >> here);
  }
  return IpAddress::v6(bytes.data());
}

}  // namespace

std::uint32_t rp_hash(const IpAddress& group, unsigned mask_bits, const IpAddress& rp) noexcept {
  constexpr std::uint32_t kFactor = 1103515245;
  constexpr std::uint32_t kAdded = 12345;
  const std::uint32_t of_group = kFactor * digest(masked(group, mask_bits).wire()) + kAdded;
  return (kFactor * (of_group ^ digest(rp.wire())) + kAdded) & 0x7fffffffU;
}

std::optional<IpAddress> rp_of(std::span<const RpMapping> mappings, const IpAddress& group) noexcept {
  const RpMapping* best = nullptr;
  const auto rank = [&](const RpMapping& one) {
    return std::tuple(one.groups.bits, one.fixed, 255 - one.priority,
                      rp_hash(group, one.hash_mask_bits, one.rp), one.rp);
  };
  for (const RpMapping& one : mappings)
    if (one.groups.contains(group) && (best == nullptr || rank(one) > rank(*best))) best = &one;
  if (best == nullptr || best->bidirectional) return std::nullopt;
  return best->rp;
}

}  // namespace sluice::membership
