// RTP fixed header (RFC 3550 section 5.1).
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |V=2|P|X|  CC   |M|     PT      |       sequence number         |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |                           timestamp                           |
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |           synchronization source (SSRC) identifier            |
//   +=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+=+
//   |            contributing source (CSRC) identifiers ...         |
#pragma once

#include <optional>

#include "codec/bytes.h"

namespace sluice::codec {

constexpr std::size_t kRtpHeaderSize = 12;
/** Static payload type of MPEG-2 transport streams (RFC 3551 section 6). */
constexpr std::uint8_t kPayloadTypeMp2t = 33;

struct RtpHeader {
  bool marker = false;
  std::uint8_t payload_type = kPayloadTypeMp2t;
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;
  std::uint32_t ssrc = 0;
};

struct RtpPacket {
  RtpHeader header;
  /** Without CSRC list, header extension and padding; points into the datagram. */
  Bytes payload;
};

namespace detail {

/** Where the payload begins; none when the datagram is not RTP version 2 or ends before that. */
inline std::optional<std::size_t> payload_begin(Bytes datagram) noexcept {
  if (datagram.size() < kRtpHeaderSize || datagram[0] >> 6 != 2) return std::nullopt;
  const bool extension = (datagram[0] & 0x10) != 0;
  std::size_t begin = kRtpHeaderSize + 4U * (datagram[0] & 0x0f);
  if (extension) {
    // RFC 3550 section 5.3.1: 16 bits of profile data, then the length in 32-bit words without these four
    // bytes.
    if (datagram.size() < begin + 4) return std::nullopt;
    begin += 4 + 4U * load16(datagram.data() + begin + 2);
  }
  if (datagram.size() < begin) return std::nullopt;
  return begin;
}

inline RtpHeader fixed_header(Bytes datagram) noexcept {
  RtpHeader header;
  header.marker = (datagram[1] & 0x80) != 0;
  header.payload_type = datagram[1] & 0x7f;
  header.sequence = load16(datagram.data() + 2);
  header.timestamp = load32(datagram.data() + 4);
  header.ssrc = load32(datagram.data() + 8);
  return header;
}

}  // namespace detail

/** Reads a datagram; none when it is not RTP version 2 or a length in it reaches past its end. */
std::optional<RtpPacket> parse_rtp(Bytes datagram) noexcept;

/**
 * Reads the fixed header of a datagram that is handed on: none when it is not RTP version 2, or when its CSRC
 * list or header extension reaches past its end. Padding is not looked at: it may be encrypted (RFC 3711
 * section 3.1).
 */
inline std::optional<RtpHeader> parse_rtp_header(Bytes datagram) noexcept {
  if (!detail::payload_begin(datagram)) return std::nullopt;
  return detail::fixed_header(datagram);
}

/** Writes the 12-byte fixed header without padding, extension or CSRC. `out` has at least kRtpHeaderSize
 * bytes. */
void write_rtp_header(const RtpHeader& header, std::uint8_t* out) noexcept;

/**
 * Extends 16-bit sequence numbers over their wrap (RFC 3550 A.1): the number nearest to `reference` with
 * these low bits. `reference` is the extended number seen last.
 */
constexpr std::int64_t extend_sequence(std::int64_t reference, std::uint16_t sequence) noexcept {
  const auto delta =
      static_cast<std::int16_t>(static_cast<std::uint16_t>(sequence - static_cast<std::uint16_t>(reference)));
  return reference + delta;
}

}  // namespace sluice::codec
