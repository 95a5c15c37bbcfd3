// Many viewers who come to a running stream in the same moment.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <deque>
#include <string>

#include "http/server.h"
#include "plane/routes.h"
#include "test/stream_bed.h"

using namespace sluice;
using codec::kTsPacketSize;
using kernel::kSecond;
using kernel::Nanos;
using test::damage_of;

namespace {

constexpr std::uint64_t kStream = 7;
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
// The sanitizers take ten times as long, and look at as much with fewer.
constexpr std::size_t kViewers = 100;
#else
constexpr std::size_t kViewers = 500;
#endif
constexpr std::size_t kEnough = 100 * kTsPacketSize;

test::SourceOptions moderate() {
  test::SourceOptions options;
  options.packets_per_second = 2000;
  options.pictures_per_second = 25;
  options.group = 5;
  return options;
}

plane::StreamOptions patient() {
  plane::StreamOptions options = test::stream_options();
  options.delay = 100 * kernel::kMillisecond;
  return options;
}

/** A stream that goes on by the clock whenever the loop turns. */
struct Bed : test::StreamBed {
  Bed() : StreamBed(patient()) {
    routes.set("/live.ts", plane::ContinuousRoute{kStream});
    http::ServerOptions o;
    o.address = *kernel::Address::parse("127.0.0.1", 0);
    server = std::move(http::Server::open(reactor, o, routes, listener).value());
  }
  void turn() {
    const Nanos now = kernel::monotonic_now();
    const auto due = static_cast<int>((now - begin) * moderate().packets_per_second / kSecond);
    if (due > made) stream->write(source.make(due - std::exchange(made, due)), now);
    reactor.wake();
    reactor.turn();
  }
  template <class F>
  bool turn_until(F done) {
    const Nanos end = kernel::monotonic_now() + 20 * kSecond;
    while (!done() && kernel::monotonic_now() < end) turn();
    return done();
  }

  test::TsSource source{moderate()};
  const Nanos begin = kernel::monotonic_now();
  int made = 0;
  plane::Routes routes{[this](std::uint64_t handle) { return handle == kStream ? stream.get() : nullptr; }};
  http::ListenerCounters listener{};
  std::unique_ptr<http::Server> server;
};

struct Viewer {
  explicit Viewer(const kernel::Address& to)
      : fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    const bool begun = connect(fd.get(), to.get(), to.size()) == 0 || errno == EINPROGRESS;
    REQUIRE(begun);
  }
  void ask() {
    const std::string request = "GET /live.ts HTTP/1.1\r\nHost: e\r\n\r\n";
    asked = asked || ::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) > 0;
  }
  void take() {
    ask();
    std::array<std::uint8_t, 16 * 1024>
        buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by the kernel
    for (ssize_t n = 0; asked && (n = recv(fd.get(), buffer.data(), buffer.size(), 0)) >= 0;) {
      if (n == 0) {
        ended = true;
        return;
      }
      got.insert(got.end(), buffer.begin(), buffer.begin() + n);
    }
    ended = ended || (asked && errno != EAGAIN);
  }
  /** What follows the head of the answer. */
  [[nodiscard]] std::vector<std::uint8_t> body() const {
    constexpr std::string_view kEnd = "\r\n\r\n";
    const auto at = std::search(got.begin(), got.end(), kEnd.begin(), kEnd.end());
    return at == got.end() ? std::vector<std::uint8_t>{} : std::vector<std::uint8_t>(at + 4, got.end());
  }
  kernel::Fd fd;
  std::vector<std::uint8_t> got;
  bool asked = false;
  bool ended = false;
};

/** Both ends of so many connections are in this process. */
struct ManyDescriptors {
  ManyDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before);
    const rlimit more{before.rlim_max, before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &more);
  }
  ~ManyDescriptors() { setrlimit(RLIMIT_NOFILE, &before); }
  ManyDescriptors(const ManyDescriptors&) = delete;
  ManyDescriptors& operator=(const ManyDescriptors&) = delete;
  rlimit before{};
};

}  // namespace

TEST_CASE("arrivals: hundreds of viewers who come at once all get an access point and what follows it") {
  const ManyDescriptors descriptors;
  Bed bed;
  REQUIRE(bed.turn_until([&] { return bed.stream->newest_access_point() != nullptr; }));
  const auto to = *kernel::Address::parse("127.0.0.1", bed.server->port());
  // A deque: viewers stay where they are.
  std::deque<Viewer> viewers;
  while (viewers.size() < kViewers) viewers.emplace_back(to);
  const bool all = bed.turn_until([&] {
    for (Viewer& viewer : viewers) viewer.take();
    return std::all_of(viewers.begin(), viewers.end(),
                       [](const Viewer& v) { return v.ended || v.got.size() > kEnough; });
  });
  CHECK(all);
  CHECK(bed.listener.accepted == kViewers);
  CHECK(bed.listener.refused + bed.listener.refused_client == 0);
  CHECK(bed.counters.viewers_continuous == kViewers);
  for (const Viewer& viewer : viewers) {
    CHECK_FALSE(viewer.ended);
    std::vector<std::uint8_t> body = viewer.body();
    body.resize(body.size() / kTsPacketSize * kTsPacketSize);
    REQUIRE(body.size() > kTsPacketSize);
    const auto first = codec::TsPacket::parse(codec::Bytes(body).first(kTsPacketSize));
    REQUIRE(first.has_value());
    CHECK(first->pid() == codec::kPidPat);
    const auto damage = damage_of(body);
    CHECK(damage.broken + damage.gaps == 0);
  }
}
