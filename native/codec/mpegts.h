// MPEG-2 transport stream (ISO/IEC 13818-1): packets, adaptation fields, program specific information, PES
// time stamps.
#pragma once

#include <array>
#include <optional>

#include "codec/bytes.h"

namespace sluice::codec {

constexpr std::size_t kTsPacketSize = 188;
constexpr std::uint8_t kTsSync = 0x47;
constexpr std::uint16_t kPidPat = 0x0000;
constexpr std::uint16_t kPidSdt = 0x0011;
constexpr std::uint16_t kPidNull = 0x1fff;
/** The system clock, 27 MHz (2.4.2.1). */
constexpr std::int64_t kSystemClock = 27'000'000;
/** A PCR counts modulo 2^33 * 300. */
constexpr std::int64_t kPcrModulus = (std::int64_t{1} << 33) * 300;

/**
 * Read view of one 188-byte packet (2.4.3.2). The bytes must outlive the view.
 *
 *    sync(8) tei(1) pusi(1) priority(1) PID(13) scrambling(2) adaptation_field_control(2)
 * continuity_counter(4)
 */
class TsPacket {
 public:
  /** None when the range is not 188 bytes that begin with 0x47, or the adaptation field reaches past the end.
   */
  static std::optional<TsPacket> parse(Bytes packet) noexcept;

  [[nodiscard]] std::uint16_t pid() const noexcept { return load16(p_ + 1) & 0x1fff; }
  [[nodiscard]] bool transport_error() const noexcept { return (p_[1] & 0x80) != 0; }
  [[nodiscard]] bool payload_unit_start() const noexcept { return (p_[1] & 0x40) != 0; }
  [[nodiscard]] bool scrambled() const noexcept { return (p_[3] & 0xc0) != 0; }
  [[nodiscard]] bool has_payload() const noexcept { return (p_[3] & 0x10) != 0; }
  [[nodiscard]] std::uint8_t continuity_counter() const noexcept { return p_[3] & 0x0f; }
  [[nodiscard]] bool discontinuity() const noexcept { return (flags() & 0x80) != 0; }
  [[nodiscard]] bool random_access() const noexcept { return (flags() & 0x40) != 0; }
  /** The PCR in 27 MHz units (2.4.3.5), modulo kPcrModulus. */
  [[nodiscard]] std::optional<std::int64_t> pcr() const noexcept;
  /** What follows the adaptation field; empty without payload. */
  [[nodiscard]] Bytes payload() const noexcept;

 private:
  explicit TsPacket(const std::uint8_t* p) noexcept : p_(p) {}
  [[nodiscard]] bool has_adaptation() const noexcept { return (p_[3] & 0x20) != 0; }
  [[nodiscard]] std::uint8_t flags() const noexcept { return has_adaptation() && p_[4] > 0 ? p_[5] : 0; }

  const std::uint8_t* p_;
};

/** Replaces the continuity_counter of a packet. */
void set_continuity_counter(std::uint8_t* packet, std::uint8_t counter) noexcept;
/** Replaces the PCR of a packet that has one. */
void set_pcr(std::uint8_t* packet, std::int64_t pcr) noexcept;
/**
 * Writes a packet without payload whose adaptation field says that the continuity counter and, on the PCR
 * PID, the clock start anew (discontinuity_indicator, 2.4.3.5). `counter` is that of the packet before the
 * next one with payload.
 */
void write_discontinuity_packet(std::uint16_t pid, std::uint8_t counter, std::uint8_t* out) noexcept;
/** Difference of two clock values modulo kPcrModulus, nearest to zero. */
[[nodiscard]] constexpr std::int64_t pcr_difference(std::int64_t later, std::int64_t earlier) noexcept {
  std::int64_t d = (later - earlier) % kPcrModulus;
  if (d < 0) d += kPcrModulus;
  return d > kPcrModulus / 2 ? d - kPcrModulus : d;
}

/** Checks continuity counters of one PID (2.4.3.3): duplicates once, jumps announced by
 * discontinuity_indicator. */
class ContinuityCheck {
 public:
  /** False when packets are missing before `packet`. */
  bool accept(const TsPacket& packet) noexcept;
  void reset() noexcept { last_ = kNone; }
  /** Counter of the last packet, or 0xff before the first. */
  [[nodiscard]] std::uint8_t last() const noexcept { return last_; }

