// Fuzz target: bytes as a stream of TS packets, in one piece and in several: the same packets come out.
#include "codec/ts_align.h"

#include "fuzz/check.h"

using namespace sluice;

namespace {

struct Cutter {
  codec::TsAligner aligner;
  std::vector<std::uint8_t> out;

  bool take(codec::Bytes bytes) {
    aligner.feed(bytes, [this](codec::Bytes packet) {
      SLUICE_HOLDS(packet.size() == codec::kTsPacketSize && packet[0] == codec::kTsSync);
      out.insert(out.end(), packet.begin(), packet.end());
    });
    return true;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  Cutter whole;
  Cutter cut;
  whole.take(input.body());
  input.in_pieces(400, [&](codec::Bytes piece) { return cut.take(piece); });
  SLUICE_HOLDS(whole.out == cut.out);
  SLUICE_HOLDS(whole.aligner.locked() == cut.aligner.locked());
  SLUICE_HOLDS(whole.aligner.losses() == cut.aligner.losses());
  SLUICE_HOLDS(whole.aligner.skipped() == cut.aligner.skipped());
  SLUICE_HOLDS(whole.out.size() + whole.aligner.skipped() <= input.body().size());
  return 0;
}
