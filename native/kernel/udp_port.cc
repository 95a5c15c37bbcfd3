#include "kernel/udp_port.h"

#include <linux/filter.h>
#include <net/if.h>

#include "kernel/udp_offload.h"

namespace sluice::kernel {

namespace {

/** A burst to thousands of receivers finds room here, until the device has taken it. */
constexpr int kSendBuffer = 16 << 20;

bool set_int(int fd, int level, int name, int value) noexcept {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

const char* set_send_options(int fd, int family, const UdpPortOptions& o) noexcept {
  const bool v6 = family == AF_INET6;
  const int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
  if (!set_int(fd, SOL_SOCKET, SO_SNDBUFFORCE, kSendBuffer)) set_int(fd, SOL_SOCKET, SO_SNDBUF, kSendBuffer);
  // RFC 6864 section 4: what is never fragmented needs no identification, which the kernel would have to draw
  // for each packet. UdpOutbox takes it back for a path that is too narrow.
  if (!v6 && !set_int(fd, level, IP_MTU_DISCOVER, IP_PMTUDISC_DO)) return "the don't-fragment bit";
  if (!set_int(fd, level, v6 ? IPV6_UNICAST_HOPS : IP_TTL, o.ttl)) return "the TTL";
  if (!set_int(fd, level, v6 ? IPV6_MULTICAST_HOPS : IP_MULTICAST_TTL, o.ttl)) return "the TTL";
  if (!set_int(fd, level, v6 ? IPV6_MULTICAST_LOOP : IP_MULTICAST_LOOP, o.multicast_loop ? 1 : 0))
    return "loop";
  if (o.socket.interface_name.empty()) return nullptr;
  const int index = static_cast<int>(if_nametoindex(o.socket.interface_name.c_str()));
  if (v6) return set_int(fd, level, IPV6_MULTICAST_IF, index) ? nullptr : "the interface";
  ip_mreqn request{};
  request.imr_ifindex = index;
  return setsockopt(fd, level, IP_MULTICAST_IF, &request, sizeof request) == 0 ? nullptr : "the interface";
}

/**
 * Another socket of the address that `rx` is bound to, for sending only: the two are a group of which a
 * filter chooses the first, that is `rx`, for whatever comes. `rx` was bound alone, so that an address in use
 * is found out; only then it becomes one of a group.
 */
Fd open_beside(const UdpRx& rx) noexcept {
  const auto bound = Address::from(rx.bound());
  if (!bound || bound->is_multicast()) return {};
  Fd tx(::socket(bound->family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!tx || !set_int(rx.fd(), SOL_SOCKET, SO_REUSEPORT, 1)) return {};
  sock_filter first = BPF_STMT(BPF_RET | BPF_K, 0);
  const sock_fprog program{1, &first};
  const bool beside =
      set_int(tx.get(), SOL_SOCKET, SO_REUSEPORT, 1) && ::bind(tx.get(), bound->get(), bound->size()) == 0 &&
      setsockopt(tx.get(), SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) == 0;
  if (beside) return tx;
  tx.reset();
  set_int(rx.fd(), SOL_SOCKET, SO_REUSEPORT, 0);
  return {};
}

}  // namespace

Result<std::unique_ptr<UdpPort>> UdpPort::open(const UdpPortOptions& o, UdpInbox& inbox) {
  auto rx = UdpRx::open(o.socket, &inbox);
  if (!rx.ok()) return rx.error();
  std::unique_ptr<UdpPort> port(new UdpPort(std::move(rx.value()), o));
  if (const char* what = set_send_options(port->fd(), port->family(), o)) {
    return system_error("port " + o.socket.address + " " + std::to_string(o.socket.port) + ": setting " +
                        what);
  }
  const UdpOffload offload = udp_offload();
  port->segments_ = offload.segmentation;
  port->coalesces_ = o.socket.coalesce && offload.coalescing;
  return port;
}

void UdpPort::send_apart() noexcept {
  if (tx_) return;
  Fd beside = open_beside(*rx_);
  if (beside && set_send_options(beside.get(), family(), options_) == nullptr) tx_ = std::move(beside);
}

}  // namespace sluice::kernel
