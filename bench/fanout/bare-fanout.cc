// bare-fanout PORT FROM-ADDRESS TARGETS plain|sendmmsg|segment copy|rewrite WAIT-US
//
// The least a fan-out has to do: RTP in on a port of every address, out to every target from a port of
// FROM-ADDRESS. `rewrite` gives every target its own SSRC, payload type, sequence and timestamp offset.
// `plain` sends a packet a call, `sendmmsg` up to 64 packets a call, `segment` what came together as one
// UDP_SEGMENT super-packet for each target, up to 64 of those a call. Packets are gathered for WAIT-US after
// the first one. No list of targets changes, nothing is counted, nobody is told anything.
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "../lib/flows/flows.h"

namespace sluice::bench {
namespace {

constexpr std::size_t kReceived = 64;
constexpr std::size_t kBufferBytes = 1 << 16;
/** Datagrams of one wake-up. */
constexpr std::size_t kBatch = 64;
constexpr std::size_t kMessages = 64;
constexpr std::size_t kSegments = 64;
constexpr std::size_t kSuperBytes = 65'000;
constexpr int kReceiveBytes = 4 << 20;

enum class Way { kPlain, kSendmmsg, kSegment };

struct Target {
  sockaddr_in to;
  std::uint32_t ssrc;
  std::uint8_t payload_type;
  std::uint16_t sequence_offset;
  std::uint32_t timestamp_offset;
};

struct Packet {
  const std::uint8_t* data;
  std::size_t size;
};

using Header = std::array<std::uint8_t, kRtpHeader>;

void rewrite(const std::uint8_t* in, const Target& target, Header& out) {
  const std::uint32_t first = load32(in);
  const std::uint32_t sequence = (first + target.sequence_offset) & 0xffffU;
  const std::uint32_t type = static_cast<std::uint32_t>(target.payload_type) << 16;
  store32(out.data(), (first & 0xff800000U) | type | sequence);
  store32(out.data() + 4, load32(in + 4) + target.timestamp_offset);
  store32(out.data() + 8, target.ssrc);
}

/** Datagrams as they were sent, from what the kernel may have put together (UDP_GRO). */
class Input {
 public:
  explicit Input(int fd) : fd_(fd), buffers_(kReceived * kBufferBytes) {
    set(fd_, SOL_UDP, UDP_GRO, 1, "UDP_GRO");
    for (std::size_t i = 0; i < kReceived; i++) {
      pieces_[i] = {&buffers_[i * kBufferBytes], kBufferBytes};
      messages_[i].msg_hdr.msg_iov = &pieces_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  const std::vector<Packet>& receive() {
    for (std::size_t i = 0; i < kReceived; i++) {
      messages_[i].msg_hdr.msg_control = controls_[i].data();
      messages_[i].msg_hdr.msg_controllen = controls_[i].size();
    }
    packets_.clear();
    const int n = recvmmsg(fd_, messages_.data(), kReceived, MSG_DONTWAIT, nullptr);
    for (int i = 0; i < n; i++) split(static_cast<std::size_t>(i));
    return packets_;
  }

 private:
  void split(std::size_t i) {
    const std::uint8_t* data = &buffers_[i * kBufferBytes];
    const std::size_t all = messages_[i].msg_len;
    const std::size_t each = segment_size(messages_[i].msg_hdr, all);
    for (std::size_t at = 0; at < all; at += each) {
      const std::size_t size = std::min(each, all - at);
      if (size >= kRtpHeader && data[at] >> 6 == 2) packets_.push_back({data + at, size});
    }
  }

  static std::size_t segment_size(msghdr& message, std::size_t all) {
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO) continue;
      int size = 0;
      std::memcpy(&size, CMSG_DATA(c), sizeof size);
      return static_cast<std::size_t>(size);
    }
    return std::max<std::size_t>(all, 1);
  }

  int fd_;
  std::vector<std::uint8_t> buffers_;
  std::vector<Packet> packets_;
  std::array<std::array<std::uint8_t, 64>, kReceived> controls_{};
  std::array<iovec, kReceived> pieces_{};
  std::array<mmsghdr, kReceived> messages_{};
};

class Fanout {
 public:
  Fanout(int fd, std::vector<Target> targets, Way way, bool own_headers)
      : fd_(fd), targets_(std::move(targets)), way_(way), own_headers_(own_headers) {}

  void send(const std::vector<Packet>& packets) {
    if (way_ != Way::kSegment) {
      for (const Packet& packet : packets) send_run(&packet, 1);
      return;
    }
    for (std::size_t at = 0; at < packets.size();) {
      const std::size_t n = run_length(&packets[at], packets.size() - at);
      send_run(&packets[at], n);
      at += n;
    }
  }

 private:
  /** As many packets of one size as fit; the last one may be shorter. */
  static std::size_t run_length(const Packet* packets, std::size_t most) {
    const std::size_t size = packets[0].size;
    most = std::min({most, kSegments, kSuperBytes / size});
    std::size_t n = 1;
    while (n < most && packets[n].size <= size) {
      if (packets[n++].size < size) break;
    }
    return n;
  }

