// What the programs of the benches share: sockets, time, and how they tell what they counted.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace sluice::bench {

constexpr int kTsPacket = 188;
/** An RTP header and seven TS packets (RFC 2250). */
constexpr int kRtpHeader = 12;
constexpr int kPayload = 7 * kTsPacket;
constexpr int kDatagram = kRtpHeader + kPayload;

using Nanos = std::int64_t;
constexpr Nanos kSecond = 1'000'000'000;

inline Nanos now() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<Nanos>(t.tv_sec) * kSecond + t.tv_nsec;
}

[[noreturn]] inline void die(const char* what) {
  std::perror(what);
  std::_Exit(1);
}

inline void must(bool ok, const char* what) {
  if (!ok) die(what);
}

inline sockaddr_in ipv4(const char* address, const char* port) {
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<std::uint16_t>(std::strtoul(port, nullptr, 10)));
  must(inet_aton(address, &a.sin_addr) != 0, address);
  return a;
}

inline const sockaddr* base(const sockaddr_in& a) {
  return reinterpret_cast<const sockaddr*>(&a);
}

template <class T>
void set(int fd, int level, int option, const T& value, const char* what) {
  must(setsockopt(fd, level, option, &value, sizeof value) == 0, what);
}

/** A non-blocking TCP socket that listens on every address; the queue is as long as the system allows. */
inline int listen_on(const char* port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  set(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
  const sockaddr_in any = ipv4("0.0.0.0", port);
  must(bind(fd, base(any), sizeof any) == 0 && listen(fd, SOMAXCONN) == 0, "listen");
  return fd;
}

/** A non-blocking socket that has joined `group` on the interface with this address. */
inline int join(const sockaddr_in& group, const char* interface_address) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  must(fd >= 0, "socket");
  set(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
  // Without the right to force it the limit of the system stays, which is enough for one stream.
  const int buffer = 4 << 20;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) != 0) {
    set(fd, SOL_SOCKET, SO_RCVBUF, buffer, "SO_RCVBUF");
  }
  must(bind(fd, base(group), sizeof group) == 0, "bind");
  ip_mreq request{};
  request.imr_multiaddr = group.sin_addr;
  must(inet_aton(interface_address, &request.imr_interface) != 0, interface_address);
  set(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, request, "IP_ADD_MEMBERSHIP");
  return fd;
}

/** A socket that sends multicast from the interface with this address. */
inline int multicast_sender(const char* interface_address) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  must(fd >= 0, "socket");
  in_addr interface {};
  must(inet_aton(interface_address, &interface) != 0, interface_address);
  set(fd, IPPROTO_IP, IP_MULTICAST_IF, interface, "IP_MULTICAST_IF");
  set(fd, IPPROTO_IP, IP_MULTICAST_TTL, static_cast<unsigned char>(8), "IP_MULTICAST_TTL");
  set(fd, IPPROTO_IP, IP_MULTICAST_LOOP, static_cast<unsigned char>(0), "IP_MULTICAST_LOOP");
  return fd;
}

/** Ends the program when the one that started it has gone. */
inline void end_with_parent() {
  static const pid_t parent = getppid();
  if (getppid() != parent) std::_Exit(0);
}

}  // namespace sluice::bench
