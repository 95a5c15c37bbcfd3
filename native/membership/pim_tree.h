// What a PIM router knows of one group and of its sources (RFC 7761 section 4.1): state per interface, and
// the sets of interfaces that follow from it.
//
//   Group --- Star (*,G) --- Leg, Leg …      one for each interface with a join, members or an assert
//         `-- Source (S,G) --- Leg …
#pragma once

#include <list>
#include <map>

#include "membership/pim_machines.h"
#include "membership/pim_route.h"

namespace sluice::membership {

class Group;
class Tree;

class TreeOwner {
 public:
  virtual void on_leg(Tree& tree, Interface interface, Nanos now) noexcept = 0;
  virtual void on_tree(Tree& tree, Nanos now) noexcept = 0;
  virtual Deadlines& deadlines() noexcept = 0;
  /** A leg begins (+1) or ends (-1). */
  virtual void count_leg(Interface interface, int change) noexcept = 0;

 protected:
  ~TreeOwner() = default;
};

/** A tree on one interface. */
struct Leg {
  Leg(Tree& its_tree, Interface on) : tree(its_tree), interface(on) {}
  void on_time(Nanos now) noexcept;
  [[nodiscard]] bool empty() const noexcept {
    return member == Membership::none && !downstream.joined() && rpt.idle() && assertion.idle();
  }
  [[nodiscard]] Nanos next() const noexcept {
    return std::min({downstream.next(), rpt.next(), assertion.until});
  }

  Tree& tree;
  Interface interface;
  Membership member = Membership::none;
  Downstream downstream;
  /** Only of a source. */
  RptDownstream rpt;
  AssertMachine assertion;
  Timer<&Leg::on_time> timer{*this};
};

/** RPF': from whom packets should come, and to whom joins go. */
struct Upstream {
  Interface interface = kNoInterface;
  /** None: nobody there. */
  std::optional<codec::IpAddress> neighbour;
  /** An assert's winner. */
  bool by_assert = false;

  [[nodiscard]] bool is(Interface on, const codec::IpAddress& address) const noexcept {
    return interface == on && neighbour == address;
  }
  /** Whether both are the same router, or the same lack of one. */
  [[nodiscard]] bool same(const Upstream& other) const noexcept {
    return neighbour == other.neighbour && (!neighbour || interface == other.interface);
  }
};

/** Sets of (*,G). All are empty where groups have no shared tree. */
struct StarSets {
  InterfaceSet joins = 0;
  /** local_receiver_include. */
  InterfaceSet members = 0;
  /** lost_assert, and assert winner. */
  InterfaceSet lost = 0;
  InterfaceSet won = 0;
  InterfaceSet pim_include = 0;
  InterfaceSet immediate = 0;
};

struct SourceSets {
  InterfaceSet joins = 0;
  InterfaceSet members = 0;
  InterfaceSet prunes = 0;
  InterfaceSet won = 0;
  InterfaceSet lost = 0;
  InterfaceSet lost_rpt = 0;
  InterfaceSet pim_include = 0;
  InterfaceSet pim_exclude = 0;
  InterfaceSet immediate = 0;
  InterfaceSet inherited = 0;
  InterfaceSet inherited_rpt = 0;
};

/** What both kinds of trees have. */
class Tree {
 public:
  Tree(Group& group, const codec::IpAddress& source, TreeOwner& owner)
      : group(group), source(source), owner_(owner) {}
  ~Tree();
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  [[nodiscard]] bool shared() const noexcept { return source.is_any(); }
  /** Null where there is none. */
  [[nodiscard]] Leg* find(Interface interface) noexcept;
  [[nodiscard]] const Leg* find(Interface interface) const noexcept {
    return const_cast<Tree*>(this)->find(interface);
  }
  Leg& leg(Interface interface);
  /** Of an interface that is gone. */
  void drop(Interface interface) noexcept;
  /** Without those of which nothing is left, and with all timers watched. */
  void settle_legs() noexcept;
  /** TreeOwner::on_tree() is called by then; where the time is put off afterwards, also before. */
  void watch(Nanos next) noexcept { watch(timer_, next); }

  Group& group;
  /** any(): the shared tree. */
  const codec::IpAddress source;
  std::list<Leg> legs;
  /** The way to the source, or to the RP; none where there is no way, or we are the RP. */
  std::optional<Rpf> rpf;
  /** Joined or not joined: figures 5 and 6. */
  bool joined = false;
  /** To be joined whether anybody wants it or not: Pim::keep(). */
  bool kept = false;
  Upstream upstream;
  /** The Join Timer. */
  Nanos join_at = kNever;
  /** Nobody wants it any more; until then it is kept. */
  Nanos held_until = kNever;
  /** As PimHost::changed() was called last. */
  Route told;

