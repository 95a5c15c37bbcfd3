// The whole way of a packet over real sockets, from the datagram to viewers and receivers: after the first
// ones nothing is taken from the heap.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <string>

#include "http/server.h"
#include "plane/routes.h"
#include "plane/sender.h"
#include "plane/udp_input.h"
#include "test/allocations.h"
#include "test/stream_bed.h"

using namespace sluice;
using codec::kTsPacketSize;
using kernel::Nanos;
using test::fast;
using test::TsSource;

namespace {

constexpr std::uint64_t kStream = 7;
/** One every 100 ms of `fast`. */
constexpr int kPacketsPerAccessPoint = 5000;
/** Datagrams of seven packets that one call sends. */
constexpr std::size_t kDatagramsPerCall = 4;
constexpr std::size_t kCall = kDatagramsPerCall * plane::kFullPayload;

kernel::Fd bound_socket() {
  kernel::Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const auto any = *kernel::Address::parse("127.0.0.1", 0);
  REQUIRE(bind(fd.get(), any.get(), any.size()) == 0);
  return fd;
}

kernel::UdpTx sender_to(const kernel::Fd& fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&storage), &size);
  kernel::UdpTxOptions options;
  options.destination = *kernel::Address::from(storage);
  auto opened = kernel::UdpTx::open(options);
  REQUIRE(opened.ok());
  return std::move(opened.value());
}

std::unique_ptr<plane::UdpInput> open_input(test::StreamBed& bed, plane::InputCounters& counters) {
  plane::UdpInputOptions options;
  options.socket.address = "127.0.0.1";
  options.socket.coalesce = true;
  auto opened = plane::UdpInput::open(bed.reactor, options, *bed.stream, counters);
  REQUIRE(opened.ok());
  return std::move(opened.value());
}

struct Bed : test::StreamBed {
  explicit Bed(const plane::StreamOptions& stream_options = test::stream_options())
      : StreamBed(stream_options),
        input(open_input(*this, input_counters)),
        feed(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)),
        receiver(bound_socket()),
        sender(*stream, sender_to(receiver), plane::Batching::automatic, sender_counters),
        routes([this](std::uint64_t handle) { return handle == kStream ? stream.get() : nullptr; }) {
    const auto to = *kernel::Address::parse("127.0.0.1", input->port());
    REQUIRE(connect(feed.get(), to.get(), to.size()) == 0);
    const int size = plane::kFullPayload;
    REQUIRE(setsockopt(feed.get(), SOL_UDP, UDP_SEGMENT, &size, sizeof size) == 0);
    routes.set("/live.ts", plane::ContinuousRoute{kStream});
    routes.set("/live/", plane::SegmentsRoute{kStream});
    http::ServerOptions o;
    o.address = *kernel::Address::parse("127.0.0.1", 0);
    o.send_buffer = 64 * 1024;
    server = std::move(http::Server::open(reactor, o, routes, listener).value());
  }
  /** Turns the loop until `done`; what it took from the heap meanwhile is added to `taken`. */
  template <class F>
  void turn_until(F done) {
    const Nanos end = kernel::monotonic_now() + 20 * kernel::kSecond;
    while (!done() && kernel::monotonic_now() < end) {
      reactor.wake();
      const std::uint64_t before = test::allocations();
      reactor.turn();
      taken += test::allocations() - before;
    }
    REQUIRE(done());
  }
  /** Sends `packets` (a multiple of 28) through the input and waits until they have come. */
  template <class F>
  void send(int packets, F meanwhile) {
    const auto ts = source.make(packets);
    for (std::size_t at = 0; at < ts.size(); at += kCall) {
      const std::uint64_t before = counters.bytes_in;
      REQUIRE(::send(feed.get(), ts.data() + at, kCall, 0) == static_cast<ssize_t>(kCall));
      turn_until([&] {
        meanwhile();
        return counters.bytes_in >= before + kCall;
      });
    }
  }
  void depart() {
    turn_until([&] { return counters.packets_released == counters.packets_in; });
  }

  TsSource source{fast()};
  plane::InputCounters input_counters{};
  std::unique_ptr<plane::UdpInput> input;
  kernel::Fd feed;
  kernel::Fd receiver;
  plane::SenderCounters sender_counters{};
  plane::Sender sender;
  plane::Routes routes;
  http::ListenerCounters listener{};
  std::unique_ptr<http::Server> server;
  std::uint64_t taken = 0;
};

