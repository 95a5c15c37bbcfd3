// What viewers may ask for by `/udp/…` and `/rtp/…`: its text taken apart, and the list of what is allowed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kernel/address.h"

namespace sluice::plane {

/** An address that MPEG-TS comes to. */
struct RelayTarget {
  /** With the port, which is not 0. */
  kernel::Address address;
  /** Of a source-specific group (RFC 4607). */
  std::optional<kernel::Address> source;
  /** `10.1.2.3@232.1.1.1:5000`, `[ff3e::1]:5000`: the same for all ways of writing it. */
  [[nodiscard]] std::string text() const;
};

/**
 * Reads `[SOURCE@]ADDRESS:PORT` as it stands in a path: numeric addresses without a scope id, IPv6 in
 * brackets, both of one family, a source only before a group; percent-encoded characters (RFC 3986 section
 * 2.1) count as themselves, a slash at the end as nothing. None for all else, IPv4-mapped addresses included:
 * they would be a second name for what the list knows by another.
 */
std::optional<RelayTarget> parse_relay_target(std::string_view text);

/** One line of the list. */
struct RelayRule {
  /** Where it is set, only with a source in it. */
  std::optional<kernel::AddressPrefix> source;
  kernel::AddressPrefix address;
  std::uint16_t first_port = 1;
  std::uint16_t last_port = 65535;

  [[nodiscard]] bool allows(const RelayTarget& target) const noexcept;
};

}  // namespace sluice::plane
