#include "kernel/udp_rx.h"

#include <net/if.h>
#include <netinet/udp.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif

namespace sluice::kernel {

namespace {

bool set_int(int fd, int level, int name, int value) noexcept {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

int level_of(int family) noexcept {
  return family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
}

std::string interface_names() {
  std::string names;
  struct if_nameindex* const all = if_nameindex();
  for (auto* i = all; i != nullptr && i->if_index != 0; i++)
    names.append(names.empty() ? "" : ", ").append(i->if_name);
  if (all != nullptr) if_freenameindex(all);
  return names;
}

/** Everything that the options name, checked and turned into what the system calls take. */
struct Target {
  Address bind;
  std::optional<Address> source;
  unsigned interface_index = 0;
};

Result<Target> resolve(const UdpRxOptions& o, const std::string& what) {
  const auto address = Address::parse(o.address, o.port);
  if (!address) return Error{"ADDRESS_INVALID", what + ": the address is not a numeric IPv4 or IPv6 address"};
  Target target{*address, std::nullopt, 0};
  if (!o.source.empty()) {
    target.source = Address::parse(o.source, 0);
    if (!target.source || target.source->family() != address->family() || target.source->is_multicast()) {
      return Error{"ADDRESS_INVALID",
                   what + ": the source `" + o.source + "` is not a unicast address of the same family"};
    }
  }
  if (o.interface_name.empty()) return target;
  target.interface_index = if_nametoindex(o.interface_name.c_str());
  if (target.interface_index == 0) {
    return Error{"INTERFACE_UNKNOWN", what + ": there is no interface `" + o.interface_name +
                                          "` (there are: " + interface_names() + ")"};
  }
  // Groups of link-local scope are bound together with their link.
  if (address->family() == AF_INET6 && address->is_multicast()) {
    sockaddr_storage storage = address->storage();
    reinterpret_cast<sockaddr_in6&>(storage).sin6_scope_id = target.interface_index;
    target.bind = *Address::from(storage);
  }
  return target;
}

/** One call for both families (RFC 3678 section 5): an any-source or a source-specific join. */
bool join_group(int fd, const Target& t) noexcept {
  if (!t.source) {
    group_req request{};
    request.gr_interface = t.interface_index;
    std::memcpy(&request.gr_group, t.bind.get(), t.bind.size());
    return setsockopt(fd, level_of(t.bind.family()), MCAST_JOIN_GROUP, &request, sizeof request) == 0;
  }
  group_source_req request{};
  request.gsr_interface = t.interface_index;
  std::memcpy(&request.gsr_group, t.bind.get(), t.bind.size());
  std::memcpy(&request.gsr_source, t.source->get(), t.source->size());
  return setsockopt(fd, level_of(t.bind.family()), MCAST_JOIN_SOURCE_GROUP, &request, sizeof request) == 0;
}

void set_receive_options(int fd, int family, const UdpRxOptions& o) noexcept {
  // Without this, a socket gets every group joined by anybody on this host that fits its port.
  if (family == AF_INET6) {
    set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
  } else {
    set_int(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);
  }
  if (!set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, o.receive_buffer))
    set_int(fd, SOL_SOCKET, SO_RCVBUF, o.receive_buffer);
  set_int(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
  set_int(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
  if (o.coalesce) set_int(fd, IPPROTO_UDP, UDP_GRO, 1);
  if (!o.headers) return;
  const bool v6 = family == AF_INET6;
  const int level = level_of(family);
  set_int(fd, level, v6 ? IPV6_RECVPKTINFO : IP_PKTINFO, 1);
  set_int(fd, level, v6 ? IPV6_RECVHOPLIMIT : IP_RECVTTL, 1);
  set_int(fd, level, v6 ? IPV6_RECVTCLASS : IP_RECVTOS, 1);
  set_int(fd, level, v6 ? IPV6_RECVDSTOPTS : IP_RECVOPTS, 1);
}

std::string join_error(const UdpRxOptions& o) {
  if (errno == ENODEV && o.interface_name.empty())
    return "joining (no route to the group; name an interface)";
  if (errno == ENOBUFS) return "joining (net.ipv4.igmp_max_memberships or igmp_max_msf is reached)";
  return "joining";
}

Nanos realtime_now() noexcept {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  return static_cast<Nanos>(t.tv_sec) * kSecond + t.tv_nsec;
}

std::string name_of(const UdpRxOptions& o) {
  return "receiver of " + o.address + " port " + std::to_string(o.port);
}

}  // namespace

Result<std::unique_ptr<UdpRx>> UdpRx::open(const UdpRxOptions& o, UdpInbox* inbox) {
  const std::string what = name_of(o);
  Result<Target> resolved = resolve(o, what);
  if (!resolved.ok()) return resolved.error();
  const Target& target = resolved.value();
  const int family = target.bind.family();
  Fd socket(::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return system_error(what + ": socket");
  // Several receivers of one group on one host are normal; two of one unicast address would take turns.
  if (target.bind.is_multicast()) set_int(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1);
  set_receive_options(socket.get(), family, o);
  if (::bind(socket.get(), target.bind.get(), target.bind.size()) != 0)
    return system_error(what + ": binding");
  if (o.joins && target.bind.is_multicast() && !join_group(socket.get(), target))
    return system_error(what + ": " + join_error(o));
  auto rx = std::unique_ptr<UdpRx>(new UdpRx(std::move(socket), o.headers, inbox));
  if (target.source && !target.bind.is_multicast()) {
    rx->one_source_ = true;
    rx->only_source_ = target.source->storage();
  }
  return rx;
}

std::optional<Error> UdpRx::join(const UdpRxOptions& o) {
  const std::string what = name_of(o);
  Result<Target> target = resolve(o, what);
  if (!target.ok()) return target.error();
  if (target.value().bind.is_multicast() && !join_group(socket_.get(), target.value()))
    return system_error(what + ": " + join_error(o));
  return std::nullopt;
}

UdpInbox::UdpInbox(std::size_t messages)
    : size_(messages),
      used_(messages),
      buffers_(new std::uint8_t[messages * kBufferSize]),
      messages_(new mmsghdr[messages]()),
      slots_(new Slot[messages]),
      datagrams_(new Datagram[messages * kMaxSegments]) {}

Nanos UdpInbox::realtime_offset(Nanos now) noexcept {
  // Two clocks are read where one would do, so not for each call: packets come by ten thousands a second.
  if (now - offset_at_ > kOffsetKept) {
    offset_ = now - realtime_now();
    offset_at_ = now;
  }
  return offset_;
}

void UdpInbox::prepare(std::size_t i) noexcept {
  Slot& slot = slots_[i];
  slot.vector = {buffers_.get() + i * kBufferSize, kBufferSize};
  msghdr& m = messages_[i].msg_hdr;
  m.msg_name = &slot.sender;
  m.msg_namelen = sizeof slot.sender;
  m.msg_iov = &slot.vector;
  m.msg_iovlen = 1;
  m.msg_control = slot.control.data();
  m.msg_controllen = kControlSize;
  m.msg_flags = 0;
}

UdpRx::UdpRx(Fd socket, bool headers, UdpInbox* inbox)
    : socket_(std::move(socket)),
      headers_(headers),
      own_(inbox == nullptr ? std::make_unique<UdpInbox>(kBatch) : nullptr),
      inbox_(inbox == nullptr ? *own_ : *inbox) {
  socklen_t size = sizeof bound_;
  getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&bound_), &size);
  if (const auto address = Address::from(bound_)) port_ = address->port();
}

std::span<const Datagram> UdpRx::receive() noexcept {
  // Only what the kernel has filled must be made ready again: most calls bring a few.
  for (std::size_t i = 0; i < inbox_.used_; i++) inbox_.prepare(i);
  const int n = ::recvmmsg(socket_.get(), inbox_.messages_.get(), static_cast<unsigned>(inbox_.size_),
                           MSG_DONTWAIT, nullptr);
  // After an error, such as one that an ICMP message left behind, what has come is still there.
  more_ = n == static_cast<int>(inbox_.size_) || (n < 0 && errno != EAGAIN);
  // A call that failed may have touched the first.
  inbox_.used_ = n > 0 ? static_cast<std::size_t>(n) : 1;
  if (n <= 0) return {};
  const Nanos now = monotonic_now();
  received_at_ = now;
  const Nanos offset = inbox_.realtime_offset(now);
  std::size_t count = 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); i++) {
    const Facts facts = read_facts(inbox_.messages_[i].msg_hdr, now, offset);
    if (!from_source(inbox_.slots_[i].sender)) continue;
    if (headers_) read_headers(i, facts.arrival - offset);
    count = split(i, facts, count);
  }
  return {inbox_.datagrams_.get(), count};
}

