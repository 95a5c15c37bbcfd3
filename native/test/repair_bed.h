// Packets to be protected, and what became of them.
#pragma once

#include <algorithm>
#include <random>
#include <vector>

#include "repair/packet_window.h"

namespace sluice::test {

using Datagram = std::vector<std::uint8_t>;

/** An RTP packet whose bytes and, within limits, size are random. */
inline Datagram random_packet(std::mt19937& random, std::int64_t sequence, std::size_t least,
                              std::size_t most) {
  Datagram packet(codec::kRtpHeaderSize + least + random() % (most - least + 1));
  for (std::uint8_t& byte : packet) byte = static_cast<std::uint8_t>(random());
  codec::write_rtp_header(
      {(random() & 1) != 0, static_cast<std::uint8_t>(random() % 128), static_cast<std::uint16_t>(sequence),
       static_cast<std::uint32_t>(random()), 0xcafe},
      packet.data());
  return packet;
}

/** Packets that follow one another from `first` on. */
class Source {
 public:
  Source(std::int64_t first, std::size_t count, std::size_t least, std::size_t most, unsigned seed = 1)
      : first_(first) {
    std::mt19937 random(seed);
    for (std::size_t i = 0; i < count; i++)
      packets_.push_back(random_packet(random, first + static_cast<std::int64_t>(i), least, most));
  }
  [[nodiscard]] std::int64_t first() const { return first_; }
  [[nodiscard]] std::int64_t end() const { return first_ + static_cast<std::int64_t>(packets_.size()); }
  [[nodiscard]] const Datagram& datagram(std::int64_t sequence) const {
    return packets_[static_cast<std::size_t>(sequence - first_)];
  }
  [[nodiscard]] repair::ProtectedPacket packet(std::int64_t sequence) const {
    const Datagram& all = datagram(sequence);
    return {sequence, all.data(), codec::Bytes(all).subspan(codec::kRtpHeaderSize)};
  }

 private:
  std::int64_t first_;
  std::vector<Datagram> packets_;
};

struct Repaired final : repair::RepairOutput {
  void on_repaired(std::int64_t sequence) noexcept override { all.push_back(sequence); }
  std::vector<std::int64_t> all;
};

inline bool same(codec::Bytes a, codec::Bytes b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

}  // namespace sluice::test