/** A viewer that keeps nothing but the head of the answer. */
struct Viewer {
  Viewer(const Bed& bed, const std::string& path, int receive_buffer)
      : fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    const auto to = *kernel::Address::parse("127.0.0.1", bed.server->port());
    REQUIRE(connect(fd.get(), to.get(), to.size()) == 0);
    fcntl(fd.get(), F_SETFL, O_NONBLOCK);
    const std::string request = "GET " + path + " HTTP/1.1\r\nHost: e\r\n\r\n";
    REQUIRE(::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) > 0);
  }
  void take() {
    for (ssize_t n = 0; (n = recv(fd.get(), buffer.data(), buffer.size(), 0)) > 0;)
      bytes += static_cast<std::uint64_t>(n);
  }
  kernel::Fd fd;
  std::array<char, 65536> buffer{};
  std::uint64_t bytes = 0;
};

}  // namespace

TEST_CASE("hot path: datagrams in, RTP packets out and a continuous viewer served, nothing from the heap") {
  Bed bed;
  bed.send(28 * (kPacketsPerAccessPoint / 28 + 4), [] {});
  bed.depart();
  Viewer viewer(bed, "/live.ts", 1 << 20);
  const auto take = [&] { viewer.take(); };
  bed.send(28 * 20, take);
  bed.turn_until([&] {
    viewer.take();
    return viewer.bytes > 100 * kTsPacketSize;
  });
  const std::uint64_t sent = bed.sender_counters.packets;
  const std::uint64_t seen = viewer.bytes;
  bed.taken = 0;
  // No access point falls into these: a segment that begins is allowed its entry in the list.
  bed.send(28 * 140, take);
  bed.turn_until([&] {
    viewer.take();
    return bed.counters.packets_released == bed.counters.packets_in &&
           viewer.bytes > seen + 2000 * kTsPacketSize;
  });
  CHECK(bed.taken == 0);
  CHECK(bed.input_counters.packets == bed.counters.bytes_in / plane::kFullPayload);
  CHECK(bed.sender_counters.packets > sent + 300);
}

TEST_CASE("hot path: once its answer has begun, a segment is served without the heap") {
  // More than the kernel ever queues for one connection: the rest is sent as the viewer reads.
  auto options = test::stream_options();
  options.ring_bytes = 32 << 20;
  options.segment = 800 * kernel::kMillisecond;
  Bed bed(options);
  bed.send(28 * 1800, [] {});
  bed.depart();
  const auto playlist = bed.stream->segmenter().playlist("");
  REQUIRE(playlist != nullptr);
  const auto end = playlist->find(".ts");
  const auto begin = playlist->rfind('\n', end) + 1;
  const std::string name = playlist->substr(begin, end + 3 - begin);
  const auto* const segment = bed.stream->segmenter().find(std::stoull(name));
  REQUIRE(segment != nullptr);
  const std::uint64_t size = segment->size();
  Viewer viewer(bed, "/live/" + name, 32 * 1024);
  bed.turn_until([&] {
    viewer.take();
    return viewer.bytes > 0;
  });
  bed.taken = 0;
  const std::uint64_t first = viewer.bytes;
  bed.turn_until([&] {
    viewer.take();
    return viewer.bytes >= size - kTsPacketSize;
  });
  CHECK(bed.taken == 0);
  CHECK(viewer.bytes - first > size / 8);
}
