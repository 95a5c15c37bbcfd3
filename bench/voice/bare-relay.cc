// bare-relay sockets|shared PORT TARGETS
//
// The least a relay of many small flows has to do: what comes in for flow i goes out to target i, as it is.
// `sockets` has a socket for every flow, from PORT on, every second one (RTP ports are even); `shared` has
// one socket for all of them and tells them apart by SSRC. Datagrams are taken and handed over in batches;
// nothing waits for a batch to fill.
#include <sys/epoll.h>

#include <string>
#include <string_view>

#include "../lib/flows/flows.h"

namespace sluice::bench {
namespace {

constexpr std::size_t kBatch = 64;
constexpr std::size_t kEvents = 256;
constexpr int kSharedBytes = 4 << 20;
constexpr int kOwnBytes = 1 << 16;

/** SSRC -> target: open addressing, a power of two of places, at most half of them taken. */
class Table {
 public:
  explicit Table(std::vector<sockaddr_in> targets) : targets_(std::move(targets)) {
    std::size_t size = 2;
    while (size < 2 * targets_.size()) size *= 2;
    places_.resize(size);
    for (std::uint32_t i = 0; i < targets_.size(); i++)
      place(kFirstSsrc + i) = {kFirstSsrc + i, &targets_[i]};
  }

  sockaddr_in* find(std::uint32_t ssrc) { return place(ssrc).target; }
  sockaddr_in* at(std::size_t flow) { return &targets_[flow]; }
  std::size_t size() const { return targets_.size(); }

 private:
  struct Place {
    std::uint32_t ssrc = 0;
    sockaddr_in* target = nullptr;
  };

  Place& place(std::uint32_t ssrc) {
    std::size_t i = (ssrc * 0x9e3779b1U) & (places_.size() - 1);
    while (places_[i].target != nullptr && places_[i].ssrc != ssrc) i = (i + 1) & (places_.size() - 1);
    return places_[i];
  }

  std::vector<sockaddr_in> targets_;
  std::vector<Place> places_;
};

class Relay {
 public:
  explicit Relay(Table table) : table_(std::move(table)) {
    for (std::size_t i = 0; i < kBatch; i++) {
      pieces_[i].iov_base = packets_[i].data();
      in_[i].msg_hdr.msg_iov = &pieces_[i];
      in_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  /** A batch of what came in on a socket goes out from it; `target` is null where the SSRC tells. */
  void relay(int fd, sockaddr_in* target) {
    for (iovec& piece : pieces_) piece.iov_len = packets_[0].size();
    const int n = recvmmsg(fd, in_.data(), kBatch, MSG_DONTWAIT, nullptr);
    unsigned ready = 0;
    for (int k = 0; k < n; k++) {
      const auto i = static_cast<std::size_t>(k);
      if (in_[i].msg_len < kRtpHeader || packets_[i][0] >> 6 != 2) continue;
      sockaddr_in* to = target != nullptr ? target : table_.find(load32(packets_[i].data() + 8));
      if (to == nullptr) continue;
      pieces_[i].iov_len = in_[i].msg_len;
      msghdr& message = out_[ready++].msg_hdr;
      message.msg_name = to;
      message.msg_namelen = sizeof *to;
      message.msg_iov = &pieces_[i];
      message.msg_iovlen = 1;
    }
    for (unsigned at = 0; at < ready;) {
      const int sent = sendmmsg(fd, &out_[at], ready - at, 0);
      at += sent > 0 ? static_cast<unsigned>(sent) : 1;
    }
  }

  Table& table() { return table_; }

 private:
  Table table_;
  std::array<std::array<std::uint8_t, 2048>, kBatch> packets_{};
  std::array<iovec, kBatch> pieces_{};
  std::array<mmsghdr, kBatch> in_{};
  std::array<mmsghdr, kBatch> out_{};
};

struct Port {
  int fd;
  /** Null where the SSRC tells. */
  sockaddr_in* target;
};

std::vector<Port> open_ports(unsigned first, Table& table, bool shared) {
  std::vector<Port> ports;
  for (std::size_t i = 0; i < (shared ? 1 : table.size()); i++) {
    const std::string number = std::to_string(first + 2 * i);
    const int bytes = shared ? kSharedBytes : kOwnBytes;
    ports.push_back(
        {udp_socket(ipv4("0.0.0.0", number.c_str()), bytes, SOCK_NONBLOCK), shared ? nullptr : table.at(i)});
  }
  return ports;
}

[[noreturn]] void run(Relay& relay, const std::vector<Port>& ports) {
  const int poll = epoll_create1(EPOLL_CLOEXEC);
  for (std::size_t i = 0; i < ports.size(); i++) {
    epoll_event event{EPOLLIN, {}};
    event.data.u64 = i;
    must(epoll_ctl(poll, EPOLL_CTL_ADD, ports[i].fd, &event) == 0, "epoll_ctl");
  }
  static std::array<epoll_event, kEvents> events;
  for (;;) {
    const int n = epoll_wait(poll, events.data(), kEvents, 1000);
    if (n <= 0) end_with_parent();
    for (int i = 0; i < n; i++) {
      const Port& port = ports[events[static_cast<std::size_t>(i)].data.u64];
      relay.relay(port.fd, port.target);
    }
  }
}

}  // namespace
}  // namespace sluice::bench

int main(int count, char** arguments) {
  using namespace sluice::bench;
  if (count != 4) {
    std::fputs("usage: bare-relay sockets|shared PORT TARGETS\n", stderr);
    return 2;
  }
  const bool shared = std::string_view(arguments[1]) == "shared";
  static Relay relay{Table(read_targets(arguments[3]))};
  const auto first = static_cast<unsigned>(std::strtoul(arguments[2], nullptr, 10));
  run(relay, open_ports(first, relay.table(), shared));
}
