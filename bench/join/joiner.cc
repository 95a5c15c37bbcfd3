// joiner one   INTERFACE ADDRESS SOURCE FIRST-GROUP COUNT REST-MS
// joiner many  INTERFACE ADDRESS SOURCE FIRST-GROUP COUNT LIMIT-MS
// joiner storm INTERFACE ADDRESS SOURCE FIRST-GROUP COUNT RATE
// joiner hold  INTERFACE ADDRESS SOURCE FIRST-GROUP COUNT 0
//
// Sends IGMPv3 reports and sees when packets come, both by one clock; arrivals are stamped by the kernel.
//
// one: joins and leaves one group so many times, with a pause after each end of its packets. A JSON line
// each:
// {"join","leave"} in microseconds, to the first packet and to the last; null when none came, or they
// did not end, within 20 s, which ends it.
//
// many: joins groups all at once. One line: {"first","last","flowing"}, microseconds to the first packet of
// the first group and of the last.
//
// storm: joins groups at a rate and does not look: {"sent","seconds"}.
//
// hold: joins groups, and again every second, until its parent ends.
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "../lib/net.h"
#include "igmp.h"

namespace sluice::bench {
namespace {

constexpr Nanos kMilli = 1'000'000;
constexpr Nanos kPatience = 20 * kSecond;
/** Packets have ended when none came for so long. */
constexpr Nanos kQuiet = 150 * kMilli;

Nanos real_now() {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  return static_cast<Nanos>(t.tv_sec) * kSecond + t.tv_nsec;
}

struct Arrival {
  std::uint32_t group = 0;
  Nanos at = 0;
};

/** A host's side of a link. */
class Host {
 public:
  Host(const char* interface, const char* address)
      : packets_(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_IP))),
        reports_(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_IGMP)) {
    must(packets_ >= 0 && reports_ >= 0, "socket");
    const auto index = static_cast<int>(if_nametoindex(interface));
    sockaddr_ll here{};
    here.sll_family = AF_PACKET;
    here.sll_protocol = htons(ETH_P_IP);
    here.sll_ifindex = index;
    must(bind(packets_, reinterpret_cast<const sockaddr*>(&here), sizeof here) == 0, "bind");
    packet_mreq all{};
    all.mr_ifindex = index;
    all.mr_type = PACKET_MR_ALLMULTI;
    set(packets_, SOL_PACKET, PACKET_ADD_MEMBERSHIP, all, "PACKET_ADD_MEMBERSHIP");
    set(packets_, SOL_SOCKET, SO_TIMESTAMPNS, 1, "SO_TIMESTAMPNS");
    set(packets_, SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20, "SO_RCVBUFFORCE");
    const sockaddr_in own = ipv4(address, "0");
    must(bind(reports_, base(own), sizeof own) == 0, "bind");
    set(reports_, IPPROTO_IP, IP_MULTICAST_IF, own.sin_addr, "IP_MULTICAST_IF");
    set(reports_, IPPROTO_IP, IP_MULTICAST_TTL, static_cast<unsigned char>(1), "IP_MULTICAST_TTL");
    const std::uint8_t alert[4] = {0x94, 4, 0, 0};
    set(reports_, IPPROTO_IP, IP_OPTIONS, alert, "IP_OPTIONS");
  }

  /** When it was given to the kernel. */
  Nanos send(const std::vector<std::uint8_t>& message) {
    const sockaddr_in to = ipv4("224.0.0.22", "0");
    const Nanos at = real_now();
    must(sendto(reports_, message.data(), message.size(), 0, base(to), sizeof to) ==
             static_cast<ssize_t>(message.size()),
         "sendto");
    return at;
  }

  /** The next packet of a group, or nothing until then. */
  std::optional<Arrival> next(Nanos until) {
    for (;;) {
      const Nanos left = until - real_now();
      if (left <= 0) return std::nullopt;
      const timespec wait{static_cast<time_t>(left / kSecond), static_cast<long>(left % kSecond)};
      pollfd in{packets_, POLLIN, 0};
      if (ppoll(&in, 1, &wait, nullptr) <= 0) continue;
      if (auto arrival = receive()) return arrival;
    }
  }

  void drain() {
    while (receive(MSG_DONTWAIT) || more_) {
    }
  }

 private:
  std::optional<Arrival> receive(int flags = 0) {
    std::array<std::uint8_t, 64> bytes{};
    alignas(cmsghdr) std::array<char, 128> control{};
    sockaddr_ll from{};
    iovec piece{bytes.data(), bytes.size()};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t size = recvmsg(packets_, &message, flags);
    more_ = size > 0;
    if (size < 28 || from.sll_pkttype == PACKET_OUTGOING || bytes[9] != IPPROTO_UDP) return std::nullopt;
    Arrival arrival;
    std::memcpy(&arrival.group, &bytes[16], sizeof arrival.group);
    arrival.group = ntohl(arrival.group);
    for (cmsghdr* one = CMSG_FIRSTHDR(&message); one != nullptr; one = CMSG_NXTHDR(&message, one)) {
      if (one->cmsg_level != SOL_SOCKET || one->cmsg_type != SCM_TIMESTAMPNS) continue;
      timespec t{};
      std::memcpy(&t, CMSG_DATA(one), sizeof t);
      arrival.at = static_cast<Nanos>(t.tv_sec) * kSecond + t.tv_nsec;
    }
    return arrival;
  }

  int packets_;
  int reports_;
  bool more_ = false;
};

