// What a receiver that repairs tells a feedback target every few seconds of how the stream came.
#pragma once

#include <random>
#include <utility>

#include "codec/loss_runs.h"
#include "kernel/reactor.h"
#include "plane/rtp_statistics.h"

namespace sluice::plane {

/**
 * When to report, and what: also while nothing is asked for, since else the sender would not know of what
 * parity repairs, nor that nothing is lost. Time is an argument; nothing is allocated.
 */
class ReceptionReports {
 public:
  /** Between two reports, on average: each comes after 0.5 to 1.5 of it (RFC 3550 section 6.3.1). With the
   * AVPF profile there is no shorter bound (RFC 4585 section 3.5.2). */
  static constexpr Nanos kInterval = 2 * kernel::kSecond;

  explicit ReceptionReports(std::uint32_t seed) noexcept : random_(seed) {}

  /** The highest number received went on from `before` to `after`; both with their cycles. */
  void advanced(std::uint32_t before, std::uint32_t after) noexcept {
    const std::uint32_t missed = after - before - 1;
    if (missed == 0 || missed >= kJump) return;
    std::uint16_t& runs = runs_[codec::run_class(missed)];
    if (runs < UINT16_MAX) runs++;
  }
  /** From now on reports are due. */
  void begin(Nanos now) noexcept {
    if (due_ == kNever) schedule(now);
  }
  [[nodiscard]] bool begun() const noexcept { return due_ != kNever; }
  [[nodiscard]] Nanos due() const noexcept { return due_; }
  /** The next one is due some time after `now`. */
  void schedule(Nanos now) noexcept {
    due_ = now + kInterval / 2 + static_cast<Nanos>(random_() % kInterval);
  }
  /** Writes the lengths of what was missed since the last; they are told once. */
  bool write(codec::RtcpWriter& writer, std::uint32_t ssrc) noexcept {
    return codec::write(writer, ssrc, std::exchange(runs_, {}));
  }

 private:
  static constexpr Nanos kNever = INT64_MAX;
  /** RFC 3550 A.1: so far is another beginning, no loss. */
  static constexpr std::uint32_t kJump = 3000;

  std::minstd_rand random_;
  codec::LossRuns runs_{};
  Nanos due_ = kNever;
};

}  // namespace sluice::plane
