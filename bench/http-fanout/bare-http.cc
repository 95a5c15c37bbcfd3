// bare-http GROUP PORT INTERFACE-ADDRESS LISTEN-PORT RING-BYTES
//
// The least a multicast-to-HTTP fan-out has to do: RTP in, header off, sequence looked at, TS into one ring;
// every client gets it from the ring in pieces of 48 KB and jumps to the newest when it is half a ring
// behind. No parsing, no pacing, no access points, no limits on clients.
#include <sys/epoll.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <vector>

#include "../lib/net.h"

namespace sluice::bench {
namespace {

constexpr std::uint64_t kPiece = 48 * 1024;
constexpr int kBatch = 32;
constexpr int kSendBuffer = 512 * 1024;

/** A ring mapped twice in a row, so that no piece is cut at the wrap. */
class Ring {
 public:
  explicit Ring(std::size_t size) : size_(size) {
    const int fd = memfd_create("ring", MFD_CLOEXEC);
    must(fd >= 0 && ftruncate(fd, static_cast<off_t>(size)) == 0, "memfd");
    void* const place = mmap(nullptr, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(place != MAP_FAILED, "mmap");
    base_ = static_cast<std::uint8_t*>(place);
    for (std::uint8_t* half : {base_, base_ + size}) {
      must(mmap(half, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED, "mmap");
    }
  }
  [[nodiscard]] std::uint8_t* at(std::uint64_t position) const { return base_ + (position & (size_ - 1)); }
  [[nodiscard]] std::uint64_t size() const { return size_; }

 private:
  std::size_t size_;
  std::uint8_t* base_ = nullptr;
};

struct Client {
  int fd;
  std::uint64_t position;
};

class FanOut {
 public:
  FanOut(int input, int listener, std::size_t ring_bytes)
      : input_(input), listener_(listener), ring_(ring_bytes) {
    for (int i = 0; i < kBatch; i++) {
      pieces_[i] = {iovec{headers_[i].data(), kRtpHeader}, iovec{nullptr, kPayload}};
      messages_[i].msg_hdr.msg_iov = pieces_[i].data();
      messages_[i].msg_hdr.msg_iovlen = 2;
    }
  }

  [[noreturn]] void run() {
    const int poller = epoll_create1(EPOLL_CLOEXEC);
    for (const int fd : {input_, listener_}) {
      epoll_event e{};
      e.events = EPOLLIN;
      e.data.fd = fd;
      must(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e) == 0, "epoll_ctl");
    }
    std::array<epoll_event, 16> ready{};
    for (;;) {
      const int n = epoll_wait(poller, ready.data(), static_cast<int>(ready.size()), 1000);
      for (int i = 0; i < n; i++)
        ready[static_cast<std::size_t>(i)].data.fd == input_ ? receive() : accept_all();
      if (n <= 0) end_with_parent();
    }
  }

 private:
  void accept_all() {
    static constexpr char kHead[] =
        "HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nConnection: close\r\n\r\n";
    for (int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC); fd >= 0;
         fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) {
      set(fd, SOL_SOCKET, SO_SNDBUF, kSendBuffer, "SO_SNDBUF");
      send(fd, kHead, sizeof kHead - 1, MSG_NOSIGNAL);
      clients_.push_back({fd, sent_});
    }
  }

  void receive() {
    for (;;) {
      for (int i = 0; i < kBatch; i++)
        pieces_[i][1].iov_base = ring_.at(written_ + static_cast<std::uint64_t>(i) * kPayload);
      const int n = recvmmsg(input_, messages_.data(), kBatch, MSG_DONTWAIT, nullptr);
      for (int i = 0; i < n; i++) {
        lost_ += static_cast<std::uint16_t>(headers_[i][2] << 8 | headers_[i][3]) != expected_ ? 1 : 0;
        expected_ = static_cast<std::uint16_t>((headers_[i][2] << 8 | headers_[i][3]) + 1);
        must(messages_[i].msg_len == kDatagram, "a datagram of another size");
        written_ += kPayload;
      }
      if (written_ - sent_ >= kPiece) deliver();
      if (n < kBatch) return;
    }
  }

  void deliver() {
    sent_ = written_;
    for (std::size_t i = 0; i < clients_.size();) {
      if (deliver_to(clients_[i])) {
        i++;
      } else {
        close(clients_[i].fd);
        clients_[i] = clients_.back();
        clients_.pop_back();
      }
    }
  }

  bool deliver_to(Client& client) {
    if (sent_ - client.position > ring_.size() / 2) client.position = sent_ - kPiece / kTsPacket * kTsPacket;
    while (client.position < sent_) {
      const std::uint64_t size = std::min(kPiece + kPayload, sent_ - client.position);
      const ssize_t taken = send(client.fd, ring_.at(client.position), size, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (taken < 0) return errno == EAGAIN;
      client.position += static_cast<std::uint64_t>(taken);
      if (static_cast<std::uint64_t>(taken) < size) return true;
    }
    return true;
  }

  int input_;
  int listener_;
  Ring ring_;
  std::vector<Client> clients_;
  std::uint64_t written_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t lost_ = 0;
  std::uint16_t expected_ = 0;
  std::array<mmsghdr, kBatch> messages_{};
  std::array<std::array<iovec, 2>, kBatch> pieces_{};
  std::array<std::array<std::uint8_t, kRtpHeader>, kBatch> headers_{};
};

}  // namespace
}  // namespace sluice::bench

int main(int count, char** arguments) {
  using namespace sluice::bench;
  if (count != 6) {
    std::fputs("usage: bare-http GROUP PORT INTERFACE-ADDRESS LISTEN-PORT RING-BYTES\n", stderr);
    return 2;
  }
  const int input = join(ipv4(arguments[1], arguments[2]), arguments[3]);
  FanOut(input, listen_on(arguments[4]), std::strtoul(arguments[5], nullptr, 10)).run();
}
