// The plane as the addon uses it: verbs from one thread while the loop works, counters read without a lock.
#include "plane/plane.h"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "test/ts_source.h"

using namespace sluice;
using kernel::kMillisecond;
using kernel::kSecond;
using plane::Handle;
using plane::Plane;

namespace {

struct Events {
  void operator()(plane::Event e) {
    const std::lock_guard lock(mutex);
    all.push_back(std::move(e));
  }
  std::size_t count(plane::Event::Type type) {
    const std::lock_guard lock(mutex);
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [&](const auto& e) { return e.type == type; }));
  }
  std::mutex mutex;
  std::vector<plane::Event> all;
};

plane::StreamOptions stream_options(const std::string& name) {
  plane::StreamOptions o;
  o.name = name;
  o.ring_bytes = 1 << 20;
  o.delay = 10 * kMillisecond;
  o.ssrc = 1;
  return o;
}

std::uint64_t read_word(const Plane& plane, const plane::Added& added, std::size_t word) {
  return std::atomic_ref<std::uint64_t>(plane.counters().words()[added.slot * plane::kSlotWords + word])
      .load(std::memory_order_relaxed);
}

template <class F>
bool poll_until(F done) {
  const auto end = kernel::monotonic_now() + 5 * kSecond;
  while (!done()) {
    if (kernel::monotonic_now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

/** Sends MPEG-TS datagrams to a loopback port. */
struct Feeder {
  explicit Feeder(std::uint16_t port)
      : fd(socket(AF_INET, SOCK_DGRAM, 0)), to(*kernel::Address::parse("127.0.0.1", port)) {}
  void send(int datagrams) {
    for (int i = 0; i < datagrams; i++) {
      const auto ts = source.make(7);
      sendto(fd.get(), ts.data(), ts.size(), 0, to.get(), to.size());
    }
  }
  kernel::Fd fd;
  kernel::Address to;
  test::TsSource source;
};

/** A port that is free now. */
std::uint16_t free_port() {
  const kernel::Fd fd(socket(AF_INET, SOCK_DGRAM, 0));
  const auto any = *kernel::Address::parse("127.0.0.1", 0);
  REQUIRE(bind(fd.get(), any.get(), any.size()) == 0);
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&storage), &size);
  return kernel::Address::from(storage)->port();
}

plane::UdpInputOptions input_on(std::uint16_t port) {
  plane::UdpInputOptions o;
  o.socket.address = "127.0.0.1";
  o.socket.port = port;
  return o;
}

plane::SenderOptions sender_to(std::uint16_t port) {
  plane::SenderOptions o;
  o.socket.destination = *kernel::Address::parse("127.0.0.1", port);
  return o;
}

}  // namespace

TEST_CASE("plane: streams, inputs, senders and routes come and go while packets flow") {
  Events events;
  Plane plane({.memory = 64 << 20, .objects = {}, .via = "1.1 test"}, std::ref(events));
  REQUIRE_FALSE(plane.start());
  auto steady = plane.add_stream(stream_options("a/steady"));
  REQUIRE(steady.ok());
  const std::uint16_t port = free_port();
  REQUIRE(plane.add_input(steady.value().handle, input_on(port)).ok());
  auto sink = plane.add_receiver({input_on(free_port()), std::nullopt});
  REQUIRE(sink.ok());
  REQUIRE(plane.add_sender(steady.value().handle, sender_to(free_port())).ok());
  plane::Listening front;
  http::ServerOptions server;
  server.address = *kernel::Address::parse("127.0.0.1", 0);
  REQUIRE(plane.listen(server, kSecond, front).ok());
  CHECK(front.port != 0);
  CHECK(front.socket >= 0);
  Feeder feeder(port);
  for (int round = 0; round < 100; round++) {
    feeder.send(10);
    auto other = plane.add_stream(stream_options("a/other"));
    REQUIRE(other.ok());
    const Handle stream = other.value().handle;
    auto sender = plane.add_sender(stream, sender_to(port == 5004 ? 5006 : 5004));
    REQUIRE(sender.ok());
    plane.set_route("/x" + std::to_string(round), plane::ContinuousRoute{stream});
    CHECK(plane.splice_stream(stream));
    CHECK(read_word(plane, other.value(), 2) == 0);
    CHECK(plane.viewers().empty());
    plane.delete_route("/x" + std::to_string(round - 1));
    CHECK(plane.remove(stream));
    // What was attached went with it.
    CHECK_FALSE(plane.remove(sender.value().handle));
    CHECK_FALSE(plane.remove(stream));
    CHECK_FALSE(plane.splice_stream(stream));
  }
  CHECK(poll_until([&] {
    feeder.send(1);
    return read_word(plane, steady.value(), 4) > 100;
  }));
  CHECK(poll_until([&] { return events.count(plane::Event::Type::stream_ready) == 1; }));
  plane.close();
  CHECK(plane.add_stream(stream_options("late/late")).ok() == false);
  plane.close();
}

