// What a thread asks of the scheduler.
#pragma once

namespace sluice::kernel {

/**
 * Asks that the calling thread be run soon after it wakes, though it may then be interrupted sooner: a
 * departure a few milliseconds late is seen by every receiver. Short time slices need no privilege (since
 * Linux 6.12); precedence over other programs needs CAP_SYS_NICE. What is refused is done without.
 */
void prefer_latency() noexcept;

/** Has the calling thread run on one CPU only; false, with errno, where it may not or there is none. */
[[nodiscard]] bool stay_on_cpu(unsigned cpu) noexcept;

}  // namespace sluice::kernel
