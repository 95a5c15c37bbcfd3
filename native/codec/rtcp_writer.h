// RTCP packets written one behind another into a caller's memory.
#pragma once

#include <string_view>

#include "codec/rtcp.h"

namespace sluice::codec {

/** Longest item of a source description, and longest reason of a BYE. */
constexpr std::size_t kMostRtcpText = 255;

/**
 * Builds a compound packet in `out`, which the caller keeps. Every member writes one whole packet, or nothing
 * and gives false when it does not fit or is more than the format holds.
 */
class RtcpWriter {
 public:
  explicit RtcpWriter(MutableBytes out) noexcept : out_(out) {}

  /** Up to kMostReportBlocks. */
  bool sender_report(std::uint32_t ssrc, const SenderInfo& info,
                     std::span<const ReportBlock> blocks = {}) noexcept;
  /** Up to kMostReportBlocks. */
  bool receiver_report(std::uint32_t ssrc, std::span<const ReportBlock> blocks = {}) noexcept;
  /** An SDES packet of one chunk with one CNAME of up to kMostRtcpText bytes. */
  bool cname(std::uint32_t ssrc, std::string_view name) noexcept;
  /** An SDES packet of one chunk; `items` as of SdesChunk::items(), whole words. */
  bool description(std::uint32_t ssrc, Bytes items) noexcept;
  /** A reason of up to kMostRtcpText bytes; an empty one is left out. */
  bool bye(std::uint32_t ssrc, std::string_view reason = {}) noexcept;
  /** Any packet whose body begins with an SSRC: `count` up to 31, `rest` whole words behind the SSRC. */
  bool packet(std::uint8_t type, std::uint8_t count, std::uint32_t ssrc, Bytes rest) noexcept;
  /** RTPFB or PSFB; `control` whole words. */
  bool feedback(std::uint8_t type, std::uint8_t format, std::uint32_t sender, std::uint32_t media,
                Bytes control) noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] Bytes written() const noexcept { return out_.first(size_); }

 private:
  std::uint8_t* begin(std::uint8_t type, std::size_t count, std::size_t body) noexcept;

  MutableBytes out_;
  std::size_t size_ = 0;
};

}  // namespace sluice::codec
