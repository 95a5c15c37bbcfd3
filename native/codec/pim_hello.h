// PIM hello (RFC 7761 section 4.9.2): options, each a type, a length and a value.
#pragma once

#include "codec/pim.h"
#include "codec/sequence.h"

namespace sluice::codec::pim {

/** RFC 7761 section 4.3.3. */
struct LanPruneDelay {
  /** The T bit: the router can do without join suppression. */
  bool tracking = false;
  /** 0..32,767. */
  std::uint16_t propagation_delay_ms = 0;
  std::uint16_t override_interval_ms = 0;
};

/** What is not there has not been said; options that are unknown are passed over. */
struct Hello {
  /** Seconds; 0 says goodbye, kForever that the neighbour never expires. Routers that say none are believed
   * for 105 s. */
  std::optional<std::uint16_t> holdtime_s;
  std::optional<LanPruneDelay> lan_prune_delay;
  std::optional<std::uint32_t> dr_priority;
  /** Chosen anew when the router begins anew. */
  std::optional<std::uint32_t> generation_id;
  /** The router's other addresses of the interface. */
  Sequence<IpAddress> secondary{};
};

/** Of a message of Type::hello; `secondary` points into it. */
std::optional<Hello> parse_hello(const Message& message) noexcept;
std::size_t write_hello(const Hello& hello, const IpEnds& ends, MutableBytes out) noexcept;

}  // namespace sluice::codec::pim
