#include "kernel/udp_outbox.h"

#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

namespace sluice::kernel {

namespace {

constexpr int kFlags = MSG_NOSIGNAL | MSG_DONTWAIT;

/** EIO, EINVAL, EMSGSIZE: no checksum offload on the way, or segments larger than the path takes. */
bool is_about_segments(int error) noexcept {
  return error == EIO || error == EINVAL || error == EMSGSIZE;
}

/**
 * Sends one datagram; 0 or the error. One that the path takes only in fragments lets the socket fragment from
 * then on, where it was told not to.
 */
int send_whole(int fd, const msghdr& message) noexcept {
  if (::sendmsg(fd, &message, kFlags) >= 0) return 0;
  const int error = errno;
  const int fragment = IP_PMTUDISC_WANT;
  if (error != EMSGSIZE || setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &fragment, sizeof fragment) != 0)
    return error;
  return ::sendmsg(fd, &message, kFlags) >= 0 ? 0 : errno;
}

}  // namespace

UdpTarget::UdpTarget(const Address& destination, std::uint8_t dscp,
                     const std::optional<Address>& source) noexcept
    : destination_size_(static_cast<std::uint8_t>(destination.size())) {
  std::memcpy(&destination_, destination.get(), destination_size_);
  const bool v6 = destination.family() == AF_INET6;
  const int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
  if (dscp != 0) {
    const int traffic_class = dscp << 2;
    put(level, v6 ? IPV6_TCLASS : IP_TOS, &traffic_class, sizeof traffic_class);
  }
  if (!source) return;
  if (v6) {
    in6_pktinfo info{};
    info.ipi6_addr = reinterpret_cast<const sockaddr_in6&>(source->storage()).sin6_addr;
    put(level, IPV6_PKTINFO, &info, sizeof info);
  } else {
    in_pktinfo info{};
    info.ipi_spec_dst = reinterpret_cast<const sockaddr_in&>(source->storage()).sin_addr;
    put(level, IP_PKTINFO, &info, sizeof info);
  }
}

Address UdpTarget::destination() const noexcept {
  sockaddr_storage storage{};
  std::memcpy(&storage, &destination_, destination_size_);
  return Address::from(storage).value_or(Address());
}

void UdpTarget::set_port(std::uint16_t port) noexcept {
  // It stands at the same place in both families.
  destination_.sin6_port = htons(port);
}

void UdpTarget::put(int level, int type, const void* data, std::size_t size) noexcept {
  auto* const c = reinterpret_cast<cmsghdr*>(control_.data() + control_size_);
  c->cmsg_level = level;
  c->cmsg_type = type;
  c->cmsg_len = CMSG_LEN(size);
  std::memcpy(CMSG_DATA(c), data, size);
  control_size_ = static_cast<std::uint8_t>(control_size_ + CMSG_SPACE(size));
}

UdpOutbox::UdpOutbox()
    : heads_(new mmsghdr[kMessages]()),
      messages_(new Message[kMessages]),
      pieces_(new iovec[kPieces]),
      headers_(new std::uint8_t[kPieces * kHeaderSize]) {}

void UdpOutbox::add(const UdpTarget& target, std::span<iovec> pieces, std::uint16_t segment,
                    std::uint32_t tag) noexcept {
  Message& message = messages_[count_];
  message.tag = tag;
  message.segment = segment;
  std::size_t control = target.control_size_;
  if (control > 0) std::memcpy(message.control.data(), target.control_.data(), control);
  if (segment > 0) {
    auto* const c = reinterpret_cast<cmsghdr*>(message.control.data() + control);
    c->cmsg_level = IPPROTO_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof segment);
    std::memcpy(CMSG_DATA(c), &segment, sizeof segment);
    control += CMSG_SPACE(sizeof segment);
  }
  msghdr& head = heads_[count_].msg_hdr;
  head.msg_name = const_cast<sockaddr_in6*>(&target.destination_);
  head.msg_namelen = target.destination_size_;
  head.msg_iov = pieces.data();
  head.msg_iovlen = pieces.size();
  head.msg_control = control > 0 ? message.control.data() : nullptr;
  head.msg_controllen = control;
  count_++;
}

std::size_t UdpOutbox::flush(int fd, Handover handover, Observer& observer) noexcept {
  const std::size_t calls =
      handover == Handover::one_by_one ? send_each(fd, observer) : send_many(fd, observer);
  count_ = 0;
  pieces_used_ = 0;
  return calls;
}

std::size_t UdpOutbox::send_each(int fd, Observer& observer) noexcept {
  for (std::size_t i = 0; i < count_; i++)
    if (const int error = send_whole(fd, heads_[i].msg_hdr)) observer.on_refused(messages_[i].tag, error);
  return count_;
}

std::size_t UdpOutbox::send_many(int fd, Observer& observer) noexcept {
  std::size_t calls = 0;
  for (std::size_t i = 0; i < count_;) {
    calls++;
    const int n = ::sendmmsg(fd, heads_.get() + i, static_cast<unsigned>(count_ - i), kFlags);
    if (n > 0) {
      i += static_cast<std::size_t>(n);
      continue;
    }
    // The error is the first message's; the others were not looked at.
    int error = errno;
    const bool segmented = messages_[i].segment > 0;
    if (segmented && is_about_segments(error)) {
      calls += send_cut(fd, i, error);
    } else if (error == EMSGSIZE) {
      calls++;
      error = send_whole(fd, heads_[i].msg_hdr);
    }
    if (segmented || error != 0) observer.on_refused(messages_[i].tag, error);
    i++;
  }
  return calls;
}

/** Sends the datagrams of a message one by one. `error` becomes 0, or that of the last that failed. */
std::size_t UdpOutbox::send_cut(int fd, std::size_t i, int& error) noexcept {
  const msghdr whole = heads_[i].msg_hdr;
  std::array<iovec, 4> parts{};
  std::size_t calls = 0;
  std::size_t piece = 0;
  std::size_t offset = 0;
  error = 0;
  while (piece < whole.msg_iovlen) {
    std::size_t need = messages_[i].segment;
    std::size_t n = 0;
    while (need > 0 && piece < whole.msg_iovlen && n < parts.size()) {
      const iovec& from = whole.msg_iov[piece];
      const std::size_t take = std::min(need, from.iov_len - offset);
      parts[n++] = {static_cast<char*>(from.iov_base) + offset, take};
      need -= take;
      offset += take;
      if (offset == from.iov_len) {
        piece++;
        offset = 0;
      }
    }
    msghdr one = whole;
    one.msg_iov = parts.data();
    one.msg_iovlen = n;
    one.msg_controllen -= CMSG_SPACE(sizeof(std::uint16_t));
    if (one.msg_controllen == 0) one.msg_control = nullptr;
    calls++;
    if (const int failed = send_whole(fd, one)) error = failed;
  }
  return calls;
}

}  // namespace sluice::kernel