TEST_CASE("plane: closed while packets flow, or by its destructor") {
  for (const bool by_hand : {true, false}) {
    Events events;
    Plane plane({.memory = 64 << 20, .objects = {}, .via = "1.1 test"}, std::ref(events));
    REQUIRE_FALSE(plane.start());
    auto stream = plane.add_stream(stream_options("a/b"));
    const std::uint16_t port = free_port();
    REQUIRE(plane.add_input(stream.value().handle, input_on(port)).ok());
    REQUIRE(plane.add_sender(stream.value().handle, sender_to(free_port())).ok());
    Feeder feeder(port);
    feeder.send(200);
    if (by_hand) plane.close();
  }
}

TEST_CASE("plane: streams on several loops, each with its own input and sender, flow and come and go") {
  Events events;
  plane::PlaneOptions options;
  options.memory = 64 << 20;
  options.loops = 3;
  Plane plane(options, std::ref(events));
  REQUIRE_FALSE(plane.start());
  std::vector<plane::Added> streams;
  std::vector<Feeder> feeders;
  for (int i = 0; i < 6; i++) {
    streams.push_back(plane.add_stream(stream_options("a/" + std::to_string(i))).value());
    CHECK(streams.back().loop == static_cast<std::uint32_t>(i % 3));
    const std::uint16_t port = free_port();
    REQUIRE(plane.add_input(streams.back().handle, input_on(port)).ok());
    REQUIRE(plane.add_sender(streams.back().handle, sender_to(free_port())).ok());
    feeders.emplace_back(port);
  }
  CHECK(poll_until([&] {
    for (auto& feeder : feeders) feeder.send(1);
    auto other = plane.add_stream(stream_options("a/other"));
    if (!other.ok() || !plane.remove(other.value().handle)) return false;
    return std::all_of(streams.begin(), streams.end(),
                       [&](const plane::Added& stream) { return read_word(plane, stream, 4) > 100; });
  }));
  CHECK(poll_until([&] { return events.count(plane::Event::Type::stream_ready) == streams.size(); }));
  plane.close();
}

TEST_CASE("plane: closed in its first turn") {
  for (int i = 0; i < 20; i++) {
    plane::PlaneOptions options;
    options.loops = static_cast<std::uint32_t>(1 + i % 4);
    Plane plane(options, [](plane::Event) {});
    REQUIRE_FALSE(plane.start());
    plane.close();
  }
}

