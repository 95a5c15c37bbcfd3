// tsgen GROUP PORT INTERFACE-ADDRESS MBIT/S
//
// A live RTP/MP2T source of constant rate: PAT and PMT ten times a second, 25 pictures a second with PCR and
// PTS, an H.264 random access point once a second. The pictures are not meant to be decoded; all that a relay
// looks at is valid.
#include <algorithm>
#include <array>
#include <cstring>
#include <initializer_list>
#include <vector>

#include "../lib/net.h"

namespace sluice::bench {
namespace {

constexpr int kPicturesPerSecond = 25;
constexpr std::int64_t kSystemClock = 27'000'000;
constexpr std::uint16_t kPmtPid = 0x1000;
constexpr std::uint16_t kVideoPid = 0x100;

std::uint32_t crc32(const std::uint8_t* p, std::size_t size) {
  std::uint32_t crc = 0xffffffff;
  for (std::size_t i = 0; i < size; i++) {
    crc ^= std::uint32_t{p[i]} << 24;
    for (int bit = 0; bit < 8; bit++) crc = (crc << 1) ^ ((crc & 0x80000000) != 0 ? 0x04c11db7 : 0);
  }
  return crc;
}

/** Makes TS packets one after the other; each lasts `188 * 8 / rate` seconds. */
class Multiplex {
 public:
  explicit Multiplex(double bits_per_second) : seconds_per_packet_(kTsPacket * 8 / bits_per_second) {}

  void next(std::uint8_t* out) {
    const double at = seconds_per_packet_ * static_cast<double>(count_++);
    if (at >= next_tables_) {
      next_tables_ += 0.1;
      tables_left_ = 2;
    }
    if (tables_left_ > 0) return table(out);
    if (at * kPicturesPerSecond >= static_cast<double>(picture_)) return begin_picture(out, at);
    header(out, kVideoPid, false, 0x10);
    std::memset(out + 4, 0x55, kTsPacket - 4);
  }

 private:
  void header(std::uint8_t* out, std::uint16_t pid, bool start, std::uint8_t control) {
    out[0] = 0x47;
    out[1] = static_cast<std::uint8_t>((start ? 0x40 : 0) | pid >> 8);
    out[2] = static_cast<std::uint8_t>(pid);
    out[3] = static_cast<std::uint8_t>(control | (counters_[pid]++ & 0x0f));
  }

  void section(std::uint8_t* out, std::uint16_t pid, std::vector<std::uint8_t> bytes) {
    header(out, pid, true, 0x10);
    const std::uint32_t crc = crc32(bytes.data(), bytes.size());
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(crc >> shift));
    std::memset(out + 4, 0xff, kTsPacket - 4);
    out[4] = 0;
    std::copy(bytes.begin(), bytes.end(), out + 5);
  }

  void table(std::uint8_t* out) {
    if (tables_left_-- == 2) {
      section(out, 0, {0x00, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0x00});
    } else {
      section(out, kPmtPid,
              {0x02, 0xb0, 18, 0, 1, 0xc1, 0, 0, 0xe1, 0x00, 0xf0, 0, 0x1b, 0xe1, 0x00, 0xf0, 0});
    }
  }

  void begin_picture(std::uint8_t* out, double at) {
    const bool access_point = picture_++ % kPicturesPerSecond == 0;
    header(out, kVideoPid, true, 0x30);
    out[4] = 7;
    out[5] = access_point ? 0x50 : 0x10;
    const auto pcr = static_cast<std::int64_t>(at * kSystemClock);
    const std::int64_t clock = pcr / 300;
    for (int i = 0; i < 4; i++) out[6 + i] = static_cast<std::uint8_t>(clock >> (25 - 8 * i));
    out[10] = static_cast<std::uint8_t>((clock & 1) << 7 | 0x7e | (pcr % 300) >> 8);
    out[11] = static_cast<std::uint8_t>(pcr % 300);
    const std::int64_t pts = clock + 45'000;
    const std::array<std::uint8_t, 14> pes = {0,
                                              0,
                                              1,
                                              0xe0,
                                              0,
                                              0,
                                              0x80,
                                              0x80,
                                              5,
                                              static_cast<std::uint8_t>(0x21 | ((pts >> 29) & 0x0e)),
                                              static_cast<std::uint8_t>(pts >> 22),
                                              static_cast<std::uint8_t>((pts >> 14) | 1),
                                              static_cast<std::uint8_t>(pts >> 7),
                                              static_cast<std::uint8_t>((pts << 1) | 1)};
    std::memset(out + 12, 0x55, kTsPacket - 12);
    std::copy(pes.begin(), pes.end(), out + 12);
    const std::uint8_t nal = access_point ? 0x65 : 0x41;
    const std::array<std::uint8_t, 11> units = {0, 0, 0, 1, 0x09, 0xf0, 0, 0, 0, 1, nal};
    std::copy(units.begin(), units.end(), out + 12 + pes.size());
  }

  double seconds_per_packet_;
  std::uint64_t count_ = 0;
  double next_tables_ = 0;
  int tables_left_ = 0;
  std::uint64_t picture_ = 0;
  std::array<std::uint8_t, 8192> counters_{};
};

void rtp_header(std::uint8_t* out, std::uint64_t sequence, double seconds) {
  const auto timestamp = static_cast<std::uint32_t>(static_cast<std::uint64_t>(seconds * 90'000));
  const std::array<std::uint32_t, 3> words = {htonl(0x80210000U | (sequence & 0xffff)), htonl(timestamp),
                                              htonl(0x51055105U)};
  std::memcpy(out, words.data(), kRtpHeader);
}

[[noreturn]] void run(const char* group, const char* port, const char* interface_address,
                      double bits_per_second) {
  const int fd = multicast_sender(interface_address);
  const sockaddr_in to = ipv4(group, port);
  Multiplex multiplex(bits_per_second);
  const double seconds_per_datagram = kPayload * 8 / bits_per_second;
  const Nanos begin = now();
  std::array<std::uint8_t, kDatagram> datagram{};
  for (std::uint64_t sequence = 0;; sequence++) {
    const double at = seconds_per_datagram * static_cast<double>(sequence);
    rtp_header(datagram.data(), sequence, at);
    for (int i = 0; i < 7; i++) multiplex.next(datagram.data() + kRtpHeader + i * kTsPacket);
    const Nanos due = begin + static_cast<Nanos>(at * kSecond);
    const timespec until{static_cast<time_t>(due / kSecond), static_cast<long>(due % kSecond)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
    must(sendto(fd, datagram.data(), datagram.size(), 0, base(to), sizeof to) > 0, "sendto");
    if (sequence % 256 == 0) end_with_parent();
  }
}

}  // namespace
}  // namespace sluice::bench

int main(int count, char** arguments) {
  if (count != 5) {
    std::fputs("usage: tsgen GROUP PORT INTERFACE-ADDRESS MBIT/S\n", stderr);
    return 2;
  }
  sluice::bench::run(arguments[1], arguments[2], arguments[3], std::strtod(arguments[4], nullptr) * 1e6);
}
