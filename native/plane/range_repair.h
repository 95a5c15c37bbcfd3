// Packets of a stream by HTTP, for receivers that got them in no other way: ranges of RTP sequence numbers.
#pragma once

#include <string>
#include <vector>

#include "http/body.h"
#include "plane/stream.h"
#include "repair/budget.h"

namespace sluice::plane {

/**
 * Answers `Range: rtp=FIRST-LAST` from the ring: packets as they departed, RTP header and payload, each
 * behind its length (RFC 4571), in ascending order. What is no longer there is left out. Held to one budget
 * for all who ask. On the loop of its stream, whose counters it keeps.
 */
class RangeRepair {
 public:
  /** Packets of one request: more are refused. */
  static constexpr std::size_t kMostPackets = 512;

  /** `rate` in bytes a second. */
  explicit RangeRepair(std::uint64_t rate) noexcept;

  http::Answer answer(Stream& stream, const http::Request& request, Nanos now);

 private:
  repair::Budget budget_;
};

}  // namespace sluice::plane
