// The last joins that were not taken, and why: evidence for people.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "codec/ip_address.h"
#include "membership/channel.h"
#include "membership/deadlines.h"

namespace sluice::membership {

/** Why a join was not taken. */
enum class Denial : std::uint8_t {
  /** Outside of the ranges. */
  range,
  /** Not authorised, and joins are not held. */
  not_authorised,
  /** Not authorised while it was held. */
  held_expired,
  /** Not authorised, and too many are held already. */
  hold_limit,
  rate_limit,
  group_limit
};
inline constexpr std::size_t kDenials = 6;

struct Refusal {
  Channel channel;
  codec::IpAddress host;
  Denial why = Denial::range;
  /** Of the report, as of codec::MembershipReport. */
  unsigned version = 0;
  Nanos at = 0;
};

/** Each host's join once, with what was said of it last; the oldest make room. */
class Refusals {
 public:
  static constexpr std::size_t kMost = 128;

  void add(const Refusal& refusal) noexcept {
    const auto known = std::ranges::find_if(all(), [&](const Refusal& one) {
      return one.channel == refusal.channel && one.host == refusal.host;
    });
    if (known != all().end())
      *known = refusal;
    else if (count_ < kMost)
      list_[count_++] = refusal;
    else
      *std::ranges::min_element(all(), {}, &Refusal::at) = refusal;
  }
  /** In no order. */
  template <class Visit>
  void each(Visit&& visit) const {
    for (std::size_t i = 0; i < count_; i++) visit(list_[i]);
  }

 private:
  [[nodiscard]] std::span<Refusal> all() noexcept { return {list_.data(), count_}; }

  std::array<Refusal, kMost> list_{};
  std::size_t count_ = 0;
};

}  // namespace sluice::membership