 private:
  static constexpr std::uint8_t kNone = 0xff;
  std::uint8_t last_ = kNone;
  bool duplicate_seen_ = false;
};

/** CRC_32 of sections (annex A); 0 over a section that includes its CRC. */
[[nodiscard]] std::uint32_t crc32_mpeg(Bytes bytes) noexcept;

/** Collects the section of one PID from packet payloads (2.4.4); sections up to 1,024 bytes, several packets
 * long. */
class SectionAssembler {
 public:
  /** Feeds one packet of the PID; the whole section, CRC checked, when this packet completes one. Valid until
   * the next call. */
  std::optional<Bytes> push(const TsPacket& packet) noexcept;
  void reset() noexcept { size_ = 0; }

 private:
  std::optional<Bytes> append(Bytes bytes) noexcept;
  std::array<std::uint8_t, 1024> buffer_{};
  std::size_t size_ = 0;
};

constexpr std::size_t kMaxPrograms = 64;
constexpr std::size_t kMaxElementaryStreams = 32;

/** Program association (2.4.4.3), network PID entries left out. */
struct Pat {
  struct Program {
    std::uint16_t number = 0;
    std::uint16_t pmt_pid = 0;
  };
  std::uint16_t transport_stream_id = 0;
  std::size_t count = 0;
  std::array<Program, kMaxPrograms> programs{};
};

/** Program map (2.4.4.8). */
struct Pmt {
  struct Stream {
    std::uint8_t type = 0;
    std::uint16_t pid = 0;
  };
  std::uint16_t program = 0;
  std::uint16_t pcr_pid = kPidNull;
  std::size_t count = 0;
  std::array<Stream, kMaxElementaryStreams> streams{};
};

/** None when the section is not a current PAT / PMT, or a length in it reaches past its end. */
std::optional<Pat> parse_pat(Bytes section) noexcept;
std::optional<Pmt> parse_pmt(Bytes section) noexcept;
/** Writes one packet with a PAT that names a single program. */
void write_pat_packet(std::uint16_t transport_stream_id, Pat::Program program, std::uint8_t counter,
                      std::uint8_t* out) noexcept;

/** Kinds of elementary streams that matter for access points and clip timing. */
enum class Coding : std::uint8_t { other, mpeg2_video, h264, h265, audio };
[[nodiscard]] Coding coding_of(std::uint8_t stream_type) noexcept;

/** True when the packet begins a picture that can be decoded without earlier ones (indicator, or the coded
 * picture's start). */
[[nodiscard]] bool is_random_access(const TsPacket& packet, Coding coding) noexcept;

/** PES time stamps (2.4.3.7), 90 kHz, 33 bits. Offsets are from the begin of the payload; 0 when absent. */
struct PesTimestamps {
  std::optional<std::int64_t> pts;
  std::optional<std::int64_t> dts;
  std::size_t pts_offset = 0;
  std::size_t dts_offset = 0;
  /** Bytes of the PES header; the elementary stream follows. */
  std::size_t header_size = 0;
};
/** None when the payload does not begin with a PES header (packet_start_code_prefix), or it is cut short. */
std::optional<PesTimestamps> parse_pes(Bytes payload) noexcept;
/** Replaces the 33 bits of a PTS or DTS field, keeping its 4-bit prefix and the marker bits. */
void set_pes_timestamp(std::uint8_t* field, std::int64_t value) noexcept;

}  // namespace sluice::codec
