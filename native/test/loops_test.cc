// Viewers of streams on several loops, through one listener: connections go where the answer is, and arrive
// whole.
#include <doctest/doctest.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "plane/plane.h"
#include "secure/openssl.h"
#include "test/certificates.h"
#include "test/stream_bed.h"

using namespace sluice;
using codec::kTsPacketSize;
using kernel::kMillisecond;
using kernel::kSecond;
using plane::Handle;

namespace {

constexpr std::uint32_t kLoops = 3;
constexpr int kPacketsASecond = 2000;
const std::string kObject(100'000, 'o');

const kernel::Address kLoopback = *kernel::Address::parse("127.0.0.1", 0);

template <class F>
bool poll_until(F done) {
  const auto end = kernel::monotonic_now() + 20 * kSecond;
  while (!done()) {
    if (kernel::monotonic_now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

std::uint16_t free_udp_port() {
  const kernel::Fd fd(socket(AF_INET, SOCK_DGRAM, 0));
  REQUIRE(bind(fd.get(), kLoopback.get(), kLoopback.size()) == 0);
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&storage), &size);
  return kernel::Address::from(storage)->port();
}

/** Sends as many MPEG-TS packets to each port as time has passed for, from a thread of its own. */
class LiveFeed {
 public:
  explicit LiveFeed(std::vector<std::uint16_t> ports)
      : thread_([this, ports = std::move(ports)] { run(ports); }) {}
  LiveFeed(const LiveFeed&) = delete;
  LiveFeed& operator=(const LiveFeed&) = delete;
  ~LiveFeed() {
    ending_ = true;
    thread_.join();
  }

 private:
  void run(const std::vector<std::uint16_t>& ports) {
    test::SourceOptions options;
    options.packets_per_second = kPacketsASecond;
    options.pictures_per_second = 50;
    options.group = 5;
    test::TsSource source(options);
    const kernel::Fd fd(socket(AF_INET, SOCK_DGRAM, 0));
    const kernel::Nanos begin = kernel::monotonic_now();
    for (std::int64_t sent = 0; !ending_; sent += 7) {
      while (sent * kSecond / kPacketsASecond > kernel::monotonic_now() - begin && !ending_)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      const auto ts = source.make(7);
      for (const std::uint16_t port : ports) {
        const auto to = *kernel::Address::parse("127.0.0.1", port);
        sendto(fd.get(), ts.data(), ts.size(), 0, to.get(), to.size());
      }
    }
  }
  std::atomic<bool> ending_{false};
  std::thread thread_;
};

struct Reply {
  /** 0 when the connection ended first. */
  int status = 0;
  std::string body;
};

/** A viewer's blocking connection. */
class Viewer {
 public:
  explicit Viewer(std::uint16_t port, SSL_CTX* tls = nullptr)
      : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval patience{20, 0};
    setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const auto to = *kernel::Address::parse("127.0.0.1", port);
    if (connect(fd_.get(), to.get(), to.size()) != 0) return;
    if (tls == nullptr) return;
    ssl_.reset(SSL_new(tls));
    SSL_set_fd(ssl_.get(), fd_.get());
    shaken_ = SSL_connect(ssl_.get()) == 1;
  }
  [[nodiscard]] bool shaken() const { return shaken_; }
  void send(const std::vector<std::string>& paths) {
    std::string text;
    for (const auto& path : paths) text += "GET " + path + " HTTP/1.1\r\nHost: e\r\n\r\n";
    if (ssl_)
      SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
    else
      ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL);
  }
  /** Of an answer with a length. */
  Reply reply() {
    const std::string head = read_head();
    const auto length = head.find("Content-Length: ");
    if (length == std::string::npos) return {};
    return {std::stoi(head.substr(9, 3)), take(std::stoul(head.substr(length + 16)))};
  }
  Reply ask(const std::string& path) {
    send({path});
    return reply();
  }
  std::string read_head() {
    auto end = got_.find("\r\n\r\n");
    for (; end == std::string::npos; end = got_.find("\r\n\r\n"))
      if (!read()) return "";
    return take(end + 4);
  }
  /** So many bytes, or as many as come before the end. */
  std::string take(std::size_t n) {
    while (got_.size() < n && read()) {
    }
    std::string taken = got_.substr(0, n);
    got_.erase(0, n);
    return taken;
  }
  /** Whether the connection ends, with nothing more coming before. */
  bool ends() { return got_.empty() && !read(); }

 private:
  bool read() {
    std::array<char, 65536> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by the kernel
    const ssize_t n = ssl_ ? SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()))
                           : recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (n > 0) got_.append(buffer.data(), static_cast<std::size_t>(n));
    return n > 0;
  }
  kernel::Fd fd_;
  secure::SslPtr ssl_;
  bool shaken_ = false;
  std::string got_;
};

