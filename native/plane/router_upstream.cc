// What a multicast router that is a proxy asks of the network above, as one host would (RFC 4605).
#include <algorithm>

#include "plane/multicast_router.h"

namespace sluice::plane {

using codec::IpAddress;
using membership::WantedSources;

namespace {

/** Of joins that are tried again: the kernel has no room for more of them then. */
constexpr std::size_t kMostRefusals = 16;

}  // namespace

void MulticastRouter::bring_up_proxy(const kernel::Link& link) {
  const auto known = socket_->vif_of(link.index);
  auto vif = known ? kernel::Result<kernel::Vif>(*known) : socket_->add_interface(link.index);
  if (!vif.ok()) return refuse(link.name, vif.error());
  refused_.erase(link.name);
  proxy_link_ = RouterLink{link.index, vif.value()};
  note_interfaces();
  proxy_->each([&](const IpAddress& group, const WantedSources& wanted) { join(group, wanted); });
  for (const auto& [group, sources] : routes_->all()) stale_.insert({group, IpAddress::any(options_.v4)});
}

std::optional<kernel::Error> MulticastRouter::join_above(const IpAddress& group,
                                                         const WantedSources& wanted) {
  std::vector<kernel::AddressBytes> sources;
  for (const IpAddress& source : wanted.sources) sources.push_back(source.bytes());
  return upstream_->join(proxy_link_->index, group.bytes(), {!wanted.excludes, sources});
}

/** The first of them is told, and the last that is joined after all. */
void MulticastRouter::join(const IpAddress& group, const WantedSources& wanted) noexcept {
  if (!proxy_link_) return;
  const auto refused = join_above(group, wanted);
  const bool all_were = unjoined_.empty();
  if (refused) {
    counters_.upstream_errors++;
    unjoined_.insert(group);
    if (!retry_.is_set()) deadlines_.set(retry_, kernel::monotonic_now() + options_.retry);
    if (all_were)
      said_.push_back({RouterEvent::Type::upstream_refused,
                       options_.v4,
                       options_.proxy_device,
                       {},
                       {},
                       {},
                       refused->code,
                       refused->message});
  } else if (unjoined_.erase(group) > 0 && unjoined_.empty()) {
    said_.push_back(
        {RouterEvent::Type::upstream_joined, options_.v4, options_.proxy_device, {}, {}, {}, nullptr, {}});
  }
}

void MulticastRouter::retry_joins() {
  std::size_t refusals = 0;
  std::vector<IpAddress> groups(unjoined_.begin(), unjoined_.end());
  // None waits for ever behind those that are refused again.
  std::rotate(groups.begin(), std::ranges::upper_bound(groups, retried_), groups.end());
  for (const IpAddress& group : groups) {
    retried_ = group;
    join(group, proxy_->joined(group));
    if (unjoined_.contains(group) && ++refusals == kMostRefusals) break;
  }
  if (!unjoined_.empty() && !retry_.is_set())
    deadlines_.set(retry_, kernel::monotonic_now() + options_.retry);
}

}  // namespace sluice::plane
