// How packets of one source to one group are forwarded, or why they are not.
#pragma once

#include <optional>

#include "membership/pim_host.h"

namespace sluice::membership {

/** Why packets of a source do not reach a group's receivers. */
enum class NoRoute : std::uint8_t {
  /** They would. */
  none,
  /** Nobody wants them. */
  no_receivers,
  /** Only hosts of links where another router is the designated one want them. */
  not_designated,
  /** Another router forwards where they are wanted. */
  assert_lost,
  /** The group is wanted of any source, which source-specific groups are not. */
  needs_source,
  no_rp,
  /** No unicast route leads to the source, or to the RP; or it leads where PIM is not up. */
  no_rpf,
  /** That way nobody speaks PIM. Whatever comes is forwarded. */
  no_upstream_neighbour
};

/** How packets of one source to one group are forwarded. */
struct Route {
  NoRoute why = NoRoute::no_receivers;
  /** kNoInterface where it is not known. */
  Interface incoming = kNoInterface;
  /** Without the incoming one. */
  InterfaceSet outgoing = 0;
  /** Packets also go to `rp` in registers. */
  bool registers = false;
  /** On the source's own tree; else on the shared one. */
  bool spt = false;
  /** The source's own tree is joined though nobody wants its packets: ahead of demand, or for those who come
   * back. */
  bool warm = false;
  std::optional<codec::IpAddress> rp;
  /** Who sends them to us; none when the source is of our link, or nobody does. */
  std::optional<codec::IpAddress> upstream;

  bool operator==(const Route&) const noexcept = default;
};

}  // namespace sluice::membership
