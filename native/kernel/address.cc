#include "kernel/address.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <charconv>
#include <cstring>

namespace sluice::kernel {

namespace {

sockaddr_in& v4(sockaddr_storage& s) noexcept {
  return reinterpret_cast<sockaddr_in&>(s);
}
sockaddr_in6& v6(sockaddr_storage& s) noexcept {
  return reinterpret_cast<sockaddr_in6&>(s);
}
const sockaddr_in& v4(const sockaddr_storage& s) noexcept {
  return reinterpret_cast<const sockaddr_in&>(s);
}
const sockaddr_in6& v6(const sockaddr_storage& s) noexcept {
  return reinterpret_cast<const sockaddr_in6&>(s);
}

}  // namespace

std::optional<Address> Address::parse(const std::string& text, std::uint16_t port) {
  Address a;
  if (inet_pton(AF_INET, text.c_str(), &v4(a.storage_).sin_addr) == 1) {
    v4(a.storage_).sin_family = AF_INET;
    v4(a.storage_).sin_port = htons(port);
    return a;
  }
  const auto percent = text.find('%');
  const std::string host = text.substr(0, percent);
  if (inet_pton(AF_INET6, host.c_str(), &v6(a.storage_).sin6_addr) != 1) return std::nullopt;
  v6(a.storage_).sin6_family = AF_INET6;
  v6(a.storage_).sin6_port = htons(port);
  if (percent != std::string::npos) {
    v6(a.storage_).sin6_scope_id = if_nametoindex(text.c_str() + percent + 1);
    if (v6(a.storage_).sin6_scope_id == 0) return std::nullopt;
  }
  return a;
}

std::optional<Address> Address::from(const sockaddr_storage& storage) noexcept {
  if (storage.ss_family != AF_INET && storage.ss_family != AF_INET6) return std::nullopt;
  Address a;
  a.storage_ = storage;
  return a;
}

Address Address::of(const AddressBytes& bytes, std::uint16_t port) noexcept {
  const bool four = is_v4(bytes);
  Address a = any(four ? AF_INET : AF_INET6, port);
  if (four)
    std::memcpy(&v4(a.storage_).sin_addr, bytes.data() + 12, 4);
  else
    std::memcpy(&v6(a.storage_).sin6_addr, bytes.data(), bytes.size());
  return a;
}

Address Address::any(int family, std::uint16_t port) noexcept {
  Address a;
  if (family == AF_INET6) {
    v6(a.storage_).sin6_family = AF_INET6;
    v6(a.storage_).sin6_port = htons(port);
  } else {
    v4(a.storage_).sin_family = AF_INET;
    v4(a.storage_).sin_port = htons(port);
  }
  return a;
}

socklen_t Address::size() const noexcept {
  return family() == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
}

std::uint16_t Address::port() const noexcept {
  return ntohs(family() == AF_INET6 ? v6(storage_).sin6_port : v4(storage_).sin_port);
}

Address Address::with_port(std::uint16_t port) const noexcept {
  Address a = *this;
  if (family() == AF_INET6)
    v6(a.storage_).sin6_port = htons(port);
  else
    v4(a.storage_).sin_port = htons(port);
  return a;
}

bool Address::is_multicast() const noexcept {
  if (family() == AF_INET6) return IN6_IS_ADDR_MULTICAST(&v6(storage_).sin6_addr);
  return IN_MULTICAST(ntohl(v4(storage_).sin_addr.s_addr));
}

AddressBytes Address::bytes() const noexcept {
  if (family() != AF_INET6) return mapped(&v4(storage_).sin_addr);
  AddressBytes all{};
  std::memcpy(all.data(), &v6(storage_).sin6_addr, all.size());
  return all;
}

std::string Address::host() const {
  char buffer[INET6_ADDRSTRLEN] = "?";
  if (family() == AF_INET6)
    inet_ntop(AF_INET6, &v6(storage_).sin6_addr, buffer, sizeof buffer);
  else
    inet_ntop(AF_INET, &v4(storage_).sin_addr, buffer, sizeof buffer);
  return buffer;
}

std::string Address::text() const {
  const std::string name = host();
  return (family() == AF_INET6 ? "[" + name + "]" : name) + ":" + std::to_string(port());
}

bool is_v4(const AddressBytes& bytes) noexcept {
  constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::memcmp(bytes.data(), kMapped.data(), kMapped.size()) == 0;
}

AddressBytes mapped(const void* four) noexcept {
  AddressBytes all{};
  all[10] = all[11] = 0xff;
  std::memcpy(all.data() + 12, four, 4);
  return all;
}

AddressBytes any_address(int family) noexcept {
  constexpr std::array<std::uint8_t, 4> kZero{};
  return family == AF_INET ? mapped(kZero.data()) : AddressBytes{};
}

bool alike(const AddressBytes& a, const AddressBytes& b, unsigned bits) noexcept {
  const std::size_t whole = bits / 8;
  if (std::memcmp(a.data(), b.data(), whole) != 0) return false;
  return bits % 8 == 0 || ((a[whole] ^ b[whole]) >> (8 - bits % 8)) == 0;
}

std::optional<AddressPrefix> AddressPrefix::parse(const std::string& text) {
  const auto slash = text.find('/');
  const auto address = Address::parse(text.substr(0, slash), 0);
  if (!address) return std::nullopt;
  const unsigned most = address->family() == AF_INET6 ? 128 : 32;
  unsigned length = most;
  if (slash != std::string::npos) {
    const char* const end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data() + slash + 1, end, length);
    if (error != std::errc() || at != end || length > most) return std::nullopt;
  }
  AddressPrefix prefix;
  prefix.bits_ = length + (128 - most);
  prefix.bytes_ = address->bytes();
  return prefix;
}

bool AddressPrefix::contains(const Address& address) const noexcept {
  return alike(bytes_, address.bytes(), bits_);
}

}  // namespace sluice::kernel
