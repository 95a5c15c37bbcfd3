#include "kernel/control_socket.h"

#include <arpa/inet.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sluice::kernel {

using Bytes = std::span<const std::uint8_t>;

namespace {

constexpr int kReceiveBuffer = 8 << 20;
/** RFC 3810 section 5.2; the C library's headers know the other types. */
constexpr int kMldReportV2 = 143;

bool is_v4(ControlProtocol p) noexcept {
  return p == ControlProtocol::igmp || p == ControlProtocol::pim;
}
bool is_pim(ControlProtocol p) noexcept {
  return p == ControlProtocol::pim || p == ControlProtocol::pim6;
}
int number_of(ControlProtocol p) noexcept {
  if (p == ControlProtocol::igmp) return IPPROTO_IGMP;
  if (p == ControlProtocol::mld) return IPPROTO_ICMPV6;
  return IPPROTO_PIM;
}
const char* name_of(ControlProtocol p) noexcept {
  constexpr std::array<const char*, 4> kNames{"IGMP", "MLD", "PIM", "PIM over IPv6"};
  return kNames.at(static_cast<std::size_t>(p));
}
/** Of the sockets that have joined, beside 4 or 6 for the family. */
const char* joins_name(ControlProtocol p) noexcept {
  if (is_pim(p)) return "pim";
  return p == ControlProtocol::igmp ? "igmp" : "mld";
}

bool set_int(int fd, int level, int name, int value) noexcept {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

bool set_ipv4_options(int fd, ControlProtocol protocol) noexcept {
  constexpr std::array<std::uint8_t, 4> kAlert{IPOPT_RA, 4, 0, 0};
  return set_int(fd, IPPROTO_IP, IP_PKTINFO, 1) && set_int(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 0) &&
         (is_pim(protocol) || setsockopt(fd, IPPROTO_IP, IP_OPTIONS, kAlert.data(), kAlert.size()) == 0);
}

bool set_ipv6_options(int fd, ControlProtocol protocol) noexcept {
  const bool ok =
      set_int(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) && set_int(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1) &&
      set_int(fd, IPPROTO_IPV6, IPV6_RECVHOPOPTS, 1) && set_int(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0);
  if (!ok || is_pim(protocol)) return ok;
  // Next header and length, the alert (its value 0 means MLD), and two bytes of padding.
  constexpr std::array<std::uint8_t, 8> kAlert{0, 0, 5, 2, 0, 0, 1, 0};
  icmp6_filter filter{};
  ICMP6_FILTER_SETBLOCKALL(&filter);
  for (const int type : {MLD_LISTENER_QUERY, MLD_LISTENER_REPORT, MLD_LISTENER_REDUCTION, kMldReportV2})
    ICMP6_FILTER_SETPASS(type, &filter);
  return setsockopt(fd, IPPROTO_IPV6, IPV6_HOPOPTS, kAlert.data(), kAlert.size()) == 0 &&
         setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter) == 0;
}

/** The groups that routers listen to, beside the one that every host does. */
std::span<const AddressBytes> groups_of(ControlProtocol protocol) {
  const auto group = [](const char* text) { return Address::parse(text, 0)->bytes(); };
  static const std::array<AddressBytes, 2> igmp{group("224.0.0.2"), group("224.0.0.22")};
  static const std::array<AddressBytes, 2> mld{group("ff02::2"), group("ff02::16")};
  static const std::array<AddressBytes, 1> pim{group("224.0.0.13")};
  static const std::array<AddressBytes, 1> pim6{group("ff02::d")};
  switch (protocol) {
    case ControlProtocol::igmp:
      return igmp;
    case ControlProtocol::mld:
      return mld;
    case ControlProtocol::pim:
      return pim;
    default:
      return pim6;
  }
}

}  // namespace

bool ipv4_router_alert(Bytes options) noexcept {
  while (!options.empty() && options[0] != IPOPT_EOL) {
    if (options[0] == IPOPT_NOP) {
      options = options.subspan(1);
      continue;
    }
    if (options.size() < 2 || options[1] < 2 || options[1] > options.size()) return false;
    if (options[0] == IPOPT_RA && options[1] == 4) return true;
    options = options.subspan(options[1]);
  }
  return false;
}

bool ipv6_router_alert(Bytes header) noexcept {
  constexpr std::uint8_t kAlert = 5;
  if (header.size() < 8) return false;
  header = header.first(std::min<std::size_t>(header.size(), 8 + std::size_t{header[1]} * 8)).subspan(2);
  while (!header.empty()) {
    // Pad1 is one byte without a length.
    if (header[0] == 0) {
      header = header.subspan(1);
      continue;
    }
    if (header.size() < 2 || header.size() < std::size_t{2} + header[1]) return false;
    if (header[0] == kAlert && header[1] == 2) return true;
    header = header.subspan(std::size_t{2} + header[1]);
  }
  return false;
}

