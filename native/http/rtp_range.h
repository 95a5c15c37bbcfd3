// Ranges of RTP packets: `Range: rtp=FIRST-LAST`, a range unit of our own (RFC 9110 section 14.1), see
// docs/repair.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::http {

/** Sequence numbers of RTP (RFC 3550 section 5.1), both ends included; `last` may be beyond the wrap. */
struct RtpRange {
  std::uint16_t first = 0;
  std::uint16_t last = 0;
  /** 1 to 65,536. */
  [[nodiscard]] std::size_t size() const noexcept {
    return std::size_t{static_cast<std::uint16_t>(last - first)} + 1;
  }
  bool operator==(const RtpRange&) const = default;
};

/** The ranges of a `Range` field, at least one; none when it is of another unit, or malformed: then it counts
 * as absent (RFC 9110 section 14.2). */
std::optional<std::vector<RtpRange>> parse_rtp_ranges(std::string_view field);

/** The value of a `Range` field for extended sequence numbers, which ascend. At least one. */
std::string rtp_ranges(std::span<const std::int64_t> sequences);

}  // namespace sluice::http
