// A link that loses packets: at random, or in bursts.
#pragma once

#include <cstdint>
#include <random>

namespace sluice::bench {

/** `random` of all packets are lost, or one burst of `burst` packets in every kPeriod. */
struct Loss {
  static constexpr unsigned kPeriod = 2'000;
  double random = 0;
  unsigned burst = 0;
  /** Of packets that are lost. */
  [[nodiscard]] double share() const noexcept {
    return burst == 0 ? random : static_cast<double>(burst) / kPeriod;
  }
};

/**
 * Media is lost as `loss` says; what goes beside it or against it (parity, resends, questions) at random at
 * the same share, and in a burst with the media. The link loses from packet `first` of the media until
 * `end`.
 */
class Channel {
 public:
  Channel(const Loss& loss, std::int64_t first, std::int64_t end, std::uint32_t seed)
      : loss_(loss), first_(first), end_(end), random_(seed) {}

  /** `slot` is the number of the media packet that leaves now, and never less than before. */
  bool loses_media(std::int64_t slot) {
    if (slot < first_ || slot >= end_) return false;
    return loss_.burst == 0 ? chance(loss_.random) : in_burst(slot);
  }
  /** Towards the receiver, while the media packet `slot` leaves. */
  bool loses_beside(std::int64_t slot) {
    if (slot < first_ || slot >= end_) return false;
    return (loss_.burst != 0 && in_burst(slot)) || chance(loss_.share());
  }
  /** From the receiver. */
  bool loses_against(std::int64_t slot) { return slot >= first_ && slot < end_ && chance(loss_.share()); }

 private:
  bool chance(double share) { return std::uniform_real_distribution<>()(random_) < share; }
  bool in_burst(std::int64_t slot) {
    const std::int64_t period = (slot - first_) / Loss::kPeriod;
    if (period != period_) {
      period_ = period;
      begin_ = first_ + period * Loss::kPeriod + random_() % (Loss::kPeriod - loss_.burst);
    }
    return slot >= begin_ && slot < begin_ + loss_.burst;
  }

  const Loss loss_;
  const std::int64_t first_;
  const std::int64_t end_;
  std::mt19937 random_;
  std::int64_t period_ = -1;
  std::int64_t begin_ = 0;
};

}  // namespace sluice::bench
