// An IPv4 or IPv6 address as protocols carry it, and prefixes of such; without port, zone and text.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <compare>
#include <cstring>
#include <functional>

#include "codec/bytes.h"

namespace sluice::codec {

/**
 * A value of 16 bytes; IPv4 as IPv4-mapped (RFC 4291 section 2.5.5.2), which is how kernel::Address shows it,
 * too. All IPv4 addresses come before all IPv6 ones of use, each kind in numeric order, as elections compare
 * them.
 */
class IpAddress {
 public:
  /** `::`, the same as any(false). */
  constexpr IpAddress() noexcept = default;
  static constexpr IpAddress v4(std::uint32_t host_order) noexcept {
    IpAddress address = any(true);
    store32(address.bytes_.data() + kMappedSize, host_order);
    return address;
  }
  /** Copies four bytes in network order. */
  static constexpr IpAddress v4(const std::uint8_t* four) noexcept { return v4(load32(four)); }
  /** Copies sixteen bytes in network order; IPv4-mapped ones are IPv4 from then on. */
  static constexpr IpAddress v6(const std::uint8_t* sixteen) noexcept {
    IpAddress address;
    std::copy_n(sixteen, 16, address.bytes_.begin());
    return address;
  }
  /** 0.0.0.0 or `::`. */
  static constexpr IpAddress any(bool v4) noexcept {
    IpAddress address;
    if (v4) address.bytes_[10] = address.bytes_[11] = 0xff;
    return address;
  }

  [[nodiscard]] constexpr bool is_v4() const noexcept {
    return std::equal(kMapped.begin(), kMapped.end(), bytes_.begin());
  }
  /** 4 or 16 bytes in network order; valid as long as the address is. */
  [[nodiscard]] constexpr Bytes wire() const noexcept {
    return Bytes(bytes_).subspan(is_v4() ? kMappedSize : 0);
  }
  [[nodiscard]] constexpr const std::array<std::uint8_t, 16>& bytes() const noexcept { return bytes_; }
  /** An IPv4 address as a number; the last four bytes of an IPv6 one. */
  [[nodiscard]] constexpr std::uint32_t number() const noexcept {
    return load32(bytes_.data() + kMappedSize);
  }

  [[nodiscard]] constexpr bool is_any() const noexcept { return *this == any(is_v4()); }
  /** 224.0.0.0/4, ff00::/8. */
  [[nodiscard]] constexpr bool is_multicast() const noexcept {
    return is_v4() ? number() >> 28 == 14 : bytes_[0] == 0xff;
  }
  /** A group that no router forwards: 224.0.0.0/24 (RFC 5771 section 4); ffx0, ffx1 and ffx2::/16, which are
   * of a scope that is reserved, an interface or a link (RFC 7346 section 2). */
  [[nodiscard]] constexpr bool is_link_scope_group() const noexcept {
    return is_v4() ? number() >> 8 == 0xe00000 : bytes_[0] == 0xff && (bytes_[1] & 0x0fU) <= 2;
  }
  /** 169.254.0.0/16, fe80::/10. */
  [[nodiscard]] constexpr bool is_link_local() const noexcept {
    return is_v4() ? number() >> 16 == 0xa9fe : bytes_[0] == 0xfe && (bytes_[1] & 0xc0U) == 0x80;
  }
  /** What can be the source of a packet: neither any() nor multicast. */
  [[nodiscard]] constexpr bool is_unicast() const noexcept { return !is_any() && !is_multicast(); }

  constexpr auto operator<=>(const IpAddress&) const noexcept = default;

 private:
  static constexpr std::size_t kMappedSize = 12;
  static constexpr std::array<std::uint8_t, kMappedSize> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

  std::array<std::uint8_t, 16> bytes_{};
};

/** All addresses that begin alike. */
struct IpPrefix {
  IpAddress address;
  /** Of the address's own family: up to 32 or 128. */
  unsigned bits = 0;

  /** Only addresses of the same family; what stands beyond `bits` means nothing. */
  [[nodiscard]] constexpr bool contains(const IpAddress& other) const noexcept {
    if (other.is_v4() != address.is_v4()) return false;
    const Bytes ours = address.wire();
    const Bytes theirs = other.wire();
    const std::size_t whole = std::min<std::size_t>(bits / 8, ours.size());
    if (!std::equal(ours.begin(), ours.begin() + static_cast<std::ptrdiff_t>(whole), theirs.begin())) {
      return false;
    }
    if (whole == ours.size() || bits % 8 == 0) return true;
    return (ours[whole] ^ theirs[whole]) >> (8 - bits % 8) == 0;
  }
  constexpr bool operator==(const IpPrefix&) const noexcept = default;
};

}  // namespace sluice::codec

/** Not keyed: a table that strangers can fill needs a limit of its size. */
template <>
struct std::hash<sluice::codec::IpAddress> {
  std::size_t operator()(const sluice::codec::IpAddress& address) const noexcept {
    const auto halves = std::bit_cast<std::array<std::uint64_t, 2>>(address.bytes());
    std::uint64_t mixed = halves[0] * 0x9e3779b97f4a7c15U + halves[1];
    mixed = (mixed ^ mixed >> 32) * 0xd6e8feb86659fd93U;
    mixed = (mixed ^ mixed >> 32) * 0xd6e8feb86659fd93U;
    return mixed ^ mixed >> 32;
  }
};
