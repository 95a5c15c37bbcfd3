// Flows over real sockets on loopback: a reactor that the test turns, senders, and receivers that remember
// what came.
#pragma once

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "codec/rtp.h"
#include "kernel/fd.h"
#include "plane/flows.h"

namespace sluice::test {

/** One datagram as a receiver's kernel tells it. */
struct Got {
  std::vector<std::uint8_t> bytes;
  kernel::Address from;
  int traffic_class = 0;
  [[nodiscard]] codec::RtpHeader rtp() const { return codec::parse_rtp_header(bytes).value(); }
};

/** A UDP socket at a free port of loopback. */
class Peer {
 public:
  explicit Peer(const std::string& address = "127.0.0.1", int receive_buffer = 4 << 20) {
    const auto to = *kernel::Address::parse(address, 0);
    fd_ = kernel::Fd(socket(to.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int on = 1;
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer, sizeof receive_buffer);
    setsockopt(fd_.get(), IPPROTO_IP, IP_RECVTOS, &on, sizeof on);
    if (to.family() == AF_INET6) setsockopt(fd_.get(), IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof on);
    REQUIRE(bind(fd_.get(), to.get(), to.size()) == 0);
  }
  [[nodiscard]] kernel::Address address() const {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&storage), &size);
    return *kernel::Address::from(storage);
  }
  void send(const kernel::Address& to, const std::vector<std::uint8_t>& bytes) const {
    REQUIRE(sendto(fd_.get(), bytes.data(), bytes.size(), 0, to.get(), to.size()) ==
            static_cast<ssize_t>(bytes.size()));
  }
  /** As one that the kernel cuts into datagrams of `segment` bytes. */
  void send_segmented(const kernel::Address& to, const std::vector<std::uint8_t>& bytes, int segment) const {
    REQUIRE(setsockopt(fd_.get(), SOL_UDP, UDP_SEGMENT, &segment, sizeof segment) == 0);
    send(to, bytes);
    segment = 0;
    setsockopt(fd_.get(), SOL_UDP, UDP_SEGMENT, &segment, sizeof segment);
  }
  /** Everything that has come since the last call. */
  std::vector<Got> take() const {
    std::vector<Got> all;
    for (;;) {
      Got got;
      got.bytes.resize(65536);
      iovec piece{got.bytes.data(), got.bytes.size()};
      alignas(cmsghdr) std::array<char, 128> control{};
      sockaddr_storage from{};
      msghdr message{};
      message.msg_name = &from;
      message.msg_namelen = sizeof from;
      message.msg_iov = &piece;
      message.msg_iovlen = 1;
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      const ssize_t n = recvmsg(fd_.get(), &message, MSG_DONTWAIT);
      if (n < 0) return all;
      got.bytes.resize(static_cast<std::size_t>(n));
      got.from = *kernel::Address::from(from);
      for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c))
        if (c->cmsg_type == IP_TOS || c->cmsg_type == IPV6_TCLASS) got.traffic_class = *CMSG_DATA(c);
      all.push_back(std::move(got));
    }
  }

 private:
  kernel::Fd fd_;
};

/** An RTP packet whose payload tells which it is. */
inline std::vector<std::uint8_t> rtp_packet(std::uint16_t sequence, std::uint32_t timestamp,
                                            std::uint32_t ssrc, std::size_t payload = 160,
                                            bool marker = false) {
  std::vector<std::uint8_t> bytes(codec::kRtpHeaderSize + payload);
  codec::write_rtp_header({marker, 8, sequence, timestamp, ssrc}, bytes.data());
  for (std::size_t i = 0; i < payload; i++)
    bytes[codec::kRtpHeaderSize + i] = static_cast<std::uint8_t>(sequence + i);
  return bytes;
}

/** Ports, flows and receivers on a reactor that the test turns. */
class FlowBed {
 public:
  explicit FlowBed(std::size_t memory = 256 << 20) : budget(memory), flows(reactor, budget) {}

  plane::Handle port(const std::string& address = "127.0.0.1",
                     plane::Batching batching = plane::Batching::automatic) {
    plane::PortOptions o;
    o.socket.socket.address = address;
    o.batching = batching;
    const plane::Handle handle = next++;
    auto opened = flows.add_port(handle, o, port_counters.emplace_back());
    REQUIRE(opened.ok());
    last_port = opened.value();
    return handle;
  }
  plane::Handle flow(plane::Handle port, plane::FlowOptions options = {}, plane::FlowMatch match = {}) {
    options.clock_rate = 8000;
    if (options.name.empty()) options.name = "test";
    const plane::Handle handle = next++;
    const auto error =
        flows.add_flow(handle, {options, port, match, nullptr, {}, 0}, flow_counters.emplace_back());
    REQUIRE_MESSAGE(!error, error->message);
    return handle;
  }
  plane::Handle receiver(plane::Handle flow, plane::Handle port, const kernel::Address& to,
                         plane::FlowReceiverOptions o = {}) {
    o.port = port;
    o.destination = to;
    const plane::Handle handle = next++;
    const auto error = flows.add_receivers(flow, {&o, 1}, handle);
    REQUIRE_MESSAGE(!error, error->message);
    return handle;
  }
  void gate(plane::Handle receiver, bool open, plane::Handle flow = 0, kernel::Nanos past = 0) {
    const plane::GateChange change{receiver, open, flow, past};
    const auto error = flows.set_gates({&change, 1});
    REQUIRE_MESSAGE(!error, error->message);
  }
  /** Turns the loop until `done`, for 10 s at most. */
  template <class Done>
  void until(Done&& done) {
    const kernel::Nanos end = kernel::monotonic_now() + 10 * kernel::kSecond;
    while (!done()) {
      if (kernel::monotonic_now() >= end) FAIL("nothing came of it in 10 s");
      reactor.wake();
      reactor.turn();
    }
  }
  [[nodiscard]] kernel::Address at(std::uint16_t number, const std::string& address = "127.0.0.1") const {
    return *kernel::Address::parse(address, number);
  }

  kernel::Reactor reactor;
  plane::MemoryBudget budget;
  std::deque<plane::PortCounters> port_counters;
  std::deque<plane::FlowCounters> flow_counters;
  plane::Flows flows;
  plane::Handle next = 1;
  std::uint16_t last_port = 0;
};

}  // namespace sluice::test
