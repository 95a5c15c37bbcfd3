// The viewers' front over real sockets and a real stream: what a player, a slow one, a leaving one and a
// hostile one see.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "http/server.h"
#include "plane/routes.h"
#include "test/stream_bed.h"

using namespace sluice;
using codec::kTsPacketSize;
using kernel::kMillisecond;
using kernel::kSecond;
using kernel::Nanos;
using test::damage_of;
using test::fast;
using test::TsSource;

namespace {

constexpr std::uint64_t kStream = 7;
const std::string kHost = " HTTP/1.1\r\nHost: e\r\n\r\n";

http::ServerOptions options() {
  http::ServerOptions o;
  o.address = *kernel::Address::parse("127.0.0.1", 0);
  o.send_buffer = 64 * 1024;
  return o;
}

struct Bed : test::StreamBed {
  explicit Bed(const http::ServerOptions& o = options())
      : routes([this](std::uint64_t handle) { return handle == kStream ? stream.get() : nullptr; }),
        server(std::move(http::Server::open(reactor, o, routes, listener).value())) {
    routes.set("/live.ts", plane::ContinuousRoute{kStream});
    routes.set("/live/index.m3u8", plane::PlaylistRoute{kStream, ""});
    routes.set("/live/", plane::SegmentsRoute{kStream});
    routes.set("/hello",
               plane::StaticRoute{"text/plain", "no-store", std::make_shared<const std::string>("hello\n")});
    routes.set_viewer_lag(300 * kMillisecond);
  }
  template <class F>
  bool turn_until(F done) {
    const Nanos end = kernel::monotonic_now() + 10 * kSecond;
    while (!done()) {
      if (kernel::monotonic_now() > end) return false;
      reactor.wake();
      reactor.turn();
    }
    return true;
  }
  /** So many packets more, departed, while `reader` reads. */
  void feed(int packets, const std::function<void()>& reader = {}) {
    stream->write(source.make(packets), kernel::monotonic_now());
    REQUIRE(turn_until([&] {
      if (reader) reader();
      return counters.packets_released == counters.packets_in;
    }));
  }

  TsSource source{fast()};
  plane::Routes routes;
  http::ListenerCounters listener{};
  std::unique_ptr<http::Server> server;
};

struct Client {
  explicit Client(const Bed& bed, int receive_buffer = 0)
      : fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer > 0)
      setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    const auto to = *kernel::Address::parse("127.0.0.1", bed.server->port());
    REQUIRE(connect(fd.get(), to.get(), to.size()) == 0);
    fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  }
  void send(const std::string& text) const { ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL); }
  /** Takes what is there, `most` bytes at most. */
  void take(std::size_t most = 1 << 20) {
    std::array<char, 65536> buffer{};
    while (most > 0) {
      const ssize_t n = recv(fd.get(), buffer.data(), std::min(most, buffer.size()), 0);
      if (n == 0 || (n < 0 && errno != EAGAIN)) closed = true;
      if (n <= 0) return;
      got.append(buffer.data(), static_cast<std::size_t>(n));
      most -= static_cast<std::size_t>(n);
    }
  }
  [[nodiscard]] int count(const std::string& text) const {
    int n = 0;
    for (std::size_t at = got.find(text); at != std::string::npos; at = got.find(text, at + 1)) n++;
    return n;
  }
  [[nodiscard]] std::vector<std::uint8_t> body() const {
    const auto head = got.find("\r\n\r\n");
    if (head == std::string::npos) return {};
    return {got.begin() + static_cast<std::ptrdiff_t>(head + 4), got.end()};
  }
  kernel::Fd fd;
  std::string got;
  bool closed = false;
};

}  // namespace

TEST_CASE("front: before the first picture viewers are asked to come again") {
  Bed bed;
  for (const std::string path : {"/live.ts", "/live/index.m3u8"}) {
    Client client(bed);
    client.send("GET " + path + kHost);
    REQUIRE(bed.turn_until([&] {
      client.take();
      return client.count("\r\n\r\n") > 0;
    }));
    CHECK(client.got.rfind("HTTP/1.1 503 ", 0) == 0);
    CHECK(client.count("Retry-After: 1\r\n") == 1);
  }
}

