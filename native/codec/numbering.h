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
//
//   option, an IPv4 option (RFC 791) or an IPv6 destination option (RFC 8200 section 4.6) of the experimental
//   types (RFC 4727):
//   | 158 |  6  |    extended number    |  1  |  1  |      | NH  |  0  | 0x1e |  4  |    extended number    |
#pragma once

#include <array>
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
  field,
  /** An option of the IP header. */
  option
};

/** Local identifier of the extension (a=extmap). */
constexpr std::uint8_t kNumberId = 1;
constexpr std::size_t kNumberFieldSize = 4;
/** Of either family, padding included. */
constexpr std::size_t kNumberOptionSize = 8;
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
  if (numbering != Numbering::extension) return;
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

/** Writes kNumberOptionSize bytes: IPv4 options, or an IPv6 destination options header, whose first byte the
 * kernel fills in. */
inline void write_number_option(bool v6, std::uint32_t number, std::uint8_t* out) noexcept {
  constexpr std::array<std::uint8_t, kNumberOptionSize> kV4{158, 6, 0, 0, 0, 0, 1, 1};
  constexpr std::array<std::uint8_t, kNumberOptionSize> kV6{0, 0, 0x1e, 4, 0, 0, 0, 0};
  std::memcpy(out, v6 ? kV6.data() : kV4.data(), kNumberOptionSize);
  store32(out + (v6 ? 4 : 2), number);
}

/** The number among IPv4 options, or in an IPv6 destination options header; none where it is not. */
inline std::optional<std::uint32_t> option_number(bool v6, Bytes options) noexcept {
  if (v6 && options.size() < 2) return std::nullopt;
  for (Bytes rest = v6 ? options.subspan(2) : options; !rest.empty();) {
    if (!v6 && rest[0] == 0) break;
    if (rest[0] == (v6 ? 0 : 1)) {
      rest = rest.subspan(1);
      continue;
    }
    if (rest.size() < 2) break;
    // An IPv4 option counts its type and its size.
    const std::size_t size = v6 ? rest[1] + 2U : rest[1];
    if (size < 2 || size > rest.size()) break;
    if (rest[0] == (v6 ? 0x1e : 158) && size == 6) return load32(rest.data() + 2);
    rest = rest.subspan(size);
  }
  return std::nullopt;
}

/**
 * Writes a numbered datagram as plain RTP, whose sequence number is the low half of its number, into `out`,
 * which has kRtpHeaderSize bytes more than the datagram. `option` is the number that its IP header had.
 * What has no RTP gets SSRC 0. None for what is not numbered so.
 */
inline std::optional<Bytes> as_rtp(Bytes datagram, Numbering numbering, std::optional<std::uint32_t> option,
                                   MutableBytes out) noexcept {
  RtpHeader header;
  Bytes payload;
  if (numbering == Numbering::field) {
    if (datagram.size() <= kNumberFieldSize) return std::nullopt;
    header.sequence = static_cast<std::uint16_t>(load32(datagram.data()));
    payload = datagram.subspan(kNumberFieldSize);
  } else {
    const auto packet = parse_rtp(datagram);
    const auto number = numbering == Numbering::option ? option : extension_number(datagram);
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