/** A plane with a stream on each loop, a site with an object, and a listener. */
struct Bed {
  explicit Bed(http::ServerOptions server = {}) : plane(options(), [this](plane::Event e) { tell(e); }) {
    REQUIRE_FALSE(plane.start());
    std::vector<std::uint16_t> ports;
    for (std::uint32_t i = 0; i < kLoops; i++) ports.push_back(add_stream(i));
    feed.emplace(ports);
    site = plane.add_site({"/s/", true}).value().handle;
    listen(std::move(server));
    REQUIRE(poll_until([&] { return ready == kLoops; }));
    REQUIRE(poll_until([&] {
      for (std::uint32_t i = 0; i < kLoops; i++)
        if (Viewer(port).ask(playlist(i)).status != 200) return false;
      return true;
    }));
    Viewer first(port);
    first.send({"/s/object"});
    REQUIRE(poll_until([&] { return ticket != 0; }));
    plane::MadeObject made;
    made.head.status = 200;
    made.body = kObject;
    made.freshness = {false, 3600 * kSecond, 0, 3600 * kSecond, 0};
    REQUIRE(plane.put_object(ticket, std::move(made)));
    REQUIRE(first.reply().body == kObject);
  }

  static plane::PlaneOptions options() {
    plane::PlaneOptions o;
    o.memory = 64 << 20;
    o.loops = kLoops;
    return o;
  }
  std::uint16_t add_stream(std::uint32_t loop) {
    plane::StreamOptions o;
    o.name = "a/" + std::to_string(loop);
    o.ring_bytes = 4 << 20;
    o.delay = 20 * kMillisecond;
    o.segment = 300 * kMillisecond;
    o.ssrc = loop;
    o.loop = loop;
    const Handle stream = plane.add_stream(o).value().handle;
    plane::UdpInputOptions input;
    input.socket.address = "127.0.0.1";
    input.socket.port = free_udp_port();
    REQUIRE(plane.add_input(stream, input).ok());
    const std::string base = "/" + std::to_string(loop);
    plane.set_route(base + ".ts", plane::ContinuousRoute{stream});
    plane.set_route(playlist(loop), plane::PlaylistRoute{stream, ""});
    plane.set_route(base + "/", plane::SegmentsRoute{stream});
    plane.set_route("/hello",
                    plane::StaticRoute{"text/plain", "", std::make_shared<const std::string>("hello\n")});
    streams.push_back(stream);
    return input.socket.port;
  }
  void listen(http::ServerOptions server) {
    server.address = kLoopback;
    plane::Listening opened;
    auto added = plane.listen(server, 10 * kSecond, opened);
    REQUIRE(added.ok());
    listener = added.value().handle;
    port = opened.port;
    slots = opened.slots;
  }
  static std::string playlist(std::uint32_t loop) { return "/" + std::to_string(loop) + "/index.m3u8"; }
  /** A counter of the listener, of all loops. */
  std::uint64_t sum(std::uint64_t http::ListenerCounters::*counter) {
    std::uint64_t sum = 0;
    for (const std::uint32_t slot : slots) {
      auto* const words = plane.counters().words().get() + slot * plane::kSlotWords;
      auto& counters = *reinterpret_cast<http::ListenerCounters*>(words);
      sum += std::atomic_ref<std::uint64_t>(counters.*counter).load(std::memory_order_relaxed);
    }
    return sum;
  }
  void tell(const plane::Event& e) {
    if (e.type == plane::Event::Type::stream_ready) ready++;
    if (e.type == plane::Event::Type::object_wanted) ticket = e.wanted.ticket;
  }

  std::atomic<std::uint32_t> ready{0};
  std::atomic<std::uint64_t> ticket{0};
  plane::Plane plane;
  std::optional<LiveFeed> feed;
  std::vector<Handle> streams;
  Handle site = 0;
  Handle listener = 0;
  std::uint16_t port = 0;
  std::vector<std::uint32_t> slots;
};

/** The last segment of a playlist. */
std::string last_segment(const std::string& playlist) {
  const auto end = playlist.rfind(".ts");
  if (end == std::string::npos) return "";
  const auto begin = playlist.rfind('\n', end) + 1;
  return playlist.substr(begin, end + 3 - begin);
}

