// PIM's encoded addresses (RFC 7761 section 4.9.1), for the codecs of its messages.
//
//   |  family (1 IPv4, 2 IPv6)  |  encoding (0)  |                               | unicast address
//   |  family                   |  encoding      |B| reserved |Z  |  mask length | group address
//   |  family                   |  encoding      | reserved |S|W|R |  mask length | source address
#pragma once

#include <optional>

#include "codec/output.h"
#include "codec/pim.h"

namespace sluice::codec::pim {

/** One of them, of either family. */
struct EncodedAddress {
  bool v4 = true;
  std::uint8_t flags = 0;
  std::uint8_t bits = 0;
  IpAddress address;

  /** An IPv4-mapped IPv6 address is neither. */
  [[nodiscard]] bool is_of(bool family_v4) const noexcept {
    return v4 == family_v4 && address.is_v4() == family_v4;
  }
  /** Not a range. */
  [[nodiscard]] bool is_single() const noexcept { return bits == (v4 ? 32 : 128); }
};

namespace group_flag {
constexpr std::uint8_t kBidirectional = 0x80;
constexpr std::uint8_t kZone = 0x01;
}  // namespace group_flag

namespace source_flag {
constexpr std::uint8_t kSparse = 0x04;
constexpr std::uint8_t kWildcard = 0x02;
constexpr std::uint8_t kRpt = 0x01;
}  // namespace source_flag

enum class Encoding : std::uint8_t { unicast, masked };

/** Bytes that it takes. */
constexpr std::size_t encoded_size(Encoding encoding, bool v4) noexcept {
  return (encoding == Encoding::unicast ? 2U : 4U) + (v4 ? 4U : 16U);
}

/** Takes one off `rest`; none, and nothing is taken, when it is not whole or of an encoding that is unknown.
 */
inline std::optional<EncodedAddress> take_encoded(Bytes& rest, Encoding encoding) noexcept {
  if (rest.size() < 2 || (rest[0] != 1 && rest[0] != 2) || rest[1] != 0) return std::nullopt;
  EncodedAddress out;
  out.v4 = rest[0] == 1;
  const std::size_t size = encoded_size(encoding, out.v4);
  if (rest.size() < size) return std::nullopt;
  out.flags = encoding == Encoding::masked ? rest[2] : std::uint8_t{0};
  out.bits = encoding == Encoding::masked ? rest[3] : std::uint8_t(out.v4 ? 32 : 128);
  if (out.bits > (out.v4 ? 32 : 128)) return std::nullopt;
  const std::uint8_t* const address = rest.data() + size - (out.v4 ? 4 : 16);
  out.address = out.v4 ? IpAddress::v4(address) : IpAddress::v6(address);
  rest = rest.subspan(size);
  return out;
}

/** One that must be unicast encoded and of a family. */
inline std::optional<IpAddress> take_unicast(Bytes& rest, bool v4) noexcept {
  const auto encoded = take_encoded(rest, Encoding::unicast);
  return encoded && encoded->is_of(v4) ? std::optional(encoded->address) : std::nullopt;
}

/** One that must be a single multicast group of a family. */
inline std::optional<IpAddress> take_group(Bytes& rest, bool v4) noexcept {
  const auto encoded = take_encoded(rest, Encoding::masked);
  const bool fits = encoded && encoded->is_of(v4) && encoded->is_single() && encoded->address.is_multicast();
  return fits ? std::optional(encoded->address) : std::nullopt;
}

inline void put_unicast(Output& out, const IpAddress& address) noexcept {
  out.byte(address.is_v4() ? 1 : 2);
  out.byte(0);
  out.bytes(address.wire());
}

inline void put_masked(Output& out, const IpAddress& address, unsigned flags, unsigned bits) noexcept {
  out.byte(address.is_v4() ? 1 : 2);
  out.byte(0);
  out.byte(flags);
  out.byte(bits);
  out.bytes(address.wire());
}

/** A single group, or a source. */
inline void put_single(Output& out, const IpAddress& address, unsigned flags = 0) noexcept {
  put_masked(out, address, flags, address.is_v4() ? 32 : 128);
}

/** The header, without its checksum. */
inline void put_header(Output& out, Type type, unsigned flags = 0) noexcept {
  out.byte(0x20U | static_cast<unsigned>(type));
  out.byte(flags);
  out.half(0);
}

/** Seals what was written; its length, 0 when it did not fit. */
inline std::size_t finish(Output& out, const IpEnds& ends) noexcept {
  const MutableBytes message = out.written();
  if (!message.empty()) seal(message, ends);
  return message.size();
}

}  // namespace sluice::codec::pim
