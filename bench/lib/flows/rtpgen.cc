// rtpgen TARGETS BYTES BURST RATE:SECONDS [RATE:SECONDS ...]
//
// Sends RTP of BYTES (UDP payload) to the targets in turn: target i is flow i, with an SSRC of its own. RATE
// is packets a second of all flows; BURST packets of a flow leave together. What cannot be sent in time is
// left out, so that the rate never exceeds what was asked. Each phase is told by one JSON line when it begins
// and one when it has ended.
#include <sys/prctl.h>

#include <algorithm>

#include "flows.h"

namespace sluice::bench {
namespace {

constexpr std::size_t kBatch = 64;
constexpr std::size_t kMostBytes = 1472;
/** Behind by more than this, packets are left out. */
constexpr Nanos kDebt = 10'000'000;
constexpr std::uint32_t kTimestampStep = 160;

struct Phase {
  double rate;
  double seconds;
};

class Generator {
 public:
  Generator(std::vector<sockaddr_in> targets, std::size_t bytes, std::uint64_t burst)
      : targets_(std::move(targets)),
        sequences_(targets_.size()),
        burst_(burst),
        fd_(udp_socket(ipv4("0.0.0.0", "0"), 1 << 16)) {
    for (std::size_t i = 0; i < kBatch; i++) {
      packets_[i].fill(0x55);
      pieces_[i] = {packets_[i].data(), bytes};
      messages_[i].msg_hdr.msg_iov = &pieces_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
      messages_[i].msg_hdr.msg_namelen = sizeof(sockaddr_in);
    }
  }

  void run(std::uint32_t number, const Phase& phase) {
    Nanos begin = now();
    const Nanos end = begin + static_cast<Nanos>(phase.seconds * kSecond);
    std::printf("{\"begins\":%u,\"at\":%lld}\n", number, static_cast<long long>(realtime()));
    (void)std::fflush(stdout);
    std::uint64_t sent = 0;
    std::uint64_t scheduled = 0;
    for (Nanos at = begin; at < end; at = now()) {
      end_with_parent();
      const Nanos next = due(begin, scheduled + burst_, phase);
      if (at - next > kDebt) begin += at - next;
      const auto owed = static_cast<std::uint64_t>(static_cast<double>(at - begin) * phase.rate / kSecond);
      if (owed >= scheduled + burst_) {
        const std::uint64_t n = std::min<std::uint64_t>((owed - scheduled) / burst_ * burst_, batch());
        sent += send(number, n);
        scheduled += n;
      } else {
        sleep_until(std::min(end, next));
      }
    }
    std::printf("{\"phase\":%u,\"sent\":%llu,\"asked\":%.0f}\n", number,
                static_cast<unsigned long long>(sent), phase.rate * phase.seconds);
    (void)std::fflush(stdout);
  }

 private:
  static Nanos due(Nanos begin, std::uint64_t packets, const Phase& phase) {
    return begin + static_cast<Nanos>(static_cast<double>(packets) * kSecond / phase.rate);
  }

  static void sleep_until(Nanos at) {
    const timespec until{static_cast<time_t>(at / kSecond), static_cast<long>(at % kSecond)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
  }

  std::uint64_t batch() const { return kBatch / burst_ * burst_; }

  std::uint64_t send(std::uint32_t phase, std::uint64_t count) {
    for (std::size_t i = 0; i < count; i++) {
      write(packets_[i].data(), phase);
      messages_[i].msg_hdr.msg_name = &targets_[flow_];
      if (++in_burst_ == burst_) {
        in_burst_ = 0;
        flow_ = flow_ + 1 == targets_.size() ? 0 : flow_ + 1;
      }
    }
    const int n = sendmmsg(fd_, messages_.data(), static_cast<unsigned>(count), 0);
    must(n > 0, "sendmmsg");
    return static_cast<std::uint64_t>(n);
  }

  void write(std::uint8_t* packet, std::uint32_t phase) {
    const std::uint16_t sequence = ++sequences_[flow_];
    store32(packet, 0x80000000U | sequence);
    store32(packet + 4, sequence * kTimestampStep);
    store32(packet + 8, kFirstSsrc + static_cast<std::uint32_t>(flow_));
    const Mark mark{realtime(), static_cast<std::uint32_t>(flow_), phase};
    std::memcpy(packet + kRtpHeader, &mark, sizeof mark);
  }

  std::vector<sockaddr_in> targets_;
  std::vector<std::uint16_t> sequences_;
  std::uint64_t burst_;
  int fd_;
  std::size_t flow_ = 0;
  std::uint64_t in_burst_ = 0;
  std::array<std::array<std::uint8_t, kMostBytes>, kBatch> packets_{};
  std::array<iovec, kBatch> pieces_{};
  std::array<mmsghdr, kBatch> messages_{};
};

Phase phase(const char* text) {
  char* rest = nullptr;
  const double rate = std::strtod(text, &rest);
  return {rate, std::strtod(rest + (*rest == ':' ? 1 : 0), nullptr)};
}

}  // namespace
}  // namespace sluice::bench

int main(int count, char** arguments) {
  using namespace sluice::bench;
  if (count < 5) {
    std::fputs("usage: rtpgen TARGETS BYTES BURST RATE:SECONDS [RATE:SECONDS ...]\n", stderr);
    return 2;
  }
  prctl(PR_SET_TIMERSLACK, 1000);
  const std::size_t bytes =
      std::clamp<std::size_t>(std::strtoul(arguments[2], nullptr, 10), kMarked, kMostBytes);
  const std::uint64_t burst = std::clamp<std::uint64_t>(std::strtoul(arguments[3], nullptr, 10), 1, kBatch);
  Generator generator(read_targets(arguments[1]), bytes, burst);
  for (int i = 4; i < count; i++) generator.run(static_cast<std::uint32_t>(i - 4), phase(arguments[i]));
}