/** What a viewer asks in turn of all loops, as one after the other or all at once; counts its requests. */
class Tour {
 public:
  explicit Tour(std::map<std::string, std::string>& segments) : segments_(segments) {}

  void ask(Viewer& viewer, bool at_once) {
    std::vector<std::string> paths;
    for (std::uint32_t i = 0; i < kLoops; i++) {
      const Reply list = viewer.ask(Bed::playlist(i));
      CHECK(list.status == 200);
      paths.push_back("/" + std::to_string(i) + "/" + last_segment(list.body));
      paths.emplace_back(i % 2 == 0 ? "/hello" : "/s/object");
      paths.emplace_back("/nothing");
    }
    requests += kLoops + paths.size();
    if (at_once) viewer.send(paths);
    for (const auto& path : paths) look(path, at_once ? viewer.reply() : viewer.ask(path));
  }
  std::uint64_t requests = 0;

 private:
  void look(const std::string& path, const Reply& reply) {
    CAPTURE(path);
    if (path == "/nothing") {
      CHECK(reply.status == 404);
      return;
    }
    REQUIRE(reply.status == 200);
    if (path == "/hello") {
      CHECK(reply.body == "hello\n");
    } else if (path == "/s/object") {
      CHECK(reply.body == kObject);
    } else {
      CHECK(reply.body.size() % kTsPacketSize == 0);
      const auto [known, fresh] = segments_.emplace(path, reply.body);
      CHECK(known->second == reply.body);
      if (fresh) CHECK(test::damage_of({reply.body.begin(), reply.body.end()}).broken == 0);
    }
  }
  std::map<std::string, std::string>& segments_;
};

std::shared_ptr<SSL_CTX> tls_client() {
  return {SSL_CTX_new(TLS_client_method()), SSL_CTX_free};
}

}  // namespace

TEST_CASE("loops: one connection asks of streams on all loops and of a site, plain and over TLS") {
  const test::Identity identity(test::CertificateOptions{});
  const auto context = tls_client();
  for (const bool secure : {false, true}) {
    CAPTURE(secure);
    http::ServerOptions server;
    if (secure) server.tls = secure::ServerContext::create({identity.server()}).value();
    // The bed asks without TLS: its own listener is another.
    Bed bed;
    bed.listen(server);
    std::map<std::string, std::string> segments;
    Tour tour(segments);
    std::vector<std::unique_ptr<Viewer>> viewers;
    for (int i = 0; i < 4; i++) {
      viewers.push_back(std::make_unique<Viewer>(bed.port, secure ? context.get() : nullptr));
      REQUIRE(viewers.back()->shaken() == secure);
    }
    for (int round = 0; round < 12; round++)
      for (auto& viewer : viewers) tour.ask(*viewer, round % 2 == 1);
    CHECK(bed.sum(&http::ListenerCounters::requests) == tour.requests);
    CHECK(bed.sum(&http::ListenerCounters::accepted) == viewers.size());
    CHECK(bed.sum(&http::ListenerCounters::connections) == viewers.size());
    CHECK(bed.sum(&http::ListenerCounters::tls_handshakes) == (secure ? viewers.size() : 0));
    // Live, from each loop; not a byte is missing or doubled.
    for (std::uint32_t i = 0; i < kLoops; i++) {
      viewers[i]->send({"/" + std::to_string(i) + ".ts"});
      CHECK(viewers[i]->read_head().starts_with("HTTP/1.1 200"));
    }
    for (std::uint32_t i = 0; i < kLoops; i++) {
      const std::string live = viewers[i]->take(400 * kTsPacketSize);
      REQUIRE(live.size() == 400 * kTsPacketSize);
      const auto damage = test::damage_of({live.begin(), live.end()});
      CHECK(damage.broken == 0);
      CHECK(damage.gaps == 0);
    }
    const auto rows = bed.plane.viewers();
    REQUIRE(rows.size() == kLoops);
    for (std::uint32_t i = 0; i < kLoops; i++) {
      CHECK(rows[i].follower.stream == bed.streams[i]);
      CHECK(rows[i].id == i + 1);
      CHECK(rows[i].bytes > 400 * kTsPacketSize);
    }
  }
}

