// PIM assert (RFC 7761 section 4.9.6): who of several routers forwards onto a link.
#pragma once

#include <optional>

#include "codec/pim.h"

namespace sluice::codec::pim {

struct Assert {
  IpAddress group;
  /** Of an assert (*,G) any(), or that of the packet that led to it. */
  IpAddress source;
  /** About the group's shared tree: (*,G). */
  bool rpt = false;
  /** 31 bits; the lower the better, like the metric. */
  std::uint32_t preference = 0;
  std::uint32_t metric = 0;
};

/** What says that the router does not forward any more: an AssertCancel (section 4.6.1) has it for preference
 * and metric, and `rpt`. */
constexpr std::uint32_t kInfinitePreference = 0x7fffffff;
constexpr std::uint32_t kInfiniteMetric = 0xffffffff;

/** Of a message of Type::assertion. */
std::optional<Assert> parse_assert(const Message& message) noexcept;
std::size_t write_assert(const Assert& assertion, const IpEnds& ends, MutableBytes out) noexcept;

}  // namespace sluice::codec::pim
