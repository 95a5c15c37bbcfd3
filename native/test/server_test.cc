#include "http/server.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

using namespace sluice;
using kernel::kMillisecond;
using kernel::kSecond;
using kernel::Nanos;

namespace {

/** An endless body, as fast as it is taken; can be told to wait. */
struct EndlessBody final : http::Body {
  explicit EndlessBody(bool& gone) : gone_(gone) {}
  ~EndlessBody() override { gone_ = true; }
  EndlessBody(const EndlessBody&) = delete;
  EndlessBody& operator=(const EndlessBody&) = delete;
  Piece peek() noexcept override { return {Next::bytes, {bytes_.data(), bytes_.size()}}; }
  void consume(std::size_t) noexcept override {}
  void listen(http::AnswerListener&) noexcept override {}

 private:
  bool& gone_;
  std::array<std::uint8_t, 65536> bytes_{};
};

struct FakeRouter final : http::Router {
  http::Answer resolve(const http::Request& request, const kernel::Address&) override {
    http::Answer answer;
    if (request.path == "/hello") {
      answer.text = std::make_shared<const std::string>("hello\n");
      answer.cache_control = "max-age=1";
    } else if (request.path == "/endless") {
      answer.content_type = "video/mp2t";
      answer.body = std::make_unique<EndlessBody>(endless_gone);
    } else if (request.path == "/later") {
      answer.status = 503;
      answer.retry_after = 2;
      answer.text = std::make_shared<const std::string>("later\n");
    } else {
      answer.status = 404;
      answer.text = std::make_shared<const std::string>("no such path\n");
    }
    return answer;
  }
  http::Answer follow(std::uint64_t) override { return {}; }
  void on_sent(std::uint64_t, std::uint64_t bytes) noexcept override { sent += bytes; }
  bool endless_gone = false;
  std::uint64_t sent = 0;
};

http::ServerOptions loopback() {
  http::ServerOptions options;
  options.address = *kernel::Address::parse("127.0.0.1", 0);
  return options;
}

struct Bed {
  explicit Bed(const http::ServerOptions& options = loopback())
      : server(std::move(http::Server::open(reactor, options, router, counters).value())) {}

  /** Turns the loop until `done`, for five seconds at most. */
  template <class F>
  bool turn_until(F done) {
    const Nanos end = kernel::monotonic_now() + 5 * kSecond;
    while (!done()) {
      if (kernel::monotonic_now() > end) return false;
      // So that the wait ends even when nothing happens on the server's side.
      reactor.wake();
      reactor.turn();
    }
    return true;
  }

