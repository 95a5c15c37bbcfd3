// Packets by HTTP, at the receiver: answers in pieces, and servers that lie, stall and die.
#include "plane/range_client.h"

#include <doctest/doctest.h>

#include <array>
#include <memory>
#include <vector>

#include "http/request.h"
#include "test/http_server.h"

using namespace sluice;
using kernel::kMillisecond;
using test::Peer;

namespace {

constexpr std::size_t kMost = 1500;

std::string framed(const std::string& packet) {
  return std::string{static_cast<char>(packet.size() >> 8), static_cast<char>(packet.size() & 0xff)} + packet;
}

std::string answer(const std::string& body, const std::string& status = "206 Partial Content",
                   const std::string& range = "content-range: rtp 1-9/*\r\n") {
  return "HTTP/1.1 " + status + "\r\n" + range + "content-length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

http::ClientRequest request_to(const kernel::Address& address) {
  http::ClientRequest request;
  request.address = address;
  request.head = http::make_get_head("proxy.example", "/live/news/main.rtp", {}).value();
  return request;
}

struct Fixture final : plane::RangeOutput {
  explicit Fixture(const kernel::Address& address)
      : client(std::make_unique<plane::RangeClient>(reactor, request_to(address), kMost, *this)) {}
  void on_fetched(codec::Bytes datagram) noexcept override {
    packets.emplace_back(reinterpret_cast<const char*>(datagram.data()), datagram.size());
  }
  void on_fetch_end(bool answered) noexcept override { ends.push_back(answered); }

  /** Whether it was answered. */
  bool fetch(std::vector<std::int64_t> numbers, kernel::Nanos patience = 5 * kernel::kSecond) {
    packets.clear();
    const std::size_t before = ends.size();
    REQUIRE(client->fetch(numbers, patience));
    CHECK_FALSE(client->fetch(numbers, patience));
    CHECK(ends.size() == before);
    const kernel::Nanos end = kernel::monotonic_now() + 10 * kernel::kSecond;
    while (ends.size() == before && kernel::monotonic_now() < end) reactor.turn();
    REQUIRE(ends.size() == before + 1);
    return ends.back();
  }

  kernel::Reactor reactor;
  std::vector<std::string> packets;
  std::vector<bool> ends;
  std::unique_ptr<plane::RangeClient> client;
};

/** Answers every request with the same bytes, in pieces of so many. */
std::function<void(Peer&, int)> always(const std::string& bytes, std::size_t pieces = 1 << 20) {
  return [=](Peer& peer, int) {
    while (!peer.read_head().empty())
      if (!peer.send_pieces(bytes, pieces)) return;
  };
}

const std::string one(100, 'a');
const std::string two(1, 'b');

}  // namespace

TEST_CASE("framing: packets in pieces of any size, empty ones, one that is too long") {
  const std::string bytes = framed(one) + framed("") + framed(two) + framed(std::string(kMost, 'c'));
  for (std::size_t piece = 1; piece <= bytes.size(); piece = piece * 2 + 1) {
    codec::FrameReader reader(kMost);
    std::vector<std::size_t> sizes;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      const std::string part = bytes.substr(at, piece);
      codec::Bytes rest(reinterpret_cast<const std::uint8_t*>(part.data()), part.size());
      while (!rest.empty()) {
        const auto step = reader.feed(rest);
        REQUIRE(step.consumed > 0);
        REQUIRE_FALSE(step.error);
        if (!step.packet.empty()) sizes.push_back(step.packet.size());
        rest = rest.subspan(step.consumed);
      }
    }
    CHECK(sizes == std::vector<std::size_t>{100, 1, kMost});
    CHECK(reader.at_border());
  }
  codec::FrameReader reader(kMost);
  const std::array<std::uint8_t, 3> too_long{0x05, 0xdd, 0};
  CHECK(reader.feed(too_long).error);
}