bool read_ipv4(Bytes packet, ControlMessage& out) noexcept {
  if (packet.size() < sizeof(ip)) return false;
  const std::size_t head = std::size_t{packet[0]} % 16 * 4;
  const std::size_t total = (std::size_t{packet[2]} << 8U) | packet[3];
  // A question of the kernel: a struct igmpmsg in the place of the header, with no protocol.
  out.upcall = packet[9] == 0;
  if (out.upcall) {
    out.payload = packet;
    return true;
  }
  if (packet[0] >> 4U != 4 || head < sizeof(ip) || total < head || total > packet.size()) return false;
  out.payload = packet.first(total).subspan(head);
  out.hop_limit = packet[8];
  out.source = mapped(packet.data() + 12);
  out.destination = mapped(packet.data() + 16);
  out.router_alert = ipv4_router_alert(packet.first(head).subspan(sizeof(ip)));
  return true;
}

Result<std::unique_ptr<ControlSocket>> ControlSocket::open(ControlProtocol protocol, DescriptorStore* keeper,
                                                           std::uint32_t table) {
  const std::string what = std::string(name_of(protocol)) + " socket";
  const int family = is_v4(protocol) ? AF_INET : AF_INET6;
  Fd socket(::socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, number_of(protocol)));
  if (!socket && (errno == EPERM || errno == EACCES))
    return Error{"ROUTING_REFUSED", what + ": this needs root, or CAP_NET_RAW and CAP_NET_ADMIN"};
  if (!socket) return system_error(what);
  const int fd = socket.get();
  if (!set_int(fd, SOL_SOCKET, SO_RCVBUFFORCE, kReceiveBuffer))
    set_int(fd, SOL_SOCKET, SO_RCVBUF, kReceiveBuffer);
  set_int(fd, SOL_SOCKET, SO_RXQ_OVFL, 1);
  if (!(family == AF_INET ? set_ipv4_options(fd, protocol) : set_ipv6_options(fd, protocol)))
    return system_error(what + ": its options");
  return std::unique_ptr<ControlSocket>(new ControlSocket(protocol, std::move(socket), keeper, table));
}

Result<std::unique_ptr<ControlSocket>> ControlSocket::adopt(ControlProtocol protocol, Fd fd,
                                                            DescriptorStore* keeper, std::uint32_t table) {
  const auto option = [&fd](int name) {
    int value = -1;
    socklen_t size = sizeof value;
    return getsockopt(fd.get(), SOL_SOCKET, name, &value, &size) == 0 ? value : -1;
  };
  const int family = is_v4(protocol) ? AF_INET : AF_INET6;
  if (option(SO_DOMAIN) != family || option(SO_TYPE) != SOCK_RAW ||
      option(SO_PROTOCOL) != number_of(protocol))
    return Error{"SYSTEM_CALL",
                 std::string(name_of(protocol)) + " socket: what was kept is another descriptor"};
  return std::unique_ptr<ControlSocket>(new ControlSocket(protocol, std::move(fd), keeper, table));
}

ControlSocket::ControlSocket(ControlProtocol protocol, Fd socket, DescriptorStore* keeper,
                             std::uint32_t table)
    : protocol_(protocol),
      socket_(std::move(socket)),
      joins_(is_v4(protocol) ? AF_INET : AF_INET6, keeper, joins_name(protocol), table),
      buffers_(new std::uint8_t[kBatch * kBufferSize]) {}

int ControlSocket::family() const noexcept {
  return is_v4(protocol_) ? AF_INET : AF_INET6;
}

std::optional<Error> ControlSocket::join(unsigned interface_index) {
  for (const AddressBytes& group : groups_of(protocol_))
    if (auto error = joins_.join(interface_index, group, {})) return error;
  return std::nullopt;
}

void ControlSocket::leave(unsigned interface_index) {
  for (const AddressBytes& group : groups_of(protocol_)) joins_.leave(interface_index, group);
}

void ControlSocket::prepare(std::size_t i) noexcept {
  Slot& slot = slots_[i];
  slot.vector = {buffers_.get() + i * kBufferSize, kBufferSize};
  msghdr& m = messages_[i].msg_hdr;
  m.msg_name = &slot.sender;
  m.msg_namelen = sizeof slot.sender;
  m.msg_iov = &slot.vector;
  m.msg_iovlen = 1;
  m.msg_control = slot.control.data();
  m.msg_controllen = slot.control.size();
  m.msg_flags = 0;
}