TEST_CASE(
    "front: a viewer that stops reading jumps, others lose nothing, and it goes on when it reads again") {
  Bed bed;
  bed.feed(6000);
  Client slow(bed, 4096);
  Client quick(bed);
  slow.send("GET /live.ts" + kHost);
  quick.send("GET /live.ts" + kHost);
  REQUIRE(bed.turn_until([&] { return bed.counters.viewers_continuous == 2; }));
  for (int step = 0; step < 60; step++) {
    bed.feed(500, [&] { quick.take(); });
  }
  // The slow one has taken nothing yet; its jumps are counted as they happen.
  CHECK(bed.counters.viewer_drops >= 1);
  CHECK(bed.listener.stalled == 0);
  for (int step = 0; step < 40; step++) {
    bed.feed(500, [&] {
      slow.take();
      quick.take();
    });
  }
  REQUIRE(bed.turn_until([&] {
    quick.take();
    slow.take();
    return quick.body().size() % kTsPacketSize == 0 && slow.body().size() % kTsPacketSize == 0;
  }));
  const auto all = quick.body();
  CHECK(damage_of(all).broken == 0);
  CHECK(damage_of(all).gaps == 0);
  CHECK(all.size() > 8'000'000);
  const auto some = slow.body();
  CHECK(damage_of(some).broken == 0);
  CHECK(damage_of(some).gaps > 0);
  CHECK(some.size() < all.size());
  CHECK(std::equal(all.end() - 100 * kTsPacketSize, all.end(), some.end() - 100 * kTsPacketSize));
}

TEST_CASE("front: a stream removed under its viewers closes their connections, and the path is gone") {
  Bed bed;
  bed.feed(6000);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 20; i++) {
    clients.push_back(std::make_unique<Client>(bed, i % 2 == 0 ? 4096 : 0));
    clients.back()->send("GET /live.ts" + kHost);
  }
  REQUIRE(bed.turn_until([&] { return bed.counters.viewers_continuous == 20; }));
  bed.feed(6000);
  bed.stream.reset();
  for (const auto& client : clients) {
    REQUIRE(bed.turn_until([&] {
      client->take();
      return client->closed;
    }));
  }
  CHECK(bed.turn_until([&] { return bed.listener.connections == 0; }));
  Client late(bed);
  late.send("GET /live.ts" + kHost);
  CHECK(bed.turn_until([&] {
    late.take();
    return late.count("404 Not Found") == 1;
  }));
}

