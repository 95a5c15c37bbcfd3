// The FEC header of SMPTE ST 2022-1, behind an RTP header of its own.
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |       SNBase low bits         |        length recovery        |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |E| PT recovery |                     mask                      |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                          TS recovery                          |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |N|D|type |index|    offset     |      NA       |SNBase ext bits|
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//
// What is recovered is the exclusive or of the protected packets: of P, X, CC and M, which stand in the RTP
// header of the FEC packet as in RFC 2733, of payload type and timestamp, and of the length and the bytes of
// all that is behind the fixed header.
#pragma once

#include <optional>

#include "codec/rtp.h"

namespace sluice::codec {

constexpr std::size_t kParityHeaderSize = 16;
/** Both headers. */
constexpr std::size_t kParityHeadersSize = kRtpHeaderSize + kParityHeaderSize;

/** Which packets a parity packet protects: `base`, `base + offset`, … so many of them. */
struct ParityScope {
  /** Low 16 bits of the first sequence number. */
  std::uint16_t base = 0;
  /** Between protected packets: the number of columns for a column, 1 for a row; 1 to 255. */
  std::uint8_t offset = 1;
  /** NA: 1 to 255. */
  std::uint8_t count = 1;
  /** D: whether it is a row. */
  bool row = false;
};

/** What a parity packet tells of those that it protects. */
struct ParityPacket {
  ParityScope scope;
  /** Of the first byte of the RTP header without the version: P, X and CC. */
  std::uint8_t flags = 0;
  /** Of the second byte: M and payload type. */
  std::uint8_t type = 0;
  std::uint16_t length = 0;
  std::uint32_t timestamp = 0;
  /** As long as the longest of them; shorter ones count as filled up with zeros. */
  Bytes payload;
};

/** Reads the payload and the header of an RTP packet; none when it is not what ST 2022-1 sends by exclusive
 * or. */
inline std::optional<ParityPacket> parse_parity(Bytes datagram) noexcept {
  if (datagram.size() < kParityHeadersSize || datagram[0] >> 6 != 2) return std::nullopt;
  const std::uint8_t* const p = datagram.data() + kRtpHeaderSize;
  // A mask, a further extension or another code than the exclusive or are not of this standard.
  const bool other =
      (p[4] & 0x80) == 0 || (load32(p + 4) & 0xffffff) != 0 || (p[12] & 0x80) != 0 || (p[12] & 0x38) != 0;
  if (other || p[13] == 0 || p[14] == 0) return std::nullopt;
  ParityPacket packet;
  packet.scope = {load16(p), p[13], p[14], (p[12] & 0x40) != 0};
  packet.flags = datagram[0] & 0x3f;
  packet.type = static_cast<std::uint8_t>((datagram[1] & 0x80) | (p[4] & 0x7f));
  packet.length = load16(p + 2);
  packet.timestamp = load32(p + 8);
  packet.payload = datagram.subspan(kParityHeadersSize);
  return packet;
}

/**
 * Writes both headers: kParityHeadersSize bytes. `own` is the parity stream's own header; its marker is not
 * looked at, since M is the protected packets'.
 */
inline void write_parity(const RtpHeader& own, const ParityPacket& packet, std::uint8_t* out) noexcept {
  write_rtp_header(own, out);
  out[0] = static_cast<std::uint8_t>(0x80 | packet.flags);
  out[1] = static_cast<std::uint8_t>((packet.type & 0x80) | (own.payload_type & 0x7f));
  std::uint8_t* const p = out + kRtpHeaderSize;
  store16(p, packet.scope.base);
  store16(p + 2, packet.length);
  store32(p + 4, std::uint32_t{0x80U | (packet.type & 0x7fU)} << 24);
  store32(p + 8, packet.timestamp);
  p[12] = packet.scope.row ? 0x40 : 0;
  p[13] = packet.scope.offset;
  p[14] = packet.scope.count;
  p[15] = 0;
}

}  // namespace sluice::codec
