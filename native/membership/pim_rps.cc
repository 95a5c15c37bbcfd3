// Bootstrap messages in and out, and what follows from other RPs (RFC 5059 sections 3.1.3, 3.4 and 3.5).
#include "membership/pim.h"

namespace sluice::membership {

using codec::IpAddress;
using codec::pim::Bootstrap;

void Pim::on_bootstrap(Interface interface, const IpAddress& from, const Bootstrap& message, Nanos now) {
  PimLink* const link = known(interface, from);
  if (link == nullptr || !link->options().bootstrap || is_own(message.router)) return;
  const auto way = host_.rpf(message.router);
  const bool on_way = way && way->interface == interface &&
                      link->neighbour_with(way->next_hop.is_any() ? message.router : way->next_hop) == from;
  bootstrap_.on_bootstrap(message, on_way, now);
}

void Pim::flood(const Bootstrap& message) noexcept {
  for (const auto& link : links_) {
    if (!link || link->neighbours() == 0 || !link->options().bootstrap) continue;
    link->introduce();
    host_.send_bootstrap(link->interface(), message);
  }
}

void Pim::advertise(const IpAddress& router, const codec::pim::CandidateRp& candidate) noexcept {
  host_.send_candidate_rp(router, candidate);
}

/** A router that is new on a link, or has begun anew, is told by the one that would be designated without it.
 */
void Pim::prime(PimLink& link, const IpAddress& neighbour) noexcept {
  if (!link.options().bootstrap || link.designated_without(neighbour) != link.address()) return;
  bootstrap_.prime([&](const Bootstrap& message) {
    link.introduce();
    host_.send_bootstrap(link.interface(), message);
  });
}

void Pim::rps_changed(Nanos now) noexcept {
  std::erase_if(rps_, [](const RpMapping& one) { return !one.fixed; });
  const std::vector<RpMapping> learnt = bootstrap_.mappings();
  rps_.insert(rps_.end(), learnt.begin(), learnt.end());
  refresh_where(now, [&](Group& group) {
    if (rp_of(group.address) == group.rp) return false;
    find_rp(group);
    return true;
  });
}

}  // namespace sluice::membership
