// viewers ADDRESS PORT PATH VIEWERS OBJECT-BYTES INTERVAL-MS SPREAD-MS CYCLE
//
// Viewers at the live edge, each with one keep-alive connection: all ask for PATHseg-K.ts within SPREAD-MS of
// each other, and for the next one INTERVAL-MS later (who is still busy then asks as soon as he is done).
// CYCLE objects are asked for again and again, 0: always new ones. One JSON line every 100 ms:
// CLOCK_MONOTONIC, bytes of all answers since the start, viewers connected, wrong answers, requests that were
// late, and the microseconds from each request to its first byte since the last line. Every body's length is
// looked at; every eighth body of each viewer is compared byte by byte, the others are dropped in the kernel
// where there is no TLS.
#pragma once

#include <fcntl.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "../../test/lab/viewers/http_reader.h"
#include "../lib/net.h"
#include "pattern.h"
#include "transport.h"

namespace sluice::bench {

struct Load {
  sockaddr_in server;
  std::string path;
  std::size_t viewers;
  std::size_t object_bytes;
  Nanos interval;
  Nanos spread;
  std::uint64_t cycle;
};

template <class Transport>
class Viewers {
 public:
  Viewers(const Load& load, const typename Transport::Shared& shared)
      : load_(load), pattern_(load.object_bytes) {
    watch(rest_, firsts_, kFirsts, EPOLLIN);
    for (std::size_t i = 0; i < load.viewers; i++) open(i, shared);
    start_ = now() + kReport;
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 8> ready{};
    Nanos next_report = now();
    for (;;) {
      const Nanos at = now();
      for (; at >= due(); asked_++) ask_next(viewers_[asked_ % viewers_.size()]);
      if (at >= next_report) {
        report(at);
        next_report += kReport;
      }
      const Nanos wait = std::max<Nanos>(0, std::min(due(), next_report) - now());
      const timespec time{wait / kSecond, wait % kSecond};
      const int n = epoll_pwait2(rest_, ready.data(), static_cast<int>(ready.size()), &time, nullptr);
      for (int i = 0; i < n; i++) {
        // Looked at between any two bodies, so that a first byte does not wait for this program.
        take_firsts();
        if (const std::uint64_t id = ready[static_cast<std::size_t>(i)].data.u64; id != kFirsts) take(id);
      }
    }
  }

 private:
  static constexpr Nanos kReport = 100'000'000;
  static constexpr std::uint64_t kFirsts = ~std::uint64_t{0};

  struct Viewer {
    explicit Viewer(Transport&& connection) : transport(std::move(connection)) {}
    Transport transport;
    lab::HttpReader answer;
    /** The body that is due, and how much of it has come. */
    const std::uint8_t* body = nullptr;
    std::size_t got = 0;
    bool right = true;
    std::uint64_t asked = 0;
    std::uint64_t waiting = 0;
    Nanos asked_at = 0;
    bool busy = false;
    bool open = true;
  };

  static void watch(int poller, int fd, std::uint64_t id, std::uint32_t events) {
    epoll_event e{};
    e.events = events;
    e.data.u64 = id;
    must(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e) == 0, "epoll_ctl");
  }

