// origin PORT OBJECT-BYTES PACE-MS length|chunked
//
// A live origin: any /…seg-N.ts is there when it is asked for, and takes PACE-MS from its first to its last
// byte (0: at once). One JSON line every 100 ms: connections since the start, requests, objects, and the most
// requests for one object.
#include <netinet/tcp.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <unordered_map>

#include "../lib/net.h"
#include "pattern.h"

namespace sluice::bench {
namespace {

constexpr Nanos kTick = 10'000'000;
constexpr Nanos kReport = 100'000'000;

struct Connection {
  int fd = -1;
  std::string request;
  /** Framing and bytes that are still to go: the head, or a chunk. */
  std::string out;
  const std::uint8_t* body = nullptr;
  std::size_t sent = 0;
  Nanos begun = 0;
};

class Origin {
 public:
  Origin(int listener, std::size_t size, Nanos pace, bool chunked)
      : listener_(listener),
        pattern_(size),
        pace_(pace),
        chunked_(chunked),
        poller_(epoll_create1(EPOLL_CLOEXEC)) {
    watch(listener, EPOLLIN);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 64> ready{};
    Nanos next_report = now();
    for (;;) {
      const int n = epoll_wait(poller_, ready.data(), static_cast<int>(ready.size()), kTick / 1'000'000);
      for (int i = 0; i < n; i++) {
        const int fd = ready[static_cast<std::size_t>(i)].data.fd;
        fd == listener_ ? accept_all() : take(fd);
      }
      if (const Nanos at = now(); at - last_tick_ >= kTick) {
        last_tick_ = at;
        for (auto& [fd, connection] : connections_) push(*connection);
      }
      if (now() >= next_report) report(next_report);
    }
  }

 private:
  void watch(int fd, std::uint32_t events) const {
    epoll_event e{};
    e.events = events;
    e.data.fd = fd;
    must(epoll_ctl(poller_, EPOLL_CTL_ADD, fd, &e) == 0, "epoll_ctl");
  }

  void accept_all() {
    for (int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC); fd >= 0;
         fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) {
      set(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
      auto connection = std::make_unique<Connection>();
      connection->fd = fd;
      connections_.emplace(fd, std::move(connection));
      watch(fd, EPOLLIN | EPOLLOUT | EPOLLET);
      accepted_++;
    }
  }

  void take(int fd) {
    const auto found = connections_.find(fd);
    if (found == connections_.end()) return;
    Connection& connection = *found->second;
    std::array<char, 4096> bytes{};
    ssize_t n = 0;
    while ((n = recv(fd, bytes.data(), bytes.size(), 0)) > 0) {
      connection.request.append(bytes.data(), static_cast<std::size_t>(n));
    }
    if (n == 0 || errno != EAGAIN) {
      close(fd);
      connections_.erase(found);
      return;
    }
    push(connection);
  }

  /** Begins an answer when there is a request and none under way. */
  void begin(Connection& connection) {
    const std::size_t end = connection.request.find(kHeadEnd);
    if (connection.body != nullptr || end == std::string::npos) return;
    std::uint64_t object = 0;
    must(object_of(connection.request, object), "a request for no object");
    connection.request.erase(0, end + kHeadEnd.size());
    most_ = std::max(most_, ++requests_of_[object]);
    requests_++;
    connection.body = pattern_.body(object);
    connection.sent = 0;
    connection.begun = now();
    connection.out = "HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nCache-Control: max-age=60\r\n";
    connection.out += chunked_ ? "Transfer-Encoding: chunked\r\n\r\n"
                               : "Content-Length: " + std::to_string(pattern_.size()) + "\r\n\r\n";
  }

  /** How much of the object may be out by now. */
  [[nodiscard]] std::size_t allowed(const Connection& connection) const {
    const Nanos age = now() - connection.begun;
    if (age >= pace_) return pattern_.size();
    return pattern_.size() * static_cast<std::size_t>(age) / static_cast<std::size_t>(pace_);
  }

  /** Sends what may be out by now, in one piece as far as the socket takes it. */
  void push(Connection& connection) {
    begin(connection);
    if (connection.body == nullptr) return;
    const std::size_t limit = allowed(connection);
    while (flush(connection) && connection.sent < limit) {
      const std::size_t size = limit - connection.sent;
      if (chunked_) {
        add_chunk(connection, size);
      } else {
        const ssize_t n = send(connection.fd, connection.body + connection.sent, size, MSG_NOSIGNAL);
        if (n < 0) return;
        connection.sent += static_cast<std::size_t>(n);
      }
    }
    if (connection.out.empty() && connection.sent == pattern_.size()) connection.body = nullptr;
  }

  void add_chunk(Connection& connection, std::size_t size) const {
    std::array<char, 32> line{};
    std::snprintf(line.data(), line.size(), "%zx\r\n", size);
    connection.out = line.data();
    connection.out.append(reinterpret_cast<const char*>(connection.body + connection.sent), size);
    connection.sent += size;
    connection.out += connection.sent == pattern_.size() ? "\r\n0\r\n\r\n" : "\r\n";
  }

  static bool flush(Connection& connection) {
    while (!connection.out.empty()) {
      const ssize_t n = send(connection.fd, connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
      if (n < 0) return false;
      connection.out.erase(0, static_cast<std::size_t>(n));
    }
    return true;
  }

  void report(Nanos& next) const {
    next += kReport;
    std::printf("{\"connections\":%llu,\"requests\":%llu,\"objects\":%zu,\"most\":%llu}\n",
                static_cast<unsigned long long>(accepted_), static_cast<unsigned long long>(requests_),
                requests_of_.size(), static_cast<unsigned long long>(most_));
    std::fflush(stdout);
    end_with_parent();
  }

  int listener_;
  Pattern pattern_;
  Nanos pace_;
  bool chunked_;
  int poller_;
  Nanos last_tick_ = 0;
  std::unordered_map<int, std::unique_ptr<Connection>> connections_;
  std::unordered_map<std::uint64_t, std::uint64_t> requests_of_;
  std::uint64_t accepted_ = 0;
  std::uint64_t requests_ = 0;
  std::uint64_t most_ = 0;
};

}  // namespace
}  // namespace sluice::bench

int main(int count, char** arguments) {
  using namespace sluice::bench;
  const std::string mode = count == 5 ? arguments[4] : "";
  if (mode != "length" && mode != "chunked") {
    std::fputs("usage: origin PORT OBJECT-BYTES PACE-MS length|chunked\n", stderr);
    return 2;
  }
  const std::size_t size = std::strtoul(arguments[2], nullptr, 10);
  const Nanos pace = std::strtoll(arguments[3], nullptr, 10) * 1'000'000;
  Origin(listen_on(arguments[1]), size, pace, mode == "chunked").run();
}
