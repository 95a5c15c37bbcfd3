// Paces packets whose rate varies, within a bounded added delay.
#pragma once

#include <array>
#include <cstdint>

#include "plane/rate_windows.h"

namespace sluice::plane {

struct SmootherOptions {
  /** Packets are paced where a window of 100 ms deviates by more than this from the mean of 4 s. */
  double threshold = 0.2;
  /** Bound of the added delay, at least 1 ms. */
  Nanos max_delay = 200 * kernel::kMillisecond;
  /** How long before they arrive packets are made known, 0 for those that come unannounced. */
  Nanos lookahead = 0;
};

/** What an operator wants to see; rates are bits a second over 100 ms. */
struct SmootherState {
  bool active = false;
  std::uint64_t mean = 0;
  std::uint64_t peak_in = 0;
  std::uint64_t peak_out = 0;
  double variation = 0;
  /** Added to the packet that left last, and at most since the state was taken before. */
  Nanos delay = 0;
  Nanos delay_max = 0;
};

/**
 * When each packet of one stream leaves. Packets stay where they are; the owner keeps their order:
 *
 *   push(bytes, arrival)        for each, in order: now, or ahead of time where arrivals are planned
 *   due(arrival of the head)    when the head may leave: never before its arrival
 *   take(bytes, arrival)        it leaves at due(); what is due is taken even if the owner comes late
 *
 * **The bound.** After packet j has left, the rate is at least (bytes up to k) / (deadline of k - now) for
 * every packet k that is known; the deadline of k is its arrival + max_delay. A packet that comes can only
 * raise the rate. The slot of packet j therefore ends before the deadline of j + 1, when that leaves.
 *
 * **The peak.** The rate is the least that keeps all known deadlines, or the mean where that is more, so that
 * what is held drains. It is raised only by the newest packet, when everything held shares its deadline. What
 * is held came in the last max_delay, so the rate stays below bytes in max_delay / max_delay: at most twice
 * what the best plan needs that knows everything in advance (it, too, has only max_delay more for them). With
 * a lookahead L it is at most 1 + max_delay / (max_delay + L) times as much.
 *
 * Deadlines are kept for 64 groups of neighbouring packets, each at its first one's, so that memory is
 * constant. Pacing begins with the first window above the threshold, and ends when 4 s have stayed below
 * three quarters of it and a packet has left undelayed: never with a burst.
 */
class Smoother {
 public:
  explicit Smoother(const SmootherOptions& options) noexcept;

  /** `arrival` earlier than the one before counts as that one. */
  void push(std::size_t bytes, Nanos arrival) noexcept;
  [[nodiscard]] Nanos due(Nanos arrival) const noexcept;
  void take(std::size_t bytes, Nanos arrival) noexcept;
  /** The timeline jumps: the pause is no variation. What is held is still paced. */
  void restart() noexcept { in_.restart(); }

  /** Bytes that were pushed and not taken. */
  [[nodiscard]] std::uint64_t held() const noexcept { return pushed_ - taken_; }
  [[nodiscard]] bool active() const noexcept { return active_; }
  /** Closes the windows that are over, and begins another maximum of the delay. */
  SmootherState state(Nanos now) noexcept;

 private:
  static constexpr std::size_t kGroups = 64;
  /** Packets that came so close together that one deadline serves them. */
  struct Group {
    Nanos arrival = 0;
    /** Bytes pushed up to its end. */
    std::uint64_t end = 0;
  };

  [[nodiscard]] Group& group(std::size_t i) noexcept { return groups_[(first_ + i) % kGroups]; }
  [[nodiscard]] double needed(const Group& group) const noexcept;
  [[nodiscard]] Nanos free_at() const noexcept;
  void add_to_groups(std::size_t bytes, Nanos arrival) noexcept;
  void judge() noexcept;
  void choose_rate() noexcept;
  void raise_rate(const Group& group) noexcept;

  const SmootherOptions options_;
  const Nanos group_span_;
  RateWindows in_;
  RateWindows out_;
  std::array<Group, kGroups> groups_{};
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  /** Paced; and whether the input still asks for it. */
  bool active_ = false;
  bool wanted_ = false;
  /** Bytes a nanosecond: the least, and the one in force. */
  double floor_ = 0;
  double rate_ = 0;
  /** The rate is the least one until the bytes before this have left. */
  std::uint64_t rate_until_ = 0;
  std::uint64_t pushed_ = 0;
  std::uint64_t taken_ = 0;
  Nanos last_arrival_ = 0;
  /** When the last packet left, its size (its slot lasts size / rate), and the bytes before it. */
  Nanos left_ = 0;
  std::uint64_t slot_ = 0;
  std::uint64_t begun_ = 0;
  Nanos delay_ = 0;
  Nanos delay_max_ = 0;
};

}  // namespace sluice::plane
