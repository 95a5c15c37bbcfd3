#include "kernel/packet_socket.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <time.h>

#include <algorithm>
#include <cstring>

#include "kernel/file.h"

namespace sluice::kernel {

namespace {

struct Device {
  int index = 0;
  unsigned hardware = 0;
  std::array<std::uint8_t, 6> address{};
};

Error refused(const std::string& what) {
  Error error = system_error(what);
  if (errno == EPERM || errno == EACCES) error.message += " (frames need root or CAP_NET_RAW)";
  return error;
}

/** The device of a name, asked for on any socket. */
Result<Device> find_device(int fd, const std::string& name, const std::string& what) {
  Device device;
  ifreq request{};
  const std::size_t length = std::min(name.size(), sizeof request.ifr_name - 1);
  std::memcpy(request.ifr_name, name.data(), length);
  device.index = static_cast<int>(if_nametoindex(name.c_str()));
  if (device.index == 0 || ioctl(fd, SIOCGIFHWADDR, &request) != 0)
    return Error{"INTERFACE_UNKNOWN", what + ": there is no interface `" + name + "`"};
  device.hardware = request.ifr_hwaddr.sa_family;
  std::memcpy(device.address.data(), request.ifr_hwaddr.sa_data, device.address.size());
  return device;
}

LinkLayer layer_of(unsigned hardware) noexcept {
  switch (hardware) {
    case ARPHRD_ETHER:
    case ARPHRD_LOOPBACK:
      return LinkLayer::ethernet;
    case ARPHRD_NONE:
    case ARPHRD_TUNNEL:
    case ARPHRD_TUNNEL6:
    case ARPHRD_SIT:
    case ARPHRD_IPGRE:
    case ARPHRD_PPP:
      return LinkLayer::raw;
    default:
      return LinkLayer::cooked;
  }
}

bool bind_to(int fd, int index, std::uint16_t protocol) noexcept {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_ifindex = index;
  address.sll_protocol = htons(protocol);
  return ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

bool set_filter(int fd, std::span<const sock_filter> filter) noexcept {
  if (filter.empty()) return true;
  const sock_fprog program{static_cast<unsigned short>(filter.size()),
                           const_cast<sock_filter*>(filter.data())};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

void set_capture_options(int fd, const PacketRxOptions& o, int index) noexcept {
  const int on = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &o.receive_buffer, sizeof o.receive_buffer) != 0)
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &o.receive_buffer, sizeof o.receive_buffer);
  setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on);
  if (!o.promiscuous || index == 0) return;
  packet_mreq request{};
  request.mr_ifindex = index;
  request.mr_type = PACKET_MR_PROMISC;
  setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request);
}

}  // namespace