  void open(std::size_t i, const typename Transport::Shared& shared) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0 && connect(fd, base(load_.server), sizeof load_.server) == 0, "connect");
    viewers_.emplace_back(Transport(shared, fd));
    must(viewers_.back().transport.handshake(), "handshake");
    must(fcntl(fd, F_SETFL, O_NONBLOCK) == 0, "fcntl");
    watch(rest_, fd, i, EPOLLIN);
    connected_++;
  }

  /** When the next request in turn is to be made. */
  [[nodiscard]] Nanos due() const {
    const auto [round, turn] = std::pair(asked_ / load_.viewers, asked_ % load_.viewers);
    return start_ + static_cast<Nanos>(round) * load_.interval +
           load_.spread * static_cast<Nanos>(turn) / static_cast<Nanos>(load_.viewers);
  }

  void ask_next(Viewer& viewer) {
    if (!viewer.open) return;
    if (!viewer.busy) return ask(viewer);
    viewer.waiting++;
    late_++;
  }

  void ask(Viewer& viewer) {
    const std::uint64_t object = load_.cycle > 0 ? viewer.asked % load_.cycle : viewer.asked;
    viewer.asked++;
    viewer.busy = true;
    viewer.answer.start();
    viewer.body = pattern_.body(object);
    viewer.got = 0;
    viewer.right = true;
    const std::string request = "GET " + load_.path + "seg-" + std::to_string(object) +
                                ".ts HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";
    move(viewer, rest_, firsts_);
    viewer.asked_at = now();
    const ssize_t taken = viewer.transport.write(request.data(), request.size());
    if (taken != static_cast<ssize_t>(request.size())) fail(viewer);
  }

  /** Until its first byte a viewer is watched apart. */
  void move(Viewer& viewer, int from, int to) {
    must(epoll_ctl(from, EPOLL_CTL_DEL, viewer.transport.fd(), nullptr) == 0, "epoll_ctl");
    watch(to, viewer.transport.fd(), static_cast<std::uint64_t>(&viewer - viewers_.data()), EPOLLIN);
  }

  void take_firsts() {
    std::array<epoll_event, 64> ready{};
    const int n = epoll_wait(firsts_, ready.data(), static_cast<int>(ready.size()), 0);
    const Nanos at = now();
    for (int i = 0; i < n; i++) {
      Viewer& viewer = viewers_[ready[static_cast<std::size_t>(i)].data.u64];
      first_bytes_.push_back((at - viewer.asked_at) / 1000);
      move(viewer, firsts_, rest_);
    }
  }

  void take(std::size_t i) {
    Viewer& viewer = viewers_[i];
    const bool compared = (viewer.asked + i) % 8 == 0;
    while (viewer.open) {
      const std::size_t run = compared ? 0 : viewer.answer.run();
      const ssize_t n =
          run > 0 ? viewer.transport.discard(run) : viewer.transport.read(buffer_.data(), buffer_.size());
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0 || !viewer.busy) return fail(viewer);
      const auto size = static_cast<std::size_t>(n);
      bytes_ += size;
      run > 0 ? skip(viewer, size) : feed(viewer, size, compared);
      if (viewer.answer.state() == lab::HttpReader::State::kBroken) return fail(viewer);
      if (viewer.answer.state() == lab::HttpReader::State::kDone) return finish(viewer);
    }
  }

  static void skip(Viewer& viewer, std::size_t size) {
    viewer.answer.skip(size);
    viewer.got += size;
  }

  void feed(Viewer& viewer, std::size_t size, bool compared) {
    const auto body = [&](const std::uint8_t* bytes, std::size_t count) {
      viewer.got += count;
      const bool fits = viewer.got <= pattern_.size();
      if (!fits || (compared && std::memcmp(bytes, viewer.body + viewer.got - count, count) != 0))
        viewer.right = false;
    };
    if (viewer.answer.feed(buffer_.data(), size, body) < size) viewer.right = false;
  }

  void finish(Viewer& viewer) {
    if (!viewer.right || viewer.answer.status() != 200 || viewer.got != pattern_.size()) errors_++;
    viewer.busy = false;
    if (viewer.waiting == 0) return;
    viewer.waiting--;
    ask(viewer);
  }

  void fail(Viewer& viewer) {
    close(viewer.transport.fd());
    viewer.open = false;
    connected_--;
    errors_++;
  }

  void report(Nanos at) {
    std::printf("{\"at\":%lld,\"bytes\":%llu,\"connected\":%zu,\"errors\":%llu,\"late\":%llu,\"firsts\":[",
                static_cast<long long>(at), static_cast<unsigned long long>(bytes_), connected_,
                static_cast<unsigned long long>(errors_), static_cast<unsigned long long>(late_));
    const char* comma = "";
    for (const Nanos first : first_bytes_)
      std::printf("%s%lld", std::exchange(comma, ","), static_cast<long long>(first));
    std::printf("]}\n");
    std::fflush(stdout);
    first_bytes_.clear();
    end_with_parent();
  }

  Load load_;
  Pattern pattern_;
  /** Viewers that wait for a first byte; watched by `rest_` as a whole. */
  int firsts_ = epoll_create1(EPOLL_CLOEXEC);
  int rest_ = epoll_create1(EPOLL_CLOEXEC);
  std::vector<Viewer> viewers_;
  Nanos start_ = 0;
  std::uint64_t asked_ = 0;
  std::size_t connected_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t errors_ = 0;
  std::uint64_t late_ = 0;
  std::vector<Nanos> first_bytes_;
  std::array<std::uint8_t, 256 * 1024> buffer_{};
};

/** What both programs do with their arguments. */
template <class Transport>
int watch_live_edge(int count, char** arguments, const typename Transport::Shared& shared) {
  if (count != 9) {
    std::fputs("usage: viewers ADDRESS PORT PATH VIEWERS OBJECT-BYTES INTERVAL-MS SPREAD-MS CYCLE\n", stderr);
    return 2;
  }
  const auto number = [arguments](int i) { return std::strtoll(arguments[i], nullptr, 10); };
  const Load load{
      ipv4(arguments[1], arguments[2]),     arguments[3],          static_cast<std::size_t>(number(4)),
      static_cast<std::size_t>(number(5)),  number(6) * 1'000'000, number(7) * 1'000'000,
      static_cast<std::uint64_t>(number(8))};
  static Viewers<Transport> viewers(load, shared);
  viewers.run();
}

}  // namespace sluice::bench
