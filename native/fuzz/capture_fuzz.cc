// Fuzz target: bytes as a capture file (pcap, link headers, IP, UDP, RTP), and its flows as clips.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "codec/capture_flows.h"
#include "codec/ts_clip.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto result = sluice::codec::read_capture_flows({data, size});
  const auto* flows = std::get_if<std::vector<sluice::codec::CaptureFlow>>(&result);
  if (flows == nullptr) return 0;
  for (const auto& flow : *flows) static_cast<void>(sluice::codec::TsClip::build(flow.ts, 1000));
  return 0;
}
