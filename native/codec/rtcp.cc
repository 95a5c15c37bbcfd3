#include "codec/rtcp.h"

#include <algorithm>

namespace sluice::codec {

namespace {

constexpr std::size_t kSsrcSize = 4;

/** Bytes of the packet that begins here, its header included; the caller checks. */
std::size_t packet_size(Bytes at) noexcept {
  return kRtcpHeaderSize * (1 + std::size_t{load16(at.data() + 2)});
}

/**
 * Length of the chunk that begins here, none when it does not end in `rest`: SSRC, items, a zero byte, and
 * more of them up to the next word (RFC 3550 section 6.5).
 */
std::optional<std::size_t> chunk_size(Bytes rest) noexcept {
  std::size_t at = kSsrcSize;
  while (at < rest.size() && rest[at] != sdes_item::kEnd) {
    if (at + 2 > rest.size()) return std::nullopt;
    at += 2 + std::size_t{rest[at + 1]};
  }
  if (at >= rest.size()) return std::nullopt;
  // A packet is whole words, so the filling is inside when its first byte is.
  return (at / 4 + 1) * 4;
}

bool chunks_fit(const RtcpPacket& packet) noexcept {
  Bytes rest = packet.body;
  for (std::size_t i = 0; i < packet.count; i++) {
    const auto size = chunk_size(rest);
    if (!size) return false;
    rest = rest.subspan(*size);
  }
  return true;
}

bool bye_fits(const RtcpPacket& packet) noexcept {
  const std::size_t sources = kSsrcSize * packet.count;
  if (packet.body.size() <= sources) return packet.body.size() == sources;
  return sources + 1 + packet.body[sources] <= packet.body.size();
}

bool contents_fit(const RtcpPacket& packet) noexcept {
  const std::size_t size = packet.body.size();
  switch (packet.type) {
    case rtcp_type::kSenderReport:
      return size >= kSsrcSize + kRtcpSenderInfoSize + kRtcpReportBlockSize * packet.count;
    case rtcp_type::kReceiverReport:
      return size >= kSsrcSize + kRtcpReportBlockSize * packet.count;
    case rtcp_type::kSourceDescription:
      return chunks_fit(packet);
    case rtcp_type::kBye:
      return bye_fits(packet);
    case rtcp_type::kApplication:
    case rtcp_type::kTransportFeedback:
    case rtcp_type::kPayloadFeedback:
      return size >= 8;
    case rtcp_type::kExtendedReport:
      return size >= kSsrcSize;
    default:
      return true;
  }
}

/** The packet that begins here, none where a length in it is wrong. */
std::optional<RtcpPacket> read_packet(Bytes rest) noexcept {
  if (rest.size() < kRtcpHeaderSize || rest[0] >> 6 != 2) return std::nullopt;
  const std::size_t size = packet_size(rest);
  if (size > rest.size()) return std::nullopt;
  RtcpPacket packet{static_cast<std::uint8_t>(rest[0] & 0x1f), rest[1],
                    rest.subspan(kRtcpHeaderSize, size - kRtcpHeaderSize)};
  if ((rest[0] & 0x20) != 0) {
    // RFC 3550 section 6.4.1: a multiple of four bytes, the count itself included, in the last packet only.
    const std::size_t padding = rest[size - 1];
    if (size != rest.size() || padding == 0 || padding % 4 != 0 || padding > packet.body.size())
      return std::nullopt;
    packet.body = packet.body.first(packet.body.size() - padding);
  }
  return packet;
}

std::size_t blocks_begin(const RtcpPacket& packet) noexcept {
  return kSsrcSize + (packet.type == rtcp_type::kSenderReport ? kRtcpSenderInfoSize : 0);
}

}  // namespace

std::optional<RtcpCompound> RtcpCompound::parse(Bytes datagram, RtcpForm form) noexcept {
  if (!is_rtcp(datagram)) return std::nullopt;
  for (Bytes rest = datagram; !rest.empty(); rest = rest.subspan(packet_size(rest))) {
    const auto packet = read_packet(rest);
    if (!packet || !contents_fit(*packet)) return std::nullopt;
    const bool first = rest.size() == datagram.size();
    if (first && form == RtcpForm::full && !packet->is_report()) return std::nullopt;
  }
  return RtcpCompound(datagram);
}

RtcpPacket RtcpCompound::Iterator::operator*() const noexcept {
  return read_packet(rest_).value_or(RtcpPacket{});
}

RtcpCompound::Iterator& RtcpCompound::Iterator::operator++() noexcept {
  rest_ = rest_.subspan(packet_size(rest_));
  return *this;
}

std::optional<SenderInfo> sender_info(const RtcpPacket& packet) noexcept {
  if (packet.type != rtcp_type::kSenderReport) return std::nullopt;
  const std::uint8_t* p = packet.body.data() + kSsrcSize;
  return SenderInfo{(std::uint64_t{load32(p)} << 32) | load32(p + 4), load32(p + 8), load32(p + 12),
                    load32(p + 16)};
}

std::size_t report_block_count(const RtcpPacket& packet) noexcept {
  return packet.is_report() ? packet.count : 0;
}

ReportBlock report_block(const RtcpPacket& packet, std::size_t index) noexcept {
  return load_report_block(packet.body.data() + blocks_begin(packet) + index * kRtcpReportBlockSize);
}

ReportBlock load_report_block(const std::uint8_t* p) noexcept {
  // The shift to the top and back extends the sign of 24 bits.
  const auto lost = static_cast<std::int32_t>(load32(p + 4) << 8) >> 8;
  return {load32(p), p[4], lost, load32(p + 8), load32(p + 12), load32(p + 16), load32(p + 20)};
}

void store_report_block(const ReportBlock& block, std::uint8_t* p) noexcept {
  const std::int32_t lost = std::clamp(block.lost, -0x800000, 0x7fffff);
  store32(p, block.ssrc);
  store32(p + 4, static_cast<std::uint32_t>(lost) & 0xffffffU);
  p[4] = block.fraction_lost;
  store32(p + 8, block.highest_sequence);
  store32(p + 12, block.jitter);
  store32(p + 16, block.last_report);
  store32(p + 20, block.delay);
}

std::optional<SdesItem> SdesChunk::item(std::uint8_t type) const noexcept {
  for (Bytes rest = items_; !rest.empty() && rest[0] != sdes_item::kEnd;
       rest = rest.subspan(2 + std::size_t{rest[1]})) {
    if (rest[0] == type) return SdesItem{type, rest.subspan(2, rest[1])};
  }
  return std::nullopt;
}

SdesChunks::SdesChunks(const RtcpPacket& packet) noexcept
    : rest_(packet.body), left_(packet.type == rtcp_type::kSourceDescription ? packet.count : 0) {}

std::optional<SdesChunk> SdesChunks::next() noexcept {
  if (left_ == 0) return std::nullopt;
  const auto size = chunk_size(rest_);
  if (!size) return std::nullopt;
  left_--;
  const SdesChunk chunk(load32(rest_.data()), rest_.subspan(kSsrcSize, *size - kSsrcSize));
  rest_ = rest_.subspan(*size);
  return chunk;
}

std::size_t bye_count(const RtcpPacket& packet) noexcept {
  return packet.type == rtcp_type::kBye ? packet.count : 0;
}

std::uint32_t bye_source(const RtcpPacket& packet, std::size_t index) noexcept {
  return load32(packet.body.data() + kSsrcSize * index);
}

Bytes bye_reason(const RtcpPacket& packet) noexcept {
  const std::size_t at = kSsrcSize * bye_count(packet);
  if (packet.type != rtcp_type::kBye || at >= packet.body.size()) return {};
  return packet.body.subspan(at + 1, packet.body[at]);
}

std::optional<ApplicationPacket> application_packet(const RtcpPacket& packet) noexcept {
  if (packet.type != rtcp_type::kApplication) return std::nullopt;
  return ApplicationPacket{packet.count, packet.ssrc(), packet.body.subspan(4, 4), packet.body.subspan(8)};
}

std::optional<FeedbackPacket> feedback_packet(const RtcpPacket& packet) noexcept {
  if (packet.type != rtcp_type::kTransportFeedback && packet.type != rtcp_type::kPayloadFeedback)
    return std::nullopt;
  return FeedbackPacket{packet.count, packet.ssrc(), load32(packet.body.data() + 4), packet.body.subspan(8)};
}

}  // namespace sluice::codec
