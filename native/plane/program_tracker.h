// Which packets belong to the programme, and where it can be entered.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "codec/mpegts.h"

namespace sluice::plane {

/** Program specific information of an access point: the PAT and PMT packets a decoder must have first. */
struct PsiPackets {
  static constexpr std::size_t kMaxPackets = 6;
  std::array<std::uint8_t, kMaxPackets * codec::kTsPacketSize> bytes{};
  std::size_t size = 0;

  void append(codec::Bytes packet) noexcept;
};

/** Follows PAT and PMT of one stream (ISO/IEC 13818-1 2.4.4) and picks the configured programme. */
class ProgramTracker {
 public:
  /** What a packet is to the programme. */
  struct Verdict {
    bool keep = false;
    /** Carries no elementary stream: tables, null packets, packets without payload. */
    bool tables = false;
    bool pcr_pid = false;
    /** Begins a picture (or, without video, an audio frame) that can be decoded by itself. */
    bool random_access = false;
  };
  enum class Fault : std::uint8_t { none, program_required, program_missing };

  explicit ProgramTracker(std::optional<std::uint16_t> wanted) noexcept : wanted_(wanted) {}

  Verdict see(const codec::TsPacket& packet, codec::Bytes raw) noexcept;
  /** Forgets the tables: another source begins. */
  void reset() noexcept;
  [[nodiscard]] bool has_tables() const noexcept { return pmt_packets_.size > 0 && pat_packet_seen_; }
  /** The packet as it goes on; differs from the one seen when a PAT of several programmes is narrowed to one.
   */
  [[nodiscard]] codec::Bytes rewritten_pat() const noexcept {
    return {pat_packet_.data(), pat_packet_.size()};
  }
  [[nodiscard]] bool narrows() const noexcept { return narrows_; }
  [[nodiscard]] PsiPackets psi() const noexcept;
  [[nodiscard]] bool is_pmt(std::uint16_t pid) const noexcept {
    return program_.pmt_pid != 0 && pid == program_.pmt_pid;
  }
  /** True for the audio and video of the programme. */
  [[nodiscard]] bool is_media(std::uint16_t pid) const noexcept;
  [[nodiscard]] Fault fault() const noexcept { return fault_; }
  /** The programme numbers found, for a message. */
  [[nodiscard]] std::string programs() const;

 private:
  void see_pat(const codec::TsPacket& packet, codec::Bytes raw) noexcept;
  void see_pmt(const codec::TsPacket& packet, codec::Bytes raw) noexcept;
  void select(const codec::Pat& pat) noexcept;
  [[nodiscard]] bool belongs(std::uint16_t pid) const noexcept;

  std::optional<std::uint16_t> wanted_;
  Fault fault_ = Fault::none;
  bool narrows_ = false;
  bool pat_packet_seen_ = false;
  /** A narrowed PAT takes one packet whatever the source's takes, so it counts for itself; never set back. */
  std::uint8_t narrowed_counter_ = 0;
  codec::Pat pat_;
  codec::Pat::Program program_;
  codec::Pmt pmt_;
  std::uint16_t entry_pid_ = codec::kPidNull;
  codec::Coding entry_coding_ = codec::Coding::other;
  codec::SectionAssembler pat_section_;
  codec::SectionAssembler pmt_section_;
  std::array<std::uint8_t, codec::kTsPacketSize> pat_packet_{};
  PsiPackets pmt_packets_;
  PsiPackets pmt_collecting_;
};

}  // namespace sluice::plane
