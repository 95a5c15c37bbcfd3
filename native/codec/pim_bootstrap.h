// PIM bootstrap messages and candidate RPs' advertisements (RFC 5059 section 4): which RP serves which
// groups.
//
//   |N|  reserved in the header     |                                   bootstrap
//   |         fragment tag          | hash mask len |   priority    |
//   | bootstrap router (encoded unicast address)
//   | groups (encoded group address)                                    for each range
//   |   RP count    |  of them here |           reserved            |
//   | RP (encoded unicast address)                                      for each RP
//   |           holdtime            |   priority    |   reserved    |
//
//   | prefix count  |   priority    |           holdtime            |   candidate RP
//   | RP (encoded unicast address)
//   | groups (encoded group addresses)
#pragma once

#include "codec/pim.h"
#include "codec/sequence.h"

namespace sluice::codec::pim {

/** A range of groups. */
struct GroupRange {
  IpPrefix groups;
  /** By bidirectional PIM (RFC 5015). */
  bool bidirectional = false;
  /** The range is a zone of administrative scope. */
  bool zone = false;
};

struct RendezvousPoint {
  IpAddress address;
  std::uint16_t holdtime_s = 0;
  /** The lower the better. */
  std::uint8_t priority = 0;
};

struct BootstrapRange {
  GroupRange range;
  /** In the whole bootstrap message, of which this may be a fragment; 0 takes the range back. */
  std::uint8_t total = 0;
  /** Those of this fragment. */
  Sequence<RendezvousPoint> points{};
};

/** A bootstrap message, or one of its semantic fragments, which bear the same tag (section 4.1.1). */
struct Bootstrap {
  /** Not to be forwarded to further links. */
  bool no_forward = false;
  std::uint16_t fragment_tag = 0;
  /** Bits of a group's address that choose among RPs (section 3.3 of RFC 5059; 4.7.2 of RFC 7761). */
  std::uint8_t hash_mask_bits = 0;
  /** The higher the better. */
  std::uint8_t priority = 0;
  IpAddress router;
  Sequence<BootstrapRange> ranges{};
};

/** Of a message of Type::bootstrap; what it holds points into it. */
std::optional<Bootstrap> parse_bootstrap(const Message& message) noexcept;

/**
 * Makes as many fragments as it takes, none of them longer than `room`, and gives their number; 0 when `room`
 * is smaller than a fragment with one RP, or more than 255 RPs stand at one range. A range stays in one
 * fragment where it fits into one; if the first is a zone, every fragment begins with it.
 */
std::size_t write_bootstrap(const Bootstrap& bootstrap, const IpEnds& ends, MutableBytes room, Send send,
                            void* context) noexcept;
/** The same for anything that can be called with a message. */
template <class F>
std::size_t write_bootstrap(const Bootstrap& bootstrap, const IpEnds& ends, MutableBytes room, F&& send) {
  return write_bootstrap(bootstrap, ends, room, send_to<F>, &send);
}

/** What a router that would be RP tells the bootstrap router. */
struct CandidateRp {
  RendezvousPoint point;
  /** Empty means all groups to the versions of PIM before RFC 5059, which forbids it. */
  Sequence<GroupRange> ranges{};
};

/** Of a message of Type::candidate_rp. */
std::optional<CandidateRp> parse_candidate_rp(const Message& message) noexcept;
std::size_t write_candidate_rp(const CandidateRp& candidate, const IpEnds& ends, MutableBytes out) noexcept;

}  // namespace sluice::codec::pim
