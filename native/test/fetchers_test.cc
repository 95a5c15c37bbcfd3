// The pool that fetches objects, against a scripted origin: connections kept, lost and shared out, and every
// way in which an answer can end.
#include "plane/fetchers.h"

#include <doctest/doctest.h>

#include <map>
#include <mutex>

#include "http/request.h"
#include "test/http_server.h"
#include "test/store_bed.h"

using namespace sluice;
using kernel::kMillisecond;
using kernel::kSecond;
using objects::Object;
using objects::Phase;
using plane::Fetchers;
using plane::FetchRequest;
using plane::UpstreamResult;
using test::Peer;
using test::Server;
using test::text_of;

namespace {

const http::ClientTimeouts kTimeouts{.connect = 5 * kSecond, .head = 5 * kSecond, .idle = 5 * kSecond};

struct Bed : test::StoreBed {
  explicit Bed(objects::StoreOptions options = {}) : StoreBed(options) {}

  FetchRequest get(const kernel::Address& to, std::uint64_t id, std::uint64_t ticket = 0) const {
    FetchRequest request;
    request.id = id;
    request.http.address = to;
    request.http.head = http::make_get_head("origin", "/x", {}).value();
    request.http.to_sink = ticket != 0;
    request.http.max_bytes = 1 << 20;
    request.timeouts = kTimeouts;
    request.ticket = ticket;
    request.freshness.otherwise = kSecond;
    return request;
  }
  /** Runs it to its end. */
  UpstreamResult run(FetchRequest request) {
    const std::uint64_t id = request.id;
    REQUIRE(fetchers->request(std::move(request)));
    REQUIRE(turn_until([&] { return results.contains(id); }));
    return results.at(id);
  }
  UpstreamResult fill(const kernel::Address& to, std::uint64_t id, const std::shared_ptr<Object>& object) {
    return run(get(to, id, object->ticket()));
  }

  plane::FetchCounters fetches{};
  std::map<std::uint64_t, UpstreamResult> results;
  std::unique_ptr<Fetchers> fetchers = std::make_unique<Fetchers>(
      reactor, *store, "1.1 us", fetches,
      [this](UpstreamResult result) { results[result.request] = std::move(result); });
};

std::string code_of(const UpstreamResult& result) {
  return result.code != nullptr ? result.code : "";
}

const std::string kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"v1\"\r\nX-A: b\r\n\r\nhello";

}  // namespace

TEST_CASE("fetchers: connections are kept for the next request to the same address, and for no other") {
  const auto serve = [](Peer& peer, int) {
    while (!peer.read_head().empty()) peer.send(kAnswer);
  };
  Server one(serve);
  Server other(serve);
  Bed bed;
  for (std::uint64_t id = 1; id <= 3; id++) {
    const UpstreamResult result = bed.run(bed.get(one.address(), id));
    CHECK(result.status == 200);
    CHECK(std::string(result.body.begin(), result.body.end()) == "hello");
  }
  CHECK(bed.run(bed.get(other.address(), 4)).status == 200);
  CHECK(one.accepted() == 1);
  CHECK(bed.fetches.connects == 2);
  CHECK(bed.fetches.requests == 4);
  CHECK(bed.fetches.connections == 2);
  bed.fetchers->housekeeping(bed.reactor.now() + 3600 * kSecond);
  CHECK(bed.fetches.connections == 0);
  CHECK_MESSAGE(bed.fetches.requests == 4, "what was counted stays");
}

TEST_CASE("fetchers: asked again when the server had closed the kept connection, once for each request") {
  Server server([](Peer& peer, int) {
    // Every connection is good for one answer; the request after it finds it closed.
    if (peer.read_head().empty()) return;
    peer.send(kAnswer);
    peer.read_head();
  });
  Bed bed;
  for (std::uint64_t id = 1; id <= 4; id++) {
    const auto object = bed.first(std::to_string(id));
    CHECK(code_of(bed.fill(server.address(), id, object)).empty());
    CHECK(object->phase() == Phase::complete);
    CHECK(text_of(object->bytes_from(0)) == "hello");
  }
  CHECK(server.accepted() == 4);

  // Also after a request that was asked again and then given up.
  Server rude([](Peer& peer, int index) {
    if (peer.read_head().empty()) return;
    peer.send(index == 1 ? "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" : kAnswer);
    peer.read_head();
  });
  for (std::uint64_t id = 11; id <= 14; id++) {
    const auto object = bed.first(std::to_string(id));
    const UpstreamResult result = bed.fill(rude.address(), id, object);
    CHECK(code_of(result) == (id == 12 ? "OBJECT_TOO_LARGE" : ""));
  }
}

