// Fuzz target: bytes as an MPEG-TS recording; what becomes a clip is rendered. The first byte chooses the
// loop.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "codec/ts_clip.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  auto result = sluice::codec::TsClip::build({data + 1, size - 1}, 100);
  const auto* clip = std::get_if<sluice::codec::TsClip>(&result);
  if (clip == nullptr) return 0;
  for (std::size_t i = 0; i < clip->segments().size(); i++) {
    std::vector<std::uint8_t> out(clip->segments()[i].size);
    clip->render(i, std::int64_t{data[0]} << (data[0] % 50), out.data());
    if (out.empty() || out[0] != sluice::codec::kTsSync) std::abort();
  }
  return 0;
}