std::span<const ControlMessage> ControlSocket::receive() noexcept {
  for (std::size_t i = 0; i < used_; i++) prepare(i);
  const int n = ::recvmmsg(socket_.get(), messages_.data(), kBatch, MSG_DONTWAIT, nullptr);
  more_ = n == static_cast<int>(kBatch) || (n < 0 && errno == EINTR);
  used_ = n > 0 ? static_cast<std::size_t>(n) : 1;
  std::size_t count = 0;
  for (std::size_t i = 0; n > 0 && i < used_; i++) {
    if (read(i, out_[count]))
      count++;
    else
      malformed_++;
  }
  return {out_.data(), count};
}

bool ControlSocket::read(std::size_t i, ControlMessage& out) noexcept {
  msghdr& message = messages_[i].msg_hdr;
  const Bytes bytes(buffers_.get() + i * kBufferSize, messages_[i].msg_len);
  out = {};
  read_control(message, out);
  if ((message.msg_flags & MSG_TRUNC) != 0) return false;
  if (is_v4(protocol_)) return read_ipv4(bytes, out);
  out.payload = bytes;
  if (const auto sender = Address::from(slots_[i].sender)) out.source = sender->bytes();
  // Type 0 from the network does not pass the filter: this is a struct mrt6msg.
  out.upcall = protocol_ == ControlProtocol::mld && !bytes.empty() && bytes[0] == 0;
  return true;
}

void ControlSocket::read_control(msghdr& message, ControlMessage& out) noexcept {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    const Bytes data(CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_RXQ_OVFL && data.size() >= 4) {
      std::uint32_t total = 0;
      std::memcpy(&total, data.data(), sizeof total);
      drops_ += total - last_overflow_;
      last_overflow_ = total;
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO &&
               data.size() >= sizeof(in_pktinfo)) {
      in_pktinfo info{};
      std::memcpy(&info, data.data(), sizeof info);
      out.interface_index = static_cast<unsigned>(info.ipi_ifindex);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO &&
               data.size() >= sizeof(in6_pktinfo)) {
      in6_pktinfo info{};
      std::memcpy(&info, data.data(), sizeof info);
      out.interface_index = info.ipi6_ifindex;
      std::memcpy(out.destination.data(), &info.ipi6_addr, out.destination.size());
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT && data.size() >= sizeof(int)) {
      int limit = 0;
      std::memcpy(&limit, data.data(), sizeof limit);
      out.hop_limit = static_cast<std::uint8_t>(limit);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPOPTS) {
      out.router_alert = ipv6_router_alert(data);
    }
  }
}

namespace {

/** The control messages of a packet to be sent: where it leaves, from whom, and how far it goes. */
class SendControl {
 public:
  SendControl(msghdr& message, const ControlSend& m, bool four) noexcept {
    message.msg_control = bytes_.data();
    const int limit = m.hop_limit;
    if (four) {
      in_pktinfo info{};
      info.ipi_ifindex = static_cast<int>(m.interface_index);
      std::memcpy(&info.ipi_spec_dst, m.source.data() + 12, sizeof info.ipi_spec_dst);
      add(IPPROTO_IP, IP_PKTINFO, info);
      add(IPPROTO_IP, IP_TTL, limit);
    } else {
      in6_pktinfo info{};
      info.ipi6_ifindex = m.interface_index;
      std::memcpy(&info.ipi6_addr, m.source.data(), sizeof info.ipi6_addr);
      add(IPPROTO_IPV6, IPV6_PKTINFO, info);
      add(IPPROTO_IPV6, IPV6_HOPLIMIT, limit);
    }
    message.msg_controllen = size_;
  }

 private:
  template <class T>
  void add(int level, int type, const T& value) noexcept {
    cmsghdr head{};
    head.cmsg_level = level;
    head.cmsg_type = type;
    head.cmsg_len = CMSG_LEN(sizeof value);
    std::memcpy(bytes_.data() + size_, &head, sizeof head);
    std::memcpy(bytes_.data() + size_ + CMSG_LEN(0), &value, sizeof value);
    size_ += CMSG_SPACE(sizeof value);
  }

  alignas(cmsghdr) std::array<char, 128> bytes_{};
  std::size_t size_ = 0;
};

}  // namespace

int ControlSocket::send(const ControlSend& m) noexcept {
  sockaddr_storage to = Address::of(m.destination, 0).storage();
  if (to.ss_family != family()) return EINVAL;
  if (to.ss_family == AF_INET6) reinterpret_cast<sockaddr_in6&>(to).sin6_scope_id = m.interface_index;
  iovec piece{const_cast<std::uint8_t*>(m.payload.data()), m.payload.size()};
  msghdr message{};
  message.msg_name = &to;
  message.msg_namelen = to.ss_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  const SendControl control(message, m, to.ss_family == AF_INET);
  return ::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? errno : 0;
}

}  // namespace sluice::kernel
