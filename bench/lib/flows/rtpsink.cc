// rtpsink PORT FLOWS
//
// Takes what rtpgen sent, whatever was done to its RTP headers on the way: on all addresses, by one socket. A
// JSON line every 100 ms, as the other sinks print it; after SIGTERM one more for every phase, with the
// delays in microseconds from the generator's call to the arrival at the interface, stamped by the kernel:
// how late this program is does not count.
#include <poll.h>

#include <algorithm>
#include <csignal>
#include <memory>

#include "flows.h"

namespace sluice::bench {
namespace {

constexpr std::size_t kBatch = 64;
constexpr Nanos kReport = 100'000'000;
constexpr std::size_t kPhases = 64;
/** Delays are told apart by a tenth of a microsecond, up to a tenth of a second. */
constexpr Nanos kStep = 100;
constexpr std::size_t kSteps = 1'000'000;

volatile std::sig_atomic_t ended = 0;

struct PhaseSeen {
  std::uint64_t packets = 0;
  std::uint32_t flows = 0;
  std::uint64_t gaps = 0;
  /** When the first packet of the last flow came that had not been heard in this phase; CLOCK_REALTIME. */
  Nanos all_flows = 0;
  std::vector<bool> heard;
  std::vector<std::uint32_t> delays;
};

class Sink {
 public:
  explicit Sink(std::size_t flows) : flows_(flows), sequences_(flows, -1), phases_(kPhases) {
    for (std::size_t i = 0; i < kBatch; i++) {
      pieces_[i] = {packets_[i].data(), packets_[i].size()};
      messages_[i].msg_hdr.msg_iov = &pieces_[i];
      messages_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  void receive(int fd) {
    for (std::size_t i = 0; i < kBatch; i++) {
      messages_[i].msg_hdr.msg_control = controls_[i].data();
      messages_[i].msg_hdr.msg_controllen = controls_[i].size();
    }
    const int n = recvmmsg(fd, messages_.data(), kBatch, MSG_DONTWAIT, nullptr);
    for (int i = 0; i < n; i++) take(static_cast<std::size_t>(i));
  }

  void report(Nanos at) const {
    std::printf("{\"at\":%lld,\"bytes\":%llu,\"packets\":%llu,\"connected\":%zu,\"errors\":%llu}\n",
                static_cast<long long>(at), static_cast<unsigned long long>(bytes_),
                static_cast<unsigned long long>(packets_seen_), connected_,
                static_cast<unsigned long long>(errors_));
    (void)std::fflush(stdout);
  }

  void report_phases() const {
    for (std::size_t i = 0; i < kPhases; i++) {
      const PhaseSeen& one = phases_[i];
      if (one.packets == 0) continue;
      std::printf(
          "{\"phase\":%zu,\"packets\":%llu,\"flows\":%u,\"gaps\":%llu,\"allFlows\":%lld,\"p50\":%.1f,\"p99\":"
          "%.1f,\"p999\":"
          "%.1f}\n",
          i, static_cast<unsigned long long>(one.packets), one.flows,
          static_cast<unsigned long long>(one.gaps), static_cast<long long>(one.all_flows),
          quantile(one, 0.5), quantile(one, 0.99), quantile(one, 0.999));
    }
    (void)std::fflush(stdout);
  }

 private:
  static double quantile(const PhaseSeen& phase, double share) {
    const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(phase.packets));
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < kSteps; i++) {
      sum += phase.delays[i];
      if (sum > wanted) return static_cast<double>(i) * kStep / 1000;
    }
    return static_cast<double>(kSteps) * kStep / 1000;
  }

  static Nanos arrival(msghdr& message) {
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SO_TIMESTAMPNS) continue;
      timespec t{};
      std::memcpy(&t, CMSG_DATA(c), sizeof t);
      return static_cast<Nanos>(t.tv_sec) * kSecond + t.tv_nsec;
    }
    return realtime();
  }

  void take(std::size_t i) {
    const std::uint8_t* packet = packets_[i].data();
    const std::size_t size = messages_[i].msg_len;
    if (size < kMarked) return;
    Mark mark{};
    std::memcpy(&mark, packet + kRtpHeader, sizeof mark);
    if (mark.flow >= flows_ || mark.phase >= kPhases) return;
    packets_seen_++;
    bytes_ += size - kRtpHeader;
    PhaseSeen& phase = phases_[mark.phase];
    if (!follow(mark.flow, packet[2] << 8 | packet[3])) phase.gaps++;
    count(phase, mark, arrival(messages_[i].msg_hdr));
  }

  /** False where something is missing before this one. */
  bool follow(std::uint32_t flow, int sequence) {
    int& last = sequences_[flow];
    if (last < 0) connected_++;
    const bool continues = last < 0 || sequence == ((last + 1) & 0xffff);
    if (!continues) errors_++;
    last = sequence;
    return continues;
  }

  void count(PhaseSeen& phase, const Mark& mark, Nanos at) const {
    if (phase.packets++ == 0) {
      phase.heard.resize(flows_);
      phase.delays.resize(kSteps);
    }
    if (!phase.heard[mark.flow]) {
      phase.heard[mark.flow] = true;
      phase.flows++;
      phase.all_flows = at;
    }
    const Nanos delay = std::max<Nanos>(at - mark.sent, 0) / kStep;
    phase.delays[std::min(static_cast<std::size_t>(delay), kSteps - 1)]++;
  }

  std::size_t flows_;
  std::vector<int> sequences_;
  std::vector<PhaseSeen> phases_;
  std::uint64_t packets_seen_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t errors_ = 0;
  std::size_t connected_ = 0;
  std::array<std::array<std::uint8_t, 2048>, kBatch> packets_{};
  std::array<std::array<std::uint8_t, 64>, kBatch> controls_{};
  std::array<iovec, kBatch> pieces_{};
  std::array<mmsghdr, kBatch> messages_{};
};

void run(int fd, std::size_t flows) {
  const auto sink = std::make_unique<Sink>(flows);
  for (Nanos next = now(); ended == 0;) {
    pollfd in{fd, POLLIN, 0};
    if (poll(&in, 1, 20) > 0) sink->receive(fd);
    if (const Nanos at = now(); at >= next) {
      sink->report(at);
      end_with_parent();
      next += kReport;
    }
  }
  sink->report_phases();
}

}  // namespace
}  // namespace sluice::bench

int main(int count, char** arguments) {
  using namespace sluice::bench;
  if (count != 3) {
    std::fputs("usage: rtpsink PORT FLOWS\n", stderr);
    return 2;
  }
  (void)std::signal(SIGTERM, [](int) { ended = 1; });
  const int fd = udp_socket(ipv4("0.0.0.0", arguments[1]), 8 << 20, SOCK_NONBLOCK);
  set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1, "SO_TIMESTAMPNS");
  run(fd, std::strtoul(arguments[2], nullptr, 10));
}
