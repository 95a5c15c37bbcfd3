#include "plane/flow_receiver.h"

#include <algorithm>
#include <cstring>

#include "codec/rtp.h"

namespace sluice::plane {

using codec::kRtpHeaderSize;
using codec::load32;
using codec::store16;
using codec::store32;

namespace {

constexpr std::uint8_t kAnyPayloadType = 0xff;
constexpr std::uint8_t kMarker = 0x80;

}  // namespace

std::size_t FlowPacket::size() const noexcept {
  return (header != nullptr ? kRtpHeaderSize : 0) + body.size();
}

FlowReceiver::FlowReceiver(Handle handle, Port& port, const FlowReceiverOptions& o) noexcept
    : port_(&port),
      open_(o.open),
      rewrites_(o.ssrc || o.payload_type || o.sequence_offset != 0 || o.timestamp_offset != 0),
      fits_(!rewrites_),
      own_ssrc_(o.ssrc.has_value()),
      payload_type_(o.payload_type.value_or(kAnyPayloadType)),
      ssrc_(o.ssrc.value_or(0)),
      timestamp_delta_(o.timestamp_offset),
      sequence_delta_(o.sequence_offset),
      target_(o.destination, o.dscp, o.source),
      handle_(handle),
      rtcp_port_(o.rtcp_port) {}

void FlowReceiver::turn(bool open) noexcept {
  if (open) switches_++;
  open_ = open;
  rewrites_ = true;
  fits_ = false;
}

void FlowReceiver::fit(const FlowPacket& packet, std::uint32_t clock_rate, Nanos now) noexcept {
  fits_ = true;
  first_ = packet.sequence;
  if (packet.header == nullptr) return;
  if (sequence_ < 0) {
    if (!own_ssrc_) ssrc_ = load32(packet.header + 8);
    return;
  }
  // RFC 3550 section 5.1: timestamps go on with the clock, also over a time in which nothing was sent.
  std::uint32_t next = timestamp_at(now, clock_rate);
  if (next == timestamp_) next++;
  sequence_delta_ = sequence_ + 1 - packet.sequence;
  timestamp_delta_ = next - load32(packet.header + 4);
  // RFC 3551 section 4.1: the first packet of a talkspurt.
  mark_ = true;
}

std::uint32_t FlowReceiver::timestamp_at(Nanos at, std::uint32_t clock_rate) const noexcept {
  const double ticks = static_cast<double>(at - sent_at_) * static_cast<double>(clock_rate) / 1e9;
  return timestamp_ + static_cast<std::uint32_t>(static_cast<std::int64_t>(ticks));
}

void FlowReceiver::rewrite(const FlowPacket& packet, std::uint8_t* out) noexcept {
  std::memcpy(out, packet.header, kRtpHeaderSize);
  if (payload_type_ != kAnyPayloadType)
    out[1] = static_cast<std::uint8_t>((out[1] & kMarker) | payload_type_);
  if (mark_) out[1] |= kMarker;
  mark_ = false;
  store16(out + 2, static_cast<std::uint16_t>(packet.sequence + sequence_delta_));
  store32(out + 4, load32(out + 4) + timestamp_delta_);
  store32(out + 8, ssrc_);
}

void FlowReceiver::sent(const FlowPacket& newest, std::size_t packets, std::size_t bytes,
                        Nanos now) noexcept {
  packets_ += packets;
  bytes_ += bytes;
  if (newest.header == nullptr) return;
  const std::int64_t sequence = newest.sequence + sequence_delta_;
  // What comes late changes nothing.
  if (rewrites_ && sequence <= sequence_) return;
  sequence_ = sequence;
  timestamp_ = load32(newest.header + 4) + timestamp_delta_;
  sent_at_ = now;
  if (!rewrites_) ssrc_ = load32(newest.header + 8);
}

}  // namespace sluice::plane
