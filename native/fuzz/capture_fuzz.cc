// Fuzz target: bytes as a capture file (pcap, link headers, IP, UDP, RTP), and its flows as clips.
#include "codec/capture_flows.h"
#include "codec/ts_clip.h"
#include "fuzz/check.h"

using namespace sluice;

namespace {

void check_records(codec::Bytes file) {
  codec::PcapReader reader(file);
  std::size_t at = 0;
  while (const auto record = reader.next()) {
    SLUICE_HOLDS(record->offset >= at && record->data.data() >= file.data() + record->offset);
    at = static_cast<std::size_t>(record->data.data() - file.data()) + record->data.size();
    SLUICE_HOLDS(at <= file.size() && record->data.size() <= codec::kPcapMaxCaptured);
    codec::UdpDatagram datagram;
    if (codec::find_udp(record->data, reader.link_type(), datagram) != codec::UdpFind::udp) continue;
    SLUICE_HOLDS(datagram.payload.size() <= record->data.size());
    SLUICE_HOLDS(datagram.version == 4 || datagram.version == 6);
  }
  if (reader.error())
    SLUICE_HOLDS(reader.error()->offset <= file.size() && reader.error()->got.back() == '\0');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::Block file(data, data + size);
  check_records(file);
  const auto result = codec::read_capture_flows(file);
  if (const auto* error = std::get_if<codec::CaptureError>(&result)) SLUICE_HOLDS(!error->message.empty());
  const auto* flows = std::get_if<std::vector<codec::CaptureFlow>>(&result);
  if (flows == nullptr) return 0;
  SLUICE_HOLDS(!flows->empty());
  for (const auto& flow : *flows) {
    SLUICE_HOLDS(flow.ts.size() % codec::kTsPacketSize == 0 && flow.ts.size() <= size);
    static_cast<void>(codec::TsClip::build(flow.ts, 1000));
  }
  return 0;
}