UdpRx::Facts UdpRx::read_facts(msghdr& message, Nanos now, Nanos realtime_offset) noexcept {
  // A stamp far from now means that the wall clock was set between packet and call.
  constexpr Nanos kPlausible = 10 * kSecond;
  Facts facts{now, 0};
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS &&
        c->cmsg_len >= CMSG_LEN(sizeof(timespec))) {
      timespec t{};
      std::memcpy(&t, CMSG_DATA(c), sizeof t);
      const Nanos arrival = static_cast<Nanos>(t.tv_sec) * kSecond + t.tv_nsec + realtime_offset;
      if (arrival <= now && now - arrival < kPlausible) facts.arrival = arrival;
    } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL && c->cmsg_len >= CMSG_LEN(4)) {
      std::uint32_t total = 0;
      std::memcpy(&total, CMSG_DATA(c), sizeof total);
      note_drops(total);
    } else if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO &&
               c->cmsg_len >= CMSG_LEN(sizeof(int))) {
      int size = 0;
      std::memcpy(&size, CMSG_DATA(c), sizeof size);
      facts.segment = size > 0 ? static_cast<std::size_t>(size) : 0;
    }
  }
  return facts;
}

namespace {

/** Takes the destination out of a message's IP_PKTINFO or IPV6_PKTINFO; the port stays. */
void read_destination(const cmsghdr& c, sockaddr_storage& out) noexcept {
  if (c.cmsg_level == IPPROTO_IP && c.cmsg_type == IP_PKTINFO && c.cmsg_len >= CMSG_LEN(sizeof(in_pktinfo))) {
    in_pktinfo info{};
    std::memcpy(&info, CMSG_DATA(&c), sizeof info);
    reinterpret_cast<sockaddr_in&>(out).sin_addr = info.ipi_addr;
  } else if (c.cmsg_level == IPPROTO_IPV6 && c.cmsg_type == IPV6_PKTINFO &&
             c.cmsg_len >= CMSG_LEN(sizeof(in6_pktinfo))) {
    in6_pktinfo info{};
    std::memcpy(&info, CMSG_DATA(&c), sizeof info);
    reinterpret_cast<sockaddr_in6&>(out).sin6_addr = info.ipi6_addr;
  }
}

void read_options(const cmsghdr& c, DatagramHeaders& head) noexcept {
  const std::size_t size = std::min<std::size_t>(c.cmsg_len - CMSG_LEN(0), head.options.size());
  std::memcpy(head.options.data(), CMSG_DATA(&c), size);
  head.options_size = static_cast<std::uint8_t>(size);
}

}  // namespace