TEST_CASE("range client: what is asked for, and what comes, over one connection") {
  std::atomic<int> wrong{0};
  const std::string good = answer(framed(one) + framed(two));
  test::Server server([&](Peer& peer, int) {
    for (std::string head = peer.read_head(); !head.empty(); head = peer.read_head()) {
      if (head.find("GET /live/news/main.rtp HTTP/1.1\r\n") != 0) wrong++;
      if (head.find("\r\nRange: rtp=65535-0,5-5\r\n\r\n") == std::string::npos) wrong++;
      peer.send_pieces(good, 7);
    }
  });
  Fixture f(server.address());
  for (int i = 0; i < 3; i++) {
    CHECK(f.fetch({65'535, 65'536, 65'541}));
    CHECK(f.packets == std::vector<std::string>{one, two});
  }
  CHECK(wrong == 0);
  CHECK(server.accepted() == 1);
}

TEST_CASE("range client: a server that has nothing has answered, one that has other things has not") {
  test::Server nothing(always(answer("gone\n", "416 Range Not Satisfiable", "")));
  Fixture f(nothing.address());
  CHECK(f.fetch({1}));
  CHECK(f.packets.empty());
  for (const char* status : {"200 OK", "404 Not Found", "503 Service Unavailable", "302 Found"}) {
    test::Server server(always(answer(framed(one), status, "")));
    Fixture other(server.address());
    CHECK_FALSE(other.fetch({1}));
    CHECK(other.packets.empty());
  }
  test::Server bytes(always(answer(framed(one), "206 Partial Content", "content-range: bytes 0-101/*\r\n")));
  Fixture other(bytes.address());
  CHECK_FALSE(other.fetch({1}));
  CHECK(other.packets.empty());
}

TEST_CASE("range client: no more packets than were asked for, none that is too long, none cut short") {
  struct Lie {
    std::string body;
    std::size_t taken;
  };
  const std::string three = framed(one) + framed(two) + framed(one);
  for (const Lie& lie : {Lie{three, 2}, Lie{framed(one) + "\xff\xff" + std::string(300, 'x'), 1},
                         Lie{framed(one) + framed(two).substr(0, 2), 1}, Lie{std::string(1, '\0'), 0},
                         Lie{framed(one) + framed(one).substr(0, 50), 1}}) {
    for (const std::size_t pieces : {std::size_t{1}, std::size_t{1} << 20}) {
      test::Server server(always(answer(lie.body), pieces));
      Fixture f(server.address());
      CHECK_FALSE(f.fetch({1, 2}));
      CHECK(f.packets.size() == lie.taken);
      // And it goes on with the next.
      CHECK_FALSE(f.fetch({1, 2}));
      CHECK(f.packets.size() == lie.taken);
    }
  }
}

TEST_CASE("range client: endless bodies, garbage, resets, silence and trickles end") {
  const std::string head = "HTTP/1.1 206 Partial Content\r\ncontent-range: rtp 1-9/*\r\n\r\n";
  const std::vector<std::function<void(Peer&, int)>> hostile{
      [&](Peer& peer, int) {
        if (peer.read_head().empty() || !peer.send(head)) return;
        while (peer.send(std::string(5000, '\0'))) continue;
      },
      [](Peer& peer, int) {
        peer.read_head();
        peer.send("220 mail.example ESMTP\r\n");
      },
      [](Peer& peer, int) {
        peer.read_head();
        peer.abort();
      },
      [](Peer& peer, int) {
        peer.read_head();
        peer.client_closed();
      },
      [&](Peer& peer, int) {
        peer.read_head();
        if (!peer.send(head)) return;
        while (peer.send(std::string(1, '\0')) && !peer.client_closed()) continue;
      }};
  for (const auto& serve : hostile) {
    test::Server server(serve);
    Fixture f(server.address());
    CHECK_FALSE(f.fetch({1, 2}, 200 * kMillisecond));
    CHECK(f.packets.empty());
  }
  // Nobody listens there.
  const kernel::Address left = test::Server([](Peer&, int) {}).address();
  Fixture f(left);
  CHECK_FALSE(f.fetch({1}));
}

TEST_CASE("range client: a kept connection that was closed meanwhile is no failure") {
  const std::string good = answer(framed(one));
  test::Server server([&](Peer& peer, int) {
    if (!peer.read_head().empty()) peer.send(good);
    // The next request finds it closed.
    if (!peer.read_head().empty()) peer.close();
  });
  Fixture f(server.address());
  CHECK(f.fetch({1}));
  CHECK(f.fetch({1}));
  CHECK(f.packets == std::vector<std::string>{one});
  CHECK(server.accepted() == 2);
}

TEST_CASE("range client: gone while it fetches, nobody is told") {
  test::Server server([](Peer& peer, int) {
    peer.read_head();
    peer.client_closed();
  });
  Fixture f(server.address());
  const std::vector<std::int64_t> numbers{1};
  REQUIRE(f.client->fetch(numbers, 5 * kernel::kSecond));
  while (server.accepted() == 0) f.reactor.turn();
  f.client.reset();
  CHECK(f.ends.empty());
}
