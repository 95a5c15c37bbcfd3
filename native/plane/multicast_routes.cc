#include "plane/multicast_routes.h"

namespace sluice::plane {

using codec::IpAddress;

bool MulticastRoutes::tell(const IpAddress& source, const IpAddress& group, const InstalledRoute& route) {
  const kernel::VifSet all = route.forwarding.outgoing | route.inherited;
  const kernel::VifSet outgoing = all & ~(kernel::VifSet{1} << route.forwarding.incoming);
  const int error = socket_.set({source.bytes(), group.bytes(), route.forwarding.incoming, outgoing});
  counters_.set++;
  if (error != 0) counters_.failed++;
  return error == 0;
}

bool MulticastRoutes::set(const IpAddress& source, const IpAddress& group, Forwarding forwarding, Nanos now) {
  if (const auto sources = groups_.find(group); sources != groups_.end())
    if (const auto found = sources->second.find(source); found != sources->second.end()) {
      InstalledRoute next = found->second;
      if (next.forwarding == forwarding) return true;
      // Whoever has been told of anew is inherited no longer.
      next.inherited &= ~forwarding.outgoing;
      next.resumed = next.resumed && next.forwarding.incoming == forwarding.incoming;
      next.forwarding = forwarding;
      if (!tell(source, group, next)) return false;
      found->second = next;
      note_nowhere(source, group, next);
      return true;
    }
  if (forwarding.outgoing == 0 && size_ >= most_ / 2) evict();
  if (size_ >= (forwarding.outgoing == 0 ? most_ / 2 : most_)) {
    counters_.refused++;
    return false;
  }
  const InstalledRoute route{forwarding, 0, false, now, now};
  if (!tell(source, group, route)) return false;
  groups_[group].emplace(source, route);
  size_++;
  note_nowhere(source, group, route);
  return true;
}

bool MulticastRoutes::leads_nowhere(const membership::Channel& one) const noexcept {
  const InstalledRoute* const route = find(one.source, one.group);
  return route != nullptr && route->forwarding.outgoing == 0 && route->inherited == 0;
}

void MulticastRoutes::note_nowhere(const IpAddress& source, const IpAddress& group,
                                   const InstalledRoute& route) {
  if (route.forwarding.outgoing != 0) return;
  nowhere_.push_back({group, source});
  if (nowhere_.size() <= most_) return;
  // Half of it at least are routes that have gone, lead somewhere by now, or stand there twice.
  nowhere_.clear();
  for (const auto& [its, sources] : groups_)
    for (const auto& [from, one] : sources)
      if (leads_nowhere({its, from})) nowhere_.push_back({its, from});
}

void MulticastRoutes::evict() {
  while (!nowhere_.empty()) {
    const membership::Channel oldest = nowhere_.front();
    nowhere_.pop_front();
    if (leads_nowhere(oldest)) return remove(oldest.source, oldest.group);
  }
}

void MulticastRoutes::remove(const IpAddress& source, const IpAddress& group) {
  const auto sources = groups_.find(group);
  if (sources == groups_.end() || sources->second.erase(source) == 0) return;
  if (sources->second.empty()) groups_.erase(sources);
  size_--;
  counters_.removed++;
  if (socket_.remove(source.bytes(), group.bytes()) != 0) counters_.failed++;
}

void MulticastRoutes::inherit(const kernel::KernelRoute& route, bool anew, Nanos now) {
  if (route.unresolved) return;
  const auto source = IpAddress::v6(route.route.source.data());
  const auto group = IpAddress::v6(route.route.group.data());
  const InstalledRoute installed{
      {route.route.incoming, 0}, route.route.outgoing, true, now, now, route.counters};
  if (groups_[group].emplace(source, installed).second) size_++;
  if (anew) tell(source, group, installed);
}

void MulticastRoutes::drop(kernel::Vif vif) noexcept {
  const kernel::VifSet here = kernel::VifSet{1} << vif;
  for (auto& [group, sources] : groups_)
    for (auto& [source, route] : sources) {
      if (!route.resumed && (route.inherited & here) == 0) continue;
      const bool from = route.forwarding.incoming == vif;
      route.inherited &= from ? 0 : ~here;
      route.resumed = route.resumed && !from;
      tell(source, group, route);
    }
}

void MulticastRoutes::release(const IpAddress& source, const IpAddress& group) noexcept {
  if (const auto found = groups_.find(group); found != groups_.end())
    if (const auto route = found->second.find(source); route != found->second.end())
      route->second.resumed = false;
}

void MulticastRoutes::settle() noexcept {
  for (auto& [group, sources] : groups_)
    for (auto& [source, route] : sources) {
      route.resumed = false;
      if (route.inherited == 0) continue;
      route.inherited = 0;
      tell(source, group, route);
    }
}

const InstalledRoute* MulticastRoutes::find(const IpAddress& source, const IpAddress& group) const noexcept {
  const Sources* const sources = of(group);
  if (sources == nullptr) return nullptr;
  const auto found = sources->find(source);
  return found == sources->end() ? nullptr : &found->second;
}

const MulticastRoutes::Sources* MulticastRoutes::of(const IpAddress& group) const noexcept {
  const auto found = groups_.find(group);
  return found == groups_.end() ? nullptr : &found->second;
}

bool MulticastRoutes::sample(const IpAddress& source, const IpAddress& group, InstalledRoute& route,
                             Nanos now) {
  const auto counters = socket_.counters(source.bytes(), group.bytes());
  if (!counters) return false;
  const bool active = counters->packets != route.counters.packets;
  route.counters = *counters;
  if (active) route.active_at = now;
  return active;
}

}  // namespace sluice::plane
