// Captures are written as pcapng, or as pcap with nanoseconds; little-endian, nanoseconds. Files of pcapng
// may have several interfaces.
#pragma once

#include <string_view>

#include "codec/bytes.h"
#include "codec/capture_format.h"

namespace sluice::codec {

struct CaptureHeader {
  CaptureFormat format = CaptureFormat::pcapng;
  /** LINKTYPE_ value of all packets. */
  std::uint32_t link_type = kLinkEthernet;
  /** Bytes kept of each packet, 1 to kMaxCaptured. */
  std::uint32_t snaplen = kMaxCaptured;
  /** For pcapng; empty for none, at most 200 bytes are written of each. */
  std::string_view interface_name;
  std::string_view comment;
  std::string_view application;
};

/** What an interface counted, for the end of a pcapng file. */
struct CaptureStatistics {
  /** Nanoseconds since 1970, UTC. */
  std::int64_t time_ns = 0;
  std::uint64_t received = 0;
  std::uint64_t dropped = 0;
};

/** Every function gives the bytes that it wrote, or 0 when `out` was too small and nothing was written. */
class CaptureWriter {
 public:
  /** Room that begin() and end() need at most. */
  static constexpr std::size_t kMostHeader = 1024;
  /** Room that packet() needs for a packet cut at the snap length. */
  static constexpr std::size_t kMostPacket = kMaxCaptured + 64;

  explicit CaptureWriter(CaptureFormat format, std::uint32_t snaplen) noexcept
      : format_(format), snaplen_(snaplen) {}
  /** File header, or section header and the description of the first interface. */
  static std::size_t begin(const CaptureHeader& header, MutableBytes out) noexcept;
  /** pcapng: the description of a further interface, which has the next number; of a pcap there is one only,
   * and 0 is given. */
  static std::size_t interface(const CaptureHeader& header, MutableBytes out) noexcept;
  /**
   * One packet of `head` and `data` in a row; what exceeds the snap length is left out.
   * @param time_ns nanoseconds since 1970, not negative
   * @param original_length on the wire
   * @param interface of pcapng: its number
   */
  std::size_t packet(std::int64_t time_ns, std::uint32_t original_length, Bytes head, Bytes data,
                     MutableBytes out, std::uint32_t interface = 0) const noexcept;
  /** pcapng: a statistics block; pcap has none, and 0 is given. */
  std::size_t end(const CaptureStatistics& statistics, MutableBytes out,
                  std::uint32_t interface = 0) const noexcept;

 private:
  CaptureFormat format_;
  std::uint32_t snaplen_;
};

}  // namespace sluice::codec
