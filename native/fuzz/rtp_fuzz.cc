// Fuzz target: bytes as an RTP packet; what was read is written and read again.
#include "codec/rtp.h"

#include "fuzz/check.h"

using namespace sluice;

namespace {

bool same(const codec::RtpHeader& a, const codec::RtpHeader& b) {
  return a.marker == b.marker && a.payload_type == b.payload_type && a.sequence == b.sequence &&
         a.timestamp == b.timestamp && a.ssrc == b.ssrc;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::Block datagram(data, data + size);
  const auto packet = codec::parse_rtp(datagram);
  if (!packet) return 0;
  SLUICE_HOLDS(packet->payload.size() + codec::kRtpHeaderSize <= size);
  SLUICE_HOLDS(packet->payload.empty() ||
               (packet->payload.data() >= datagram.data() + codec::kRtpHeaderSize &&
                packet->payload.data() + packet->payload.size() <= datagram.data() + size));
  fuzz::Block again(codec::kRtpHeaderSize);
  codec::write_rtp_header(packet->header, again.data());
  again.insert(again.end(), packet->payload.begin(), packet->payload.end());
  const auto back = codec::parse_rtp(again);
  SLUICE_HOLDS(back && same(back->header, packet->header));
  SLUICE_HOLDS(
      std::equal(back->payload.begin(), back->payload.end(), packet->payload.begin(), packet->payload.end()));
  const std::int64_t reference = packet->header.timestamp;
  const std::int64_t extended = codec::extend_sequence(reference, packet->header.sequence);
  SLUICE_HOLDS(static_cast<std::uint16_t>(extended) == packet->header.sequence);
  SLUICE_HOLDS(extended - reference >= -32768 && extended - reference <= 32767);
  return 0;
}