 private:
  void on_time(Nanos now) noexcept { owner_.on_tree(*this, now); }
  void watch(Deadline& timer, Nanos next) noexcept;
  friend struct Leg;

  TreeOwner& owner_;
  Timer<&Tree::on_time> timer_{*this};
};

class Star final : public Tree {
 public:
  using Tree::Tree;
  StarSets sets;
};

/** (S,G,rpt) above us: figure 7. */
enum class RptUpstream : std::uint8_t { not_joined, pruned, not_pruned };

class Source final : public Tree {
 public:
  using Tree::Tree;

  [[nodiscard]] bool alive() const noexcept { return keepalive != kNever; }
  [[nodiscard]] Nanos next() const noexcept {
    return std::min({join_at, held_until, keepalive, override_at, registers.stop_until});
  }
  /** Nothing is known that would not be known without it. */
  [[nodiscard]] bool empty() const noexcept {
    return legs.empty() && !joined && !kept && !alive() && override_at == kNever &&
           registers.state == RegisterMachine::State::no_info;
  }

  SourceSets sets;
  bool spt = false;
  /** The Keepalive Timer. */
  Nanos keepalive = kNever;
  RegisterMachine registers;
  /** The RP to which they go. */
  std::optional<codec::IpAddress> registered_at;
  RptUpstream rpt = RptUpstream::not_joined;
  /** RPF'(S,G,rpt). */
  Upstream rpt_upstream;
  /** The Override Timer of (S,G,rpt). */
  Nanos override_at = kNever;
};

class Group final {
 public:
  Group(const codec::IpAddress& group, bool source_specific, TreeOwner& owner)
      : address(group),
        source_specific(source_specific),
        star(*this, codec::IpAddress::any(group.is_v4()), owner) {}

  [[nodiscard]] Source* find(const codec::IpAddress& source) noexcept {
    const auto one = sources.find(source);
    return one == sources.end() ? nullptr : &one->second;
  }

  const codec::IpAddress address;
  const bool source_specific;
  std::optional<codec::IpAddress> rp;
  bool own_rp = false;
  /** As told to the router above. */
  std::optional<codec::IpAddress> joined_rp;
  Star star;
  std::map<codec::IpAddress, Source> sources;
};

/** Interfaces of a router that matter for the sets. */
struct TreeView {
  /** Where we are the designated router. */
  InterfaceSet designated = 0;
  /** Where registers come in. */
  Interface register_interface = kNoInterface;
};

/** RPF_interface(RP(G)): at the RP itself, where registers come in. */
[[nodiscard]] Interface interface_of_rp(const Group& group, const TreeView& view) noexcept;
[[nodiscard]] StarSets sets_of(const Star& star, const TreeView& view) noexcept;
/** After those of the group. `mine(interface)` is spt_assert_metric(S,I). */
template <class Metric>
[[nodiscard]] SourceSets sets_of(const Source& source, const TreeView& view, Metric&& mine) noexcept {
  SourceSets sets;
  const StarSets& star = source.group.star.sets;
  const Interface from_source = source.rpf ? source.rpf->interface : kNoInterface;
  InterfaceSet excluded = 0;
  InterfaceSet losers = 0;
  for (const Leg& leg : source.legs) {
    const InterfaceSet here = only(leg.interface);
    if (leg.downstream.joined()) sets.joins |= here;
    if (leg.member == Membership::include) sets.members |= here;
    if (leg.member == Membership::exclude) excluded |= here;
    if (leg.rpt.pruned()) sets.prunes |= here;
    if (leg.assertion.won()) sets.won |= here;
    if (!leg.assertion.lost()) continue;
    losers |= here;
    if (leg.interface != from_source && leg.assertion.winner.is_better_than(mine(leg.interface)))
      sets.lost |= here;
  }
  sets.pim_include = ((view.designated & ~sets.lost) | sets.won) & sets.members;
  sets.immediate = (sets.joins | sets.pim_include) & ~sets.lost;
  sets.inherited = sets.immediate;
  if (source.group.source_specific) return sets;
  sets.lost_rpt = losers & ~only(interface_of_rp(source.group, view)) &
                  ~(source.spt ? only(from_source) : InterfaceSet{0});
  sets.pim_exclude = ((view.designated & ~star.lost) | star.won) & excluded;
  sets.inherited_rpt =
      ((star.joins & ~sets.prunes) | (star.pim_include & ~sets.pim_exclude)) & ~(star.lost | sets.lost_rpt);
  sets.inherited |= sets.inherited_rpt;
  return sets;
}

}  // namespace sluice::membership
