// bare-sender IN-GROUP IN-PORT IN-ADDRESS OUT-GROUP OUT-PORT OUT-ADDRESS segment|plain DELAY-MS
//
// The least a paced multicast relay has to do: RTP in, its own 12-byte header on, out again DELAY-MS after it
// came, with the spacing it came with, to 1 ms. `segment` hands what is due to the kernel as one UDP_SEGMENT
// batch, `plain` one packet a call. The addresses are those of the interfaces.
#include <netinet/udp.h>
#include <poll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "../lib/net.h"

namespace sluice::bench {
namespace {

constexpr int kBatch = 32;
constexpr std::size_t kSegments = 16;
/** What is due within so short a time leaves together, in both ways. */
constexpr Nanos kGather = 1'000'000;
/** A power of two; enough for half a second at 400 Mbit/s. */
constexpr std::uint64_t kSlots = 16'384;

struct Slot {
  Nanos due;
  std::array<std::uint8_t, kRtpHeader> in;
  std::array<std::uint8_t, kRtpHeader> out;
  std::array<std::uint8_t, kPayload> payload;
};

class Relay {
 public:
  Relay(int input, int output, const sockaddr_in& to, bool segment, Nanos delay)
      : input_(input), output_(output), to_(to), segment_(segment), delay_(delay), slots_(kSlots) {
    if (segment_) set(output_, SOL_UDP, UDP_SEGMENT, kDatagram, "UDP_SEGMENT");
    for (int i = 0; i < kBatch; i++) {
      messages_[i].msg_hdr.msg_iov = pieces_[i].data();
      messages_[i].msg_hdr.msg_iovlen = 2;
    }
  }

  [[noreturn]] void run() {
    for (;;) {
      const Nanos at = now();
      send_due(at);
      pollfd in{input_, POLLIN, 0};
      const Nanos wait = read_ < written_ ? std::max<Nanos>(slot(read_).due + kGather - now(), 0) : kSecond;
      const timespec timeout{static_cast<time_t>(wait / kSecond), static_cast<long>(wait % kSecond)};
      const int ready = ppoll(&in, 1, &timeout, nullptr);
      if (ready > 0) receive();
      if (ready == 0 && wait == kSecond) end_with_parent();
    }
  }

 private:
  Slot& slot(std::uint64_t i) { return slots_[i & (kSlots - 1)]; }

  void receive() {
    for (int i = 0; i < kBatch; i++) {
      Slot& s = slot(written_ + static_cast<std::uint64_t>(i));
      pieces_[i] = {iovec{s.in.data(), kRtpHeader}, iovec{s.payload.data(), kPayload}};
    }
    const int n = recvmmsg(input_, messages_.data(), kBatch, MSG_DONTWAIT, nullptr);
    const Nanos due = now() + delay_;
    for (int i = 0; i < n; i++) {
      Slot& s = slot(written_);
      s.due = due;
      s.out = s.in;
      const std::uint32_t first = htonl(0x80210000U | static_cast<std::uint16_t>(written_++));
      const std::uint32_t ssrc = htonl(0x00c0ffee);
      std::memcpy(s.out.data(), &first, sizeof first);
      std::memcpy(s.out.data() + 8, &ssrc, sizeof ssrc);
    }
    if (written_ % 4096 < kBatch) end_with_parent();
  }

  void send_due(Nanos at) {
    const std::size_t most = segment_ ? kSegments : 1;
    while (read_ < written_ && slot(read_).due <= at) {
      std::size_t n = 0;
      while (n < most && read_ + n < written_ && slot(read_ + n).due <= at) {
        Slot& s = slot(read_ + n);
        out_[2 * n] = {s.out.data(), kRtpHeader};
        out_[2 * n + 1] = {s.payload.data(), kPayload};
        n++;
      }
      msghdr message{};
      message.msg_name = &to_;
      message.msg_namelen = sizeof to_;
      message.msg_iov = out_.data();
      message.msg_iovlen = 2 * n;
      must(sendmsg(output_, &message, 0) > 0, "sendmsg");
      read_ += n;
    }
  }

  int input_;
  int output_;
  sockaddr_in to_;
  bool segment_;
  Nanos delay_;
  std::vector<Slot> slots_;
  std::uint64_t read_ = 0;
  std::uint64_t written_ = 0;
  std::array<mmsghdr, kBatch> messages_{};
  std::array<std::array<iovec, 2>, kBatch> pieces_{};
  std::array<iovec, 2 * kSegments> out_{};
};

}  // namespace
}  // namespace sluice::bench

int main(int count, char** arguments) {
  using namespace sluice::bench;
  if (count != 9) {
    std::fputs("usage: bare-sender GROUP PORT IF-ADDRESS GROUP PORT IF-ADDRESS segment|plain DELAY-MS\n",
               stderr);
    return 2;
  }
  prctl(PR_SET_TIMERSLACK, 1000);
  const int input = join(ipv4(arguments[1], arguments[2]), arguments[3]);
  const int output = multicast_sender(arguments[6]);
  const bool segment = std::strcmp(arguments[7], "segment") == 0;
  const Nanos delay = static_cast<Nanos>(std::strtoul(arguments[8], nullptr, 10)) * 1'000'000;
  Relay(input, output, ipv4(arguments[4], arguments[5]), segment, delay).run();
}
