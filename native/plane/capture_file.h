// A capture file read packet by packet, in pieces: it may be larger than memory.
#pragma once

#include <string>
#include <vector>

#include "codec/capture_reader.h"
#include "codec/packet.h"
#include "kernel/file.h"

namespace sluice::plane {

/** Reads on the thread that calls, which waits for the disk. */
class CaptureFile {
 public:
  /** SYSTEM_CALL where it cannot be opened. */
  static kernel::Result<CaptureFile> open(const std::string& path);

  /** The next packet; false at the end, at damage and when reading failed. It is valid until the next call.
   */
  bool next(codec::CapturePacket& out) noexcept;
  /** Begins again; false when the file cannot be rewound. */
  bool rewind() noexcept;
  /** Why it ended before the end, as one sentence; empty when it did not. */
  [[nodiscard]] std::string damage() const;

 private:
  CaptureFile(std::string path, kernel::File file);
  bool fill(std::size_t needed) noexcept;

  std::string path_;
  kernel::File file_;
  std::vector<std::uint8_t> buffer_;
  /** What was read and not yet taken. */
  codec::Bytes window_;
  bool last_ = false;
  int error_ = 0;
  codec::CaptureReader reader_;
};

/** A UDP flow of a capture: the datagrams between two ends. */
struct UdpFlow {
  /** Addresses and ports; the payload is empty. */
  codec::UdpDatagram ends;
  /** By the first datagram. */
  enum class Kind : std::uint8_t { udp, rtp, ts } kind = Kind::udp;
  std::uint64_t packets = 0;
  /** UDP payload. */
  std::uint64_t bytes = 0;
  std::int64_t first_ns = 0;
  std::int64_t last_ns = 0;
};

/** What a capture holds. */
struct CaptureSummary {
  std::uint64_t packets = 0;
  /** On the wire. */
  std::uint64_t bytes = 0;
  std::int64_t first_ns = 0;
  std::int64_t last_ns = 0;
  /** In the order of their first datagrams; at most kMostFlows. */
  std::vector<UdpFlow> flows;
  /** As of CaptureFile::damage(). */
  std::string damage;
};

constexpr std::size_t kMostFlows = 10'000;

/** Reads a capture to its end, or to where it is damaged. CAPTURE_INVALID (with the file's name) where there
 * is no packet before the damage, SYSTEM_CALL where it cannot be opened. */
kernel::Result<CaptureSummary> scan_capture(const std::string& path);

}  // namespace sluice::plane
