// Where the number of a packet stands, besides in the RTP sequence number (S2.6): 32 bits of the extended
// sequence number.
//
//   extension, RFC 8285 section 4.2:                       field:
//   |V=2|P|1|  CC   |M|     PT      |   sequence number  |  |            extended number            |
//   |                  timestamp, SSRC                   |  |  MPEG-TS …
//   |          0xBEDE               |      length = 2    |
//   |  ID=1 |  L=3  |       extended number …            |
//   |    …          |      0                             |
//   |  payload …
#pragma once

#include <cstring>
#include <optional>

#include "codec/rtp.h"

namespace sluice::codec {

enum class Numbering : std::uint8_t {
  /** The RTP sequence number. */
  rtp,
  /** An RTP header extension. */
  extension,
  /** Four bytes before MPEG-TS that has no RTP. */
  field
};

/** Local identifier of the extension (a=extmap). */
constexpr std::uint8_t kNumberId = 1;
constexpr std::size_t kNumberFieldSize = 4;
/** RTP header and extension. */
constexpr std::size_t kNumberedHeaderSize = kRtpHeaderSize + 12;

/** Bytes before the payload. */
constexpr std::size_t numbered_header_size(Numbering numbering) noexcept {
  if (numbering == Numbering::field) return kNumberFieldSize;
  return numbering == Numbering::extension ? kNumberedHeaderSize : kRtpHeaderSize;
}

/** Writes numbered_header_size() bytes; `header` is a fixed RTP header without CSRC list and extension. */
inline void write_numbered_header(Numbering numbering, const std::uint8_t* header, std::uint32_t number,
                                  std::uint8_t* out) noexcept {
  if (numbering == Numbering::field) return store32(out, number);
  std::memcpy(out, header, kRtpHeaderSize);
  if (numbering == Numbering::rtp) return;
  out[0] |= 0x10;
  std::uint8_t* const extension = out + kRtpHeaderSize;
  store16(extension, 0xbede);
  store16(extension + 2, 2);
  extension[4] = kNumberId << 4 | 3;
  store32(extension + 5, number);
  std::memset(extension + 9, 0, 3);
}

/** The number in the extension of an RTP packet; none where there is none, or in another form. */
inline std::optional<std::uint32_t> extension_number(Bytes datagram) noexcept {
  const auto begin = detail::payload_begin(datagram);
  if (!begin || (datagram[0] & 0x10) == 0) return std::nullopt;
  const std::size_t at = kRtpHeaderSize + 4U * (datagram[0] & 0x0f);
  if (load16(datagram.data() + at) != 0xbede) return std::nullopt;
  for (Bytes rest = datagram.subspan(at + 4, *begin - at - 4); !rest.empty();) {
    const std::uint8_t id = rest[0] >> 4;
    const std::size_t size = (rest[0] & 0x0fU) + 1U;
    // A zero fills up; 15 ends it all (section 4.2).
    if (id == 15) break;
    if (id == 0) {
      rest = rest.subspan(1);
      continue;
    }
    if (rest.size() < 1 + size) break;
    if (id == kNumberId && size == 4) return load32(rest.data() + 1);
    rest = rest.subspan(1 + size);
  }
  return std::nullopt;
}

/**
 * Writes a numbered datagram as plain RTP, whose sequence number is the low half of its number, into `out`,
 * which has kRtpHeaderSize bytes more than the datagram. What has no RTP gets SSRC 0. None for what is not
 * numbered so.
 */
inline std::optional<Bytes> as_rtp(Bytes datagram, Numbering numbering, MutableBytes out) noexcept {
  RtpHeader header;
  Bytes payload;
  if (numbering == Numbering::field) {
    if (datagram.size() <= kNumberFieldSize) return std::nullopt;
    header.sequence = static_cast<std::uint16_t>(load32(datagram.data()));
    payload = datagram.subspan(kNumberFieldSize);
  } else {
    const auto packet = parse_rtp(datagram);
    const auto number = extension_number(datagram);
    if (!packet || !number) return std::nullopt;
    header = packet->header;
    header.sequence = static_cast<std::uint16_t>(*number);
    payload = packet->payload;
  }
  if (out.size() < kRtpHeaderSize + payload.size()) return std::nullopt;
  write_rtp_header(header, out.data());
  if (!payload.empty()) std::memcpy(out.data() + kRtpHeaderSize, payload.data(), payload.size());
  return Bytes(out.first(kRtpHeaderSize + payload.size()));
}

}  // namespace sluice::codec
