// The frame of Reed-Solomon repair packets: our own, keyed by RTP sequence, behind an RTP header of its own.
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |  version = 1  |     index     |       k       |       m       |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |      sequence of the first    |           reserved            |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |  repair symbol: 8 bytes of the headers, then of the payloads  …
//
// A block is k packets that follow one another; their source symbols are (P X CC | M PT | length | timestamp
// | what is behind the fixed header, filled up with zeros), as long as the longest. Repair symbol `index`, 0
// to m - 1, is row `index` of a Cauchy matrix over GF(2^8) (polynomial 0x11d): element (i, j) is the inverse
// of (k + i) xor j. Any k of the k + m symbols give the rest.
#pragma once

#include <optional>

#include "codec/rtp.h"

namespace sluice::codec {

constexpr std::size_t kBlockParityHeaderSize = 8;
/** Of a symbol: what is told of the packet before its payload. */
constexpr std::size_t kSymbolHeaderSize = 8;
/** Most packets of a block, source and repair. */
constexpr unsigned kMostSymbols = 255;

struct BlockParityPacket {
  /** 0 to `repair` - 1. */
  std::uint8_t index = 0;
  /** k: 1 to 254. */
  std::uint8_t source = 0;
  /** m: 1 to 255 - k. */
  std::uint8_t repair = 0;
  /** Low 16 bits of the sequence number of the block's first. */
  std::uint16_t base = 0;
  Bytes symbol;
};

/** None when it is not one of this version, or says what cannot be. */
inline std::optional<BlockParityPacket> parse_block_parity(Bytes datagram) noexcept {
  const auto packet = parse_rtp(datagram);
  if (!packet || packet->payload.size() < kBlockParityHeaderSize + kSymbolHeaderSize) return std::nullopt;
  const std::uint8_t* const p = packet->payload.data();
  BlockParityPacket found{p[1], p[2], p[3], load16(p + 4), packet->payload.subspan(kBlockParityHeaderSize)};
  if (p[0] != 1 || found.source == 0 || found.repair == 0 || found.index >= found.repair ||
      unsigned{found.source} + found.repair > kMostSymbols)
    return std::nullopt;
  return found;
}

/** Writes the RTP header and the frame's: kRtpHeaderSize + kBlockParityHeaderSize bytes. */
inline void write_block_parity(const RtpHeader& own, const BlockParityPacket& packet,
                               std::uint8_t* out) noexcept {
  write_rtp_header(own, out);
  std::uint8_t* const p = out + kRtpHeaderSize;
  p[0] = 1;
  p[1] = packet.index;
  p[2] = packet.source;
  p[3] = packet.repair;
  store16(p + 4, packet.base);
  store16(p + 6, 0);
}

}  // namespace sluice::codec
