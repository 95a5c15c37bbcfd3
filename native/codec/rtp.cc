#include "codec/rtp.h"

namespace sluice::codec {

std::optional<RtpPacket> parse_rtp(Bytes datagram) noexcept {
  const auto begin = detail::payload_begin(datagram);
  if (!begin) return std::nullopt;
  std::size_t end = datagram.size();
  if ((datagram[0] & 0x20) != 0) {
    const std::size_t count = datagram[end - 1];
    if (count == 0 || count > end - *begin) return std::nullopt;
    end -= count;
  }
  return RtpPacket{detail::fixed_header(datagram), datagram.subspan(*begin, end - *begin)};
}

void write_rtp_header(const RtpHeader& header, std::uint8_t* out) noexcept {
  out[0] = 0x80;
  out[1] = static_cast<std::uint8_t>((header.marker ? 0x80 : 0) | (header.payload_type & 0x7f));
  store16(out + 2, header.sequence);
  store32(out + 4, header.timestamp);
  store32(out + 8, header.ssrc);
}

}  // namespace sluice::codec
