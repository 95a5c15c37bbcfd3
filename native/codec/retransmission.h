// Retransmitted packets (RFC 4588 section 4): a stream of their own, with the original's number before its
// payload.
//
//   |  RTP header: SSRC, payload type and numbers of the retransmissions; timestamp, M, P, X, CC as they were
//   | |  CSRC list and header extension as they were | |  original sequence number (OSN, 16 bits)      |
//   original payload …                                     |
#pragma once

#include <cstring>
#include <optional>

#include "codec/rtp.h"

namespace sluice::codec {

constexpr std::size_t kOriginalNumberSize = 2;

/** An original, taken apart for its retransmission; points into it. */
struct RetransmissionParts {
  /** CSRC list and header extension. */
  Bytes extras;
  Bytes payload;
};

/** None for what is no RTP. */
inline std::optional<RetransmissionParts> retransmission_parts(Bytes original) noexcept {
  const auto begin = detail::payload_begin(original);
  if (!begin) return std::nullopt;
  return RetransmissionParts{original.subspan(kRtpHeaderSize, *begin - kRtpHeaderSize),
                             original.subspan(*begin)};
}

/** Writes the fixed header of the retransmission of a packet with the header `original`. */
inline void write_retransmission_header(const std::uint8_t* original, std::uint32_t ssrc,
                                        std::uint8_t payload_type, std::uint16_t sequence,
                                        std::uint8_t* out) noexcept {
  std::memcpy(out, original, kRtpHeaderSize);
  out[1] = static_cast<std::uint8_t>((original[1] & 0x80) | (payload_type & 0x7f));
  store16(out + 2, sequence);
  store32(out + 8, ssrc);
}

/**
 * Writes the original back to `out`, of which it needs datagram.size() bytes at most. Gives its size; none
 * for what is no retransmission.
 */
inline std::optional<std::size_t> restore_original(Bytes datagram, std::uint32_t ssrc,
                                                   std::uint8_t payload_type, MutableBytes out) noexcept {
  const auto parts = retransmission_parts(datagram);
  if (!parts || parts->payload.size() < kOriginalNumberSize || out.size() < datagram.size())
    return std::nullopt;
  const std::size_t head = kRtpHeaderSize + parts->extras.size();
  std::memcpy(out.data(), datagram.data(), head);
  out[1] = static_cast<std::uint8_t>((datagram[1] & 0x80) | (payload_type & 0x7f));
  store16(out.data() + 2, load16(parts->payload.data()));
  store32(out.data() + 8, ssrc);
  const Bytes payload = parts->payload.subspan(kOriginalNumberSize);
  if (!payload.empty()) std::memcpy(out.data() + head, payload.data(), payload.size());
  return head + payload.size();
}

}  // namespace sluice::codec
