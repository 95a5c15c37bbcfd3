#include "codec/ts_clip.h"

#include <cstring>

#include "codec/ts_clip_builder.h"

namespace sluice::codec {

namespace {

constexpr std::uint64_t kMask33 = 0x1ffffffffULL;

/** `loop` times `duration` modulo 2^33; 2^33 divides 2^64, so that unsigned overflow does no harm. */
std::int64_t loop_shift(std::int64_t loop, std::int64_t duration) noexcept {
  return static_cast<std::int64_t>((static_cast<std::uint64_t>(loop) * static_cast<std::uint64_t>(duration)) &
                                   kMask33);
}

/** Moves PTS and DTS (2.4.3.7) of the PES packet that begins in this packet. */
void shift_timestamps(std::uint8_t* packet, const TsPacket& view, std::int64_t shift) noexcept {
  const Bytes payload = view.payload();
  const auto pes = parse_pes(payload);
  if (!pes) return;
  std::uint8_t* const begin = packet + (kTsPacketSize - payload.size());
  if (pes->pts) set_pes_timestamp(begin + pes->pts_offset, *pes->pts + shift);
  if (pes->dts) set_pes_timestamp(begin + pes->dts_offset, *pes->dts + shift);
}

}  // namespace

std::variant<TsClip, ClipError> TsClip::build(Bytes recording, std::int64_t segment_ms) {
  return ClipBuilder(segment_ms).build(recording);
}

std::int64_t TsClip::warp(std::int64_t pcr) const noexcept {
  __extension__ using Wide = __int128;
  const auto since = static_cast<Wide>(pcr_difference(pcr, pcr_start_));
  return pcr_start_ + static_cast<std::int64_t>(since * (duration_ * 300) / pcr_span_);
}

void TsClip::render(std::size_t index, std::int64_t loop, std::uint8_t* out) const noexcept {
  const std::int64_t shift = loop_shift(loop, duration_);
  const ClipSegment& segment = segments_[index];
  for (std::size_t i = segment.first; i < segment.end; i++, out += kTsPacketSize) {
    std::memcpy(out, bytes_.data() + packets_[i].offset, kTsPacketSize);
    const auto view = TsPacket::parse({out, kTsPacketSize});
    if (!view || view->pid() == kPidNull) continue;
    const auto advance = advance_.find(view->pid());
    const auto steps = static_cast<unsigned>(loop & 15) * (advance == advance_.end() ? 0U : advance->second);
    set_continuity_counter(out, static_cast<std::uint8_t>(packets_[i].counter + steps));
    if (const auto pcr = view->pcr()) set_pcr(out, warp(*pcr) + shift * 300);
    if (view->payload_unit_start() && !view->scrambled()) shift_timestamps(out, *view, shift);
  }
}

}  // namespace sluice::codec
