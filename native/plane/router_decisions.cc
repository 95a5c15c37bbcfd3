// What a multicast router does with what it was told: which routes there are, and what is asked for above.
#include "plane/multicast_router.h"

namespace sluice::plane {

using codec::IpAddress;
using membership::Channel;
using membership::WantedSources;

void MulticastRouter::settle(Nanos now) noexcept {
  settle_members(now);
  settle_routes(now);
  // Those who wait for packets go before those who are told about it.
  if (pim_) pim_->machine().flush(now);
  rearm();
  tell();
}

void MulticastRouter::tell() {
  look_for_unkept();
  for (RouterEvent& event : said_) tell_(std::move(event));
  said_.clear();
}

void MulticastRouter::settle_members(Nanos now) {
  for (auto next = changed_members_.begin(); next != changed_members_.end();
       next = changed_members_.erase(next)) {
    const auto& [group, where] = *next;
    if (pim_) {
      for (membership::Interface one = 0; one < membership::kInterfaces; one++)
        if ((where & membership::only(one)) != 0 && by_vif_[one] != nullptr)
          pim_->members(one, group, by_vif_[one]->wanted(group), now);
    } else if (proxy_) {
      WantedSources all;
      for (const auto& interface : interfaces_) all.merge(interface->wanted(group));
      proxy_->want(group, std::move(all), now);
    }
    stale_.insert({group, IpAddress::any(options_.v4)});
  }
}

void MulticastRouter::settle_routes(Nanos now) {
  // PIM may say more while routes are decided.
  while (!stale_.empty()) {
    const Channel channel = stale_.extract(stale_.begin()).value();
    if (!channel.source.is_any()) {
      settle_route(channel.source, channel.group, std::nullopt, now);
      continue;
    }
    std::set<IpAddress> sources;
    if (const auto* const installed = routes_->of(channel.group))
      for (const auto& [source, route] : *installed) sources.insert(source);
    if (!pim_)
      for (const auto& interface : interfaces_)
        if (const WantedSources wanted = interface->wanted(channel.group); !wanted.excludes)
          sources.insert(wanted.sources.begin(), wanted.sources.end());
    for (const IpAddress& source : sources) settle_route(source, channel.group, std::nullopt, now);
  }
}

/** `asked`: packets that came there wait for an answer, also for the one that they lead nowhere. */
void MulticastRouter::settle_route(const IpAddress& source, const IpAddress& group,
                                   std::optional<kernel::Vif> asked, Nanos now) {
  const InstalledRoute* const installed = routes_->find(source, group);
  const bool resumed = pim_ && installed != nullptr && installed->resumed;
  // Packets of before a restart were seen there; no other will be told of as new.
  if (resumed) pim_->machine().resume(installed->forwarding.incoming, source, group, now);
  auto forwarding = decide(source, group);
  // Those who have not been heard yet may be why it comes in there.
  if (resumed && forwarding && is_way_in(installed->forwarding.incoming, source, group))
    forwarding->incoming = installed->forwarding.incoming;
  if (!forwarding) {
    if (installed != nullptr && installed->inherited != 0) return;
    // Else the kernel would keep the packets, and give them, old as they are, to who joins next.
    if (asked)
      routes_->set(source, group, {*asked, 0}, now);
    else
      routes_->remove(source, group);
    return;
  }
  if (installed == nullptr && !asked && forwarding->outgoing == 0 && !is_warm(source, group)) return;
  routes_->set(source, group, *forwarding, now);
}

bool MulticastRouter::is_warm(const IpAddress& source, const IpAddress& group) const noexcept {
  return pim_ && pim_->machine().route(source, group).warm;
}

std::optional<Forwarding> MulticastRouter::decide(const IpAddress& source, const IpAddress& group) {
  if (group.is_link_scope_group()) return std::nullopt;
  if (pim_) {
    const membership::Route route = pim_->machine().route(source, group);
    if (route.incoming == membership::kNoInterface) return std::nullopt;
    const kernel::VifSet registers = route.registers && register_vif_ ? membership::only(*register_vif_) : 0;
    return Forwarding{route.incoming, route.outgoing | registers};
  }
  const auto incoming = way_in(source);
  if (!incoming) return std::nullopt;
  Forwarding out{*incoming, 0};
  for (const auto& interface : interfaces_)
    if (interface->forwards(source, group)) out.outgoing |= membership::only(interface->vif());
  // RFC 4605 section 4.3: what comes from below goes above, too.
  if (proxy_link_) out.outgoing |= membership::only(proxy_link_->vif);
  out.outgoing &= ~membership::only(*incoming);
  return out;
}

std::optional<kernel::Vif> MulticastRouter::way_in(const IpAddress& source) {
  const auto way = rpf(source);
  if (options_.upstream != UpstreamMode::proxy) {
    if (!way) return std::nullopt;
    return way->interface;
  }
  // A proxy has sources on its own links, and above.
  if (way && way->next_hop.is_any()) return way->interface;
  return proxy_link_ ? std::optional(proxy_link_->vif) : std::nullopt;
}

/** Of PIM: whether the source's own tree comes in there, or the shared one. */
bool MulticastRouter::is_way_in(kernel::Vif vif, const IpAddress& source, const IpAddress& group) noexcept {
  const auto leads = [&](const IpAddress& address) {
    const auto way = rpf(address);
    return way && way->interface == vif;
  };
  const auto rp = pim_->machine().rp_of(group);
  return vif == register_vif_ || leads(source) || (rp && leads(*rp));
}

std::optional<membership::Rpf> MulticastRouter::rpf(const IpAddress& address) noexcept {
  const kernel::RpfRoute route = watch_->lookup(address.bytes());
  unsigned index = route.interface_index;
  if (route.kind == kernel::RpfRoute::Kind::none) return std::nullopt;
  if (route.kind == kernel::RpfRoute::Kind::local)
    for (const auto& [number, link] : watch_->links())
      for (const kernel::LinkAddress& own : link.addresses)
        if (own.address == address.bytes()) index = number;
  const auto vif = socket_->vif_of(index);
  if (!vif) return std::nullopt;
  const bool local = route.kind == kernel::RpfRoute::Kind::local;
  return membership::Rpf{*vif, local ? IpAddress::any(options_.v4) : IpAddress::v6(route.next_hop.data()),
                         route.preference, route.metric};
}

void MulticastRouter::route_changed(const IpAddress& source, const IpAddress& group) noexcept {
  stale_.insert({group, source});
}

}  // namespace sluice::plane
