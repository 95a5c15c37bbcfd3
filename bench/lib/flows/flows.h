// What the programs of the benches about flows share: the mark in every packet, the file of targets, RTP
// headers.
#pragma once

#include <array>
#include <cstring>
#include <vector>

#include "../net.h"

namespace sluice::bench {

/** SSRC of flow 0; the others follow. */
constexpr std::uint32_t kFirstSsrc = 0x10000000;

/** Stands behind the RTP header of every packet, in the machine's byte order: all programs run on one
 * machine. */
struct Mark {
  /** CLOCK_REALTIME, which the kernel stamps arrivals with. */
  Nanos sent;
  std::uint32_t flow;
  std::uint32_t phase;
};
constexpr std::size_t kMarked = kRtpHeader + sizeof(Mark);

inline Nanos realtime() {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  return static_cast<Nanos>(t.tv_sec) * kSecond + t.tv_nsec;
}

/** A line `ADDRESS PORT` for every target, in their order. */
inline std::vector<sockaddr_in> read_targets(const char* path) {
  std::FILE* file = std::fopen(path, "re");
  must(file != nullptr, path);
  std::vector<sockaddr_in> targets;
  std::array<char, 64> address{};
  std::array<char, 16> port{};
  while (std::fscanf(file, "%63s %15s", address.data(), port.data()) == 2) {
    targets.push_back(ipv4(address.data(), port.data()));
  }
  (void)std::fclose(file);
  if (targets.empty()) {
    std::fprintf(stderr, "%s: no targets\n", path);
    std::_Exit(1);
  }
  return targets;
}

/** A UDP socket with a receive buffer of so many bytes. */
inline int udp_socket(const sockaddr_in& at, int receive_bytes, int flags = 0) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | flags, 0);
  must(fd >= 0, "socket");
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_bytes, sizeof receive_bytes) != 0) {
    set(fd, SOL_SOCKET, SO_RCVBUF, receive_bytes, "SO_RCVBUF");
  }
  must(bind(fd, base(at), sizeof at) == 0, "bind");
  return fd;
}

inline std::uint32_t load32(const std::uint8_t* from) {
  std::uint32_t value = 0;
  std::memcpy(&value, from, sizeof value);
  return ntohl(value);
}

inline void store32(std::uint8_t* to, std::uint32_t value) {
  const std::uint32_t wire = htonl(value);
  std::memcpy(to, &wire, sizeof wire);
}

}  // namespace sluice::bench