void UdpRx::read_headers(std::size_t i, Nanos wall) noexcept {
  DatagramHeaders& head = inbox_.slots_[i].head;
  head = {inbox_.slots_[i].sender, bound_, 0, 0, wall, {}, 0};
  msghdr& message = inbox_.messages_[i].msg_hdr;
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    read_destination(*c, head.destination);
    const bool v4 = c->cmsg_level == IPPROTO_IP;
    if ((!v4 && c->cmsg_level != IPPROTO_IPV6) || c->cmsg_len < CMSG_LEN(1)) continue;
    // The first byte of an int, and on a little-endian machine its value; IP_TOS is a byte.
    if (c->cmsg_type == (v4 ? IP_TTL : IPV6_HOPLIMIT)) head.ttl = *CMSG_DATA(c);
    if (c->cmsg_type == (v4 ? IP_TOS : IPV6_TCLASS)) head.traffic_class = *CMSG_DATA(c);
    if (c->cmsg_type == (v4 ? IP_RECVOPTS : IPV6_DSTOPTS)) read_options(*c, head);
  }
}

void UdpRx::note_drops(std::uint32_t total) noexcept {
  drops_ += total - last_overflow_;
  last_overflow_ = total;
}

bool UdpRx::from_source(const sockaddr_storage& sender) const noexcept {
  if (!one_source_) return true;
  if (sender.ss_family != only_source_.ss_family) return false;
  if (sender.ss_family == AF_INET) {
    return reinterpret_cast<const sockaddr_in&>(sender).sin_addr.s_addr ==
           reinterpret_cast<const sockaddr_in&>(only_source_).sin_addr.s_addr;
  }
  return std::memcmp(&reinterpret_cast<const sockaddr_in6&>(sender).sin6_addr,
                     &reinterpret_cast<const sockaddr_in6&>(only_source_).sin6_addr, sizeof(in6_addr)) == 0;
}

/** Lists the datagrams of one message; all but the last of a coalesced one have the same size. */
std::size_t UdpRx::split(std::size_t i, const Facts& facts, std::size_t count) noexcept {
  const UdpInbox::Slot& slot = inbox_.slots_[i];
  std::span<const std::uint8_t> bytes(inbox_.buffers_.get() + i * UdpInbox::kBufferSize,
                                      inbox_.messages_[i].msg_len);
  const std::size_t size = facts.segment > 0 ? facts.segment : std::max<std::size_t>(bytes.size(), 1);
  const std::size_t most = inbox_.size_ * UdpInbox::kMaxSegments;
  while (count < most) {
    const std::size_t n = std::min(size, bytes.size());
    inbox_.datagrams_[count++] = {bytes.first(n), facts.arrival, &slot.sender,
                                  headers_ ? &slot.head : nullptr};
    bytes = bytes.subspan(n);
    if (bytes.empty()) break;
  }
  return count;
}

}  // namespace sluice::kernel
