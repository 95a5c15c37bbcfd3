// The RTP sender as a receiver's kernel sees it: addresses, TTL and hop limit, DSCP, batched and not.
#include "plane/sender.h"

#include <doctest/doctest.h>
#include <netinet/ip.h>
#include <sys/socket.h>

#include <array>
#include <string>
#include <vector>

#include "test/stream_bed.h"

using namespace sluice;
using test::fast;
using test::TsSource;
using Bed = test::StreamBed;

namespace {

struct Datagram {
  std::vector<std::uint8_t> bytes;
  int ttl = -1;
  int tos = -1;
};

/** A UDP socket on loopback that is told TTL and traffic class of what comes. */
class Receiver {
 public:
  explicit Receiver(const std::string& address) : fd_(open_socket(address)) {}
  [[nodiscard]] bool ok() const { return static_cast<bool>(fd_); }
  [[nodiscard]] kernel::Address address() const {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&storage), &size);
    return *kernel::Address::from(storage);
  }
  [[nodiscard]] std::vector<Datagram> take() const {
    std::vector<Datagram> got;
    for (;;) {
      Datagram d;
      d.bytes.resize(2048);
      iovec piece{d.bytes.data(), d.bytes.size()};
      alignas(cmsghdr) std::array<char, 256> control{};
      msghdr message{};
      message.msg_iov = &piece;
      message.msg_iovlen = 1;
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      const ssize_t n = recvmsg(fd_.get(), &message, MSG_DONTWAIT);
      if (n < 0) return got;
      d.bytes.resize(static_cast<std::size_t>(n));
      for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) read(*c, d);
      got.push_back(std::move(d));
    }
  }

 private:
  static kernel::Fd open_socket(const std::string& address) {
    const auto to = *kernel::Address::parse(address, 0);
    kernel::Fd fd(socket(to.family(), SOCK_DGRAM, 0));
    const int on = 1;
    const int bytes = 4 << 20;
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    setsockopt(fd.get(), IPPROTO_IP, IP_RECVTTL, &on, sizeof on);
    setsockopt(fd.get(), IPPROTO_IP, IP_RECVTOS, &on, sizeof on);
    setsockopt(fd.get(), IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on);
    setsockopt(fd.get(), IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof on);
    if (bind(fd.get(), to.get(), to.size()) != 0) return {};
    return fd;
  }
  static void read(cmsghdr& c, Datagram& d) {
    const bool v4 = c.cmsg_level == IPPROTO_IP;
    if ((v4 && c.cmsg_type == IP_TTL) || (!v4 && c.cmsg_type == IPV6_HOPLIMIT))
      d.ttl = *reinterpret_cast<const int*>(CMSG_DATA(&c));
    if (v4 && c.cmsg_type == IP_TOS) d.tos = *CMSG_DATA(&c);
    if (!v4 && c.cmsg_type == IPV6_TCLASS) d.tos = *reinterpret_cast<const int*>(CMSG_DATA(&c));
  }
  kernel::Fd fd_;
};

kernel::UdpTx open(const Receiver& receiver) {
  kernel::UdpTxOptions options;
  options.destination = receiver.address();
  options.ttl = 17;
  options.dscp = 34;
  auto opened = kernel::UdpTx::open(options);
  REQUIRE(opened.ok());
  return std::move(opened.value());
}

}  // namespace

TEST_CASE("sender: segmented and plain datagrams are the same, with the TTL and DSCP set, IPv4 and IPv6") {
  for (const std::string address : {"127.0.0.1", "::1"}) {
    CAPTURE(address);
    const Receiver batched(address);
    if (!batched.ok()) {
      MESSAGE("no ", address, " here");
      continue;
    }
    const Receiver plain(address);
    Bed bed;
    plane::SenderCounters batched_counters{};
    plane::SenderCounters plain_counters{};
    const plane::Sender one(*bed.stream, open(batched), plane::Batching::automatic, batched_counters);
    const plane::Sender two(*bed.stream, open(plain), plane::Batching::plain, plain_counters);
    TsSource source(fast());
    std::vector<Datagram> a;
    std::vector<Datagram> b;
    for (int step = 0; step < 10; step++) {
      bed.stream->write(source.make(250), kernel::monotonic_now());
      REQUIRE(bed.run_until_released(bed.counters.packets_in));
      for (auto& d : batched.take()) a.push_back(std::move(d));
      for (auto& d : plain.take()) b.push_back(std::move(d));
    }
    REQUIRE(a.size() == bed.counters.packets_released);
    REQUIRE(b.size() == a.size());
    for (std::size_t i = 0; i < a.size(); i++) {
      CHECK(a[i].bytes == b[i].bytes);
      for (const Datagram& d : {a[i], b[i]}) {
        CHECK(d.ttl == 17);
        CHECK(d.tos == 34 << 2);
        CHECK(d.bytes.size() == 12 + 1316);
      }
    }
    CHECK(plain_counters.calls == plain_counters.packets);
    CHECK(batched_counters.bytes == plain_counters.bytes);
  }
}

TEST_CASE("sender: short packets at the end of a timeline go through a segmented batch unharmed") {
  const Receiver receiver("127.0.0.1");
  Bed bed;
  plane::SenderCounters counters{};
  const plane::Sender sender(*bed.stream, open(receiver), plane::Batching::automatic, counters);
  std::vector<Datagram> got;
  for (int round = 0; round < 10; round++) {
    TsSource source(fast());
    bed.stream->write(source.make(450 + round), kernel::monotonic_now());
    bed.stream->splice();
    REQUIRE(bed.run_until_released(bed.counters.packets_in));
    for (auto& d : receiver.take()) got.push_back(std::move(d));
  }
  REQUIRE(got.size() == bed.counters.packets_released);
  std::size_t bytes = 0;
  int expected = codec::load16(got.front().bytes.data() + 2);
  for (const Datagram& d : got) {
    CHECK((d.bytes.size() - 12) % codec::kTsPacketSize == 0);
    CHECK(codec::load16(d.bytes.data() + 2) == (expected++ & 0xffff));
    bytes += d.bytes.size() - 12;
  }
  CHECK(bytes == bed.counters.bytes_ring);
}

TEST_CASE("sender: a destination that nobody listens on does not stop it") {
  Bed bed;
  plane::SenderCounters counters{};
  auto socket = [] {
    const Receiver gone("127.0.0.1");
    return open(gone);
  }();
  const plane::Sender sender(*bed.stream, std::move(socket), plane::Batching::plain, counters);
  TsSource source(fast());
  bed.stream->write(source.make(2000), kernel::monotonic_now());
  REQUIRE(bed.run_until_released(bed.counters.packets_in));
  CHECK(counters.packets + counters.drops == bed.counters.packets_released);
  CHECK(counters.packets > 200);
}

TEST_CASE("sender: what cannot be set is told with the setting's name") {
  kernel::UdpTxOptions options;
  options.destination = *kernel::Address::parse("239.255.0.1", 5000);
  options.interface_name = "no-such-if0";
  auto opened = kernel::UdpTx::open(options);
  REQUIRE_FALSE(opened.ok());
  CHECK(std::string(opened.error().code) == "INTERFACE_UNKNOWN");
  CHECK(opened.error().message.find("no-such-if0") != std::string::npos);
  options.interface_name = "lo";
  options.source_address = "::1";
  auto mixed = kernel::UdpTx::open(options);
  REQUIRE_FALSE(mixed.ok());
  CHECK(std::string(mixed.error().code) == "ADDRESS_INVALID");
}
