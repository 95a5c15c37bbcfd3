// Netlink (netlink(7), rtnetlink(7)): messages of the kernel taken apart, requests put together and asked.
#pragma once

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "kernel/fd.h"
#include "kernel/result.h"

namespace sluice::kernel {

/** One message; `body` is what follows the header, in the memory of the datagram. */
struct NetlinkMessage {
  std::uint16_t type = 0;
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;
  std::span<const std::uint8_t> body;
};

/** One attribute; `type` without the bits that say how it is nested. */
struct NetlinkAttribute {
  std::uint16_t type = 0;
  std::span<const std::uint8_t> value;

  /** Its value as a plain type of the kernel's headers; none when it is shorter. */
  template <class T>
  [[nodiscard]] std::optional<T> as() const noexcept {
    if (value.size() < sizeof(T)) return std::nullopt;
    T out;
    std::memcpy(&out, value.data(), sizeof out);
    return out;
  }
  /** Its value as a text that ends with its first zero. */
  [[nodiscard]] std::string text() const {
    const auto* const begin = reinterpret_cast<const char*>(value.data());
    return {begin, ::strnlen(begin, value.size())};
  }
};

/** Takes a plain type of the kernel's headers off the front of `bytes`; none when they are fewer. */
template <class T>
[[nodiscard]] std::optional<T> take_front(std::span<const std::uint8_t>& bytes) noexcept {
  const auto value = NetlinkAttribute{0, bytes}.as<T>();
  if (value) bytes = bytes.subspan(std::min<std::size_t>(NLMSG_ALIGN(sizeof(T)), bytes.size()));
  return value;
}

namespace netlink_detail {

/** Whether a part that says it has `length` bytes, with its header, fits into what is left. */
constexpr bool fits(std::size_t length, std::size_t header, std::size_t left) noexcept {
  return length >= header && length <= left;
}

}  // namespace netlink_detail

/** Hands every message of a datagram to `visit`. False when a length is wrong: what is before it was handed
 * over. */
template <class F>
bool each_message(std::span<const std::uint8_t> bytes, F&& visit) {
  while (!bytes.empty()) {
    nlmsghdr header{};
    if (bytes.size() < sizeof header) return false;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (!netlink_detail::fits(header.nlmsg_len, sizeof header, bytes.size())) return false;
    visit(NetlinkMessage{header.nlmsg_type, header.nlmsg_flags, header.nlmsg_seq,
                         bytes.first(header.nlmsg_len).subspan(sizeof header)});
    bytes = bytes.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), bytes.size()));
  }
  return true;
}

/** Hands every attribute to `visit`; as each_message(). */
template <class F>
bool each_attribute(std::span<const std::uint8_t> bytes, F&& visit) {
  while (!bytes.empty()) {
    rtattr header{};
    if (bytes.size() < sizeof header) return false;
    std::memcpy(&header, bytes.data(), sizeof header);
    if (!netlink_detail::fits(header.rta_len, sizeof header, bytes.size())) return false;
    visit(NetlinkAttribute{static_cast<std::uint16_t>(header.rta_type & NLA_TYPE_MASK),
                           bytes.first(header.rta_len).subspan(sizeof header)});
    bytes = bytes.subspan(std::min<std::size_t>(RTA_ALIGN(header.rta_len), bytes.size()));
  }
  return true;
}

/** A request of at most 512 bytes. */
class NetlinkRequest {
 public:
  /** `flags` beside NLM_F_REQUEST. */
  template <class Header>
  NetlinkRequest(std::uint16_t type, std::uint16_t flags, const Header& header) noexcept {
    static_assert(sizeof(nlmsghdr) + sizeof header <= kSize);
    nlmsghdr head{};
    head.nlmsg_type = type;
    head.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    std::memcpy(bytes_.data(), &head, sizeof head);
    std::memcpy(bytes_.data() + sizeof head, &header, sizeof header);
    size_ = NLMSG_ALIGN(sizeof head + sizeof header);
  }
  /** What does not fit is left out, which the kernel then refuses. */
  void add(std::uint16_t type, const void* value, std::size_t size) noexcept;
  template <class T>
  void add(std::uint16_t type, const T& value) noexcept {
    add(type, &value, sizeof value);
  }
  [[nodiscard]] std::uint16_t flags() const noexcept;
  /** The bytes to be sent, numbered. */
  [[nodiscard]] std::span<const std::uint8_t> finish(std::uint32_t sequence) noexcept;

 private:
  static constexpr std::size_t kSize = 512;
  alignas(nlmsghdr) std::array<std::uint8_t, kSize> bytes_{};
  std::size_t size_ = 0;
};

/** A NETLINK_ROUTE socket. */
class NetlinkSocket {
 public:
  /** `groups`: RTNLGRP_* to be told of. SYSTEM_CALL. */
  static Result<NetlinkSocket> open(const std::string& what, std::span<const unsigned> groups = {});

  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  /**
   * Asks, and hands each message of the answer to `take(const NetlinkMessage&)`. The kernel answers within
   * the call. Not for a socket that is told of groups, too.
   * @return 0, or the errno of the refusal; EINTR when a dump was not consistent: ask again
   */
  template <class F>
  int ask(NetlinkRequest& request, F&& take) {
    const int sent = send(request);
    if (sent != 0) return sent;
    int outcome = kUnderWay;
    while (outcome == kUnderWay) {
      const auto bytes = receive();
      if (bytes.empty()) return errno == 0 ? EPROTO : errno;
      each_message(bytes, [&](const NetlinkMessage& m) {
        if (outcome == kUnderWay && m.sequence == sequence_) outcome = judge(m, request.flags(), take);
      });
    }
    return outcome;
  }
  /** The next datagram, without waiting where the socket is told of groups. Empty with errno when there is
   * none: ENOBUFS when some were lost. Valid until the next call. */
  [[nodiscard]] std::span<const std::uint8_t> receive() noexcept;

 private:
  static constexpr int kUnderWay = -1;
  static constexpr std::size_t kBuffer = 65536;

  int send(NetlinkRequest& request) noexcept;
  /** Whether the answer has ended with this message, and how. */
  template <class F>
  int judge(const NetlinkMessage& m, std::uint16_t asked, F&& take) {
    const bool dump = (asked & NLM_F_DUMP) == NLM_F_DUMP;
    if ((m.flags & NLM_F_DUMP_INTR) != 0) interrupted_ = true;
    if (m.type == NLMSG_ERROR || m.type == NLMSG_DONE) {
      const int code = -NetlinkAttribute{0, m.body}.as<int>().value_or(0);
      return code == 0 && interrupted_ ? EINTR : code;
    }
    take(m);
    return dump || (asked & NLM_F_ACK) != 0 ? kUnderWay : 0;
  }

  Fd socket_;
  std::uint32_t sequence_ = 0;
  bool interrupted_ = false;
  std::unique_ptr<std::uint8_t[]> buffer_;
};

}  // namespace sluice::kernel
