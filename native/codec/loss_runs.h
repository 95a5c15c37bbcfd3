// How long the runs of packets are that a receiver misses: an APP packet (RFC 3550 section 6.7) of our own,
// subtype 0, since a report block tells how many were lost, and not how they lie.
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//   |V=2|P|    0    |  PT=APP=204   |           length = 8          |
//   |                     SSRC of the one who sends                 |
//   |       'R'     |      'U'      |      'N'      |      'S'      |
//   |           runs of 1           |           runs of 2           |   since the report before; the most
//   that |           runs of 3           |           runs of 4           |   is told is 65,535 |         runs
//   up to 6          |         runs up to 8          | |         runs up to 12         |         runs up to
//   16         | |         runs up to 24         |         runs up to 32         | |         runs up to 64 |
//   longer runs           |
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "codec/rtcp_writer.h"

namespace sluice::codec {

/** Longest run of each class but the last, which has none. */
constexpr std::array<std::uint32_t, 11> kRunEnds{1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64};
constexpr std::size_t kRunClasses = kRunEnds.size() + 1;
/** Runs of each class. */
using LossRuns = std::array<std::uint16_t, kRunClasses>;

constexpr std::string_view kRunsName = "RUNS";
constexpr std::size_t kLossRunsSize = kRtcpHeaderSize + 8 + 2 * kRunClasses;

/** The class of a run of `length`, 1 and more. */
constexpr std::size_t run_class(std::uint32_t length) noexcept {
  return static_cast<std::size_t>(std::lower_bound(kRunEnds.begin(), kRunEnds.end(), length) -
                                  kRunEnds.begin());
}

/** False when it does not fit. */
inline bool write(RtcpWriter& writer, std::uint32_t ssrc, const LossRuns& runs) noexcept {
  std::array<std::uint8_t, kRunsName.size() + 2 * kRunClasses> rest;
  std::copy(kRunsName.begin(), kRunsName.end(), rest.begin());
  for (std::size_t i = 0; i < kRunClasses; i++) store16(rest.data() + kRunsName.size() + 2 * i, runs[i]);
  return writer.packet(rtcp_type::kApplication, 0, ssrc, rest);
}

/** None for any other packet. */
inline std::optional<LossRuns> loss_runs(const RtcpPacket& packet) noexcept {
  const auto application = application_packet(packet);
  if (!application || application->subtype != 0 || application->data.size() != 2 * kRunClasses ||
      !std::equal(kRunsName.begin(), kRunsName.end(), application->name.begin()))
    return std::nullopt;
  LossRuns runs;
  for (std::size_t i = 0; i < kRunClasses; i++) runs[i] = load16(application->data.data() + 2 * i);
  return runs;
}

}  // namespace sluice::codec
