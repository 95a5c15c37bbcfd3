// Captures in the classic pcap format (draft-ietf-opsawg-pcap), and the UDP datagrams in their packets.
//
//   file:    magic(32) major(16) minor(16) reserved(64) snaplen(32) link type(32), then records
//   record:  seconds(32) fraction(32) captured length(32) original length(32), then the captured bytes
//
// All in the byte order of the machine that wrote it; the magic number tells which, and the unit of the
// fraction.
#pragma once

#include <array>
#include <optional>

#include "codec/bytes.h"

namespace sluice::codec {

/** What is wrong with a capture and where. `expected` is static; `got` is what stands there, in words. */
struct PcapError {
  std::size_t offset = 0;
  const char* expected = "";
  std::array<char, 80> got{};
};

/** One record; `data` points into the file. */
struct PcapRecord {
  /** Nanoseconds since 1970, UTC. */
  std::int64_t time_ns = 0;
  /** Offset of the record's header in the file. */
  std::size_t offset = 0;
  /** Length on the wire; `data` is shorter where the snap length cut it. */
  std::uint32_t original_length = 0;
  Bytes data;
};

/** The largest captured length that is believed, as in libpcap (MAXIMUM_SNAPLEN). */
constexpr std::uint32_t kPcapMaxCaptured = 262'144;

/** Walks the records of a capture that is in memory and outlives the reader. */
class PcapReader {
 public:
  /** Reads the file header. When it is wrong, error() tells so and next() gives nothing. */
  explicit PcapReader(Bytes file) noexcept;
  /** The next record; none at the end and at the first error. */
  std::optional<PcapRecord> next() noexcept;
  /** Why reading stopped before the end, if it did. */
  [[nodiscard]] const std::optional<PcapError>& error() const noexcept { return error_; }
  /** LINKTYPE_ value of the file header. */
  [[nodiscard]] std::uint32_t link_type() const noexcept { return link_type_; }

 private:
  [[nodiscard]] std::uint32_t word(std::size_t at) const noexcept;
  void fail(std::size_t offset, const char* expected, const char* format, std::uint64_t a,
            std::uint64_t b = 0) noexcept;
  void read_header() noexcept;

  Bytes file_;
  std::size_t at_ = 0;
  bool big_endian_ = false;
  bool nanoseconds_ = false;
  std::uint32_t link_type_ = 0;
  std::optional<PcapError> error_;
};

/** Whether packets of this link type can be looked into: Ethernet, Linux cooked v1 and v2, raw IP, BSD
 * loopback. */
[[nodiscard]] bool is_known_link_type(std::uint32_t link_type) noexcept;

/** A UDP datagram; `payload` points into the packet. */
struct UdpDatagram {
  /** 4 or 6. */
  std::uint8_t version = 4;
  /** Network byte order; IPv4 uses the first four bytes. */
  std::array<std::uint8_t, 16> source{};
  std::array<std::uint8_t, 16> destination{};
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  Bytes payload;
};

enum class UdpFind : std::uint8_t {
  udp,
  /** Something else than UDP over IP. */
  other,
  /** A fragment of a datagram (RFC 791 section 3.2, RFC 8200 section 4.5): not put together. */
  fragment,
  /** A length reaches past the captured bytes. */
  cut,
};

/**
 * Looks for a UDP datagram in a packet. `out` is set for UdpFind::udp only. Checksums are not verified: on
 * the sending host they are filled in by the device, after the capture.
 */
UdpFind find_udp(Bytes packet, std::uint32_t link_type, UdpDatagram& out) noexcept;

}  // namespace sluice::codec