TEST_CASE("front: playlist and segments over one kept connection; the bytes are the ring's") {
  Bed bed;
  bed.feed(40'000);
  Client client(bed);
  client.send("GET /live/index.m3u8" + kHost);
  REQUIRE(bed.turn_until([&] {
    client.take();
    return client.count("#EXTINF") > 0;
  }));
  CHECK(client.count("Content-Type: application/vnd.apple.mpegurl\r\n") == 1);
  const std::string number = std::to_string(std::stoull(client.got.substr(client.got.find("SEQUENCE:") + 9)));
  client.got.clear();
  client.send("HEAD /live/" + number + ".ts" + kHost + "GET /live/" + number + ".ts" + kHost);
  const plane::Segment* const segment = bed.stream->segmenter().find(std::stoull(number));
  REQUIRE(segment != nullptr);
  REQUIRE(bed.turn_until([&] {
    client.take();
    return client.got.size() >= segment->size() && client.count("\r\n\r\n") >= 2;
  }));
  CHECK(client.count("Content-Length: " + std::to_string(segment->size()) + "\r\n") == 2);
  REQUIRE(bed.turn_until([&] {
    client.take();
    return client.got.size() >= client.got.rfind("keep-alive\r\n\r\n") + 14 + segment->size();
  }));
  const std::uint8_t* const ring = bed.stream->ring().at(segment->begin);
  CHECK(std::equal(ring, ring + segment->size(),
                   client.got.end() - static_cast<std::ptrdiff_t>(segment->size()),
                   [](std::uint8_t a, char b) { return a == static_cast<std::uint8_t>(b); }));
  client.got.clear();
  for (const std::string& name :
       {std::string("1.ts"), std::string("x.ts"), std::string(".ts"), number, std::string("-1.ts"),
        std::string(), std::string("99999999999999999999999.ts"), number + ".ts/"})
    client.send("GET /live/" + name + kHost);
  CHECK(bed.turn_until([&] {
    client.take();
    return client.count("404 Not Found") == 8;
  }));
  CHECK_FALSE(client.closed);
}

TEST_CASE("front: requests sent before a half-close are all answered") {
  Bed bed;
  bed.feed(40'000);
  const std::uint64_t number = [&] {
    const auto playlist = bed.stream->segmenter().playlist("");
    return std::stoull(playlist->substr(playlist->find("SEQUENCE:") + 9));
  }();
  Client client(bed, 4096);
  // The first answer does not fit, so the rest waits while the end has been seen.
  client.send("GET /live/" + std::to_string(number) + ".ts" + kHost + "GET /hello" + kHost + "GET /hello" +
              kHost);
  shutdown(client.fd.get(), SHUT_WR);
  CHECK(bed.turn_until([&] {
    client.take();
    return client.closed;
  }));
  CHECK(client.count("\r\n\r\nhello\n") == 2);
}

TEST_CASE("front: a continuous viewer may half-close and is served on; one that leaves is forgotten") {
  Bed bed;
  bed.feed(6000);
  Client client(bed);
  client.send("GET /live.ts" + kHost);
  shutdown(client.fd.get(), SHUT_WR);
  bed.feed(3000);
  client.take();
  const std::size_t before = client.got.size();
  bed.feed(3000);
  client.take();
  CHECK(client.got.size() > before);
  CHECK(bed.counters.viewers_continuous == 1);
  client.fd.reset();
  bed.feed(3000);
  CHECK(bed.turn_until([&] { return bed.counters.viewers_continuous == 0; }));
}

TEST_CASE(
    "front: without descriptors connections are turned away, the loop does not spin, and goes on "
    "afterwards") {
  Bed bed;
  // One is served before, because a sanitizer opens a pipe when it first sees a type.
  Client first(bed);
  first.send("GET /hello" + kHost);
  REQUIRE(bed.turn_until([&] {
    first.take();
    return first.count("hello\n") == 1;
  }));
  struct Tick final : kernel::Timer {
    void on_timer(Nanos) noexcept override {}
  } tick;
  // A turn of a loop that has nothing to do lasts up to a second; packets of a stream would end it too.
  const auto turn = [&] {
    bed.reactor.arm(tick, kernel::monotonic_now() + 10 * kMillisecond);
    bed.reactor.turn();
  };
  turn();
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 8; i++) clients.push_back(std::make_unique<Client>(bed));
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  // The lowest descriptor that is free: none beyond it may be opened.
  const int lowest = fcntl(0, F_DUPFD, 0);
  ::close(lowest);
  const rlimit none{static_cast<rlim_t>(lowest), before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  const std::uint64_t wakeups = bed.reactor.wakeups();
  const Nanos until = kernel::monotonic_now() + 300 * kMillisecond;
  while (kernel::monotonic_now() < until) turn();
  const std::uint64_t turns = bed.reactor.wakeups() - wakeups;
  const std::uint64_t refused = bed.listener.refused;
  setrlimit(RLIMIT_NOFILE, &before);
  CHECK(turns < 100);
  CHECK(refused > 0);
  Client late(bed);
  late.send("GET /hello" + kHost);
  CHECK(bed.turn_until([&] {
    late.take();
    return late.count("hello\n") == 1;
  }));
}

TEST_CASE("front: over the limit a client that has sent its request already still reads why it is refused") {
  auto o = options();
  o.max_connections = 1;
  Bed bed(o);
  Client first(bed);
  first.send("GET /hello" + kHost);
  REQUIRE(bed.turn_until([&] {
    first.take();
    return first.count("hello\n") == 1;
  }));
  std::vector<std::unique_ptr<Client>> more;
  for (int i = 0; i < 10; i++) {
    more.push_back(std::make_unique<Client>(bed));
    more.back()->send("GET /hello" + kHost);
  }
  for (const auto& client : more) {
    REQUIRE(bed.turn_until([&] {
      client->take();
      return client->closed;
    }));
    CHECK(client->count("503 Service Unavailable") == 1);
    CHECK(client->count("Retry-After: ") == 1);
  }
  CHECK(bed.listener.refused == 10);
  CHECK(bed.turn_until([&] { return bed.listener.connections == 1; }));
}

TEST_CASE("front: a trickle of a head ends with its time, however often bytes come") {
  auto o = options();
  o.header_timeout = 300 * kMillisecond;
  Bed bed(o);
  Client client(bed);
  const Nanos begin = kernel::monotonic_now();
  REQUIRE(bed.turn_until([&] {
    client.send("\r");
    client.take();
    return client.closed;
  }));
  CHECK(kernel::monotonic_now() - begin < 8 * kSecond);
  CHECK(bed.listener.header_timeouts + bed.listener.malformed == 1);
}

TEST_CASE("front: random bytes to the front disturb neither it nor a viewer") {
  Bed bed;
  bed.feed(6000);
  Client viewer(bed);
  viewer.send("GET /live.ts" + kHost);
  std::uint32_t random = 99;
  auto next = [&random] { return (random = random * 1664525U + 1013904223U) >> 16; };
  for (int round = 0; round < 100; round++) {
    Client client(bed);
    std::string text = "GET /live/" + std::to_string(next()) + ".ts" + kHost;
    for (std::uint32_t i = next() % 5; i > 0; i--) text[next() % text.size()] = static_cast<char>(next());
    client.send(text.substr(0, next() % (text.size() + 1)));
    bed.reactor.wake();
    bed.reactor.turn();
    if (round % 10 == 0) bed.feed(500);
    viewer.take();
  }
  REQUIRE(bed.turn_until([&] {
    viewer.take();
    return bed.listener.connections == 1;
  }));
  CHECK(damage_of(viewer.body()).broken == 0);
  CHECK(damage_of(viewer.body()).gaps == 0);
  CHECK(bed.counters.viewers_continuous == 1);
}
