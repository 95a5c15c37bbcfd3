#include "kernel/netlink.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>

namespace sluice::kernel {

void NetlinkRequest::add(std::uint16_t type, const void* value, std::size_t size) noexcept {
  const std::size_t length = RTA_LENGTH(size);
  if (size_ + RTA_ALIGN(length) > kSize) return;
  const rtattr header{static_cast<std::uint16_t>(length), type};
  std::memcpy(bytes_.data() + size_, &header, sizeof header);
  std::memcpy(bytes_.data() + size_ + sizeof header, value, size);
  size_ += RTA_ALIGN(length);
}

std::uint16_t NetlinkRequest::flags() const noexcept {
  return reinterpret_cast<const nlmsghdr*>(bytes_.data())->nlmsg_flags;
}

std::span<const std::uint8_t> NetlinkRequest::finish(std::uint32_t sequence) noexcept {
  auto* const header = reinterpret_cast<nlmsghdr*>(bytes_.data());
  header->nlmsg_len = static_cast<std::uint32_t>(size_);
  header->nlmsg_seq = sequence;
  return {bytes_.data(), size_};
}

Result<NetlinkSocket> NetlinkSocket::open(const std::string& what, std::span<const unsigned> groups) {
  const int waits = groups.empty() ? 0 : SOCK_NONBLOCK;
  NetlinkSocket s;
  s.socket_ = Fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | waits, NETLINK_ROUTE));
  if (!s.socket_) return system_error(what + ": netlink");
  sockaddr_nl own{};
  own.nl_family = AF_NETLINK;
  if (::bind(s.socket_.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0)
    return system_error(what + ": netlink");
  // An answer is there when the question is sent; a kernel that did not answer must not hold up the loop.
  const timeval patience{1, 0};
  setsockopt(s.socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  constexpr int kRoom = 8 << 20;
  if (!groups.empty() && setsockopt(s.socket_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kRoom, sizeof kRoom) != 0)
    setsockopt(s.socket_.get(), SOL_SOCKET, SO_RCVBUF, &kRoom, sizeof kRoom);
  for (const unsigned group : groups) {
    if (setsockopt(s.socket_.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
      return system_error(what + ": netlink group " + std::to_string(group));
  }
  s.buffer_ = std::unique_ptr<std::uint8_t[]>(new std::uint8_t[kBuffer]);
  return s;
}

int NetlinkSocket::send(NetlinkRequest& request) noexcept {
  interrupted_ = false;
  const auto bytes = request.finish(++sequence_);
  return ::send(socket_.get(), bytes.data(), bytes.size(), 0) < 0 ? errno : 0;
}

std::span<const std::uint8_t> NetlinkSocket::receive() noexcept {
  for (;;) {
    sockaddr_nl from{};
    socklen_t size = sizeof from;
    const ssize_t n = ::recvfrom(socket_.get(), buffer_.get(), kBuffer, MSG_TRUNC,
                                 reinterpret_cast<sockaddr*>(&from), &size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return {};
    // Any process may send to a netlink socket; port 0 is the kernel.
    if (from.nl_pid != 0) continue;
    // What was cut is as good as lost.
    if (n == 0 || static_cast<std::size_t>(n) > kBuffer) {
      errno = ENOBUFS;
      return {};
    }
    return {buffer_.get(), static_cast<std::size_t>(n)};
  }
}

}  // namespace sluice::kernel