TEST_CASE("fetchers: a body becomes the object as it comes, without the fields of the connection") {
  std::atomic<bool> go{false};
  Server server([&](Peer& peer, int) {
    peer.read_head();
    peer.send(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-A: "
        "b\r\n\r\n3\r\nabc\r\n");
    while (!go) std::this_thread::yield();
    peer.send("2\r\nde\r\n0\r\n\r\n");
    peer.read_head();
  });
  Bed bed;
  const auto object = bed.first("a");
  REQUIRE(bed.fetchers->request(bed.get(server.address(), 1, object->ticket())));
  REQUIRE(bed.turn_until([&] { return object->size() == 3; }));
  CHECK(object->phase() == Phase::growing);
  CHECK(object->head().fields == "x-a: b\r\nvia: 1.1 us\r\n");
  CHECK_FALSE(object->head().length);
  go = true;
  REQUIRE(bed.turn_until([&] { return bed.results.contains(1); }));
  CHECK(object->phase() == Phase::complete);
  CHECK(text_of(object->bytes_from(0)) == "abcde");
  CHECK(bed.results[1].body.empty());
}

TEST_CASE("fetchers: cut short, stalled, too large: the object ends honestly and the reason is told") {
  struct Row {
    std::string name;
    std::string answer;
    std::string code;
    std::size_t kept;
  };
  const std::string endless = "HTTP/1.1 200 OK\r\n\r\n";
  for (const Row& row : {
           Row{"truncated", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "UPSTREAM_CLOSED", 3},
           Row{"truncated within chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
               "UPSTREAM_CLOSED", 3},
           Row{"no chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nZZ\r\n",
               "UPSTREAM_HTTP", 3},
           Row{"too large as it comes", endless + std::string(10'000, 'x'), "OBJECT_TOO_LARGE", 0},
       }) {
    CAPTURE(row.name);
    Server server([&](Peer& peer, int) {
      peer.read_head();
      peer.send(row.answer);
    });
    Bed bed({.budget = 1 << 20, .largest = 8192});
    const auto object = bed.first("a");
    const UpstreamResult result = bed.fill(server.address(), 1, object);
    CHECK(code_of(result) == row.code);
    CHECK(object->phase() == Phase::failed);
    if (row.kept > 0) CHECK(object->size() == row.kept);
    CHECK(bed.store->want("a").first);
    CHECK(bed.counters.growing == 0);
  }

  std::atomic<bool> closed{false};
  Server stalling([&](Peer& peer, int) {
    peer.read_head();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    closed = peer.client_closed();
  });
  Bed bed;
  const auto object = bed.first("a");
  FetchRequest request = bed.get(stalling.address(), 1, object->ticket());
  request.timeouts.idle = 100 * kMillisecond;
  CHECK(code_of(bed.run(std::move(request))) == "UPSTREAM_TIMEOUT");
  CHECK(object->phase() == Phase::failed);
  CHECK(bed.turn_until([&] { return closed.load(); }));
}

TEST_CASE("fetchers: no room in the store is told by name; the origin is not read on") {
  std::atomic<bool> closed{false};
  Server server([&](Peer& peer, int) {
    peer.read_head();
    peer.send("HTTP/1.1 200 OK\r\n\r\n" + std::string(10'000, 'x'));
    closed = peer.client_closed();
  });
  Bed bed({.budget = 12 * 1024, .largest = 1 << 20});
  const auto object = bed.first("a");
  const auto held = bed.make("held", "x");
  CHECK(code_of(bed.fill(server.address(), 1, object)) == "OBJECT_STORE_FULL");
  CHECK(object->phase() == Phase::failed);
  CHECK(bed.turn_until([&] { return closed.load(); }));
}

TEST_CASE(
    "fetchers: 304 makes the old object fresh, where there is one; other statuses are left to who asked") {
  std::mutex mutex;
  std::string scripted;
  const auto answer_with = [&](std::string text) {
    const std::lock_guard lock(mutex);
    scripted = std::move(text);
  };
  Server server([&](Peer& peer, int) {
    while (!peer.read_head().empty()) {
      const std::lock_guard lock(mutex);
      peer.send(scripted);
    }
  });
  Bed bed;
  answer_with("HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\n\r\n");
  const auto old = bed.make("a", "old", 1);
  bed.turn();
  const auto flight = bed.first("a");
  CHECK(bed.fill(server.address(), 1, flight).status == 304);
  CHECK(flight->instead() == old);
  CHECK(old->fresh(bed.reactor.now()));

  const auto nothing = bed.first("b");
  CHECK(code_of(bed.fill(server.address(), 2, nothing)) == "UPSTREAM_HTTP");
  CHECK(nothing->phase() == Phase::wanted);

  for (const char* status : {"404 Not Found", "500 Oops", "204 No Content", "301 Moved"}) {
    CAPTURE(status);
    const bool bodiless = status[0] == '2';
    answer_with(std::string("HTTP/1.1 ") + status + "\r\nLocation: /y\r\n" +
                (bodiless ? "\r\n" : "Content-Length: 0\r\n\r\n"));
    const UpstreamResult result = bed.fill(server.address(), 10, nothing);
    CHECK(code_of(result).empty());
    CHECK(result.status == static_cast<unsigned>(std::atoi(status)));
    CHECK(nothing->phase() == Phase::wanted);
    bed.results.clear();
  }
}

TEST_CASE("fetchers: an endless answer that is none to the question is not read") {
  std::atomic<bool> closed{false};
  Server server([&](Peer& peer, int) {
    peer.read_head();
    peer.send("HTTP/1.1 203 Odd\r\n\r\nabc");
    closed = peer.client_closed();
  });
  Bed bed;
  const auto object = bed.first("a");
  const UpstreamResult result = bed.fill(server.address(), 1, object);
  CHECK(result.status == 203);
  CHECK(code_of(result).empty());
  CHECK(object->phase() == Phase::wanted);
  CHECK(bed.turn_until([&] { return closed.load(); }));
}

TEST_CASE(
    "fetchers: nobody is asked for a flight that has ended; what comes for one that ends meanwhile is "
    "dropped") {
  std::atomic<bool> go{false};
  Server server([&](Peer& peer, int) {
    peer.read_head();
    while (!go) std::this_thread::yield();
    peer.send(kAnswer);
    peer.read_head();
  });
  Bed bed;
  const auto object = bed.first("a");
  REQUIRE(bed.fetchers->request(bed.get(server.address(), 1, object->ticket())));
  REQUIRE(bed.turn_until([&] { return server.accepted() == 1; }));
  bed.store->fail(object, {504, 0, "late"});
  go = true;
  REQUIRE(bed.turn_until([&] { return bed.results.contains(1); }));
  CHECK(code_of(bed.results[1]) == "UPSTREAM_TIMEOUT");
  CHECK(object->phase() == Phase::refused);
  CHECK(bed.store->want("a").first);

  CHECK(code_of(bed.run(bed.get(server.address(), 2, object->ticket()))) == "UPSTREAM_TIMEOUT");
  CHECK(server.accepted() == 1);
}

TEST_CASE(
    "fetchers: as many side by side as may be, others in turn, more are turned away; all is ended at the "
    "end") {
  // A backlog of connections that nobody takes.
  const kernel::Fd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto any = *kernel::Address::parse("127.0.0.1", 0);
  REQUIRE(bind(listener.get(), any.get(), any.size()) == 0);
  REQUIRE(listen(listener.get(), 4096) == 0);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  getsockname(listener.get(), reinterpret_cast<sockaddr*>(&bound), &size);
  const auto to = *kernel::Address::from(bound);

  Bed bed;
  const auto object = bed.first("a");
  std::uint64_t id = 1;
  for (; id <= Fetchers::kMostRunning + 20; id++) {
    FetchRequest request = bed.get(to, id, id == 1 ? object->ticket() : 0);
    request.timeouts.head = 100 * kMillisecond;
    REQUIRE(bed.fetchers->request(std::move(request)));
  }
  CHECK(bed.fetches.running == Fetchers::kMostRunning);
  CHECK(bed.fetches.queued == 20);
  REQUIRE(bed.turn_until([&] { return bed.results.size() == Fetchers::kMostRunning + 20; }));
  CHECK(bed.fetches.running == 0);
  CHECK(bed.fetches.queued == 0);

  const std::size_t before = bed.results.size();
  for (std::size_t i = 0; i < Fetchers::kMostRunning + Fetchers::kMostQueued; i++)
    REQUIRE(bed.fetchers->request(bed.get(to, ++id, object->ticket())));
  CHECK_FALSE(bed.fetchers->request(bed.get(to, ++id)));
  bed.fetchers.reset();
  CHECK(object->phase() == Phase::refused);
  CHECK(bed.results.size() == before);
}
