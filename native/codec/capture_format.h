// What reader and writer of captures share: the numbers of the three file formats.
//
//   pcap (draft-ietf-opsawg-pcap), microseconds or nanoseconds:
//     file:    magic(32) major(16) minor(16) reserved(64) snaplen(32) link type(32), then records
//     record:  seconds(32) fraction(32) captured length(32) original length(32), then the captured bytes
//
//   pcapng (draft-ietf-opsawg-pcapng): blocks, in sections that each have interfaces of their own
//     block:   type(32) total length(32), body, options, total length(32)
//
// All in the byte order of the machine that wrote the file or section; a magic number tells which.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::codec {

/** The file formats that are written; both are read, pcap also with microseconds. */
enum class CaptureFormat : std::uint8_t { pcapng, pcap };

/** LINKTYPE_ values of the packets that can be looked into; files may hold others. */
enum LinkType : std::uint32_t {
  kLinkNull = 0,
  kLinkEthernet = 1,
  kLinkRawBsd = 12,
  kLinkRawOpenBsd = 14,
  kLinkRaw = 101,
  kLinkLoop = 108,
  kLinkCooked = 113,
  kLinkIpv4 = 228,
  kLinkIpv6 = 229,
  kLinkCooked2 = 276,
};

/** The largest captured length that is believed, as in libpcap (MAXIMUM_SNAPLEN). */
constexpr std::uint32_t kMaxCaptured = 262'144;

constexpr std::uint32_t kPcapMicroseconds = 0xa1b2c3d4;
constexpr std::uint32_t kPcapNanoseconds = 0xa1b23c4d;
constexpr std::size_t kPcapFileHeader = 24;
constexpr std::size_t kPcapRecordHeader = 16;

constexpr std::uint32_t kByteOrderMagic = 0x1a2b3c4d;
enum BlockType : std::uint32_t {
  kBlockInterface = 1,
  kBlockPacketObsolete = 2,
  kBlockSimplePacket = 3,
  kBlockStatistics = 5,
  kBlockPacket = 6,
  kBlockSection = 0x0a0d0d0a,
};
enum BlockOption : std::uint16_t {
  kOptionEnd = 0,
  kOptionComment = 1,
  kOptionApplication = 4,
  kOptionInterfaceName = 2,
  kOptionResolution = 9,
  kOptionTimeOffset = 14,
  kOptionReceived = 4,
  kOptionDropped = 5,
};

}  // namespace sluice::codec
