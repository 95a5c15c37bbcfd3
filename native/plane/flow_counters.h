// Counters of a port and of a flow.
#pragma once

#include <cstdint>

namespace sluice::plane {

// Formatted by hand: the formatter moves the lines of such a list each time it is run.
// clang-format off
#define SLUICE_PORT_COUNTERS(X) \
  X(packets) X(bytes) X(unmatched) X(kernel_drops) X(receive_calls) X(send_calls) X(segmentation) X(coalescing)
#define SLUICE_FLOW_COUNTERS(X)                                                                                   \
  X(packets_in) X(bytes_in) X(packets_out) X(bytes_out) X(sequence) X(send_errors) X(malformed) X(rtp_lost)       \
  X(rtp_reordered) X(rtp_duplicates) X(jitter_us) X(ssrc) X(receivers) X(receivers_open) X(switches) X(shed_late) \
  X(shed_priority) X(rtcp_in) X(rtcp_out) X(rtcp_malformed) X(history_ms) X(bitrate) X(peak_rate)                 \
  X(output_peak_rate) X(smoothing_delay_us)
// clang-format on

#define SLUICE_COUNTER_FIELD(name) std::uint64_t name;
/** In the order of PORT_COUNTERS in daemon/plane/contract-counters.ts. */
struct PortCounters {
  SLUICE_PORT_COUNTERS(SLUICE_COUNTER_FIELD)
};
/** In the order of FLOW_COUNTERS in daemon/plane/contract-counters.ts. */
struct FlowCounters {
  SLUICE_FLOW_COUNTERS(SLUICE_COUNTER_FIELD)
};
#undef SLUICE_COUNTER_FIELD

}  // namespace sluice::plane
