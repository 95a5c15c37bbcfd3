#include "plane/rtcp_translation.h"

#include <algorithm>
#include <array>

#include "codec/rtp.h"

namespace sluice::plane {

namespace {

using codec::RtcpPacket;
using codec::RtcpWriter;
namespace type = codec::rtcp_type;
namespace feedback = codec::rtcp_feedback;

/** Whole compounds begin with a report; of what is left of one, too. */
bool begins_well(const codec::RtcpCompound& compound, codec::Bytes written) noexcept {
  if (!(*compound.begin()).is_report()) return true;
  return !written.empty() && (written[1] == type::kSenderReport || written[1] == type::kReceiverReport);
}

/** The chunk about one SSRC, as one about another. */
void copy_description(const RtcpPacket& packet, std::uint32_t from, std::uint32_t to,
                      RtcpWriter& writer) noexcept {
  codec::SdesChunks chunks(packet);
  while (const auto chunk = chunks.next()) {
    if (chunk->ssrc() == from) writer.description(to, chunk->items());
  }
}

/** A BYE of one SSRC, as one of another, with its reason. */
void copy_bye(const RtcpPacket& packet, std::uint32_t from, std::uint32_t to, RtcpWriter& writer) noexcept {
  const codec::Bytes reason = codec::bye_reason(packet);
  for (std::size_t i = 0; i < codec::bye_count(packet); i++) {
    if (codec::bye_source(packet, i) != from) continue;
    writer.bye(to, {reinterpret_cast<const char*>(reason.data()), reason.size()});
    return;
  }
}

void report_to_receiver(const RtcpPacket& packet, const RtcpMapping& mapping, RtcpWriter& writer) noexcept {
  if (packet.ssrc() != mapping.source_ssrc) return;
  const auto info = codec::sender_info(packet);
  if (!info) {
    writer.receiver_report(mapping.receiver_ssrc);
    return;
  }
  writer.sender_report(mapping.receiver_ssrc, {info->ntp, info->timestamp + mapping.timestamp_delta,
                                               mapping.packets, mapping.octets});
}

void packet_to_receiver(const RtcpPacket& packet, const RtcpMapping& mapping, RtcpWriter& writer) noexcept {
  switch (packet.type) {
    case type::kSenderReport:
    case type::kReceiverReport:
      return report_to_receiver(packet, mapping, writer);
    case type::kSourceDescription:
      return copy_description(packet, mapping.source_ssrc, mapping.receiver_ssrc, writer);
    case type::kBye:
      if (!mapping.goes_on) copy_bye(packet, mapping.source_ssrc, mapping.receiver_ssrc, writer);
      return;
    case type::kApplication:
      if (packet.ssrc() == mapping.source_ssrc)
        writer.packet(packet.type, packet.count, mapping.receiver_ssrc, packet.body.subspan(4));
      return;
    default:
      return;
  }
}

/** The source's number of a receiver's extended one; none outside of the mapping. */
std::optional<std::int64_t> source_sequence(std::uint16_t sequence, const RtcpMapping& mapping) noexcept {
  const std::int64_t extended = codec::extend_sequence(mapping.last_sequence, sequence);
  if (extended < mapping.first_sequence || extended > mapping.last_sequence) return std::nullopt;
  return extended - mapping.sequence_delta;
}

/** With these SSRCs a receiver would speak for the source, or for what it is sent (RFC 3550 section 8.2). */
bool speaks_for_source(std::uint32_t ssrc, const RtcpMapping& mapping) noexcept {
  return ssrc == mapping.source_ssrc || ssrc == mapping.receiver_ssrc;
}

void report_to_source(const RtcpPacket& packet, const RtcpMapping& mapping, RtcpWriter& writer) noexcept {
  if (speaks_for_source(packet.ssrc(), mapping)) return;
  std::array<codec::ReportBlock, codec::kMostReportBlocks> blocks;
  std::size_t count = 0;
  for (std::size_t i = 0; i < codec::report_block_count(packet); i++) {
    if (const auto block = block_to_source(codec::report_block(packet, i), mapping)) blocks[count++] = *block;
  }
  writer.receiver_report(packet.ssrc(), std::span(blocks).first(count));
}

/**
 * One entry of a NACK, a number and 16 bits for those behind it, mapped; none when nothing of it was sent
 * under this mapping. Where the first is left out, the next that was sent takes its place.
 */
std::optional<std::uint32_t> nack_to_source(std::uint32_t entry, const RtcpMapping& mapping) noexcept {
  const auto first = static_cast<std::uint16_t>(entry >> 16);
  const std::uint32_t wanted = 1U | (entry & 0xffffU) << 1;
  std::optional<std::uint16_t> begin;
  std::uint32_t behind = 0;
  for (unsigned i = 0; i <= 16; i++) {
    if ((wanted >> i & 1U) == 0) continue;
    const auto mapped = source_sequence(static_cast<std::uint16_t>(first + i), mapping);
    if (!mapped) continue;
    const auto sequence = static_cast<std::uint16_t>(*mapped);
    if (begin) {
      behind |= 1U << (static_cast<std::uint16_t>(sequence - *begin) - 1U);
    } else {
      begin = sequence;
    }
  }
  if (!begin) return std::nullopt;
  return std::uint32_t{*begin} << 16 | behind;
}

/** As many numbers as an ordinary datagram holds; what is behind them the receiver asks for again. */
constexpr std::size_t kMostNackEntries = 350;

void nacks_to_source(const codec::FeedbackPacket& packet, const RtcpMapping& mapping,
                     RtcpWriter& writer) noexcept {
  std::array<std::uint8_t, 4 * kMostNackEntries> control;
  std::size_t size = 0;
  for (codec::Bytes rest = packet.control; rest.size() >= 4 && size < control.size();
       rest = rest.subspan(4)) {
    const auto mapped = nack_to_source(codec::load32(rest.data()), mapping);
    if (!mapped) continue;
    codec::store32(control.data() + size, *mapped);
    size += 4;
  }
  if (size == 0) return;
  writer.feedback(type::kTransportFeedback, feedback::kNack, packet.sender, mapping.source_ssrc,
                  std::span(control).first(size));
}

/** RFC 5104 section 4.3.1: whom it is for stands in its entries, eight bytes each, and not in the media SSRC.
 */
void full_intra_to_source(const codec::FeedbackPacket& packet, const RtcpMapping& mapping,
                          RtcpWriter& writer) noexcept {
  for (codec::Bytes rest = packet.control; rest.size() >= 8; rest = rest.subspan(8)) {
    if (codec::load32(rest.data()) != mapping.receiver_ssrc) continue;
    std::array<std::uint8_t, 8> entry{};
    codec::store32(entry.data(), mapping.source_ssrc);
    std::copy_n(rest.begin() + 4, 4, entry.begin() + 4);
    writer.feedback(type::kPayloadFeedback, feedback::kFullIntra, packet.sender, 0, entry);
    return;
  }
}

void feedback_to_source(const RtcpPacket& raw, const RtcpMapping& mapping, RtcpWriter& writer) noexcept {
  const auto packet = codec::feedback_packet(raw);
  if (!packet || speaks_for_source(packet->sender, mapping)) return;
  const bool about_us = packet->media == mapping.receiver_ssrc;
  if (raw.type == type::kTransportFeedback) {
    if (packet->format == feedback::kNack && about_us) nacks_to_source(*packet, mapping, writer);
    return;
  }
  if (packet->format == feedback::kFullIntra) return full_intra_to_source(*packet, mapping, writer);
  const bool known = packet->format == feedback::kPictureLoss ||
                     (packet->format == feedback::kSliceLoss && !mapping.payload_rewritten);
  if (known && about_us)
    writer.feedback(raw.type, packet->format, packet->sender, mapping.source_ssrc, packet->control);
}

void packet_to_source(const RtcpPacket& packet, std::uint32_t receiver, const RtcpMapping& mapping,
                      RtcpWriter& writer) noexcept {
  switch (packet.type) {
    case type::kSenderReport:
    case type::kReceiverReport:
      return report_to_source(packet, mapping, writer);
    case type::kSourceDescription:
      return copy_description(packet, receiver, receiver, writer);
    case type::kBye:
      return copy_bye(packet, receiver, receiver, writer);
    default:
      return feedback_to_source(packet, mapping, writer);
  }
}

}  // namespace

std::size_t rtcp_to_receiver(const codec::RtcpCompound& compound, const RtcpMapping& mapping,
                             codec::MutableBytes out) noexcept {
  RtcpWriter writer(out.first(std::min(out.size(), compound.bytes().size())));
  for (const RtcpPacket& packet : compound) packet_to_receiver(packet, mapping, writer);
  return begins_well(compound, writer.written()) ? writer.size() : 0;
}

std::size_t rtcp_to_source(const codec::RtcpCompound& compound, const RtcpMapping& mapping,
                           codec::MutableBytes out) noexcept {
  // Who sends stands first in a report and in feedback alike.
  const std::uint32_t receiver = (*compound.begin()).ssrc();
  if (speaks_for_source(receiver, mapping)) return 0;
  RtcpWriter writer(out.first(std::min(out.size(), compound.bytes().size())));
  for (const RtcpPacket& packet : compound) packet_to_source(packet, receiver, mapping, writer);
  return begins_well(compound, writer.written()) ? writer.size() : 0;
}

std::optional<codec::ReportBlock> block_to_source(const codec::ReportBlock& block,
                                                  const RtcpMapping& mapping) noexcept {
  if (block.ssrc != mapping.receiver_ssrc) return std::nullopt;
  const auto sequence = source_sequence(static_cast<std::uint16_t>(block.highest_sequence), mapping);
  if (!sequence) return std::nullopt;
  codec::ReportBlock mapped = block;
  mapped.ssrc = mapping.source_ssrc;
  mapped.highest_sequence = static_cast<std::uint32_t>(*sequence);
  mapped.lost = block.lost - mapping.lost_before;
  return mapped;
}

}  // namespace sluice::plane
