#include "kernel/address.h"

#include <arpa/inet.h>
#include <net/if.h>

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

bool Address::is_multicast() const noexcept {
  if (family() == AF_INET6) return IN6_IS_ADDR_MULTICAST(&v6(storage_).sin6_addr);
  return IN_MULTICAST(ntohl(v4(storage_).sin_addr.s_addr));
}

std::string Address::text() const {
  char buffer[INET6_ADDRSTRLEN] = "?";
  if (family() == AF_INET6) {
    inet_ntop(AF_INET6, &v6(storage_).sin6_addr, buffer, sizeof buffer);
    return "[" + std::string(buffer) + "]:" + std::to_string(port());
  }
  inet_ntop(AF_INET, &v4(storage_).sin_addr, buffer, sizeof buffer);
  return std::string(buffer) + ":" + std::to_string(port());
}

}  // namespace sluice::kernel
