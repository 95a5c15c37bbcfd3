// PIM Join/Prune (RFC 7761 section 4.9.5): for each group what sources are wanted, and what not.
//
//   | upstream neighbour (encoded unicast address)
//   |   reserved    |  num groups   |           holdtime            |
//   | group (encoded group address)                                     for each group
//   |        joined sources         |        pruned sources         |
//   | joined sources, pruned sources (encoded source addresses)
#pragma once

#include "codec/pim.h"
#include "codec/sequence.h"

namespace sluice::codec::pim {

/** An entry of a group's lists (section 4.9.5.1). */
struct JoinPruneSource {
  /** Of (*,G) the RP. */
  IpAddress address;
  /** (*,G): the group's shared tree as a whole; `rpt` is true, too. */
  bool wildcard = false;
  /** On the shared tree: (*,G) or (S,G,rpt). */
  bool rpt = false;

  [[nodiscard]] constexpr bool operator==(const JoinPruneSource&) const noexcept = default;
};

/** Entries that are none (not unicast, wildcard but not rpt) are passed over. */
struct JoinPruneGroup {
  IpAddress group;
  Sequence<JoinPruneSource> joins{};
  Sequence<JoinPruneSource> prunes{};
};

struct JoinPrune {
  /** Whom it is for; the other routers of the link listen. */
  IpAddress upstream;
  /** Seconds; kForever until it is taken back. */
  std::uint16_t holdtime_s = 0;
  /** Group sets that are none of one multicast group, such as those of (*,*,RP), are passed over. */
  Sequence<JoinPruneGroup> groups{};
};

/** Of a message of Type::join_prune; what it holds points into it. Addresses of the other family, or masked
 * ones, make it malformed. */
std::optional<JoinPrune> parse_join_prune(const Message& message) noexcept;

/**
 * Makes as many messages as it takes, none of them longer than `room`, and gives their number; 0 when `room`
 * is smaller than a message with one source. A group with a (*,G) join keeps its (S,G,rpt) prunes beside it;
 * when not all of them fit into one message, those of the numerically largest addresses are left out
 * (section 4.9.5.2). All else may be told in several messages.
 */
std::size_t write_join_prune(const JoinPrune& join_prune, const IpEnds& ends, MutableBytes room, Send send,
                             void* context) noexcept;
/** The same for anything that can be called with a message. */
template <class F>
std::size_t write_join_prune(const JoinPrune& join_prune, const IpEnds& ends, MutableBytes room, F&& send) {
  return write_join_prune(join_prune, ends, room, send_to<F>, &send);
}

}  // namespace sluice::codec::pim
