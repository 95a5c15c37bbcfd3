// Fuzz target: bytes as a capture file (pcap or pcapng, link headers, IP, UDP, RTP), whole and in pieces, and
// its flows as clips.
#include <algorithm>

#include "codec/capture_flows.h"
#include "codec/mpegts.h"
#include "codec/packet_filter.h"
#include "codec/ts_clip.h"
#include "fuzz/check.h"

using namespace sluice;

namespace {

void check_packet(const codec::CapturePacket& packet, const codec::PacketFilter& filter) {
  SLUICE_HOLDS(packet.data.size() <= codec::kMaxCaptured);
  if (const auto link = codec::parse_link(packet.data, packet.link_type)) {
    SLUICE_HOLDS(link->network.size() <= packet.data.size() && link->tag_count <= link->tags.size());
    static_cast<void>(filter.matches(*link));
  }
  codec::UdpDatagram datagram;
  if (codec::find_udp(packet.data, packet.link_type, datagram) != codec::UdpFind::udp) return;
  SLUICE_HOLDS(datagram.payload.size() <= packet.data.size());
  SLUICE_HOLDS(datagram.version == 4 || datagram.version == 6);
}

/** How many packets a file has that comes in pieces of `piece` bytes. */
std::size_t read_in_pieces(codec::Bytes file, std::size_t piece) {
  using Step = codec::CaptureReader::Step;
  codec::PacketFilter filter;
  filter.ports = {5000};
  filter.protocols = {codec::Protocol::rtp, codec::Protocol::mld};
  codec::CaptureReader reader;
  std::size_t begin = 0;
  std::size_t end = 0;
  std::uint64_t least = 0;
  for (std::size_t packets = 0;;) {
    codec::Bytes window = file.subspan(begin, end - begin);
    codec::CapturePacket packet;
    const Step step = reader.next(window, end == file.size(), packet);
    begin = end - window.size();
    SLUICE_HOLDS(reader.offset() == begin);
    if (step == Step::packet) {
      SLUICE_HOLDS(packet.offset >= least && reader.offset() > packet.offset);
      least = reader.offset();
      check_packet(packet, filter);
      packets++;
    } else if (step == Step::more) {
      SLUICE_HOLDS(end < file.size() && reader.needed() > window.size());
      SLUICE_HOLDS(reader.needed() <= codec::CaptureReader::kMostNeeded);
      end = std::min(file.size(), std::max(end + piece, begin + reader.needed()));
    } else {
      if (const auto& damage = reader.damage())
        SLUICE_HOLDS(damage->offset <= file.size() && damage->got.back() == '\0');
      return packets;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::Block file(data, data + size);
  SLUICE_HOLDS(read_in_pieces(file, size) == read_in_pieces(file, 1 + size % 64));
  const auto result = codec::read_capture_flows(file);
  if (const auto* error = std::get_if<codec::CaptureError>(&result)) SLUICE_HOLDS(!error->message.empty());
  const auto* read = std::get_if<codec::CaptureFlows>(&result);
  if (read == nullptr) return 0;
  SLUICE_HOLDS(!read->flows.empty());
  for (const auto& flow : read->flows) {
    SLUICE_HOLDS(flow.ts.size() % codec::kTsPacketSize == 0 && flow.ts.size() <= size);
    static_cast<void>(codec::TsClip::build(flow.ts, 1000));
  }
  return 0;
}
