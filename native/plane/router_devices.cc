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
    routes_->drop(proxy_link_->vif);
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
  const std::string& name = interface.options().name;
  if (const auto refused = connect(interface, link))
    refuse(name, *refused);
  else
    refused_.erase(name);
}

/** Also what was refused before, of an interface that is up. */
std::optional<kernel::Error> MulticastRouter::connect(RouterInterface& interface, const kernel::Link& link) {
  const Nanos now = kernel::monotonic_now();
  const bool anew = !interface.is_up();
  if (anew) {
    auto vif = socket_->vif_of(link.index) ? kernel::Result<kernel::Vif>(*socket_->vif_of(link.index))
                                           : socket_->add_interface(link.index);
    if (!vif.ok()) return std::move(vif.error());
    by_vif_[vif.value()] = &interface;
    note_interfaces();
  }
  std::optional<kernel::Error> refused;
  if (interface.options().querier) refused = socket_->control().join(link.index);
  if (anew) {
    interface.up(link.index, *socket_->vif_of(link.index), own_address(link), now);
    said_.push_back(
        {RouterEvent::Type::interface_up, options_.v4, interface.options().name, {}, {}, {}, nullptr, {}});
  } else {
    interface.readdress(own_address(link), now);
  }
  if (auto no_pim = connect_pim(interface, link, anew)) return no_pim;
  return refused;
}

std::optional<kernel::Error> MulticastRouter::connect_pim(RouterInterface& interface,
                                                          const kernel::Link& link, bool anew) {
  const Nanos now = kernel::monotonic_now();
  auto addresses = pim_addresses(link);
  if (!pim_ || addresses.empty()) return std::nullopt;
  // Where PIM is not spoken, it acts for the hosts all the same.
  membership::PimLinkOptions silent;
  silent.passive = true;
  const bool begins = pim_->machine().link(interface.vif()) == nullptr;
  auto refused = pim_->up(interface.vif(), link.index, std::move(addresses),
                          interface.options().pim.value_or(silent), now);
  if (refused) return refused;
  // What was joined before it was there may be behind it.
  if (anew) pim_->machine().rpf_changed(now);
  // Nor was it told then what hosts want.
  if (begins && interface.querier() != nullptr)
    interface.querier()->each_group(
        now, [&](const membership::GroupView& one) { members_changed(interface, one.group); });
  return std::nullopt;
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
  routes_->drop(vif);
  note_interfaces();
  for (const auto& [group, sources] : routes_->all()) stale_.insert({group, IpAddress::any(options_.v4)});
  // Its place is free.
  if (!refused_.empty()) deadlines_.set(retry_, kernel::monotonic_now());
  said_.push_back(
      {RouterEvent::Type::interface_down, options_.v4, interface.options().name, {}, {}, {}, nullptr, {}});
}

/** Told when it begins, not with every attempt. */
void MulticastRouter::refuse(const std::string& name, const kernel::Error& error) {
  if (!retry_.is_set()) deadlines_.set(retry_, kernel::monotonic_now() + options_.retry);
  const auto known = refused_.find(name);
  if (known != refused_.end() && known->second.message == error.message) return;
  refused_.insert_or_assign(name, error);
  counters_.interfaces_refused++;
  said_.push_back(
      {RouterEvent::Type::interface_refused, options_.v4, name, {}, {}, {}, error.code, error.message});
}

/** What is refused again sets it anew. */
void MulticastRouter::retry(Nanos) noexcept {
  for (const auto& [index, link] : watch_->links())
    if (refused_.contains(link.name)) look_at(&link, link.name);
  retry_joins();
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
