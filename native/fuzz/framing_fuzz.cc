// Fuzz target: bytes as a stream of packets behind their lengths: the same packets in whatever pieces they
// come, none longer than allowed.
#include "codec/framing.h"

#include "fuzz/check.h"

using namespace sluice;

namespace {

constexpr std::size_t kMost = 300;

/** The packets, each behind its length, up to one that is too long. */
fuzz::Block expected(codec::Bytes all) {
  fuzz::Block packets;
  while (all.size() >= codec::kFrameHeadSize) {
    const std::size_t size = codec::kFrameHeadSize + codec::load16(all.data());
    if (size - codec::kFrameHeadSize > kMost || size > all.size()) break;
    if (size > codec::kFrameHeadSize)
      packets.insert(packets.end(), all.begin(), all.begin() + static_cast<std::ptrdiff_t>(size));
    all = all.subspan(size);
  }
  return packets;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  codec::FrameReader reader(kMost);
  fuzz::Block packets;
  input.in_pieces(64, [&](codec::Bytes piece) {
    while (!piece.empty()) {
      const auto step = reader.feed(piece);
      SLUICE_HOLDS(step.consumed <= piece.size() && step.packet.size() <= kMost);
      if (step.error) return false;
      SLUICE_HOLDS(step.consumed > 0);
      piece = piece.subspan(step.consumed);
      if (step.packet.empty()) continue;
      SLUICE_HOLDS(reader.at_border());
      packets.push_back(static_cast<std::uint8_t>(step.packet.size() >> 8));
      packets.push_back(static_cast<std::uint8_t>(step.packet.size()));
      packets.insert(packets.end(), step.packet.begin(), step.packet.end());
    }
    return true;
  });
  SLUICE_HOLDS(packets == expected(input.body()));
  return 0;
}
