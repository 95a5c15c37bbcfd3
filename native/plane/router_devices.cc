// The devices of a multicast router: they come, go, and change their addresses while it runs.
#include <algorithm>

#include "plane/multicast_router.h"

namespace sluice::plane {

using codec::IpAddress;

namespace {

IpAddress address_of(const kernel::AddressBytes& bytes) {
  return IpAddress::v6(bytes.data());
}

}  // namespace

void MulticastRouter::on_netlink() noexcept {
  watch_->receive(*this);
  settle(kernel::monotonic_now());
}

void MulticastRouter::on_link(unsigned index) noexcept {
  const kernel::Link* const link = watch_->link(index);
  for (const auto& interface : interfaces_) {
    const bool gone = link == nullptr || !link->running || link->name != interface->options().name;
    if (interface->index() == index && gone) bring_down(*interface);
  }
  if (proxy_link_ && proxy_link_->index == index && (link == nullptr || !link->running)) {
    socket_->remove_interface(proxy_link_->vif);
    proxy_link_.reset();
  }
  own_addresses_changed();
  if (link != nullptr) look_at(link, link->name);
}

/** All of the machine: a rendezvous point's is often on the loopback device. */
void MulticastRouter::own_addresses_changed() {
  if (!pim_) return;
  std::vector<IpAddress> own;
  for (const auto& [index, link] : watch_->links())
    for (const kernel::LinkAddress& one : link.addresses)
      if (const IpAddress address = address_of(one.address);
          address.is_v4() == options_.v4 && !address.is_link_local())
        own.push_back(address);
  pim_->machine().own(std::move(own), kernel::monotonic_now());
}

void MulticastRouter::on_routes(const kernel::AddressBytes& prefix, unsigned bits) noexcept {
  const Nanos now = kernel::monotonic_now();
  if (pim_) {
    const bool all = bits == 0;
    if (all)
      pim_->machine().rpf_changed(now);
    else
      pim_->machine().rpf_changed({address_of(prefix), bits - (options_.v4 ? 96U : 0U)}, now);
    return;
  }
  for (const auto& [group, sources] : routes_->all())
    for (const auto& [source, route] : sources)
      if (kernel::alike(source.bytes(), prefix, bits)) stale_.insert({group, source});
}

void MulticastRouter::look_at(const kernel::Link* link, const std::string& name) {
  if (!link->running) return;
  if (options_.upstream == UpstreamMode::proxy && name == options_.proxy_device && !proxy_link_)
    bring_up_proxy(*link);
  for (const auto& interface : interfaces_)
    if (interface->options().name == name) bring_up(*interface, *link);
}

void MulticastRouter::bring_up(RouterInterface& interface, const kernel::Link& link) {
  const Nanos now = kernel::monotonic_now();
  const bool anew = !interface.is_up();
  if (anew) {
    auto vif = socket_->vif_of(link.index) ? kernel::Result<kernel::Vif>(*socket_->vif_of(link.index))
                                           : socket_->add_interface(link.index);
    if (!vif.ok()) return refuse(interface.options().name, vif.error());
    if (interface.options().querier)
      if (auto refused = socket_->control().join(link.index)) refuse(interface.options().name, *refused);
    by_vif_[vif.value()] = &interface;
    note_interfaces();
    interface.up(link.index, vif.value(), own_address(link), now);
    said_.push_back(
        {RouterEvent::Type::interface_up, options_.v4, interface.options().name, {}, {}, {}, nullptr, {}});
  } else {
    interface.readdress(own_address(link), now);
  }
  auto addresses = pim_addresses(link);
  if (!pim_ || addresses.empty()) return;
  // Where PIM is not spoken, it acts for the hosts all the same.
  membership::PimLinkOptions silent;
  silent.passive = true;
  const auto refused = pim_->up(interface.vif(), link.index, std::move(addresses),
                                interface.options().pim.value_or(silent), now);
  if (refused) refuse(interface.options().name, *refused);
  // What was joined before it was there may be behind it.
  if (anew) pim_->machine().rpf_changed(now);
}

void MulticastRouter::bring_down(RouterInterface& interface) {
  if (!interface.is_up()) return;
  const kernel::Vif vif = interface.vif();
  const unsigned index = interface.index();
  interface.down();
  settle_members(kernel::monotonic_now());
  if (pim_) pim_->down(vif, index, kernel::monotonic_now());
  if (interface.options().querier) socket_->control().leave(index);
  by_vif_[vif] = nullptr;
  socket_->remove_interface(vif);
  note_interfaces();
  for (const auto& [group, sources] : routes_->all()) stale_.insert({group, IpAddress::any(options_.v4)});
  said_.push_back(
      {RouterEvent::Type::interface_down, options_.v4, interface.options().name, {}, {}, {}, nullptr, {}});
}

void MulticastRouter::bring_up_proxy(const kernel::Link& link) {
  const auto known = socket_->vif_of(link.index);
  auto vif = known ? kernel::Result<kernel::Vif>(*known) : socket_->add_interface(link.index);
  if (!vif.ok()) return refuse(link.name, vif.error());
  proxy_link_ = RouterLink{link.index, vif.value()};
  note_interfaces();
  proxy_->each([&](const IpAddress& group, const membership::WantedSources& wanted) { join(group, wanted); });
  for (const auto& [group, sources] : routes_->all()) stale_.insert({group, IpAddress::any(options_.v4)});
}

void MulticastRouter::refuse(const std::string& name, const kernel::Error& error) {
  said_.push_back(
      {RouterEvent::Type::interface_refused, options_.v4, name, {}, {}, {}, error.code, error.message});
}

/** What queries are sent from; any() where there is none yet. */
IpAddress MulticastRouter::own_address(const kernel::Link& link) const {
  for (const kernel::LinkAddress& one : link.addresses) {
    const IpAddress address = address_of(one.address);
    if (address.is_v4() == options_.v4 && !one.secondary && (options_.v4 || address.is_link_local()))
      return address;
  }
  return IpAddress::any(options_.v4);
}

/** The primary one first; of IPv6 that is the link-local one, without which there is nothing. */
std::vector<IpAddress> MulticastRouter::pim_addresses(const kernel::Link& link) const {
  std::vector<IpAddress> out;
  for (const kernel::LinkAddress& one : link.addresses)
    if (const IpAddress address = address_of(one.address); address.is_v4() == options_.v4)
      out.push_back(address);
  const auto primary = std::ranges::find(out, own_address(link));
  if (primary == out.end()) return {};
  std::rotate(out.begin(), primary, primary + 1);
  return out;
}

membership::Interface MulticastRouter::interface_of(unsigned index) const noexcept {
  return socket_->vif_of(index).value_or(membership::kNoInterface);
}

/** Neighbours of IPv6 are known by their link-local addresses; a link without a prefix has who is there. */
bool MulticastRouter::is_on_link(membership::Interface interface, const IpAddress& address) const noexcept {
  if (!options_.v4) return address.is_link_local();
  const kernel::Link* const link = watch_->link(place_of(interface).index);
  if (link == nullptr) return true;
  bool prefixes = false;
  for (const kernel::LinkAddress& own : link->addresses) {
    if (!address_of(own.address).is_v4() || own.bits >= 32) continue;
    if (kernel::alike(own.address, address.bytes(), own.bits + 96)) return true;
    prefixes = true;
  }
  return !prefixes;
}

void MulticastRouter::members_untold(membership::Interface interface, const IpAddress& group) noexcept {
  changed_members_[group] |= membership::only(interface);
}

PimPlace MulticastRouter::place_of(membership::Interface interface) const noexcept {
  const unsigned index = interface < kernel::kMostVifs ? socket_->interfaces()[interface] : 0;
  const kernel::Link* const link = watch_->link(index);
  return link == nullptr ? PimPlace{} : PimPlace{index, link->mtu};
}

}  // namespace sluice::plane