TEST_CASE("plane: closed while viewers wait for an object and its origin is silent") {
  // Takes connections, and says nothing.
  const kernel::Fd silent(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto any = *kernel::Address::parse("127.0.0.1", 0);
  REQUIRE(bind(silent.get(), any.get(), any.size()) == 0);
  REQUIRE(listen(silent.get(), 8) == 0);
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  getsockname(silent.get(), reinterpret_cast<sockaddr*>(&bound), &size);

  Events events;
  plane::PlaneOptions options;
  options.via = "1.1 us";
  Plane plane(options, [&](plane::Event e) { events(std::move(e)); });
  REQUIRE_FALSE(plane.start());
  http::ServerOptions listener;
  listener.address = any;
  plane::Listening opened;
  REQUIRE(plane.listen(listener, kSecond, opened).ok());
  REQUIRE(plane.add_site({"/s/", true}).ok());
  std::vector<kernel::Fd> viewers;
  const std::string ask = "GET /s/x HTTP/1.1\r\nHost: e\r\n\r\n";
  for (int i = 0; i < 10; i++) {
    viewers.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto to = *kernel::Address::parse("127.0.0.1", opened.port);
    REQUIRE(connect(viewers.back().get(), to.get(), to.size()) == 0);
    REQUIRE(send(viewers.back().get(), ask.data(), ask.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(ask.size()));
  }
  REQUIRE(poll_until([&] { return events.count(plane::Event::Type::object_wanted) == 1; }));
  plane::FetchRequest fetch;
  fetch.http.address = *kernel::Address::from(bound);
  fetch.http.head = "GET /x HTTP/1.1\r\nhost: e\r\n\r\n";
  fetch.http.to_sink = true;
  fetch.ticket = events.all.back().wanted.ticket;
  REQUIRE(plane.fetch(std::move(fetch)));
  plane.close();
  char byte = 0;
  for (const auto& viewer : viewers) CHECK(recv(viewer.get(), &byte, 1, 0) <= 0);
  CHECK_FALSE(plane.refuse_object(1, {}));
}

TEST_CASE("plane: a request that runs when its stream goes ends with UPSTREAM_CLOSED") {
  Events events;
  Plane plane({.memory = 64 << 20, .objects = {}, .via = "1.1 test"}, std::ref(events));
  REQUIRE_FALSE(plane.start());
  auto stream = plane.add_stream(stream_options("a/b"));
  auto upstream = plane.open_upstream(stream.value().handle, {kSecond, kSecond, kSecond});
  REQUIRE(upstream.ok());
  // Somebody listens and never answers.
  const kernel::Fd mute(socket(AF_INET, SOCK_STREAM, 0));
  const auto any = *kernel::Address::parse("127.0.0.1", 0);
  REQUIRE(bind(mute.get(), any.get(), any.size()) == 0);
  REQUIRE(listen(mute.get(), 1) == 0);
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  getsockname(mute.get(), reinterpret_cast<sockaddr*>(&storage), &size);
  plane::UpstreamRequest request;
  request.id = 5;
  request.http.address = *kernel::Address::from(storage);
  request.http.head = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  REQUIRE(plane.request(upstream.value().handle, request));
  CHECK_FALSE(plane.request(upstream.value().handle, request));
  CHECK(plane.remove(stream.value().handle));
  REQUIRE(events.count(plane::Event::Type::upstream_end) == 1);
  CHECK(std::string(events.all.back().result.code) == "UPSTREAM_CLOSED");
  CHECK(events.all.back().result.request == 5);
}

TEST_CASE(
    "plane: a ring that does not fit the budget is refused by name; a removed one gives back what it took") {
  Events events;
  Plane plane({.memory = 3 << 20, .objects = {}, .via = "1.1 test"}, std::ref(events));
  REQUIRE_FALSE(plane.start());
  std::vector<Handle> streams;
  for (int i = 0; i < 3; i++) {
    auto added = plane.add_stream(stream_options("a/" + std::to_string(i)));
    REQUIRE(added.ok());
    streams.push_back(added.value().handle);
  }
  auto refused = plane.add_stream(stream_options("news/high"));
  REQUIRE_FALSE(refused.ok());
  CHECK(std::string(refused.error().code) == "MEMORY_BUDGET");
  CHECK(refused.error().message.find("`news/high`") != std::string::npos);
  CHECK(plane.remove(streams[1]));
  CHECK(plane.add_stream(stream_options("news/high")).ok());
  auto odd = stream_options("odd/odd");
  odd.ring_bytes = 12345;
  CHECK(plane.remove(streams[0]));
  CHECK_FALSE(plane.add_stream(odd).ok());
}

TEST_CASE("plane: what a command throws is thrown to its caller, and the loop goes on") {
  plane::LoopCounters counters{};
  plane::Loop loop("test", counters, [](kernel::Nanos) {});
  REQUIRE_FALSE(loop.start());
  CHECK_THROWS_AS(loop.call([] { throw std::bad_alloc(); }), std::bad_alloc);
  bool ran = false;
  loop.call([&] { ran = true; });
  CHECK(ran);
  loop.stop();
  loop.stop();
}

TEST_CASE("plane: several at once, as with worker threads") {
  std::vector<std::thread> threads;
  std::atomic<int> ok{0};
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&ok] {
      Events events;
      Plane plane({.memory = 16 << 20, .objects = {}, .via = "1.1 test"}, std::ref(events));
      if (plane.start()) return;
      for (int round = 0; round < 20; round++) {
        auto added = plane.add_stream(stream_options("a/b"));
        if (added.ok() && plane.remove(added.value().handle)) ok++;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(ok == 80);
}