struct Channels {
  in_addr source{};
  /** In host order. */
  std::uint32_t first = 0;
  std::uint32_t count = 0;

  [[nodiscard]] Record record(std::uint8_t type, std::uint32_t number) const {
    Record out;
    out.type = type;
    out.group.s_addr = htonl(first + number);
    out.source = source;
    return out;
  }

  /** All of them, as few messages as they take. */
  [[nodiscard]] std::vector<std::vector<std::uint8_t>> all(std::uint8_t type) const {
    std::vector<std::vector<std::uint8_t>> out;
    for (std::uint32_t i = 0; i < count;) {
      std::vector<Record> records;
      while (records.size() < kMostRecords && i < count) records.push_back(record(type, i++));
      out.push_back(report(records));
    }
    return out;
  }
};

double micros(Nanos span) {
  return static_cast<double>(span) / 1000;
}

/** One join and one leave; false when no packet came, or they never ended. */
bool once(Host& host, const Channels& channels) {
  const Record joined = channels.record(kAllow, 0);
  const Record left = channels.record(kBlock, 0);
  host.drain();
  const Nanos begun = host.send(report({&joined, 1}));
  auto first = host.next(begun + kPatience);
  while (first && first->at < begun) first = host.next(begun + kPatience);
  // Some packets more, so that the leave meets a flow.
  for (int i = 0; i < 10 && first; i++) (void)host.next(real_now() + kSecond);
  const Nanos ended = host.send(report({&left, 1}));
  Nanos last = ended;
  while (last < ended + kPatience) {
    const auto one = host.next(last + kQuiet);
    if (!one) break;
    last = std::max(last, one->at);
  }
  const bool stopped = last < ended + kPatience;
  if (first && stopped)
    std::printf("{\"join\":%.1f,\"leave\":%.1f}\n", micros(first->at - begun), micros(last - ended));
  else if (first)
    std::printf("{\"join\":%.1f,\"leave\":null}\n", micros(first->at - begun));
  else
    std::printf("{\"join\":null,\"leave\":null}\n");
  (void)std::fflush(stdout);
  return first && stopped;
}

void many(Host& host, const Channels& channels, Nanos limit) {
  const auto messages = channels.all(kAllow);
  host.drain();
  const Nanos begun = real_now();
  for (const auto& message : messages) (void)host.send(message);
  std::vector<bool> seen(channels.count);
  std::uint32_t flowing = 0;
  Nanos first = 0;
  Nanos last = begun;
  while (flowing < channels.count) {
    const auto one = host.next(begun + limit);
    if (!one) break;
    const std::uint32_t number = one->group - channels.first;
    if (number >= channels.count || seen[number]) continue;
    seen[number] = true;
    if (flowing++ == 0) first = one->at;
    last = std::max(last, one->at);
  }
  std::printf("{\"first\":%.1f,\"last\":%.1f,\"flowing\":%u}\n", micros(first - begun), micros(last - begun),
              flowing);
}

void storm(Host& host, const Channels& channels, Nanos rate) {
  const Nanos begun = now();
  for (std::uint32_t i = 0; i < channels.count; i++) {
    const Nanos due = begun + i * kSecond / rate;
    const timespec at{static_cast<time_t>(due / kSecond), static_cast<long>(due % kSecond)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, nullptr);
    const Record joined = channels.record(kAllow, i);
    (void)host.send(report({&joined, 1}));
  }
  std::printf("{\"sent\":%u,\"seconds\":%.2f}\n", channels.count, micros(now() - begun) / 1e6);
}

[[noreturn]] void hold(Host& host, const Channels& channels) {
  for (;; sleep(1)) {
    for (const auto& message : channels.all(kAllow)) (void)host.send(message);
    end_with_parent();
  }
}

}  // namespace
}  // namespace sluice::bench

int main(int count, char** arguments) {
  using namespace sluice::bench;
  if (count != 8) {
    (void)std::fputs("usage: joiner one|many|storm|hold INTERFACE ADDRESS SOURCE FIRST-GROUP COUNT N\n",
                     stderr);
    return 2;
  }
  const std::string_view mode = arguments[1];
  Host host(arguments[2], arguments[3]);
  const auto number = static_cast<std::uint32_t>(std::strtoul(arguments[6], nullptr, 10));
  const Nanos last = std::strtoll(arguments[7], nullptr, 10);
  Channels channels{ipv4(arguments[4], "0").sin_addr, ntohl(ipv4(arguments[5], "0").sin_addr.s_addr), number};
  if (mode == "many") many(host, channels, last * kMilli);
  if (mode == "storm") storm(host, channels, last);
  if (mode == "hold") hold(host, channels);
  for (std::uint32_t i = 0; mode == "one" && i < number; i++) {
    if (!once(host, channels)) break;
    usleep(static_cast<useconds_t>(last * 1000));
  }
}
