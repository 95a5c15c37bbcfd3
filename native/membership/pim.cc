#include "membership/pim.h"

namespace sluice::membership {

using codec::IpAddress;
using codec::IpPrefix;

namespace {

/** RFC 4607 section 1: ff3x::/32. */
std::vector<IpPrefix> source_specific_ranges(bool v4) {
  if (v4) return {{IpAddress::v4(0xe8000000), 8}};
  std::vector<IpPrefix> ranges;
  for (unsigned scope = 0; scope < 16; scope++) {
    const std::array<std::uint8_t, 16> bytes{0xff, static_cast<std::uint8_t>(0x30 | scope)};
    ranges.push_back({IpAddress::v6(bytes.data()), 32});
  }
  return ranges;
}

PimOptions completed(PimOptions options) {
  if (options.source_specific.empty()) options.source_specific = source_specific_ranges(options.v4);
  return options;
}

}  // namespace

Pim::Pim(const PimOptions& options, PimHost& host, Deadlines& deadlines, std::uint64_t seed)
    : options_(completed(options)),
      own_(options.addresses),
      host_(host),
      deadlines_(deadlines),
      chance_(seed),
      bootstrap_(options.v4, options_.bootstrap, *this, deadlines, chance_) {
  for (const StaticRp& one : options_.static_rps) {
    rps_.push_back({one.groups, one.address, 0, true});
    rps_.back().hash_mask_bits = options.v4 ? 30 : 126;
  }
}

Pim::~Pim() = default;

void Pim::interface_up(Interface interface, std::vector<IpAddress> addresses, const PimLinkOptions& options,
                       Nanos now) {
  if (interface >= kInterfaces || addresses.empty()) return;
  if (PimLink* const up = links_[interface].get()) {
    up->configure(options, now);
    return up->readdress(std::move(addresses), now);
  }
  if (!started_) bootstrap_.start(now);
  started_ = true;
  PimLinkOwner& owner = *this;
  links_[interface] =
      std::make_unique<PimLink>(interface, std::move(addresses), options, owner, host_, deadlines_, chance_);
  links_[interface]->start(now);
  on_link_changed(*links_[interface], now);
}

void Pim::interface_down(Interface interface, Nanos now) {
  if (interface >= kInterfaces || !links_[interface]) return;
  outbox_.forget(interface);
  links_[interface]->stop();
  links_[interface].reset();
  designated_ &= ~only(interface);
  refresh_where(now, [&](Group& group) {
    group.star.drop(interface);
    find_own_rp(group);
    for (auto& [address, source] : group.sources) source.drop(interface);
    return true;
  });
}

void Pim::on_hello(Interface interface, const IpAddress& from, const codec::pim::Hello& hello, Nanos now) {
  if (interface < kInterfaces && links_[interface]) links_[interface]->on_hello(from, hello, now);
}

bool Pim::local(Interface interface, const IpAddress& group, const IpAddress& source, Membership wanted,
                Nanos now) {
  if (interface >= kInterfaces || !links_[interface] || !is_routed(group)) return true;
  const bool wants = wanted != Membership::none;
  Group* const its = wants ? make(group) : find(group);
  if (its == nullptr) return !wants;
  if (source.is_any()) {
    if (wants || its->star.find(interface) != nullptr) its->star.leg(interface).member = wanted;
    return refresh(*its, now), true;
  }
  Source* const tree = wants ? make(*its, source) : its->find(source);
  if (tree == nullptr) return refresh(*its, now), !wants;
  if (wants || tree->find(interface) != nullptr) tree->leg(interface).member = wanted;
  return refresh(*tree, now), true;
}

void Pim::keep(const IpAddress& group, bool whole, std::span<const IpAddress> sources, Nanos now) {
  if (!is_routed(group)) return;
  Group* const its = whole || !sources.empty() ? make(group) : find(group);
  if (its == nullptr) return;
  its->star.kept = whole && !its->source_specific;
  for (auto& [address, tree] : its->sources) tree.kept = false;
  for (const IpAddress& address : sources)
    if (Source* const tree = make(*its, address)) tree->kept = true;
  refresh(*its, now);
}

void Pim::rpf_changed(const IpPrefix& prefix, Nanos now) {
  refresh_where(now, [&](Group& group) {
    bool concerned = group.rp && prefix.contains(*group.rp);
    if (concerned) find_rp(group);
    for (auto& [address, source] : group.sources) {
      if (!prefix.contains(address)) continue;
      find_way(source, address);
      concerned = true;
    }
    return concerned;
  });
}

void Pim::rpf_changed(Nanos now) {
  rpf_changed({IpAddress::any(options_.v4), 0}, now);
}

bool Pim::is_source_specific(const IpAddress& group) const noexcept {
  return std::any_of(options_.source_specific.begin(), options_.source_specific.end(),
                     [&](const IpPrefix& range) { return range.contains(group); });
}

bool Pim::is_routed(const IpAddress& group) const noexcept {
  return group.is_v4() == options_.v4 && group.is_multicast() && !group.is_link_scope_group();
}

void Pim::own(std::vector<IpAddress> addresses, Nanos now) {
  if (addresses == own_) return;
  own_ = std::move(addresses);
  refresh_where(now, [&](Group& group) {
    find_own_rp(group);
    return true;
  });
}

bool Pim::is_own(const IpAddress& address) const noexcept {
  return std::find(own_.begin(), own_.end(), address) != own_.end() ||
         std::any_of(links_.begin(), links_.end(),
                     [&](const auto& link) { return link && link->has(address); });
}

/** The link, where it is up and has heard a hello of this sender; else it is counted. */
PimLink* Pim::known(Interface interface, const IpAddress& from) noexcept {
  PimLink* const link = interface < kInterfaces ? links_[interface].get() : nullptr;
  if (link == nullptr || link->has(from)) return nullptr;
  if (link->knows(from)) return link;
  counters_.unknown_neighbour++;
  return nullptr;
}

Group* Pim::find(const IpAddress& group) noexcept {
  const auto one = groups_.find(group);
  return one == groups_.end() ? nullptr : &one->second;
}

bool Pim::has_room(Need need) noexcept {
  if (trees_ < (need == Need::wanted ? options_.most_trees : options_.most_trees / 2)) return true;
  counters_.trees_refused++;
  return false;
}

Group* Pim::make(const IpAddress& group, Need need) {
  if (Group* const known = find(group)) return known;
  if (!has_room(need)) return nullptr;
  if (!is_source_specific(group)) trees_++;
  Group& made = groups_.try_emplace(group, group, is_source_specific(group), static_cast<TreeOwner&>(*this))
                    .first->second;
  find_rp(made);
  tell(made.star, route_of(made, nullptr));
  return &made;
}

Source* Pim::make(Group& group, const IpAddress& source, Need need) {
  if (Source* const known = group.find(source)) return known;
  if (!has_room(need)) return nullptr;
  if (group.sources.size() >= options_.most_sources || !source.is_unicast()) {
    counters_.trees_refused++;
    return nullptr;
  }
  trees_++;
  Source& made =
      group.sources.try_emplace(source, group, source, static_cast<TreeOwner&>(*this)).first->second;
  find_way(made, source);
  made.told = group.star.told;
  // Sources of which nothing is known are not pruned off the shared tree.
  if (join_desired(group.star)) made.rpt = RptUpstream::not_pruned;
  made.rpt_upstream = group.star.upstream;
  compute(made);
  return &made;
}

/** For what a neighbour wants. */
Leg* Pim::make_leg(Tree& tree, PimLink& link) {
  if (Leg* const known = tree.find(link.interface())) return known;
  if (legs_[link.interface()] < link.options().most_joined) return &tree.leg(link.interface());
  counters_.trees_refused++;
  return nullptr;
}

void Pim::count_leg(Interface interface, int change) noexcept {
  legs_[interface] += static_cast<std::size_t>(change);
}

/** What a neighbour's coming or going means to trees that have to do with its link. */
void Pim::on_neighbour(PimLink& link, NeighbourEvent event, const IpAddress& address, Nanos now) noexcept {
  const Interface interface = link.interface();
  designated_ = (designated_ & ~only(interface)) | (link.is_designated() ? only(interface) : 0);
  if (event != NeighbourEvent::gone) prime(link, address);
  const Nanos soon = override_at(interface, now);
  const auto concerned = [&](Tree& tree) {
    Leg* const leg = tree.find(interface);
    const bool there = leg != nullptr || (tree.rpf && tree.rpf->interface == interface);
    if (event == NeighbourEvent::appeared) return there;
    bool released = false;
    if (leg != nullptr && leg->assertion.winner.address == address)
      released = leg->assertion.on_release() == AssertMachine::Action::end;
    if (tree.joined && tree.upstream.is(interface, address)) {
      tree.join_at = std::min(tree.join_at, soon);
      tree.watch(tree.join_at);
    }
    return released || (there && event == NeighbourEvent::gone);
  };
  refresh_where(now, [&](Group& group) {
    bool any = concerned(group.star);
    for (auto& [source, tree] : group.sources) any = concerned(tree) || any;
    return any;
  });
}

void Pim::on_link_changed(PimLink& link, Nanos now) noexcept {
  designated_ = (designated_ & ~only(link.interface())) | (link.is_designated() ? only(link.interface()) : 0);
  refresh_where(now, [&](Group& group) {
    find_own_rp(group);
    return true;
  });
}

/** Whether its RP is ours follows from our addresses. */
void Pim::find_own_rp(Group& group) noexcept {
  if (group.rp && is_own(*group.rp) != group.own_rp) find_rp(group);
}

void Pim::withdraw(Nanos now) {
  bootstrap_.stop(now);
  const auto end = [&](Tree& tree) {
    tree.kept = false;
    if (tree.joined) say(tree, tree.upstream, true);
  };
  for (auto& [address, group] : groups_) {
    end(group.star);
    for (auto& [source, tree] : group.sources) end(tree);
  }
  flush(now);
}

void Pim::on_leg(Tree& tree, Interface interface, Nanos now) noexcept {
  Leg& leg = *tree.find(interface);
  PimLink& link = *links_[interface];
  if (leg.downstream.run(now) == Downstream::End::pruned && link.neighbours() > 1)
    say(tree, {interface, link.address(), false}, true);
  leg.rpt.run(now);
  act(leg, leg.assertion.run(view_of(tree, interface), assert_times(), now), IpAddress::any(options_.v4));
  if (tree.shared()) return refresh(tree.group, now);
  refresh(static_cast<Source&>(tree), now);
}

void Pim::on_tree(Tree& tree, Nanos now) noexcept {
  if (tree.join_at <= now) {
    say(tree, tree.upstream, false);
    tree.join_at = next_join(tree.upstream, now);
  }
  if (tree.shared()) {
    if (tree.held_until <= now) return refresh(tree.group, now);
    return tree.watch(std::min(tree.join_at, tree.held_until));
  }
  auto& source = static_cast<Source&>(tree);
  if (source.next() > now) return source.watch(source.next());
  if (source.keepalive <= now) source.keepalive = kNever;
  if (source.override_at <= now) {
    source.override_at = kNever;
    if (source.rpt_upstream.same(tree.group.star.upstream)) say_rpt(source, source.rpt_upstream, false);
  }
  run_registers(source, now);
  refresh(source, now);
}

}  // namespace sluice::membership
