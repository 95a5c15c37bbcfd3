// A receiver's side of rapid acquisition (RFC 6285): asks for a burst, joins when that has caught up, ends
// it.
#pragma once

#include <optional>

#include "codec/rams.h"
#include "kernel/reactor.h"

namespace sluice::plane {

using kernel::Nanos;

/**
 * Knows when to ask, to join and to end the burst; time is an argument (CLOCK_MONOTONIC), doing it is the
 * owner's. Whatever the server does or does not, there is a join. Allocates nothing.
 */
class AcquisitionClient {
 public:
  /** Between requests that nobody answers. */
  static constexpr Nanos kPause = 100 * kernel::kMillisecond;
  /** So long there may be no burst before the group is joined without; and so long one may be silent. */
  static constexpr Nanos kPatience = 300 * kernel::kMillisecond;
  static constexpr Nanos kSilence = 100 * kernel::kMillisecond;
  /** A burst of which nothing is known but that it comes. */
  static constexpr Nanos kUntold = 500 * kernel::kMillisecond;

  enum class State : std::uint8_t { asking = 1, bursting = 2, joined = 3, done = 4 };

  explicit AcquisitionClient(Nanos now) noexcept : began_(now), ask_at_(now) {}

  /** Whether a request is to leave; call asked() when it has. */
  [[nodiscard]] bool asks(Nanos now) const noexcept;
  void asked(Nanos now) noexcept { ask_at_ = now + kPause; }
  void on_information(const codec::rams::Information& information) noexcept;
  /** `sequence` is extended as those of the multicast. */
  void on_burst(std::int64_t sequence, Nanos now) noexcept;
  /** A packet came by multicast. */
  void on_multicast(std::int64_t sequence) noexcept;
  /** Whether the group is to be joined now; call joined() when it was. */
  [[nodiscard]] bool joins(Nanos now) const noexcept;
  void joined() noexcept { joined_ = true; }
  /** Whether the burst is to be ended now; call terminated() when it has been said. */
  [[nodiscard]] bool terminates(Nanos now) const noexcept;
  void terminated(Nanos now) noexcept;
  /** Extended number of the first packet by multicast; none to end a burst at once. */
  [[nodiscard]] std::optional<std::int64_t> first_multicast() const noexcept { return multicast_; }
  /** Whether missing packets before the first by multicast are still to come with the burst. */
  [[nodiscard]] bool fills(Nanos now) const noexcept;
  /** Whether what comes from the server may be of a burst. */
  [[nodiscard]] bool listens(Nanos now) const noexcept {
    return !over_ && (!multicast_ || now - last_ < kSilence);
  }
  /** A burst may be on its way that nobody wants when the owner goes. */
  [[nodiscard]] bool open() const noexcept { return (first_ || accepted_) && !over_; }
  [[nodiscard]] State state(Nanos now) const noexcept;
  /** Last response of the server; 0 before. */
  [[nodiscard]] std::uint16_t response() const noexcept { return response_; }
  /** When to look again, after `now`; none when only a packet can change anything. `can_ask`: a request that
   * is due can leave. */
  [[nodiscard]] std::optional<Nanos> due(Nanos now, bool can_ask) const noexcept;

 private:
  [[nodiscard]] Nanos join_at() const noexcept;

  const Nanos began_;
  Nanos ask_at_;
  std::uint16_t response_ = 0;
  bool accepted_ = false;
  /** There is none, or no more. */
  bool over_ = false;
  /** The response means nothing to us: section 7.3 wants the burst to be ended. */
  bool unknown_ = false;
  bool joined_ = false;
  Nanos earliest_join_ = 0;
  std::optional<Nanos> first_;
  Nanos last_ = 0;
  std::int64_t burst_next_ = 0;
  std::optional<std::int64_t> multicast_;
  Nanos terminate_at_ = 0;
  unsigned terminations_ = 0;
};

}  // namespace sluice::plane
