// Fuzz target: bytes as an MPEG-TS recording; what becomes a clip is rendered. The first byte chooses the
// loop.
#include "codec/ts_clip.h"

#include "fuzz/check.h"

using namespace sluice;

namespace {

void check_segment(const codec::TsClip& clip, std::size_t index, std::int64_t loop) {
  const auto& segment = clip.segments()[index];
  SLUICE_HOLDS(segment.size > 0 && segment.size % codec::kTsPacketSize == 0 && segment.duration > 0);
  SLUICE_HOLDS(!segment.marks.empty() && segment.marks.front().offset == 0 &&
               segment.marks.back().offset == segment.size);
  fuzz::Block out(segment.size);
  clip.render(index, loop, out.data());
  for (std::size_t at = 0; at < out.size(); at += codec::kTsPacketSize)
    SLUICE_HOLDS(codec::TsPacket::parse(codec::Bytes(out).subspan(at, codec::kTsPacketSize)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const fuzz::Block recording(data + 1, data + size);
  auto result = codec::TsClip::build(recording, 100);
  const auto* clip = std::get_if<codec::TsClip>(&result);
  if (clip == nullptr) return 0;
  SLUICE_HOLDS(!clip->segments().empty() && clip->duration() > 0);
  for (std::size_t i = 0; i < clip->segments().size(); i++)
    check_segment(*clip, i, std::int64_t{data[0]} << (data[0] % 50));
  return 0;
}