Result<std::unique_ptr<PacketRx>> PacketRx::open(const PacketRxOptions& o) {
  const std::string what = "capture on " + (o.interface_name.empty() ? "all interfaces" : o.interface_name);
  // Protocol 0 takes nothing until the socket is bound to what is wanted.
  Fd socket(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return refused(what);
  Device device;
  LinkLayer layer = LinkLayer::cooked;
  if (!o.interface_name.empty()) {
    auto found = find_device(socket.get(), o.interface_name, what);
    if (!found.ok()) return found.error();
    device = found.value();
    layer = layer_of(device.hardware);
  }
  // Where there is a link header it is taken off here: the kernel's own way (SOCK_DGRAM) shows frames with
  // two VLAN tags in a form that cannot be told from others.
  const bool all = device.index == 0;
  if (layer != LinkLayer::ethernet && !all)
    socket.reset(::socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!socket) return refused(what);
  set_capture_options(socket.get(), o, device.index);
  if (!set_filter(socket.get(), o.filter) || !bind_to(socket.get(), device.index, ETH_P_ALL))
    return refused(what);
  return std::unique_ptr<PacketRx>(new PacketRx(std::move(socket), layer, all, o.snaplen));
}

PacketRx::PacketRx(Fd socket, LinkLayer layer, bool all, std::uint32_t snaplen)
    : socket_(std::move(socket)),
      layer_(layer),
      all_(all),
      loopback_(static_cast<int>(if_nametoindex("lo"))),
      snaplen_(snaplen),
      buffers_(new std::uint8_t[kBatch * std::size_t{snaplen}]) {}

std::span<const Frame> PacketRx::receive() noexcept {
  for (std::size_t i = 0; i < kBatch; i++) {
    vectors_[i] = {buffers_.get() + i * snaplen_, snaplen_};
    msghdr& m = messages_[i].msg_hdr;
    m = {};
    m.msg_name = &senders_[i];
    m.msg_namelen = sizeof senders_[i];
    m.msg_iov = &vectors_[i];
    m.msg_iovlen = 1;
    m.msg_control = controls_[i].bytes.data();
    m.msg_controllen = controls_[i].bytes.size();
  }
  const int n = ::recvmmsg(socket_.get(), messages_.data(), kBatch, MSG_DONTWAIT | MSG_TRUNC, nullptr);
  more_ = n == static_cast<int>(kBatch);
  std::size_t count = 0;
  for (std::size_t i = 0; n > 0 && i < static_cast<std::size_t>(n); i++)
    if (read_frame(i, frames_[count])) count++;
  return {frames_.data(), count};
}

namespace {

/** Takes the link header off a frame of any device; false where its kind is not known. */
bool strip(Frame& frame) noexcept {
  constexpr std::size_t kEthernet = 14;
  const LinkLayer layer = layer_of(frame.from.sll_hatype);
  if (layer == LinkLayer::raw) return true;
  if (layer != LinkLayer::ethernet || frame.data.size() < kEthernet) return false;
  std::memcpy(&frame.from.sll_protocol, frame.data.data() + kEthernet - 2, 2);
  frame.data = frame.data.subspan(kEthernet);
  frame.original_length -= kEthernet;
  return true;
}

}  // namespace

/** False for what is the other sight of a frame that is seen already, and for unknown devices. */
bool PacketRx::read_frame(std::size_t i, Frame& out) noexcept {
  const sockaddr_ll& from = senders_[i];
  if (from.sll_ifindex == loopback_ && from.sll_pkttype == PACKET_OUTGOING) return false;
  out = {};
  out.from = from;
  out.original_length = messages_[i].msg_len;
  out.data = {buffers_.get() + i * snaplen_, std::min<std::size_t>(out.original_length, snaplen_)};
  read_control(messages_[i].msg_hdr, out);
  return !all_ || strip(out);
}

void PacketRx::read_control(msghdr& message, Frame& out) noexcept {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS &&
        c->cmsg_len >= CMSG_LEN(sizeof(timespec))) {
      timespec t{};
      std::memcpy(&t, CMSG_DATA(c), sizeof t);
      out.wall = static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
    } else if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA &&
               c->cmsg_len >= CMSG_LEN(sizeof(tpacket_auxdata))) {
      tpacket_auxdata facts{};
      std::memcpy(&facts, CMSG_DATA(c), sizeof facts);
      if ((facts.tp_status & TP_STATUS_VLAN_VALID) == 0) continue;
      out.tci = facts.tp_vlan_tci;
      out.tpid = (facts.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0 ? facts.tp_vlan_tpid : ETH_P_8021Q;
    }
  }
  if (out.wall == 0) out.wall = wall_now();
}

std::uint64_t PacketRx::drops() noexcept {
  // Reading the statistics sets them to zero.
  tpacket_stats statistics{};
  socklen_t size = sizeof statistics;
  if (getsockopt(socket_.get(), SOL_PACKET, PACKET_STATISTICS, &statistics, &size) == 0)
    drops_ += statistics.tp_drops;
  return drops_;
}

Result<PacketTx> PacketTx::open(const std::string& interface_name) {
  const std::string what = "injecting into " + interface_name;
  PacketTx tx;
  tx.socket_ = Fd(::socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!tx.socket_) return refused(what);
  auto device = find_device(tx.socket_.get(), interface_name, what);
  if (!device.ok()) return device.error();
  tx.index_ = device.value().index;
  tx.layer_ = layer_of(device.value().hardware);
  tx.address_ = device.value().address;
  if (tx.layer_ == LinkLayer::cooked)
    return Error{"INTERFACE_UNKNOWN", what + ": expected an Ethernet or IP device, got another kind"};
  if (!bind_to(tx.socket_.get(), tx.index_, 0)) return refused(what);
  return tx;
}

PacketTxOutcome PacketTx::send(std::span<iovec> pieces, std::uint16_t ethertype) noexcept {
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = index_;
  to.sll_protocol = htons(ethertype);
  msghdr message{};
  message.msg_name = &to;
  message.msg_namelen = sizeof to;
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces.size();
  if (::sendmsg(socket_.get(), &message, MSG_NOSIGNAL) >= 0) return {true, false, 0};
  return {false, errno == EAGAIN || errno == ENOBUFS, errno};
}

}  // namespace sluice::kernel
