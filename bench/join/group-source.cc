// group-source ADDRESS PORT FIRST-GROUP COUNT RATE
//
// Sends RATE datagrams a second, to COUNT groups from the first on in turn, until its parent ends.
#include <time.h>

#include "../lib/net.h"

namespace sluice::bench {
namespace {

constexpr std::size_t kBytes = 172;

[[noreturn]] void run(int fd, sockaddr_in to, std::uint32_t groups, Nanos gap) {
  const std::uint32_t first = ntohl(to.sin_addr.s_addr);
  const std::uint8_t payload[kBytes] = {};
  std::uint32_t turn = 0;
  for (Nanos next = now();; next += gap) {
    const timespec at{static_cast<time_t>(next / kSecond), static_cast<long>(next % kSecond)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
    to.sin_addr.s_addr = htonl(first + turn);
    (void)sendto(fd, payload, sizeof payload, 0, base(to), sizeof to);
    if (++turn == groups) turn = 0;
    if (turn == 0) end_with_parent();
  }
}

}  // namespace
}  // namespace sluice::bench

int main(int count, char** arguments) {
  using namespace sluice::bench;
  if (count != 6) {
    (void)std::fputs("usage: group-source ADDRESS PORT FIRST-GROUP COUNT RATE\n", stderr);
    return 2;
  }
  const auto groups = static_cast<std::uint32_t>(std::strtoul(arguments[4], nullptr, 10));
  run(multicast_sender(arguments[1]), ipv4(arguments[3], arguments[2]), groups,
      kSecond / static_cast<Nanos>(std::strtoll(arguments[5], nullptr, 10)));
}
