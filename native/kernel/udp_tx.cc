#include "kernel/udp_tx.h"

#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>

#include <array>
#include <cstring>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

namespace sluice::kernel {

namespace {

bool set_int(int fd, int level, int name, int value) noexcept {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

/** Everything that IPv4 and IPv6 name differently; null when all went well. */
const char* set_ip_options(int fd, const UdpTxOptions& o, unsigned interface_index) noexcept {
  const bool v6 = o.destination.family() == AF_INET6;
  const int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
  if (!set_int(fd, level, v6 ? IPV6_TCLASS : IP_TOS, o.dscp << 2)) return "the DSCP";
  if (!set_int(fd, level, v6 ? IPV6_UNICAST_HOPS : IP_TTL, o.ttl == 0 ? 1 : o.ttl)) return "the TTL";
  if (!o.destination.is_multicast()) return nullptr;
  if (!set_int(fd, level, v6 ? IPV6_MULTICAST_HOPS : IP_MULTICAST_TTL, o.ttl)) return "the TTL";
  if (!set_int(fd, level, v6 ? IPV6_MULTICAST_LOOP : IP_MULTICAST_LOOP, o.loop ? 1 : 0)) return "loop";
  if (interface_index == 0) return nullptr;
  if (v6)
    return set_int(fd, level, IPV6_MULTICAST_IF, static_cast<int>(interface_index)) ? nullptr
                                                                                    : "the interface";
  ip_mreqn request{};
  request.imr_ifindex = static_cast<int>(interface_index);
  return setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request) == 0 ? nullptr
                                                                                    : "the interface";
}

}  // namespace

Result<UdpTx> UdpTx::open(const UdpTxOptions& o) {
  const std::string to = "sender to " + o.destination.text();
  const unsigned index = o.interface_name.empty() ? 0 : if_nametoindex(o.interface_name.c_str());
  if (!o.interface_name.empty() && index == 0)
    return Error{"INTERFACE_UNKNOWN", to + ": there is no interface `" + o.interface_name + "`"};
  UdpTx tx;
  tx.socket_ = Fd(socket(o.destination.family(), SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int fd = tx.socket_.get();
  if (!tx.socket_) return system_error(to + ": socket");
  if (const char* what = set_ip_options(fd, o, index)) return system_error(to + ": setting " + what);
  Address source = Address::any(o.destination.family(), o.source_port);
  if (!o.source_address.empty()) {
    const auto parsed = Address::parse(o.source_address, o.source_port);
    if (!parsed || parsed->family() != o.destination.family())
      return Error{"ADDRESS_INVALID",
                   to + ": `" + o.source_address + "` is not a source address of the same family"};
    source = *parsed;
  }
  set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (o.receive_buffer > 0 && !set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, o.receive_buffer))
    set_int(fd, SOL_SOCKET, SO_RCVBUF, o.receive_buffer);
  if (bind(fd, source.get(), source.size()) != 0) return system_error(to + ": binding " + source.text());
  // Only multicast is held to the interface: a unicast destination is routed.
  sockaddr_storage destination = o.destination.storage();
  if (o.destination.family() == AF_INET6 && o.destination.is_multicast() && index != 0)
    reinterpret_cast<sockaddr_in6&>(destination).sin6_scope_id = index;
  if (o.answers) {
    tx.destination_ = destination;
    tx.destination_size_ = o.destination.size();
  } else if (connect(fd, reinterpret_cast<const sockaddr*>(&destination), o.destination.size()) != 0) {
    return system_error(to + ": connect");
  }
  int probe = 0;
  socklen_t size = sizeof probe;
  tx.v6_ = o.destination.family() == AF_INET6;
  tx.can_segment_ = getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &probe, &size) == 0;
  return tx;
}

UdpTxOutcome UdpTx::send_message(msghdr& message) noexcept {
  const int fd = socket_.get();
  message.msg_name = destination_size_ > 0 ? &destination_ : nullptr;
  message.msg_namelen = destination_size_;
  ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL);
  // An ICMP answer to an earlier datagram is reported in place of sending this one.
  if (sent < 0 && errno == ECONNREFUSED) sent = ::sendmsg(fd, &message, MSG_NOSIGNAL);
  if (sent >= 0) return {true, false, 0};
  // EIO, EINVAL, EMSGSIZE: no checksum offload, or a segment larger than the path takes.
  return {false, errno == EIO || errno == EINVAL || errno == EMSGSIZE, errno};
}

std::span<std::uint8_t> UdpTx::receive(std::span<std::uint8_t> room) noexcept {
  const ssize_t size = recv(socket_.get(), room.data(), room.size(), MSG_DONTWAIT);
  return room.first(size > 0 ? static_cast<std::size_t>(size) : 0);
}

UdpTxOutcome UdpTx::send(std::span<iovec> pieces) noexcept {
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces.size();
  return send_message(message);
}

UdpTxOutcome UdpTx::send_with_options(std::span<iovec> pieces,
                                      std::span<const std::uint8_t> options) noexcept {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostOptions)> control{};
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces.size();
  message.msg_control = control.data();
  message.msg_controllen = CMSG_SPACE(options.size());
  cmsghdr* const c = CMSG_FIRSTHDR(&message);
  c->cmsg_level = v6_ ? IPPROTO_IPV6 : IPPROTO_IP;
  c->cmsg_type = v6_ ? IPV6_DSTOPTS : IP_RETOPTS;
  c->cmsg_len = CMSG_LEN(options.size());
  std::memcpy(CMSG_DATA(c), options.data(), options.size());
  return send_message(message);
}

bool UdpTx::may_send_options(std::span<const std::uint8_t> options) const noexcept {
  const int fd = socket_.get();
  const int level = v6_ ? IPPROTO_IPV6 : IPPROTO_IP;
  const int name = v6_ ? IPV6_DSTOPTS : IP_OPTIONS;
  if (setsockopt(fd, level, name, options.data(), static_cast<socklen_t>(options.size())) != 0) return false;
  // It was to be known only; each datagram has its own.
  return setsockopt(fd, level, name, nullptr, 0) == 0;
}

UdpTxOutcome UdpTx::send_segmented(std::span<iovec> pieces, std::uint16_t segment) noexcept {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(std::uint16_t))> control{};
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces.size();
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* const c = CMSG_FIRSTHDR(&message);
  c->cmsg_level = IPPROTO_UDP;
  c->cmsg_type = UDP_SEGMENT;
  c->cmsg_len = CMSG_LEN(sizeof segment);
  std::memcpy(CMSG_DATA(c), &segment, sizeof segment);
  return send_message(message);
}

}  // namespace sluice::kernel
