#include "codec/rtp.h"

namespace sluice::codec {

namespace {

/** Where the payload begins; none when the datagram is not RTP version 2 or ends before that. */
std::optional<std::size_t> payload_begin(Bytes datagram) noexcept {
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

RtpHeader fixed_header(Bytes datagram) noexcept {
  RtpHeader header;
  header.marker = (datagram[1] & 0x80) != 0;
  header.payload_type = datagram[1] & 0x7f;
  header.sequence = load16(datagram.data() + 2);
  header.timestamp = load32(datagram.data() + 4);
  header.ssrc = load32(datagram.data() + 8);
  return header;
}

}  // namespace

std::optional<RtpPacket> parse_rtp(Bytes datagram) noexcept {
  const auto begin = payload_begin(datagram);
  if (!begin) return std::nullopt;
  std::size_t end = datagram.size();
  if ((datagram[0] & 0x20) != 0) {
    const std::size_t count = datagram[end - 1];
    if (count == 0 || count > end - *begin) return std::nullopt;
    end -= count;
  }
  return RtpPacket{fixed_header(datagram), datagram.subspan(*begin, end - *begin)};
}

std::optional<RtpHeader> parse_rtp_header(Bytes datagram) noexcept {
  if (!payload_begin(datagram)) return std::nullopt;
  return fixed_header(datagram);
}

void write_rtp_header(const RtpHeader& header, std::uint8_t* out) noexcept {
  out[0] = 0x80;
  out[1] = static_cast<std::uint8_t>((header.marker ? 0x80 : 0) | (header.payload_type & 0x7f));
  store16(out + 2, header.sequence);
  store32(out + 4, header.timestamp);
  store32(out + 8, header.ssrc);
}

}  // namespace sluice::codec
