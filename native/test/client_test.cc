#include "http/client.h"

#include <doctest/doctest.h>
#include <zlib.h>

#include <random>

#include "test/client_fixture.h"
#include "test/http_server.h"

using namespace sluice;
using http::Client;
using http::ClientOutcome;
using test::code;
using test::Fixture;
using test::Peer;
using test::Server;

namespace {

/** Answers every request of every connection with the same bytes; closes after each when told so. */
std::function<void(Peer&, int)> always(std::string answer, bool close = false, std::size_t pieces = 0) {
  return [=](Peer& peer, int) {
    while (!peer.read_head().empty()) {
      if (!(pieces > 0 ? peer.send_pieces(answer, pieces) : peer.send(answer)) || close) return;
    }
  };
}

std::string compress(const std::string& text, int window) {
  z_stream z{};
  REQUIRE(deflateInit2(&z, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&z, text.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&z, Z_FINISH) == Z_STREAM_END);
  out.resize(out.size() - z.avail_out);
  deflateEnd(&z);
  return out;
}

std::string with_length(const std::string& fields, const std::string& body) {
  return "HTTP/1.1 200 OK\r\n" + fields + "content-length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

std::string text_of(std::size_t size) {
  std::mt19937 random(7);
  std::string text;
  while (text.size() < size) text += std::to_string(random() % 1000) + " ";
  text.resize(size);
  return text;
}

}  // namespace

TEST_CASE("one connection serves request after request") {
  Server server(always("HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a:  2 \r\nEmpty:\r\nContent-Length: 5\r\n\r\nhello"));
  Fixture f;
  for (int i = 0; i < 5; i++) {
    const ClientOutcome o = f.run(Fixture::get(server.address()));
    CHECK(code(o) == "");
    CHECK(f.status == 200);
    CHECK(f.body == "hello");
    CHECK(o.bytes == 5);
    CHECK(f.field("x-a") == "1, 2");
    CHECK(f.field("empty") == "");
  }
  CHECK(server.accepted() == 1);
  CHECK(f.counters.connects == 1);
  CHECK(f.counters.requests == 5);
  CHECK(f.counters.connected == 1);
  CHECK(f.counters.bytes_in == 5 * 69);
}

TEST_CASE("bodies by length, by chunks and by close, in pieces of every small size") {
  const std::string chunked =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;ext=1\r\nhello\r\n1\r\n "
      "\r\n5\r\nworld\r\n0\r\nTrailer: x\r\n\r\n";
  const std::string by_length = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world";
  const std::string by_close = "HTTP/1.1 200 OK\r\n\r\nhello world";
  for (const std::string& answer : {chunked, by_length, by_close}) {
    for (const std::size_t piece : {1U, 2U, 3U, 7U, 1000U}) {
      Server server(always(answer, &answer == &by_close || answer == by_close, piece));
      Fixture f;
      const ClientOutcome o = f.run(Fixture::get(server.address()));
      CHECK(code(o) == "");
      CHECK(f.body == "hello world");
      CHECK(o.bytes == 11);
    }
  }
}

TEST_CASE("an answer cut short at any byte is told as such") {
  const std::string whole = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
  for (std::size_t cut = 0; cut < whole.size(); cut++) {
    Server server(always(whole.substr(0, cut), true));
    Fixture f;
    const ClientOutcome o = f.run(Fixture::get(server.address()));
    CHECK_MESSAGE(code(o) == "UPSTREAM_CLOSED", cut);
    CHECK_FALSE(o.reused);
    CHECK(f.counters.connected == 0);
  }
}

TEST_CASE("a kept connection that died is told apart") {
  Server server([](Peer& peer, int index) {
    if (index == 0) {
      peer.read_head();
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
      // The second request is read and answered with the end of the connection.
      peer.read_head();
      peer.abort();
      return;
    }
    peer.read_head();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb");
  });
  Fixture f;
  CHECK(code(f.run(Fixture::get(server.address()))) == "");
  const ClientOutcome second = f.run(Fixture::get(server.address()));
  CHECK(code(second) == "UPSTREAM_CLOSED");
  CHECK(second.reused);
  CHECK(code(f.run(Fixture::get(server.address()))) == "");
  CHECK(f.body == "b");
}

TEST_CASE("an idle connection that the server closes is noticed") {
  Server server(always("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", true));
  Fixture f;
  CHECK(code(f.run(Fixture::get(server.address()))) == "");
  f.turn_until([&] { return f.counters.connected == 0; });
  CHECK(code(f.run(Fixture::get(server.address()))) == "");
  CHECK(f.counters.connects == 2);
}

TEST_CASE("connections are not kept when the server says so or sends more than the answer") {
  for (const std::string answer :
       {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na",
        "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nz"}) {
    Server server(always(answer));
    Fixture f;
    CHECK(code(f.run(Fixture::get(server.address()))) == "");
    CHECK(f.counters.connected == 0);
    CHECK(code(f.run(Fixture::get(server.address()))) == "");
    CHECK(f.body == "a");
    CHECK(f.counters.connects == 2);
  }
}

TEST_CASE("interim answers are skipped, bodiless ones have no body") {
  Server server(
      always("HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
             "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\netag: \"a\"\r\n\r\n",
             false, 5));
  Fixture f;
  for (int i = 0; i < 2; i++) {
    CHECK(code(f.run(Fixture::get(server.address()))) == "");
    CHECK(f.status == 304);
    CHECK(f.field("link") == "(none)");
    CHECK(f.field("etag") == "\"a\"");
  }
  CHECK(server.accepted() == 1);
}

TEST_CASE("other statuses come with their head and without their body") {
  Server small(always("HTTP/1.1 302 Found\r\nLocation: /z\r\nContent-Length: 5\r\n\r\nhello"));
  Fixture f;
  ClientOutcome o = f.run(Fixture::get(small.address()));
  CHECK(code(o) == "");
  CHECK(f.status == 302);
  CHECK(f.field("location") == "/z");
  CHECK(f.body.empty());
  CHECK(o.bytes == 0);
  CHECK(f.counters.connected == 1);

  Server endless([](Peer& peer, int) {
    peer.read_head();
    peer.send("HTTP/1.1 404 Not Found\r\n\r\n");
    while (peer.send(std::string(10000, 'x'))) {
    }
  });
  o = f.run(Fixture::get(endless.address()));
  CHECK(code(o) == "");
  CHECK(f.status == 404);
  CHECK(f.counters.connected == 0);
}

TEST_CASE("answers that are not HTTP are refused") {
  std::string many;
  for (int i = 0; i < 300; i++) many += "a" + std::to_string(i) + ": b\r\n";
  for (const std::string& answer :
       {std::string("SSH-2.0-OpenSSH_9\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        std::string("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        "HTTP/1.1 200 OK\r\n" + many + "\r\n",
        "HTTP/1.1 200 OK\r\nbig: " + std::string(70000, 'b') + "\r\n\r\n"}) {
    Server server(always(answer));
    Fixture f;
    const ClientOutcome o = f.run(Fixture::get(server.address()));
    CHECK_MESSAGE(code(o) == "UPSTREAM_HTTP", answer.substr(0, 60));
    CHECK_FALSE(o.message.empty());
  }
}

TEST_CASE("interim answers without end are bounded") {
  Server server([](Peer& peer, int) {
    peer.read_head();
    while (peer.send("HTTP/1.1 100 Continue\r\nfill: 0123456789\r\n\r\n")) {
    }
  });
  Fixture f;
  CHECK(code(f.run(Fixture::get(server.address()))) == "UPSTREAM_HTTP");
}

TEST_CASE("random bytes are survived") {
  std::mt19937 random(1);
  for (int round = 0; round < 100; round++) {
    std::string noise = round % 2 == 0 ? "HTTP/1.1 200 OK\r\n" : "";
    for (int i = 0; i < 400; i++) noise.push_back(static_cast<char>(random()));
    Server server(always(noise, true, 50));
    Fixture f;
    const ClientOutcome o = f.run(Fixture::get(server.address()));
    if (round % 2 == 1) CHECK(code(o) == "UPSTREAM_HTTP");
  }
}

TEST_CASE("compressed bodies") {
  const std::string text = text_of(300'000);
  struct Case {
    const char* name;
    int window;
  };
  for (const Case& c :
       {Case{"gzip", 31}, Case{"x-gzip", 31}, Case{"GZIP", 31}, Case{"deflate", 15}, Case{"deflate", -15}}) {
    const std::string packed = compress(text, c.window);
    for (const std::size_t piece : {997U, 100000U}) {
      Server server(
          always(with_length(std::string("content-encoding: ") + c.name + "\r\n", packed), false, piece));
      Fixture f;
      const ClientOutcome o = f.run(Fixture::get(server.address()));
      CHECK(code(o) == "");
      CHECK(f.body == text);
      CHECK(o.bytes == text.size());
      CHECK(f.counters.connected == 1);
    }
  }
}

TEST_CASE("gzip members follow each other, padding is ignored, an empty body is one") {
  const std::string packed = compress("hello ", 31) + compress("world", 31) + std::string(20, '\0');
  Server server(always(with_length("content-encoding: gzip\r\n", packed)));
  Fixture f;
  CHECK(code(f.run(Fixture::get(server.address()))) == "");
  CHECK(f.body == "hello world");
  Server empty(always(with_length("content-encoding: gzip\r\n", "")));
  CHECK(code(f.run(Fixture::get(empty.address()))) == "");
}

TEST_CASE("compressed bodies that are damaged, cut, unknown or a bomb") {
  const std::string packed = compress(text_of(5000), 31);
  std::string damaged = packed;
  damaged[damaged.size() / 2] ^= 0x55;
  damaged[damaged.size() - 6] ^= 0x55;
  const std::string gzip = "content-encoding: gzip\r\n";
  for (const std::string& answer :
       {with_length(gzip, damaged), with_length(gzip, packed.substr(0, packed.size() - 1)),
        with_length("content-encoding: br\r\n", packed),
        with_length("content-encoding: gzip, gzip\r\n", packed)}) {
    Server server(always(answer));
    Fixture f;
    CHECK(code(f.run(Fixture::get(server.address()))) == "UPSTREAM_ENCODING");
  }
  Server bomb(always(with_length(gzip, compress(std::string(50'000'000, '\0'), 31))));
  Fixture f;
  CHECK(code(f.run(Fixture::get(bomb.address(), 100'000))) == "UPSTREAM_TOO_LARGE");
  CHECK(f.body.size() <= 100'000);
  http::ClientRequest stream = Fixture::get(bomb.address());
  stream.to_sink = true;
  CHECK(code(f.run(std::move(stream))) == "UPSTREAM_ENCODING");
  CHECK(f.body.size() < 2'000'000);
}

TEST_CASE("a body over the limit ends the request") {
  Server server(always(with_length("", std::string(1001, 'x'))));
  Fixture f;
  CHECK(code(f.run(Fixture::get(server.address(), 1001))) == "");
  const ClientOutcome o = f.run(Fixture::get(server.address(), 1000));
  CHECK(code(o) == "UPSTREAM_TOO_LARGE");
  CHECK(f.counters.connected == 0);
}

TEST_CASE("a body is taken up where it was left") {
  Fixture f;
  const auto resume_at = [&](const Server& server, std::uint64_t skip) {
    http::ClientRequest r = Fixture::get(server.address());
    r.to_sink = true;
    r.skip_bytes = skip;
    return f.run(std::move(r));
  };
  Server whole(always("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789", false, 51));
  CHECK(resume_at(whole, 4).bytes == 10);
  CHECK(f.body == "456789");
  CHECK(resume_at(whole, 20).bytes == 10);
  CHECK(f.body.empty());
  Server part(always(
      "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 4-9/10\r\nContent-Length: 6\r\n\r\n456789"));
  CHECK(resume_at(part, 4).bytes == 10);
  CHECK(f.body == "456789");
  CHECK(resume_at(part, 6).bytes == 10);
  CHECK(f.body == "6789");
  CHECK(code(resume_at(part, 3)) == "UPSTREAM_HTTP");
  Server unranged(always("HTTP/1.1 206 Partial Content\r\nContent-Length: 6\r\n\r\n456789"));
  CHECK(resume_at(unranged, 4).bytes == 10);
  CHECK(f.body == "456789");
}

TEST_CASE("a paused client takes nothing, then everything") {
  const std::string text = text_of(2'000'000);
  for (const bool packed : {false, true}) {
    Server server(always(packed ? with_length("content-encoding: gzip\r\n", compress(text, 31))
                                : with_length("", text)));
    Fixture f({kernel::kSecond, kernel::kSecond, kernel::kSecond, 300 * kernel::kMillisecond});
    int pauses = 0;
    f.at_body = [&] {
      f.client->pause();
      pauses++;
    };
    http::ClientRequest r = Fixture::get(server.address());
    r.to_sink = true;
    REQUIRE(f.client->request(std::move(r)));
    // Longer than the idle time-out, which must not run meanwhile.
    f.turn_until([&] { return pauses == 1; });
    const std::size_t before = f.body.size();
    const kernel::Nanos end = kernel::monotonic_now() + 600 * kernel::kMillisecond;
    while (kernel::monotonic_now() < end) {
      std::thread([&] { f.reactor.wake(); }).join();
      f.reactor.turn();
    }
    CHECK(f.body.size() == before);
    CHECK(before <= 65536);
    f.turn_until([&] {
      if (f.client->paused() && !f.outcome) f.client->resume();
      return f.outcome.has_value();
    });
    CHECK(code(*f.outcome) == "");
    CHECK(f.body == text);
    CHECK(pauses > 10);
  }
}

TEST_CASE("time-outs of each phase") {
  const kernel::Nanos brief = 100 * kernel::kMillisecond;
  Server silent([](Peer& peer, int) {
    peer.read_head();
    peer.client_closed();
  });
  {
    Fixture f({kernel::kSecond, kernel::kSecond, brief, kernel::kSecond});
    const ClientOutcome o = f.run(Fixture::get(silent.address()));
    CHECK(code(o) == "UPSTREAM_TIMEOUT");
    CHECK(o.message.find("header") != std::string::npos);
    CHECK(f.counters.connected == 0);
  }
  Server half([](Peer& peer, int) {
    peer.read_head();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
    peer.client_closed();
  });
  Fixture f({kernel::kSecond, kernel::kSecond, kernel::kSecond, brief});
  const ClientOutcome o = f.run(Fixture::get(half.address()));
  CHECK(code(o) == "UPSTREAM_TIMEOUT");
  CHECK(o.bytes == 5);
  CHECK(f.body == "12345");
}

TEST_CASE("a slow body goes on past the idle time as long as something comes") {
  Server server([](Peer& peer, int) {
    peer.read_head();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n");
    for (int i = 0; i < 8; i++) {
      std::this_thread::sleep_for(std::chrono::milliseconds(60));
      peer.send("x");
    }
    peer.client_closed();
  });
  Fixture f({kernel::kSecond, kernel::kSecond, kernel::kSecond, 300 * kernel::kMillisecond});
  CHECK(code(f.run(Fixture::get(server.address()))) == "");
  CHECK(f.body == "xxxxxxxx");
  f.client->cancel();
}

TEST_CASE("no connection") {
  kernel::Address closed_port;
  {
    Server server([](Peer&, int) {});
    closed_port = server.address();
  }
  Fixture f;
  const ClientOutcome o = f.run(Fixture::get(closed_port));
  CHECK(code(o) == "UPSTREAM_CONNECT");
  CHECK(o.message.find(closed_port.text()) != std::string::npos);
  CHECK(f.counters.connects == 0);
  CHECK(f.counters.connected == 0);
}

TEST_CASE("cancelling, from outside and from within a call") {
  Server server(always(with_length("", text_of(1'000'000))));
  Fixture f;
  f.at_body = [&] { f.client->cancel(); };
  REQUIRE(f.client->request(Fixture::get(server.address())));
  CHECK_FALSE(f.client->request(Fixture::get(server.address())));
  f.turn_until([&] { return !f.client->busy(); });
  CHECK_FALSE(f.outcome.has_value());
  f.at_body = nullptr;
  CHECK(code(f.run(Fixture::get(server.address()))) == "");
  REQUIRE(f.client->request(Fixture::get(server.address())));
  f.client->cancel();
  CHECK(f.counters.connected == 0);
  REQUIRE(f.client->request(Fixture::get(server.address())));
  f.client.reset();
}

TEST_CASE("the next request may be made from on_end") {
  struct Chain final : http::ClientHandler {
    Client* client = nullptr;
    kernel::Address to;
    int left = 50;
    void on_head(const http::ResponseHead&) noexcept override {}
    void on_body(codec::Bytes) noexcept override {}
    void on_end(const ClientOutcome& o) noexcept override {
      if (o.code == nullptr && --left > 0) client->request(Fixture::get(to));
    }
  } chain;
  Server server(always("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"));
  kernel::Reactor reactor;
  http::UpstreamCounters counters;
  Client client(reactor, {}, chain, counters);
  chain.client = &client;
  chain.to = server.address();
  client.request(Fixture::get(chain.to));
  const kernel::Nanos end = kernel::monotonic_now() + 10 * kernel::kSecond;
  while (chain.left > 0 && kernel::monotonic_now() < end) reactor.turn();
  CHECK(chain.left == 0);
  CHECK(counters.connects == 1);
}

TEST_CASE("another server is another connection") {
  Server a(always("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"));
  Server b(always("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"));
  Fixture f;
  f.run(Fixture::get(a.address()));
  f.run(Fixture::get(b.address()));
  CHECK(f.body == "b");
  f.run(Fixture::get(a.address()));
  CHECK(f.body == "a");
  CHECK(f.counters.connects == 3);
}

TEST_CASE("request heads") {
  auto head = http::make_get_head("h:1", "/a", {{"x-y", "z"}});
  REQUIRE(head.ok());
  CHECK(head.value() == "GET /a HTTP/1.1\r\nhost: h:1\r\nx-y: z\r\n\r\n");
  CHECK_FALSE(http::make_get_head("h", "a", {}).ok());
  CHECK_FALSE(http::make_get_head("h", "/a b", {}).ok());
  CHECK_FALSE(http::make_get_head("h\r\nx: y", "/", {}).ok());
  CHECK_FALSE(http::make_get_head("h", "/", {{"a", "b\r\nc: d"}}).ok());
  CHECK_FALSE(http::make_get_head("h", "/", {{"a b", "c"}}).ok());
  CHECK_FALSE(http::make_get_head("h", "/", {{"Connection", "close"}}).ok());
  CHECK_FALSE(http::make_get_head("h", "/" + std::string(20000, 'a'), {}).ok());
}

TEST_CASE("an answer that drips in is ended by the bound of the whole request, paused or not") {
  Server server([](Peer& peer, int) {
    peer.read_head();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    while (peer.send("x")) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  });
  for (const bool pause : {false, true}) {
    Fixture f;
    if (pause) f.at_body = [&] { f.client->pause(); };
    http::ClientRequest request = Fixture::get(server.address());
    request.total = 100 * kernel::kMillisecond;
    const ClientOutcome o = f.run(std::move(request));
    CHECK(code(o) == "UPSTREAM_TIMEOUT");
    CHECK(o.message.find("no complete answer from ") == 0);
    CHECK(f.body.size() > 0);
  }
}

TEST_CASE("a raw body comes as it was sent, without a limit; a range begins where it begins") {
  const std::string packed = compress(text_of(100'000), 31);
  Server server(always(with_length("content-encoding: gzip\r\n", packed)));
  Fixture f;
  http::ClientRequest request = Fixture::get(server.address(), 1);
  request.to_sink = true;
  request.raw = true;
  ClientOutcome o = f.run(request);
  CHECK(code(o) == "");
  CHECK(f.body == packed);
  CHECK(o.bytes == packed.size());
  CHECK(f.field("content-encoding") == "gzip");
  Server ranges(
      always("HTTP/1.1 206 Partial Content\r\nContent-Encoding: br\r\nContent-Range: bytes 50-54/100\r\n"
             "Content-Length: 5\r\n\r\nhello"));
  request.address = ranges.address();
  o = f.run(request);
  CHECK(code(o) == "");
  CHECK(f.body == "hello");
  CHECK(o.bytes == 5);
}

TEST_CASE("the body of a refusal is given to who asks for it, up to a bound") {
  Server server(always("HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot there"));
  Fixture f;
  http::ClientRequest request = Fixture::get(server.address());
  CHECK(code(f.run(request)) == "");
  CHECK(f.body == "");
  for (const bool to_sink : {false, true}) {
    request.to_sink = to_sink;
    request.skip_bytes = 3;
    request.max_error_bytes = 9;
    CHECK(code(f.run(request)) == "");
    CHECK(f.status == 404);
    CHECK(f.body == "not there");
    request.max_error_bytes = 8;
    CHECK(code(f.run(request)) == "UPSTREAM_TOO_LARGE");
  }
}
