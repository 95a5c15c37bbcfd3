// Which packets of a capture are wanted: matched here, not by the kernel, so that VLAN tags, IPv6 extension
// headers and fragments are seen through, and the same filter serves files.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "codec/packet.h"

namespace sluice::codec {

/** An address, or all that share its first bits. */
struct Prefix {
  /** 4 or 6. */
  std::uint8_t version = 4;
  std::array<std::uint8_t, 16> address{};
  /** 0 to 32 or 128. */
  std::uint8_t bits = 32;
  [[nodiscard]] bool contains(std::uint8_t of_version,
                              const std::array<std::uint8_t, 16>& other) const noexcept;
};

enum class Protocol : std::uint8_t { igmp, mld, pim, icmp, tcp, udp, rtp, rtcp };
[[nodiscard]] std::optional<Protocol> protocol_of(std::string_view name) noexcept;

/** What is empty lets everything through; of the rest all must fit, of each list any. */
struct PacketFilter {
  /** Destination. */
  std::vector<Prefix> groups;
  /** Source or destination. */
  std::vector<Prefix> hosts;
  /** Source or destination port of UDP and TCP. */
  std::vector<std::uint16_t> ports;
  std::vector<Protocol> protocols;
  /** VLAN id of any tag, 0 to 4095. */
  std::vector<std::uint16_t> vlans;

  [[nodiscard]] bool empty() const noexcept;
  [[nodiscard]] bool matches(const LinkView& link) const noexcept;
};

}  // namespace sluice::codec
