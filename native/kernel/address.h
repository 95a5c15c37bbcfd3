// IPv4 and IPv6 socket addresses.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>

namespace sluice::kernel {

/** An IPv6 address; IPv4 ones as IPv4-mapped (RFC 4291 section 2.5.5.2). In network order. */
using AddressBytes = std::array<std::uint8_t, 16>;

/** A numeric IPv4 or IPv6 address with a port, ready for the socket calls. */
class Address {
 public:
  Address() noexcept = default;
  /** Parses a numeric address without brackets (`192.0.2.1`, `ff3e::1`, `fe80::1%eth0`); none when it is not
   * one. */
  static std::optional<Address> parse(const std::string& text, std::uint16_t port);
  /** Copies what a socket call filled in; none for families other than IPv4 and IPv6. */
  static std::optional<Address> from(const sockaddr_storage& storage) noexcept;
  /** The address that bytes() gave: IPv4 where they are IPv4-mapped. */
  static Address of(const AddressBytes& bytes, std::uint16_t port) noexcept;
  /** The wildcard address of a family. */
  static Address any(int family, std::uint16_t port) noexcept;

  [[nodiscard]] int family() const noexcept { return storage_.ss_family; }
  [[nodiscard]] const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage_); }
  [[nodiscard]] socklen_t size() const noexcept;
  [[nodiscard]] std::uint16_t port() const noexcept;
  [[nodiscard]] Address with_port(std::uint16_t port) const noexcept;
  [[nodiscard]] bool is_multicast() const noexcept;
  /** Without the port, which is how a socket for both families shows IPv4. */
  [[nodiscard]] AddressBytes bytes() const noexcept;
  /** `192.0.2.1` or `2001:db8::1`: the same however it was written. */
  [[nodiscard]] std::string host() const;
  /** `192.0.2.1:80` or `[2001:db8::1]:80`. */
  [[nodiscard]] std::string text() const;
  [[nodiscard]] const sockaddr_storage& storage() const noexcept { return storage_; }

 private:
  sockaddr_storage storage_{};
};

/** Whether the bytes are an IPv4 address. */
[[nodiscard]] bool is_v4(const AddressBytes& bytes) noexcept;
/** The IPv4-mapped form of four bytes in network order. */
[[nodiscard]] AddressBytes mapped(const void* four) noexcept;
/** 0.0.0.0 or ::. */
[[nodiscard]] AddressBytes any_address(int family) noexcept;
/** Whether the first `bits` bits (0 to 128) are the same. */
[[nodiscard]] bool alike(const AddressBytes& a, const AddressBytes& b, unsigned bits) noexcept;

/** All addresses that begin alike: `192.0.2.0/24`, `2001:db8::/32`; a single one without a length. */
class AddressPrefix {
 public:
  /** None when the text is neither. Bits beyond the length mean nothing. */
  static std::optional<AddressPrefix> parse(const std::string& text);
  [[nodiscard]] bool contains(const Address& address) const noexcept;

 private:
  AddressBytes bytes_{};
  /** Of an IPv4 prefix: with the 96 bits that are mapped. */
  unsigned bits_ = 0;
};

}  // namespace sluice::kernel
