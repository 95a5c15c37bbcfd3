// The Internet checksum (RFC 1071) and the pseudo headers that it covers (RFC 8200 section 8.1).
#pragma once

#include "codec/ip_address.h"

namespace sluice::codec {

/** Who sent an IP packet, and where to; both of one family. */
struct IpEnds {
  IpAddress source;
  IpAddress destination;
};

/** Adds 16-bit words; `sum` holds what came before, an even number of bytes. */
constexpr std::uint32_t add_words(std::uint32_t sum, Bytes bytes) noexcept {
  std::size_t at = 0;
  for (; at + 2 <= bytes.size(); at += 2) sum += load16(bytes.data() + at);
  return at < bytes.size() ? sum + (std::uint32_t{bytes[at]} << 8) : sum;
}

/** What stands in the checksum's place; 0 of bytes that hold their right checksum. */
constexpr std::uint16_t folded(std::uint32_t sum) noexcept {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

/** Of the pseudo header; `length` is below 65,536. */
constexpr std::uint32_t pseudo_header_sum(const IpEnds& ends, std::uint8_t protocol,
                                          std::size_t length) noexcept {
  const std::uint32_t sum = protocol + static_cast<std::uint32_t>(length);
  return add_words(add_words(sum, ends.source.wire()), ends.destination.wire());
}

}  // namespace sluice::codec
