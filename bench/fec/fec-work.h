// What is measured: the codes of the addon, and the least that does the same arithmetic on the same buffers.
#pragma once

#include <cstring>
#include <functional>
#include <vector>

#include "code.h"
#include "repair/parity_decoder.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#ifdef SLUICE_ISAL
#include <isa-l/erasure_code.h>
#endif

namespace sluice::bench {

constexpr std::size_t kDatagram = codec::kRtpHeaderSize + kPayload;

/** Packets one behind another, as in a ring. */
class Packets {
 public:
  Packets() : bytes_(kCount * kDatagram) {
    for (std::size_t i = 0; i < bytes_.size(); i++)
      bytes_[i] = static_cast<std::uint8_t>(i * 2654435761U >> 7);
    for (std::size_t i = 0; i < kCount; i++)
      codec::write_rtp_header({false, 33, static_cast<std::uint16_t>(i), 0, 0xcafe},
                              bytes_.data() + i * kDatagram);
  }
  [[nodiscard]] codec::Bytes datagram(std::int64_t i) const {
    return {bytes_.data() + static_cast<std::size_t>(i) % kCount * kDatagram, kDatagram};
  }
  [[nodiscard]] const std::uint8_t* payload(std::int64_t i) const {
    return datagram(i).data() + codec::kRtpHeaderSize;
  }
  [[nodiscard]] repair::ProtectedPacket packet(std::int64_t i) const {
    return {i, datagram(i).data(), {payload(i), kPayload}};
  }

 private:
  static constexpr std::size_t kCount = 1024;
  std::vector<std::uint8_t> bytes_;
};

/** Keeps the parity of one block, and counts what there was. */
struct Kept final : repair::ParityOutput, repair::BlockOutput {
  struct Symbol {
    codec::BlockParityPacket packet;
    std::vector<std::uint8_t> bytes;
  };
  void on_parity(const codec::ParityPacket& packet) noexcept override {
    count++;
    if (!keeps || !columns.empty()) return;
    columns.push_back(packet);
    bytes.assign(packet.payload.begin(), packet.payload.end());
    columns[0].payload = bytes;
  }
  void on_block_parity(const codec::BlockParityPacket& packet) noexcept override {
    count++;
    if (keeps) symbols.push_back({packet, {packet.symbol.begin(), packet.symbol.end()}});
  }
  bool keeps = false;
  std::uint64_t count = 0;
  std::vector<codec::ParityPacket> columns;
  std::vector<std::uint8_t> bytes;
  std::vector<Symbol> symbols;
};

struct Repairs final : repair::RepairOutput {
  void on_repaired(std::int64_t) noexcept override { count++; }
  std::uint64_t count = 0;
};

/** One block's work; gives how many packets it was about. */
using Work = std::function<std::size_t()>;

/** By the shortest loop that reads each byte once and writes it once. */
#if defined(__x86_64__)
__attribute__((target("avx2")))
#endif
inline void
bare_exclusive_or(std::uint8_t* into, const std::uint8_t* from) noexcept {
  std::size_t i = 0;
#if defined(__x86_64__)
  for (; i + 32 <= kPayload; i += 32) {
    auto* const at = reinterpret_cast<__m256i*>(into + i);
    const __m256i value = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + i));
    _mm256_storeu_si256(at, _mm256_xor_si256(_mm256_loadu_si256(at), value));
  }
#endif
  for (; i < kPayload; i++) into[i] ^= from[i];
}

}  // namespace sluice::bench
