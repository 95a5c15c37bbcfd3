// Objects over real connections: framing, pipelines, viewers that go, and thousands at once.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <vector>

#include "http/server.h"
#include "plane/routes.h"
#include "plane/sites.h"
#include "test/allocations.h"
#include "test/store_bed.h"

using namespace sluice;
using kernel::kMillisecond;
using kernel::kSecond;
using objects::Object;
using objects::Phase;
using test::bytes_of_text;

namespace {

const std::string kHost = " HTTP/1.1\r\nHost: e\r\n\r\n";

struct Bed : test::StoreBed {
  explicit Bed(objects::StoreOptions o = {}) : StoreBed(o) {
    sites.set(1, {"/s/", true, "s", {}}, site);
    routes.set_sites(&sites);
    http::ServerOptions options;
    options.address = *kernel::Address::parse("127.0.0.1", 0);
    options.max_connections = 20'000;
    server = std::move(http::Server::open(reactor, options, routes, listener).value());
  }
  /** The flight of what was wanted last. */
  std::shared_ptr<Object> flight() {
    REQUIRE(turn_until([&] { return !wanted.empty(); }));
    return store->flight(wanted.back().ticket);
  }
  std::vector<plane::WantedObject> wanted;
  plane::Sites sites{*store, "1.1 us",
                     [this](plane::WantedObject object) { wanted.push_back(std::move(object)); }};
  plane::SiteCounters site{};
  plane::Routes routes{[](std::uint64_t) -> plane::Stream* { return nullptr; }};
  http::ListenerCounters listener{};
  std::unique_ptr<http::Server> server;
};

struct Client {
  explicit Client(Bed& bed, int receive_buffer = 0)
      : bed_(bed), fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer > 0)
      setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    const auto to = *kernel::Address::parse("127.0.0.1", bed.server->port());
    REQUIRE(connect(fd.get(), to.get(), to.size()) == 0);
    fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  }
  void send(const std::string& text) const {
    REQUIRE(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
  }
  void take() {
    std::array<char, 65536> buffer{};
    const ssize_t n = recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (n > 0) got.append(buffer.data(), static_cast<std::size_t>(n));
    if (n == 0) closed = true;
    if (n < 0 && errno != EAGAIN) reset = closed = true;
  }
  bool gets(const std::string& text) {
    return bed_.turn_until([&] {
      take();
      return got.find(text) != std::string::npos;
    });
  }
  bool gets_closed() {
    return bed_.turn_until([&] {
      take();
      return closed;
    });
  }
  /** What came behind the header section. */
  [[nodiscard]] std::string body() const { return got.substr(got.find("\r\n\r\n") + 4); }
  Bed& bed_;
  kernel::Fd fd;
  std::string got;
  bool closed = false;
  bool reset = false;
};

/** The content of chunks; nothing when they are not framed as RFC 9112 section 7.1 says, or do not end. */
std::optional<std::string> unchunked(std::string_view body) {
  std::string text;
  for (;;) {
    const std::size_t line = body.find("\r\n");
    if (line == std::string_view::npos) return std::nullopt;
    const std::size_t size = std::stoul(std::string(body.substr(0, line)), nullptr, 16);
    body.remove_prefix(line + 2);
    if (size == 0) return body == "\r\n" ? std::optional(text) : std::nullopt;
    if (body.size() < size + 2 || body.substr(size, 2) != "\r\n") return std::nullopt;
    text.append(body.substr(0, size));
    body.remove_prefix(size + 2);
  }
}

/** Letters that tell where they are. */
std::string pattern(std::size_t size) {
  std::string text(size, 0);
  for (std::size_t i = 0; i < size; i++) text[i] = static_cast<char>('a' + i * 7 % 26 + (i >> 12) % 3);
  return text;
}

}  // namespace

