// Measures an MPEG-TS as it arrives.
#pragma once

#include <array>

#include "codec/ts_align.h"
#include "kernel/reactor.h"
#include "plane/input_counters.h"
#include "plane/pcr_jitter.h"

namespace sluice::plane {

/**
 * Counts packets, continuity errors per PID (ISO/IEC 13818-1 2.4.3.3: one duplicate and announced
 * discontinuities are none; null packets have no counter), transport_error_indicator, losses of the sync
 * byte, PCRs and their jumps, and measures the PCR jitter of one PID: the first that carries PCRs, and
 * another when that one has none for a second.
 */
class TsMonitor {
 public:
  explicit TsMonitor(InputCounters& counters) noexcept : counters_(counters) {}
  TsMonitor(const TsMonitor&) = delete;
  TsMonitor& operator=(const TsMonitor&) = delete;
  ~TsMonitor() = default;

  /** The payload of one datagram. */
  void write(codec::Bytes ts, kernel::Nanos arrival) noexcept;
  /** What comes next does not continue what came. */
  void splice() noexcept;

 private:
  void take(codec::Bytes bytes, std::size_t offset, kernel::Nanos arrival) noexcept;
  void take_pcr(const codec::TsPacket& packet, std::int64_t pcr, std::size_t offset,
                kernel::Nanos arrival) noexcept;

  InputCounters& counters_;
  codec::TsAligner aligner_;
  std::array<codec::ContinuityCheck, 8192> continuity_;
  PcrJitter jitter_;
  std::uint16_t pcr_pid_ = codec::kPidNull;
  kernel::Nanos last_pcr_arrival_ = 0;
  /** Bytes of whole packets so far. */
  std::uint64_t position_ = 0;
};

}  // namespace sluice::plane
