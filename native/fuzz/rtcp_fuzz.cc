// Fuzz target: bytes as a compound of RTCP, read, and translated both ways with a mapping of chosen numbers;
// what comes out is whole, never longer than it was, and about the right sources.
#include "codec/rtcp.h"

#include "fuzz/check.h"
#include "plane/rtcp_translation.h"

using namespace sluice;

namespace {

void check_inside(codec::Bytes part, const fuzz::Block& datagram) {
  SLUICE_HOLDS(part.empty() || (part.data() >= datagram.data() &&
                                part.data() + part.size() <= datagram.data() + datagram.size()));
}

void check_report(const codec::RtcpPacket& packet) {
  for (std::size_t i = 0; i < codec::report_block_count(packet); i++) {
    const codec::ReportBlock block = codec::report_block(packet, i);
    std::array<std::uint8_t, codec::kRtcpReportBlockSize> bytes{};
    codec::store_report_block(block, bytes.data());
    SLUICE_HOLDS(codec::load_report_block(bytes.data()).lost == block.lost);
  }
}

void check_packet(const codec::RtcpPacket& packet, const fuzz::Block& datagram) {
  check_inside(packet.body, datagram);
  check_report(packet);
  codec::SdesChunks chunks(packet);
  std::size_t count = 0;
  while (const auto chunk = chunks.next()) {
    count++;
    SLUICE_HOLDS(!chunk->items().empty() && chunk->items().size() % 4 == 0);
    check_inside(chunk->items(), datagram);
    if (const auto name = chunk->item(codec::sdes_item::kCname)) check_inside(name->text, datagram);
  }
  SLUICE_HOLDS(packet.type != codec::rtcp_type::kSourceDescription || count == packet.count);
  for (std::size_t i = 0; i < codec::bye_count(packet); i++) (void)codec::bye_source(packet, i);
  check_inside(codec::bye_reason(packet), datagram);
  if (const auto app = codec::application_packet(packet)) check_inside(app->data, datagram);
  if (const auto feedback = codec::feedback_packet(packet)) check_inside(feedback->control, datagram);
}

/** What a translation gave can be read again; nothing of it is by `never`. */
void check_translated(codec::Bytes bytes, std::size_t most, std::uint32_t never) {
  SLUICE_HOLDS(bytes.size() <= most);
  if (bytes.empty()) return;
  const auto again = codec::RtcpCompound::parse(bytes, codec::RtcpForm::reduced_too);
  SLUICE_HOLDS(again.has_value());
  for (const codec::RtcpPacket& packet : *again) SLUICE_HOLDS(packet.ssrc() != never);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const fuzz::Block& datagram = input.body();
  const auto form = input.choose(2) == 0 ? codec::RtcpForm::full : codec::RtcpForm::reduced_too;
  const auto compound = codec::RtcpCompound::parse(datagram, form);
  if (!compound) return 0;
  std::size_t read = 0;
  for (const codec::RtcpPacket& packet : *compound) {
    check_packet(packet, datagram);
    read += codec::kRtcpHeaderSize + packet.body.size();
  }
  SLUICE_HOLDS(read > 0 && read <= datagram.size());
  plane::RtcpMapping mapping;
  mapping.source_ssrc = 0xcafebabe;
  mapping.receiver_ssrc = input.choose(2) == 0 ? 0x11223344 : 0xcafebabe;
  mapping.sequence_delta = static_cast<std::int64_t>(input.choose(1U << 20)) - (1 << 19);
  mapping.first_sequence = static_cast<std::int64_t>(input.choose(1U << 16));
  mapping.last_sequence = mapping.first_sequence + static_cast<std::int64_t>(input.choose(1U << 15));
  fuzz::Block out(datagram.size());
  const bool same = mapping.source_ssrc == mapping.receiver_ssrc;
  const std::size_t down = plane::rtcp_to_receiver(*compound, mapping, out);
  check_translated(codec::Bytes(out).first(down), datagram.size(), same ? 0 : mapping.source_ssrc);
  const std::size_t up = plane::rtcp_to_source(*compound, mapping, out);
  check_translated(codec::Bytes(out).first(up), datagram.size(), mapping.source_ssrc);
  return 0;
}
