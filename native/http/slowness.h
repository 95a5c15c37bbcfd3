// Viewers that take what they asked for too slowly.
#pragma once

#include <cstdint>
#include <utility>

#include "kernel/reactor.h"

namespace sluice::http {

/** Watches how a viewer takes one answer after another. Looked at once a second. */
class Slowness {
 public:
  enum class Verdict : std::uint8_t { patient, stalled, slow };

  /** An answer begins. */
  void begin(kernel::Nanos now) noexcept {
    progress_ = now;
    since_ = 0;
  }
  /** Something went out. */
  void sent(kernel::Nanos now) noexcept { progress_ = now; }
  /** It is not the viewer who is waited for. */
  void caught_up() noexcept { since_ = 0; }
  /**
   * The viewer is waited for, and has taken so many bytes in all: `stalled` when none for `window`, `slow`
   * when fewer than `least` a second over it; 0 asks for none.
   */
  Verdict look(kernel::Nanos now, std::uint64_t taken, kernel::Nanos window, std::uint64_t least) noexcept {
    // The kernel asks for more only when a good part of its buffer is free: bytes that arrive count, too.
    if (std::exchange(taken_, taken) != taken) progress_ = now;
    if (now - progress_ >= window) return Verdict::stalled;
    if (least == 0 || (since_ != 0 && now - since_ < window)) return Verdict::patient;
    const auto wanted = static_cast<std::uint64_t>((now - since_) / kernel::kMillisecond) * least / 1000;
    if (since_ != 0 && taken < from_ + wanted) return Verdict::slow;
    since_ = now;
    from_ = taken;
    return Verdict::patient;
  }

 private:
  kernel::Nanos progress_ = 0;
  std::uint64_t taken_ = 0;
  /** When the viewer began to be waited for, or 0, and what it had taken then. */
  kernel::Nanos since_ = 0;
  std::uint64_t from_ = 0;
};

}  // namespace sluice::http