  kernel::Reactor reactor;
  FakeRouter router;
  http::ListenerCounters counters{};
  std::unique_ptr<http::Server> server;
};

struct Client {
  explicit Client(Bed& bed, int receive_buffer = 0) : bed_(bed), fd(socket(AF_INET, SOCK_STREAM, 0)) {
    if (receive_buffer > 0)
      setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    const auto to = *kernel::Address::parse("127.0.0.1", bed.server->port());
    REQUIRE(connect(fd.get(), to.get(), to.size()) == 0);
    fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  }
  void send(const std::string& text) const {
    REQUIRE(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
  }
  /** Takes what is there. */
  void take() {
    std::array<char, 65536> buffer{};
    const ssize_t n = recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (n > 0) got.append(buffer.data(), static_cast<std::size_t>(n));
    if (n == 0 || (n < 0 && errno != EAGAIN)) closed = true;
  }
  /** True when the answers so far contain `text` so many times. */
  bool gets(const std::string& text, int times = 1) {
    return bed_.turn_until([&] {
      take();
      int count = 0;
      for (std::size_t at = got.find(text); at != std::string::npos; at = got.find(text, at + 1)) count++;
      return count >= times;
    });
  }
  bool gets_closed() {
    return bed_.turn_until([&] {
      take();
      return closed;
    });
  }
  Bed& bed_;
  kernel::Fd fd;
  std::string got;
  bool closed = false;
};

const std::string kHost = " HTTP/1.1\r\nHost: e\r\n\r\n";

}  // namespace

TEST_CASE("server: GET, HEAD, 404, 405 and OPTIONS on one connection") {
  Bed bed;
  Client client(bed);
  client.send("GET /hello" + kHost);
  REQUIRE(client.gets("hello\n"));
  CHECK(client.got.rfind("HTTP/1.1 200 OK\r\n", 0) == 0);
  CHECK(client.got.find("Content-Length: 6\r\n") != std::string::npos);
  CHECK(client.got.find("Access-Control-Allow-Origin: *\r\n") != std::string::npos);
  CHECK(client.got.find("Cache-Control: max-age=1\r\n") != std::string::npos);
  CHECK(client.got.find("\r\nDate: ") != std::string::npos);

  client.got.clear();
  client.send("HEAD /hello" + kHost + "GET /none" + kHost);
  REQUIRE(client.gets("no such path"));
  CHECK(client.got.find("Content-Length: 6\r\n") != std::string::npos);
  CHECK(client.got.find("\nhello\n") == std::string::npos);
  CHECK(client.got.find("HTTP/1.1 404 Not Found") != std::string::npos);

  client.got.clear();
  client.send("DELETE /hello" + kHost);
  REQUIRE(client.gets("405 Method Not Allowed"));
  CHECK(client.got.find("Allow: GET, HEAD, OPTIONS\r\n") != std::string::npos);

  client.got.clear();
  client.send("OPTIONS /hello" + kHost);
  REQUIRE(client.gets("204 No Content"));
  CHECK(client.got.find("Access-Control-Allow-Methods: GET, HEAD, OPTIONS") != std::string::npos);
  CHECK(client.got.find("Content-Length") == std::string::npos);

  client.got.clear();
  client.send("GET /later" + kHost);
  REQUIRE(client.gets("later\n"));
  CHECK(client.got.find("503 Service Unavailable") != std::string::npos);
  CHECK(client.got.find("Retry-After: 2\r\n") != std::string::npos);
  CHECK(bed.counters.accepted == 1);
  CHECK(bed.counters.requests == 6);
}

TEST_CASE("server: pipelined requests are answered in order, as deep as they come") {
  Bed bed;
  Client client(bed);
  std::string all;
  for (int i = 0; i < 500; i++) all += "GET /hello HTTP/1.1\r\nHost:\r\n\r\n";
  client.send(all);
  CHECK(client.gets("\r\n\r\nhello\n", 500));
  CHECK(bed.counters.responses2xx == 500);
}

TEST_CASE("server: a request byte by byte") {
  Bed bed;
  Client client(bed);
  for (const char c : "GET /hello" + kHost) {
    client.send(std::string(1, c));
    bed.reactor.wake();
    bed.reactor.turn();
  }
  CHECK(client.gets("hello\n"));
}

TEST_CASE("server: a client that half-closes still gets its answer") {
  Bed bed;
  Client client(bed);
  client.send("GET /hello" + kHost);
  shutdown(client.fd.get(), SHUT_WR);
  CHECK(client.gets("hello\n"));
  CHECK(client.gets_closed());
}

TEST_CASE("server: a malformed request is answered and the connection closed") {
  struct Row {
    std::string text;
    const char* status;
  };
  const Row rows[] = {
      {"\x16\x03\x01 garbage\r\n\r\n", "400 Bad Request"},
      {"GET / HTTP/1.1\r\n\r\n", "400 Bad Request"},
      {"GET /" + std::string(6000, 'a') + kHost, "414 URI Too Long"},
      {"GET / HTTP/1.1\r\nHost: e\r\nX: " + std::string(30'000, 'x'), "431 Request Header Fields Too Large"}};
  for (const Row& row : rows) {
    CAPTURE(row.status);
    Bed bed;
    Client client(bed);
    client.send(row.text);
    CHECK(client.gets(row.status));
    CHECK(client.gets_closed());
    CHECK(bed.counters.malformed == 1);
  }
}

TEST_CASE("server: a request with a body is answered, its body not taken for a request") {
  Bed bed;
  Client client(bed);
  client.send(
      "POST /hello HTTP/1.1\r\nHost: e\r\nContent-Length: 40\r\n\r\nGET /hello HTTP/1.1\r\nHost: "
      "smuggled\r\n\r\n\r\n");
  CHECK(client.gets("405 Method Not Allowed"));
  CHECK(client.gets_closed());
  CHECK(bed.counters.requests == 1);
}

TEST_CASE("server: connections over the limit get 503 and are closed") {
  auto options = loopback();
  options.max_connections = 2;
  Bed bed(options);
  Client a(bed);
  Client b(bed);
  Client c(bed);
  CHECK(c.gets("503 Service Unavailable"));
  CHECK(c.gets_closed());
  CHECK(bed.counters.refused == 1);
  a.send("GET /hello" + kHost);
  CHECK(a.gets("hello\n"));
  c.fd.reset();
  b.fd.reset();
  REQUIRE(bed.turn_until([&] { return bed.counters.connections == 1; }));
  Client d(bed);
  d.send("GET /hello" + kHost);
  CHECK(d.gets("hello\n"));
}

TEST_CASE("server: limits changed while it listens hold for what comes, and nobody is disconnected") {
  http::ServerOptions options = loopback();
  options.max_connections = 1;
  options.header_timeout = 60 * kSecond;
  Bed bed(options);
  Client first(bed);
  first.send("GET /hello" + kHost);
  REQUIRE(first.gets("hello\n"));
  const std::uint16_t port = bed.server->port();

  options.max_connections = 2;
  options.header_timeout = 50 * kMillisecond;
  options.address = *kernel::Address::parse("192.0.2.1", 9);
  bed.server->set_limits(options);
  CHECK(bed.server->port() == port);
  CHECK(bed.server->options().address.text() == loopback().address.text());
  Client second(bed);
  second.send("GET /hello" + kHost);
  CHECK(second.gets("200 OK"));
  first.send("GET /hello" + kHost);
  CHECK(first.gets("200 OK", 2));
  second.send("GET /hel");
  CHECK(second.gets("408"));
  CHECK_FALSE(first.closed);

  options.max_connections = 1;
  bed.server->set_limits(options);
  Client third(bed);
  third.send("GET /hello" + kHost);
  CHECK(third.gets("503"));
  first.send("GET /hello" + kHost);
  CHECK(first.gets("200 OK", 3));
}

TEST_CASE("server: a head that does not end is answered with 408; an idle connection is closed") {
  auto options = loopback();
  options.header_timeout = 200 * kMillisecond;
  options.idle_timeout = 200 * kMillisecond;
  Bed bed(options);
  Client slow(bed);
  slow.send("GET /hel");
  Client silent(bed);
  Client idle(bed);
  idle.send("GET /hello" + kHost);
  REQUIRE(idle.gets("hello\n"));
  CHECK(slow.gets("408 Request Timeout"));
  CHECK(slow.gets_closed());
  CHECK(silent.gets_closed());
  CHECK(idle.gets_closed());
  CHECK(idle.got.find("408") == std::string::npos);
  CHECK(bed.counters.header_timeouts == 2);
}

TEST_CASE("server: a viewer that takes nothing is disconnected after the stall time, and its body freed") {
  auto options = loopback();
  options.stall_timeout = 300 * kMillisecond;
  options.send_buffer = 32 * 1024;
  Bed bed(options);
  Client client(bed, 4096);
  client.send("GET /endless" + kHost);
  CHECK(bed.turn_until([&] { return bed.counters.stalled == 1; }));
  CHECK(bed.router.endless_gone);
  CHECK(bed.counters.connections == 0);
}

TEST_CASE("server: viewers that leave in the middle are forgotten") {
  Bed bed;
  for (int i = 0; i < 20; i++) {
    Client client(bed);
    client.send("GET /endless" + kHost);
    REQUIRE(client.gets("video/mp2t"));
    const linger reset{1, 0};
    if (i % 2 == 0) setsockopt(client.fd.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    client.fd.reset();
    CHECK(bed.turn_until([&] { return bed.counters.connections == 0; }));
  }
  CHECK(bed.counters.accepted == 20);
}

TEST_CASE("server: destroyed with connections open") {
  Bed bed;
  Client client(bed);
  client.send("GET /endless" + kHost);
  REQUIRE(client.gets("video/mp2t"));
  bed.server.reset();
  CHECK(bed.router.endless_gone);
  bed.reactor.wake();
  bed.reactor.turn();
}

TEST_CASE("server: a taken port is told by code and address") {
  Bed bed;
  auto options = loopback();
  options.address = *kernel::Address::parse("127.0.0.1", bed.server->port());
  auto second = http::Server::open(bed.reactor, options, bed.router, bed.counters);
  REQUIRE_FALSE(second.ok());
  CHECK(std::string(second.error().code) == "ADDRESS_IN_USE");
  CHECK(second.error().message.find(std::to_string(bed.server->port())) != std::string::npos);
}

TEST_CASE("server: a socket that is handed over goes on with the connections that wait in it") {
  kernel::Fd kept;
  std::uint16_t port = 0;
  {
    Bed before;
    port = before.server->port();
    kept.reset(dup(before.server->socket()));
  }
  // Nobody accepts now; the kernel still takes connections.
  kernel::Fd early(socket(AF_INET, SOCK_STREAM, 0));
  const auto to = *kernel::Address::parse("127.0.0.1", port);
  REQUIRE(connect(early.get(), to.get(), to.size()) == 0);
  auto options = loopback();
  options.address = to;
  options.socket = dup(kept.get());
  options.hold = true;
  Bed after(options);
  CHECK(after.server->port() == port);
  // Its timer has come by then: that ends a pause, not a hold.
  const Nanos held_until = kernel::monotonic_now() + 1100 * kMillisecond;
  after.turn_until([&] { return kernel::monotonic_now() > held_until; });
  CHECK(after.counters.accepted == 0);
  after.server->serve();
  Client late(after);
  late.send("GET /hello" + kHost);
  REQUIRE(late.gets("hello\n"));
  CHECK(after.counters.accepted == 2);
}

TEST_CASE("server: a socket that listens elsewhere is refused and closed") {
  Bed other;
  kernel::Reactor reactor;
  FakeRouter router;
  http::ListenerCounters counters{};
  auto options = loopback();
  options.address = *kernel::Address::parse("127.0.0.2", other.server->port());
  options.socket = dup(other.server->socket());
  auto opened = http::Server::open(reactor, options, router, counters);
  REQUIRE_FALSE(opened.ok());
  CHECK(std::string(opened.error().code) == "ADDRESS_INVALID");
  CHECK(opened.error().message.find("listens on 127.0.0.1:") != std::string::npos);
  CHECK(fcntl(options.socket, F_GETFD) == -1);
}

TEST_CASE(
    "server: a viewer that takes little is disconnected where a least rate is set, a quick one is not") {
  auto options = loopback();
  options.stall_timeout = kSecond;
  options.min_rate = 10'000'000;
  Bed bed(options);
  Client slow(bed, 4096);
  slow.send("GET /endless" + kHost);
  // It goes on taking: that is no stall.
  Nanos next = 0;
  REQUIRE(bed.turn_until([&] {
    std::array<char, 512> some{};
    if (kernel::monotonic_now() > next) {
      next = kernel::monotonic_now() + 20 * kMillisecond;
      static_cast<void>(recv(slow.fd.get(), some.data(), some.size(), 0));
    }
    return bed.counters.too_slow + bed.counters.stalled == 1;
  }));
  CHECK(bed.counters.too_slow == 1);
  CHECK(bed.router.endless_gone);
}

TEST_CASE("server: what was answered is logged, and what was cut short; refused connections are not") {
  char folder[] = "/tmp/sluice-log-XXXXXX";
  const std::string file = std::string(mkdtemp(folder)) + "/access.log";
  http::AccessLogCounters counted{};
  auto log = std::move(http::AccessLog::open({file, http::LogFormat::combined}, counted).value());
  auto options = loopback();
  options.max_connections = 1;
  Bed bed(options);
  bed.server->set_access_log(log.get());
  {
    Client client(bed);
    client.send("HEAD /hello" + kHost + "GET /hello?a=b" + kHost + "DELETE /x" + kHost);
    REQUIRE(client.gets("only GET"));
    Client over(bed);
    REQUIRE(over.gets("503 Service"));
    client.send("GET /endless" + kHost);
    REQUIRE(client.gets("video/mp2t"));
  }
  REQUIRE(bed.turn_until([&] { return bed.counters.connections == 0; }));
  Client bad(bed);
  bad.send("NONSENSE\r\n\r\n");
  REQUIRE(bad.gets_closed());
  bed.server.reset();
  log.reset();
  std::ostringstream all;
  all << std::ifstream(file).rdbuf();
  std::vector<std::string> ends;
  for (std::istringstream lines(all.str()); ends.size() < 9;) {
    std::string line;
    if (!std::getline(lines, line)) break;
    CHECK(line.rfind("127.0.0.1 - - [", 0) == 0);
    ends.push_back(line.substr(line.find("] ") + 2));
  }
  unlink(file.c_str());
  rmdir(folder);
  REQUIRE(ends.size() == 5);
  CHECK(ends[0] == "\"HEAD /hello HTTP/1.1\" 200 0 \"-\" \"-\"");
  CHECK(ends[1] == "\"GET /hello?a=b HTTP/1.1\" 200 6 \"-\" \"-\"");
  CHECK(ends[2] == "\"DELETE /x HTTP/1.1\" 405 45 \"-\" \"-\"");
  CHECK(ends[3].rfind("\"GET /endless HTTP/1.1\" 200 ", 0) == 0);
  CHECK(ends[4] == "\"-\" 400 12 \"-\" \"-\"");
}