  void send_run(const Packet* packets, std::size_t n) {
    write_control(n > 1 ? packets[0].size : 0);
    for (std::size_t at = 0; at < targets_.size(); at += kMessages) {
      const std::size_t messages = std::min(kMessages, targets_.size() - at);
      for (std::size_t i = 0; i < messages; i++) prepare(i, targets_[at + i], packets, n);
      hand_over(messages);
    }
  }

  void prepare(std::size_t i, Target& target, const Packet* packets, std::size_t n) {
    iovec* piece = &pieces_[i * 2 * kSegments];
    msghdr& message = messages_[i].msg_hdr;
    message.msg_name = &target.to;
    message.msg_namelen = sizeof target.to;
    message.msg_iov = piece;
    for (std::size_t k = 0; k < n; k++) {
      auto* data = const_cast<std::uint8_t*>(packets[k].data);
      if (!own_headers_) {
        *piece++ = {data, packets[k].size};
        continue;
      }
      Header& header = headers_[i * kSegments + k];
      rewrite(data, target, header);
      *piece++ = {header.data(), header.size()};
      *piece++ = {data + kRtpHeader, packets[k].size - kRtpHeader};
    }
    message.msg_iovlen = static_cast<std::size_t>(piece - message.msg_iov);
    message.msg_control = control_size_ == 0 ? nullptr : control_.data();
    message.msg_controllen = control_size_;
  }

  void write_control(std::size_t segment_size) {
    control_size_ = segment_size == 0 ? 0 : control_.size();
    if (segment_size == 0) return;
    msghdr around{};
    around.msg_control = control_.data();
    around.msg_controllen = control_.size();
    cmsghdr* c = CMSG_FIRSTHDR(&around);
    c->cmsg_level = SOL_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
    const auto size = static_cast<std::uint16_t>(segment_size);
    std::memcpy(CMSG_DATA(c), &size, sizeof size);
  }

  /** What the kernel does not take is passed over. */
  void hand_over(std::size_t messages) {
    if (way_ == Way::kPlain) {
      for (std::size_t i = 0; i < messages; i++) (void)sendmsg(fd_, &messages_[i].msg_hdr, 0);
      return;
    }
    for (std::size_t at = 0; at < messages;) {
      const int n = sendmmsg(fd_, &messages_[at], static_cast<unsigned>(messages - at), 0);
      at += n > 0 ? static_cast<std::size_t>(n) : 1;
    }
  }

  int fd_;
  std::vector<Target> targets_;
  Way way_;
  bool own_headers_;
  std::size_t control_size_ = 0;
  alignas(cmsghdr) std::array<std::uint8_t, CMSG_SPACE(sizeof(std::uint16_t))> control_{};
  std::array<Header, kMessages * kSegments> headers_{};
  std::array<iovec, kMessages * kSegments * 2> pieces_{};
  std::array<mmsghdr, kMessages> messages_{};
};

std::vector<Target> targets_of(const char* path) {
  std::vector<Target> targets;
  for (const sockaddr_in& to : read_targets(path)) {
    const auto i = static_cast<std::uint32_t>(targets.size());
    targets.push_back({to, 0x20000000U + i, 96, static_cast<std::uint16_t>(1000 + i), 90'000 + i});
  }
  return targets;
}

[[noreturn]] void run(int in, Fanout& fanout, Nanos wait) {
  const auto input = std::make_unique<Input>(in);
  const int poll = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event{EPOLLIN, {}};
  must(poll >= 0 && epoll_ctl(poll, EPOLL_CTL_ADD, in, &event) == 0, "epoll_ctl");
  const timespec gather{0, static_cast<long>(wait)};
  for (;;) {
    if (epoll_wait(poll, &event, 1, 1000) <= 0) {
      end_with_parent();
      continue;
    }
    if (wait > 0) clock_nanosleep(CLOCK_MONOTONIC, 0, &gather, nullptr);
    fanout.send(input->receive());
  }
}

}  // namespace
}  // namespace sluice::bench

int main(int count, char** arguments) {
  using namespace sluice::bench;
  if (count != 7) {
    std::fputs("usage: bare-fanout PORT FROM-ADDRESS TARGETS plain|sendmmsg|segment copy|rewrite WAIT-US\n",
               stderr);
    return 2;
  }
  prctl(PR_SET_TIMERSLACK, 1000);
  const std::string_view way = arguments[4];
  const int in = udp_socket(ipv4("0.0.0.0", arguments[1]), kReceiveBytes, SOCK_NONBLOCK);
  const int out = udp_socket(ipv4(arguments[2], "0"), 1 << 16);
  const auto fanout = std::make_unique<Fanout>(out, targets_of(arguments[3]),
                                               way == "plain"      ? Way::kPlain
                                               : way == "sendmmsg" ? Way::kSendmmsg
                                                                   : Way::kSegment,
                                               std::string_view(arguments[5]) == "rewrite");
  run(in, *fanout, static_cast<Nanos>(std::strtoul(arguments[6], nullptr, 10)) * 1000);
}
