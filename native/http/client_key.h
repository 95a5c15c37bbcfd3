// Whom limits and tokens take for one client.
#pragma once

#include <cstdint>

#include "kernel/address.h"

namespace sluice::http {

/**
 * An IPv4 address, or the /64 of an IPv6 one: within it a host changes its address as it likes (RFC 8981).
 * One of the two is 0.
 */
struct ClientKey {
  std::uint32_t ipv4 = 0;
  std::uint64_t network = 0;
  bool operator==(const ClientKey&) const = default;
};

inline ClientKey client_key(const kernel::Address& address) noexcept {
  const auto bytes = address.bytes();
  const auto number = [&bytes](std::size_t first, std::size_t end) {
    std::uint64_t n = 0;
    for (std::size_t i = first; i < end; i++) n = n << 8 | bytes[i];
    return n;
  };
  // RFC 4291 section 2.5.5.2
  if (number(0, 8) == 0 && number(8, 12) == 0xffff) return {static_cast<std::uint32_t>(number(12, 16)), 0};
  return {0, number(0, 8)};
}

}  // namespace sluice::http
