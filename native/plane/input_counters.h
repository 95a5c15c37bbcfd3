// Counters of a UDP/RTP input and of a measuring receiver.
#pragma once

#include <cstdint>

namespace sluice::plane {

// Formatted by hand: the formatter moves the lines of such a list each time it is run.
// clang-format off
#define SLUICE_INPUT_COUNTERS(X)                                                                         \
  X(packets)                                                                                             \
  X(bytes) X(rtp_lost) X(rtp_reordered) X(rtp_duplicates) X(rtp_late) X(jitter_ns) X(malformed)          \
      X(kernel_drops) X(ts_packets) X(continuity_errors) X(transport_errors) X(sync_errors) X(pcr_count) \
          X(pcr_jitter_ns) X(pcr_discontinuities) X(ssrc) X(last_sequence) X(output_bytes) X(output_errors) X(recorded) X(record_error) X(rtcp) X(missing) \
      X(damaged) X(by_parity) X(by_block) X(by_retransmission) X(by_fetch) X(parity_packets) X(nacks) X(nacked) X(resent) \
          X(playout_us) X(repair_round_trip_us) X(tokens_granted) X(tokens_refused) \
          X(acquisition) X(acquisition_response) X(acquired) X(join_errors) \
          X(fetches) X(fetch_asked) X(fetch_errors)
// clang-format on

/** In the order of INPUT_COUNTERS in daemon/plane/contract-counters.ts. */
struct InputCounters {
#define SLUICE_COUNTER_FIELD(name) std::uint64_t name;
  SLUICE_INPUT_COUNTERS(SLUICE_COUNTER_FIELD)
#undef SLUICE_COUNTER_FIELD
};

}  // namespace sluice::plane
