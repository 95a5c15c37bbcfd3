// mcsink GROUP PORT INTERFACE-ADDRESS
//
// Joins, counts RTP payload and the gaps in the sequence; the same sink for everybody. One JSON line every
// 100 ms, as httpsink prints it.
#include <poll.h>

#include <array>

#include "../lib/net.h"

namespace sluice::bench {
namespace {

constexpr int kBatch = 64;
constexpr Nanos kReport = 100'000'000;

[[noreturn]] void run(int fd) {
  static std::array<std::array<std::uint8_t, 2048>, kBatch> buffers;
  std::array<iovec, kBatch> pieces{};
  std::array<mmsghdr, kBatch> messages{};
  for (std::size_t i = 0; i < kBatch; i++) {
    pieces[i] = {buffers[i].data(), buffers[i].size()};
    messages[i].msg_hdr.msg_iov = &pieces[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  std::uint64_t bytes = 0;
  std::uint64_t errors = 0;
  int last = -1;
  for (Nanos next = now();;) {
    pollfd in{fd, POLLIN, 0};
    const int ready = poll(&in, 1, 20);
    const int n = ready > 0 ? recvmmsg(fd, messages.data(), kBatch, MSG_DONTWAIT, nullptr) : 0;
    for (int i = 0; i < n; i++) {
      const auto& packet = buffers[static_cast<std::size_t>(i)];
      const int sequence = packet[2] << 8 | packet[3];
      if (last >= 0 && sequence != ((last + 1) & 0xffff)) errors++;
      last = sequence;
      bytes += messages[static_cast<std::size_t>(i)].msg_len - kRtpHeader;
    }
    if (const Nanos at = now(); at >= next) {
      std::printf("{\"at\":%lld,\"bytes\":%llu,\"connected\":1,\"errors\":%llu}\n",
                  static_cast<long long>(at), static_cast<unsigned long long>(bytes),
                  static_cast<unsigned long long>(errors));
      std::fflush(stdout);
      end_with_parent();
      next += kReport;
    }
  }
}

}  // namespace
}  // namespace sluice::bench

int main(int count, char** arguments) {
  using namespace sluice::bench;
  if (count != 4) {
    std::fputs("usage: mcsink GROUP PORT INTERFACE-ADDRESS\n", stderr);
    return 2;
  }
  run(join(ipv4(arguments[1], arguments[2]), arguments[3]));
}
