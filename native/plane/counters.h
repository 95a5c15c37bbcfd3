// The counters that cross to TypeScript: plain structs of 64-bit words in one shared table. The order of the
// fields is the order of the lists in daemon/plane/contract-counters.ts.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <vector>

#include "kernel/counter.h"
#include "kernel/sparse_words.h"

namespace sluice::plane {

// One list each: the struct's fields and the names that the addon tells TypeScript come from it.
// Formatted by hand: the formatter moves the lines of such a list each time it is run.
// clang-format off
#define SLUICE_STREAM_COUNTERS(X)                                                                                  \
  X(bytes_in) X(ts_packets_in) X(packets_in) X(bytes_ring) X(packets_released) X(sync_errors) X(continuity_errors) \
  X(transport_errors) X(discontinuities) X(underruns) X(ring_full_drops) X(ring_used_bytes) X(ring_size_bytes)     \
  X(buffer_level_us) X(clock_ppb) X(bitrate) X(segment_bitrate_peak) X(segments) X(access_points)                  \
  X(viewers_continuous) X(viewers_segmented) X(viewer_bytes) X(viewer_drops) X(viewer_drop_bytes)                  \
  X(segment_overruns) X(rtp_sequence) X(last_input_ms) X(mean_rate) X(rate_variation) X(peak_rate)                 \
  X(output_peak_rate) X(smoothing) X(smoothing_delay_us) X(smoothing_delay_max_us) X(range_served) X(range_gone)   \
  X(range_malformed) X(range_shed) X(range_packets) X(range_bytes)
#define SLUICE_SENDER_COUNTERS(X)                                                                                  \
  X(packets) X(bytes) X(calls) X(errors) X(drops) X(segmentation) X(rtcp_out) X(rtcp_errors) X(rtcp_in)           \
  X(rtcp_malformed) X(reports) X(reported_lost_ppm) X(reported_jitter_us) X(round_trip_us) X(parity_columns)      \
  X(parity_rows) X(parity_blocks) X(parity_bytes) X(parity_errors) X(feedback_in) X(feedback_malformed)           \
  X(feedback_refused) X(nacks) X(nacked) X(resent) X(resent_bytes) X(resend_gone) X(resend_shed) X(resend_errors) \
  X(tokens_granted) X(tokens_refused) X(acquisitions) X(acquisitions_refused) X(burst_packets) X(burst_bytes) \
  X(asked_packets) X(resent_to_all) X(suppressed) \
  X(loss_reports) X(audience) X(reported_expected) X(reported_missing) X(tail_loss_ppm) X(runs1) X(runs2) X(runs3)   \
  X(runs4) X(runs6) X(runs8) X(runs12) X(runs16) X(runs24) X(runs32) X(runs64) X(runs_longer)
#define SLUICE_LOOP_COUNTERS(X) \
  X(wakeups) X(events) X(busy_ns) X(timer_late_ns_max) X(commands) X(busy_permille) X(wakeups_per_second) X(measured)
#define SLUICE_CAPTURE_COUNTERS(X) X(packets) X(bytes) X(received) X(kernel_drops) X(file_bytes) X(files)
#define SLUICE_REPLAY_COUNTERS(X) \
  X(packets) X(bytes) X(unsuitable) X(errors) X(last_error) X(loops) X(late_ns_max)
// clang-format on

#define SLUICE_COUNTER_FIELD(name) std::uint64_t name;
struct StreamCounters {
  SLUICE_STREAM_COUNTERS(SLUICE_COUNTER_FIELD)
};
struct SenderCounters {
  SLUICE_SENDER_COUNTERS(SLUICE_COUNTER_FIELD)
};
struct LoopCounters {
  SLUICE_LOOP_COUNTERS(SLUICE_COUNTER_FIELD)
};
struct CaptureCounters {
  SLUICE_CAPTURE_COUNTERS(SLUICE_COUNTER_FIELD)
};
struct ReplayCounters {
  SLUICE_REPLAY_COUNTERS(SLUICE_COUNTER_FIELD)
};
#undef SLUICE_COUNTER_FIELD

/** Words of one slot: room for the largest of the structs. */
constexpr std::size_t kSlotWords = 64;

/**
 * The table: fixed slots, zeroed when taken; those never taken cost no memory. Slots are taken and given back
 * by verbs, or by commands that a verb waits for, never on the packet path.
 */
class CounterTable {
 public:
  /** Throws std::bad_alloc where there is no address space. */
  explicit CounterTable(std::size_t slots) : slots_(slots), words_(kernel::sparse_words(slots * kSlotWords)) {
    if (!words_) throw std::bad_alloc();
  }

  /** None when all slots are taken. */
  std::optional<std::uint32_t> take() {
    if (free_.empty()) {
      if (untouched_ == slots_) return std::nullopt;
      return untouched_++;
    }
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    for (std::size_t i = 0; i < kSlotWords; i++) kernel::gauge(words_[slot * kSlotWords + i], 0);
    return slot;
  }
  void give_back(std::uint32_t slot) { free_.push_back(slot); }

  /** The slot as one of the counter structs. */
  template <class T>
  [[nodiscard]] T& as(std::uint32_t slot) noexcept {
    static_assert(sizeof(T) <= kSlotWords * sizeof(std::uint64_t) && alignof(T) == alignof(std::uint64_t));
    return *reinterpret_cast<T*>(words_.get() + slot * kSlotWords);
  }
  /** All of them; whoever holds it may read on when the table has gone. */
  [[nodiscard]] const std::shared_ptr<std::uint64_t[]>& words() const noexcept { return words_; }
  [[nodiscard]] std::size_t slots() const noexcept { return slots_; }

 private:
  const std::size_t slots_;
  std::shared_ptr<std::uint64_t[]> words_;
  /** Slots from here on were never taken. */
  std::uint32_t untouched_ = 0;
  std::vector<std::uint32_t> free_;
};

}  // namespace sluice::plane
