// httpsink ADDRESS PORT PATH CLIENTS WITHIN-MS
//
// Continuous HTTP clients, all of which connect within so many milliseconds, and that count what they get;
// the same sink for everybody. One JSON line every 100 ms: CLOCK_MONOTONIC, body bytes of all clients since
// the start, clients that are connected, gaps in the continuity of the video; clients that have had some of
// the body, those of them whose first packet was a PAT, and milliseconds from the first connection until the
// last of them had. Only the first client's bytes are looked at; those of the others are dropped in the
// kernel, so that the sink takes as little as possible of the machine.
#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "../lib/net.h"

namespace sluice::bench {
namespace {

constexpr std::uint16_t kVideoPid = 0x100;
constexpr Nanos kReport = 100'000'000;
constexpr Nanos kMillisecond = 1'000'000;

/** Follows the continuity counter of the video (ISO/IEC 13818-1 2.4.3.3). */
class Continuity {
 public:
  void feed(const std::uint8_t* p, std::size_t size) {
    for (std::size_t i = 0; i < size; i++) {
      packet_[fill_++] = p[i];
      if (fill_ == kTsPacket) check();
    }
  }
  [[nodiscard]] std::uint64_t errors() const { return errors_; }

 private:
  void check() {
    fill_ = 0;
    if (packet_[0] != 0x47) {
      errors_++;
      return;
    }
    if (((packet_[1] & 0x1f) << 8 | packet_[2]) != kVideoPid || (packet_[3] & 0x10) == 0) return;
    const int counter = packet_[3] & 0x0f;
    if (last_ >= 0 && counter != ((last_ + 1) & 0x0f)) errors_++;
    last_ = counter;
  }
  std::array<std::uint8_t, kTsPacket> packet_{};
  std::size_t fill_ = 0;
  int last_ = -1;
  std::uint64_t errors_ = 0;
};

struct Client {
  int fd = -1;
  bool head_done = false;
  bool served = false;
  std::string head;
};

class Sink {
 public:
  Sink(const sockaddr_in& server, const char* path, std::size_t count, Nanos within)
      : server_(server),
        clients_(count),
        pause_(within / static_cast<Nanos>(count)),
        poller_(epoll_create1(EPOLL_CLOEXEC)) {
    request_ = std::string("GET ") + path +
               " HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\nConnection: close\r\n\r\n";
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> ready{};
    Nanos next_report = now();
    begin_ = next_report;
    for (;;) {
      const Nanos at = now();
      while (opened_ < clients_.size() && at >= begin_ + pause_ * static_cast<Nanos>(opened_))
        open(opened_++);
      if (at >= next_report) {
        report(at);
        next_report += kReport;
      }
      const int wait = opened_ < clients_.size() ? 1 : 20;
      const int n = epoll_wait(poller_, ready.data(), static_cast<int>(ready.size()), wait);
      for (int i = 0; i < n; i++) take(ready[static_cast<std::size_t>(i)].data.u64);
    }
  }

 private:
  void open(std::size_t i) {
    Client& client = clients_[i];
    client.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(client.fd >= 0 && connect(client.fd, base(server_), sizeof server_) == 0, "connect");
    must(send(client.fd, request_.data(), request_.size(), MSG_NOSIGNAL) > 0, "send");
    connected_++;
    epoll_event e{};
    e.events = EPOLLIN;
    e.data.u64 = i;
    must(epoll_ctl(poller_, EPOLL_CTL_ADD, client.fd, &e) == 0, "epoll_ctl");
  }

  void take(std::size_t i) {
    Client& client = clients_[i];
    const bool looked_at = i == 0 || !client.head_done;
    const ssize_t n = recv(client.fd, looked_at ? buffer_.data() : nullptr, buffer_.size(),
                           MSG_DONTWAIT | (looked_at ? 0 : MSG_TRUNC));
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      close(client.fd);
      connected_--;
      return;
    }
    const auto* body = buffer_.data();
    auto size = static_cast<std::size_t>(n);
    if (!client.head_done && !take_head(client, body, size)) return;
    if (!client.served && size > 0) note_served(client, body, size);
    bytes_ += size;
    if (i == 0) continuity_.feed(body, size);
  }

  void note_served(Client& client, const std::uint8_t* body, std::size_t size) {
    client.served = true;
    served_++;
    served_time_ = now() - begin_;
    if (size >= 3 && body[0] == 0x47 && ((body[1] & 0x1f) << 8 | body[2]) == 0) entered_++;
  }

  /** True when the head is complete; `body` and `size` are then what follows it. */
  static bool take_head(Client& client, const std::uint8_t*& body, std::size_t& size) {
    const std::size_t before = client.head.size();
    client.head.append(reinterpret_cast<const char*>(body), size);
    const std::size_t end = client.head.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    if (client.head.find(" 200 ") > 16) {
      std::fprintf(stderr, "%s\n", client.head.substr(0, client.head.find('\r')).c_str());
      std::_Exit(1);
    }
    client.head_done = true;
    const std::size_t skip = end + 4 - before;
    body += skip;
    size -= skip;
    client.head = {};
    return true;
  }

  void report(Nanos at) {
    std::printf(
        "{\"at\":%lld,\"bytes\":%llu,\"connected\":%zu,\"errors\":%llu,\"served\":%zu,\"entered\":%zu,"
        "\"served_ms\":%.1f}\n",
        static_cast<long long>(at), static_cast<unsigned long long>(bytes_), connected_,
        static_cast<unsigned long long>(continuity_.errors()), served_, entered_,
        static_cast<double>(served_time_) / static_cast<double>(kMillisecond));
    std::fflush(stdout);
    end_with_parent();
  }

  sockaddr_in server_;
  std::vector<Client> clients_;
  const Nanos pause_;
  int poller_;
  std::string request_;
  Nanos begin_ = 0;
  std::size_t opened_ = 0;
  std::size_t connected_ = 0;
  std::size_t served_ = 0;
  std::size_t entered_ = 0;
  Nanos served_time_ = 0;
  std::uint64_t bytes_ = 0;
  Continuity continuity_;
  std::array<std::uint8_t, 256 * 1024> buffer_{};
};

}  // namespace
}  // namespace sluice::bench

int main(int count, char** arguments) {
  using namespace sluice::bench;
  if (count != 6) {
    std::fputs("usage: httpsink ADDRESS PORT PATH CLIENTS WITHIN-MS\n", stderr);
    return 2;
  }
  static Sink sink(ipv4(arguments[1], arguments[2]), arguments[3], std::strtoul(arguments[4], nullptr, 10),
                   std::strtol(arguments[5], nullptr, 10) * kMillisecond);
  sink.run();
}
