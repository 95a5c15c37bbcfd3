// Fuzz target: bytes as the MPEG-TS that a receiver measures, datagram by datagram on a clock of its own.
#include "fuzz/check.h"
#include "plane/ts_monitor.h"

using namespace sluice;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  plane::InputCounters counters{};
  plane::TsMonitor monitor(counters);
  kernel::Nanos now = kernel::kSecond;
  std::size_t written = 0;
  input.in_pieces(1500, [&](codec::Bytes piece) {
    now += static_cast<kernel::Nanos>(piece[0]) * kernel::kMillisecond;
    monitor.write(piece, now);
    written += piece.size();
    if (piece.size() % 64 == 0) monitor.splice();
    return true;
  });
  SLUICE_HOLDS(counters.ts_packets * codec::kTsPacketSize <= written);
  SLUICE_HOLDS(counters.continuity_errors <= counters.ts_packets);
  SLUICE_HOLDS(counters.transport_errors <= counters.ts_packets);
  SLUICE_HOLDS(counters.pcr_discontinuities <= counters.pcr_count);
  return 0;
}