TEST_CASE("delivery: a growing object in chunks, to a viewer who takes them slowly") {
  Bed bed;
  Client client(bed, 4096);
  client.send("GET /s/x" + kHost);
  const auto object = bed.flight();
  bed.begin(object);
  const std::string text = pattern(3 << 20);
  for (std::size_t at = 0; at < text.size(); at += 100'000) {
    REQUIRE(bed.store->append(object, bytes_of_text(text.substr(at, 100'000))) == nullptr);
    bed.turn();
    client.take();
  }
  bed.store->complete(object);
  REQUIRE(client.gets("\r\n0\r\n\r\n"));
  CHECK(client.got.find("Transfer-Encoding: chunked\r\n") != std::string::npos);
  CHECK(client.got.find("Content-Length") == std::string::npos);
  const bool same = unchunked(client.body()) == text;
  CHECK(same);
  client.got.clear();
  client.send("GET /s/x" + kHost);
  REQUIRE(client.gets("Content-Length: 3145728\r\n"));
  const std::size_t head = client.got.find("\r\n\r\n") + 4;
  CHECK(bed.turn_until([&] {
    client.take();
    return client.got.size() >= head + text.size();
  }));
  CHECK(client.body() == text);
  CHECK(bed.listener.accepted == 1);
}

TEST_CASE("delivery: HTTP/1.0 gets an object of unknown length until the connection ends") {
  Bed bed;
  Client client(bed);
  client.send("GET /s/x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const auto object = bed.flight();
  bed.begin(object);
  REQUIRE(bed.store->append(object, bytes_of_text("hello")) == nullptr);
  REQUIRE(client.gets("\r\n\r\nhello"));
  bed.store->complete(object);
  CHECK(client.gets_closed());
  CHECK_FALSE(client.reset);
  CHECK(client.got.find("chunked") == std::string::npos);
  CHECK(client.got.find("Connection: close\r\n") != std::string::npos);
}

TEST_CASE("delivery: cut short is told in every framing") {
  struct Row {
    std::string name;
    std::string version;
    std::optional<std::uint64_t> length;
    bool reset;
  };
  for (const Row& row : {Row{"by length", "HTTP/1.1", 10, false}, Row{"in chunks", "HTTP/1.1", {}, false},
                         Row{"until the end", "HTTP/1.0", {}, true}}) {
    CAPTURE(row.name);
    Bed bed;
    Client client(bed);
    client.send("GET /s/x " + row.version + "\r\nHost: e\r\n\r\n");
    const auto object = bed.flight();
    bed.begin(object, kSecond, row.length);
    REQUIRE(bed.store->append(object, bytes_of_text("hello")) == nullptr);
    REQUIRE(client.gets("hello"));
    bed.store->fail(object, {});
    CHECK(client.gets_closed());
    CHECK(client.reset == row.reset);
    CHECK(client.got.find("0\r\n\r\n", client.got.find("hello")) == std::string::npos);
    if (row.length) CHECK(client.body().size() < *row.length);

    Client next(bed);
    next.send("GET /s/x" + kHost);
    CHECK(bed.turn_until([&] { return bed.wanted.size() == 2; }));
  }
}

TEST_CASE("delivery: requests that are pipelined behind one that waits are answered in order") {
  Bed bed;
  Client client(bed);
  client.send("GET /s/a" + kHost + "HEAD /s/a" + kHost + "GET /s/b" + kHost + "GET /none" + kHost);
  const auto a = bed.flight();
  for (int i = 0; i < 5; i++) bed.turn();
  CHECK(bed.wanted.size() == 1);
  bed.begin(a, 3600 * kSecond, 1);
  REQUIRE(bed.store->append(a, bytes_of_text("A")) == nullptr);
  bed.store->complete(a);
  REQUIRE(bed.turn_until([&] { return bed.wanted.size() == 2; }));
  bed.store->fail(bed.flight(), {503, 1, "no b"});
  REQUIRE(client.gets("404 Not Found"));
  const std::size_t first = client.got.find("\r\n\r\nAHTTP/1.1 200");
  const std::size_t head = client.got.find("Content-Length: 1\r\n", first);
  const std::size_t refused = client.got.find("no b", head);
  CHECK(refused != std::string::npos);
  CHECK(client.got.find("404 Not Found") > refused);
}

TEST_CASE("delivery: the first asker goes, the flight stays and the others are served") {
  Bed bed;
  auto first = std::make_unique<Client>(bed);
  first->send("GET /s/x" + kHost);
  const auto object = bed.flight();
  Client second(bed);
  second.send("GET /s/x" + kHost);
  REQUIRE(bed.turn_until([&] { return bed.counters.joined == 1; }));
  const linger at_once{1, 0};
  setsockopt(first->fd.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  first.reset();
  REQUIRE(bed.turn_until([&] { return bed.listener.connections == 1; }));
  bed.begin(object, kSecond, 5);
  REQUIRE(bed.store->append(object, bytes_of_text("hello")) == nullptr);
  bed.store->complete(object);
  CHECK(second.gets("hello"));
  CHECK(bed.wanted.size() == 1);
}

TEST_CASE("delivery: everybody goes while an object grows; it is completed all the same") {
  Bed bed;
  auto client = std::make_unique<Client>(bed);
  client->send("GET /s/x" + kHost);
  const auto object = bed.flight();
  bed.begin(object);
  REQUIRE(bed.store->append(object, bytes_of_text("hel")) == nullptr);
  REQUIRE(client->gets("hel"));
  client.reset();
  REQUIRE(bed.store->append(object, bytes_of_text("lo")) == nullptr);
  REQUIRE(bed.turn_until([&] { return bed.listener.connections == 0 || object->size() == 5; }));
  bed.store->complete(object);
  Client again(bed);
  again.send("GET /s/x" + kHost);
  CHECK(again.gets("hello"));
  CHECK(bed.wanted.size() == 1);
}

TEST_CASE("delivery: what is read stays whole while the store is full and is purged") {
  Bed bed({.budget = 2 << 20, .largest = 1 << 20});
  const std::string text = pattern(1 << 20);
  Client slow(bed, 4096);
  slow.send("GET /s/x" + kHost);
  auto object = bed.flight();
  bed.begin(object, 3600 * kSecond, text.size());
  REQUIRE(bed.store->append(object, bytes_of_text(text)) == nullptr);
  bed.store->complete(object);
  object.reset();
  REQUIRE(slow.gets("\r\n\r\n"));
  for (int i = 0; i < 10; i++) bed.make("other" + std::to_string(i), std::string(300'000, 'o'));
  CHECK(bed.counters.evicted > 0);
  bed.sites.erase(1);
  bed.make("more", std::string(300'000, 'm'));
  CHECK(bed.turn_until([&] {
    slow.take();
    return slow.body() == text;
  }));
}

TEST_CASE("delivery: thousands at once on one object: one flight, everybody is served") {
  constexpr std::size_t kViewers = 400;
  Bed bed;
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t i = 0; i < kViewers; i++) {
    clients.push_back(std::make_unique<Client>(bed));
    clients.back()->send("GET /s/x" + kHost);
  }
  REQUIRE(bed.turn_until([&] { return bed.counters.joined == kViewers - 1; }));
  const auto object = bed.flight();
  bed.begin(object, 1, 5);
  REQUIRE(bed.store->append(object, bytes_of_text("hello")) == nullptr);
  bed.store->complete(object);
  for (const auto& client : clients) CHECK(client->gets("\r\n\r\nhello"));
  CHECK_MESSAGE(bed.wanted.size() == 1, "though it had expired when most were served");
}

TEST_CASE("delivery: nothing is taken from the heap while an object grows and is sent to many") {
  constexpr std::size_t kViewers = 50;
  Bed bed;
  std::vector<std::unique_ptr<Client>> clients;
  for (std::size_t i = 0; i < kViewers; i++) {
    clients.push_back(std::make_unique<Client>(bed));
    clients.back()->send("GET /s/x" + kHost);
  }
  REQUIRE(bed.turn_until([&] { return bed.counters.joined == kViewers - 1; }));
  const auto object = bed.flight();
  bed.begin(object);
  const std::string piece(20'000, 'x');
  // What the server does once a second makes room the first time, too.
  const kernel::Nanos swept = kernel::monotonic_now() + 1200 * kMillisecond;
  REQUIRE(bed.turn_until([&] { return kernel::monotonic_now() > swept; }));
  std::uint64_t taken = 0;
  for (int round = 0; round < 40; round++) {
    const std::uint64_t sent = bed.listener.bytes_out;
    const std::uint64_t before = test::allocations();
    REQUIRE(bed.store->append(object, bytes_of_text(piece)) == nullptr);
    const kernel::Nanos end = kernel::monotonic_now() + 10 * kSecond;
    while (bed.listener.bytes_out - sent < kViewers * piece.size() && kernel::monotonic_now() < end)
      bed.turn();
    // The first rounds make room.
    if (round >= 5) taken += test::allocations() - before;
    REQUIRE(bed.listener.bytes_out - sent >= kViewers * piece.size());
    for (const auto& client : clients) {
      client->take();
      client->got.clear();
    }
  }
  CHECK(taken == 0);
}