TEST_CASE("loops: limits hold for the connections of all loops together") {
  http::ServerOptions server;
  server.max_connections = 3;
  Bed bed;
  bed.listen(server);
  std::vector<std::unique_ptr<Viewer>> viewers;
  for (std::uint32_t i = 0; i < kLoops; i++) {
    viewers.push_back(std::make_unique<Viewer>(bed.port));
    CHECK(viewers.back()->ask(Bed::playlist(i)).status == 200);
  }
  CHECK(Viewer(bed.port).ask("/hello").status == 503);
  viewers.pop_back();
  CHECK(poll_until([&] { return Viewer(bed.port).ask("/hello").status == 200; }));

  http::ServerOptions limits;
  limits.clients.connections = 2;
  CHECK(bed.plane.set_limits(bed.listener, limits, kSecond));
  CHECK(poll_until([&] { return Viewer(bed.port).ask("/hello").status == 429; }));
  viewers.pop_back();
  CHECK(poll_until([&] { return Viewer(bed.port).ask(Bed::playlist(1)).status == 200; }));
  // Requests, too, wherever they are answered.
  limits.clients = {};
  limits.clients.requests = 1;
  limits.clients.burst = 3;
  CHECK(bed.plane.set_limits(bed.listener, limits, kSecond));
  int refused = 0;
  for (std::uint32_t i = 0; i < 3 * kLoops; i++)
    if (viewers[0]->ask(Bed::playlist(i % kLoops)).status == 429) refused++;
  CHECK(refused > 0);
}

TEST_CASE("loops: thousands of connections come, go between the loops and leave, while verbs work on them") {
  constexpr int kThreads = 4;
  constexpr int kConnections = 500;
  Bed bed;
  const std::uint64_t before = bed.sum(&http::ListenerCounters::requests);
  const std::uint64_t accepted = bed.sum(&http::ListenerCounters::accepted);
  std::atomic<int> wrong{0};
  std::atomic<int> running{kThreads};
  std::atomic<std::uint64_t> asked{0};
  std::vector<std::thread> crowd;
  for (int t = 0; t < kThreads; t++) {
    crowd.emplace_back([&, t] {
      for (int i = 0; i < kConnections; i++) {
        Viewer viewer(bed.port);
        for (int ask = 0; ask < 1 + i % 4; ask++) {
          const auto loop = static_cast<std::uint32_t>(t + i + ask) % kLoops;
          if (ask == 3) {
            // Leaves in the middle, or before it has arrived.
            viewer.send({Bed::playlist(loop), "/s/object", Bed::playlist((loop + 1) % kLoops)});
            break;
          }
          asked++;
          if (viewer.ask(Bed::playlist(loop)).status != 200) wrong++;
        }
      }
      running--;
    });
  }
  http::AccessLogOptions log;
  log.file = "/dev/null";
  while (running > 0) {
    CHECK(bed.plane.viewers().empty());
    CHECK_FALSE(bed.plane.set_access_log(log));
    CHECK(bed.plane.set_limits(bed.listener, {}, kSecond));
    bed.plane.set_route("/other", plane::ContinuousRoute{bed.streams[1]});
    CHECK_FALSE(bed.plane.set_access_log(std::nullopt));
    bed.plane.delete_route("/other");
  }
  for (auto& thread : crowd) thread.join();
  CHECK(wrong == 0);
  CHECK(bed.sum(&http::ListenerCounters::accepted) - accepted == kThreads * kConnections);
  CHECK(bed.sum(&http::ListenerCounters::requests) - before >= asked);
  CHECK(poll_until([&] { return bed.sum(&http::ListenerCounters::connections) == 0; }));
}

TEST_CASE("loops: a listener, a stream or the plane goes while connections are between the loops") {
  Bed bed;
  for (int round = 0; round < 8; round++) {
    std::atomic<int> running{3};
    std::atomic<int> answers{0};
    std::vector<std::thread> crowd;
    for (int t = 0; t < 3; t++) {
      crowd.emplace_back([&] {
        for (bool open = true; open;) {
          Viewer viewer(bed.port);
          for (std::uint32_t i = 0; open; i++) {
            viewer.send({Bed::playlist(i % kLoops), "/hello", Bed::playlist((i + 1) % kLoops)});
            for (int n = 0; n < 3 && open; n++) open = viewer.reply().status != 0;
            answers++;
          }
          CHECK(viewer.ends());
        }
        running--;
      });
    }
    CHECK(poll_until([&] { return answers > 20; }));
    if (round == 6) CHECK(bed.plane.remove(bed.streams[1]));
    if (round == 7)
      bed.plane.close();
    else
      CHECK(bed.plane.remove(bed.listener));
    CHECK(poll_until([&] { return running == 0; }));
    for (auto& thread : crowd) thread.join();
    if (round < 7) bed.listen({});
  }
}
