// PIM sparse mode (RFC 7761, source-specific multicast of RFC 4607 included) as a machine: messages, members,
// routes and packets seen come in, messages and multicast routes go out. One for IPv4, another for IPv6.
//
//   members (Querier), neighbours' joins --> trees --> sets of interfaces --> route() --> the kernel's routes
//                                              |
//                                              `--> joins to the routers above, asserts, registers
#pragma once

#include <array>
#include <memory>
#include <set>
#include <unordered_map>

#include "membership/pim_bootstrap.h"
#include "membership/pim_link.h"
#include "membership/pim_outbox.h"
#include "membership/pim_tree.h"

namespace sluice::membership {

struct PimCounters {
  std::uint64_t joins_in = 0;
  std::uint64_t prunes_in = 0;
  /** Entries of messages that left. */
  std::uint64_t joins_out = 0;
  std::uint64_t prunes_out = 0;
  std::uint64_t messages_out = 0;
  std::uint64_t asserts_in = 0;
  std::uint64_t asserts_out = 0;
  std::uint64_t registers_in = 0;
  std::uint64_t register_stops_in = 0;
  std::uint64_t register_stops_out = 0;
  std::uint64_t null_registers_out = 0;
  /** Messages of those whose hello was not heard. */
  std::uint64_t unknown_neighbour = 0;
  /** Joins (*,G) for an RP that is not ours. */
  std::uint64_t wrong_rp = 0;
  /** Groups that are not routed, or, for shared trees, source-specific. */
  std::uint64_t wrong_group = 0;
  /** Trees not made because there were too many: in all, of a group, or of neighbours on one interface. */
  std::uint64_t trees_refused = 0;
  std::uint64_t register_stops_refused = 0;
};

/** For those who look on. */
struct TreeInfo {
  const Tree& tree;
  /** The same, where it is a source's; else null. */
  const Source* source = nullptr;
  Route route;
};

class Pim final : private TreeOwner, private PimLinkOwner, private BootstrapOwner {
 public:
  /** `host` and `deadlines` outlive it; `seed` is of delays by chance and of generation ids. */
  Pim(const PimOptions& options, PimHost& host, Deadlines& deadlines, std::uint64_t seed);
  ~Pim();
  Pim(const Pim&) = delete;
  Pim& operator=(const Pim&) = delete;

  /** `addresses` are ours there, the primary one (for IPv6 the link-local one) first. When it is up already,
   * they change, and the options do as of PimLink::configure(). */
  void interface_up(Interface interface, std::vector<codec::IpAddress> addresses,
                    const PimLinkOptions& options, Nanos now);
  /** Others of ours, wherever they are, in the place of PimOptions::addresses: an RP's is often no link's. */
  void own(std::vector<codec::IpAddress> addresses, Nanos now);
  /** Says goodbye; all that was joined there is forgotten. */
  void interface_down(Interface interface, Nanos now);

  /** Messages of a link. Those for another router are to come in, too. */
  void on_hello(Interface interface, const codec::IpAddress& from, const codec::pim::Hello& hello, Nanos now);
  void on_join_prune(Interface interface, const codec::IpAddress& from, const codec::pim::JoinPrune& message,
                     Nanos now);
  void on_assert(Interface interface, const codec::IpAddress& from, const codec::pim::Assert& assertion,
                 Nanos now);
  /** A register that came to `to`, an address of ours, from a source's designated router. Where the packet in
   * it is to be sent; it is also to be told to on_source() as come in at the register interface where that
   * has no route. */
  InterfaceSet on_register(const codec::IpAddress& from, const codec::IpAddress& to,
                           const codec::pim::Register& message, Nanos now);
  void on_register_stop(const codec::IpAddress& from, const codec::pim::RegisterStop& stop, Nanos now);

  /** Joined above from now on whether anybody wants it or not, in the place of what was kept of the group
   * before: the group as a whole (no source-specific one), and these sources of it. Neither: nothing. */
  void keep(const codec::IpAddress& group, bool whole, std::span<const codec::IpAddress> sources, Nanos now);
  /** What hosts of a link want; `source` any() for the group as a whole. The interface is up. False when
   * there is no room for its tree: it is to be told again. */
  bool local(Interface interface, const codec::IpAddress& group, const codec::IpAddress& source,
             Membership wanted, Nanos now);

  /** PimHost::rpf() tells others now, of addresses in the prefix, or of any. */
  void rpf_changed(const codec::IpPrefix& prefix, Nanos now);
  void rpf_changed(Nanos now);
  /** A bootstrap message to all PIM routers of the link; those to one router are none for us. */
  void on_bootstrap(Interface interface, const codec::IpAddress& from, const codec::pim::Bootstrap& message,
                    Nanos now);
  /** A candidate RP's advertisement, from wherever. */
  void on_candidate_rp(const codec::pim::CandidateRp& candidate, Nanos now) {
    bootstrap_.on_candidate(candidate, now);
  }
  /** Before all interfaces go down for good: what was joined is pruned, and what we are to others in the
   * domain is taken back. */
  void withdraw(Nanos now);

  /** A packet came in that no route of the kernel takes; route() may be asked afterwards. */
  void on_source(Interface interface, const codec::IpAddress& source, const codec::IpAddress& group,
                 Nanos now);
  /** A packet came in by another interface than the route's. */
  void on_wrong_interface(Interface interface, const codec::IpAddress& source, const codec::IpAddress& group,
                          Nanos now);
  /** The route has taken packets since this was told last: to be told within a third of the keepalive period.
   */
  void on_active(const codec::IpAddress& source, const codec::IpAddress& group, Nanos now);

  /** The source's packets came in by `interface` before a restart, and do so still: where that is its own
   * tree, it is joined again for whoever has joined the group again. To be told until those have. */
  void resume(Interface interface, const codec::IpAddress& source, const codec::IpAddress& group, Nanos now);

  /** Sends what has been decided; to be called when a batch of what came in has been told. Else it is sent
   * with the next deadline, which is due then. */
  void flush(Nanos now) noexcept;

  [[nodiscard]] Route route(const codec::IpAddress& source, const codec::IpAddress& group) const noexcept;
  [[nodiscard]] std::optional<codec::IpAddress> rp_of(const codec::IpAddress& group) const noexcept {
    return is_source_specific(group) ? std::nullopt : membership::rp_of(rps_, group);
  }
  [[nodiscard]] bool is_source_specific(const codec::IpAddress& group) const noexcept;
  /** Whether it is an address of ours. */
  [[nodiscard]] bool is_own(const codec::IpAddress& address) const noexcept;
  /** Null where it is not up. */
  [[nodiscard]] const PimLink* link(Interface interface) const noexcept {
    return interface < kInterfaces ? links_[interface].get() : nullptr;
  }
  template <class Visitor>
  void each_link(Visitor&& visit) const {
    for (const auto& link : links_)
      if (link) visit(static_cast<const PimLink&>(*link));
  }
  /** `visit(const PimLink&, const PimNeighbour&)`. */
  template <class Visitor>
  void each_neighbour(Visitor&& visit) const {
    each_link([&](const PimLink& link) {
      link.each_neighbour([&](const PimNeighbour& one) { visit(link, one); });
    });
  }
  /** `visit(const TreeInfo&)`; the tree of each group, and those of its sources, where there is anything to
   * see. */
  template <class Visitor>
  void each_tree(Visitor&& visit) const {
    for (const auto& [address, group] : groups_) {
      if (!group.star.legs.empty() || group.star.joined)
        visit(TreeInfo{group.star, nullptr, route(group.star.source, address)});
      for (const auto& [source, tree] : group.sources) visit(TreeInfo{tree, &tree, route(source, address)});
    }
  }
  /** Those of sources, and of groups that have a shared one. */
  [[nodiscard]] std::size_t trees() const noexcept { return trees_; }
  /** Which RPs serve which groups. */
  [[nodiscard]] const std::vector<RpMapping>& rps() const noexcept { return rps_; }
  [[nodiscard]] const PimBootstrap& bootstrap() const noexcept { return bootstrap_; }
  [[nodiscard]] const PimCounters& counters() const noexcept { return counters_; }

 private:
  struct Seen;
  using Groups = std::set<codec::IpAddress>;

  // TreeOwner
  void on_leg(Tree& tree, Interface interface, Nanos now) noexcept override;
  void on_tree(Tree& tree, Nanos now) noexcept override;
  Deadlines& deadlines() noexcept override { return deadlines_; }
  void count_leg(Interface interface, int change) noexcept override;
  // PimLinkOwner
  void on_neighbour(PimLink& link, NeighbourEvent event, const codec::IpAddress& address,
                    Nanos now) noexcept override;
  void on_link_changed(PimLink& link, Nanos now) noexcept override;
  // BootstrapOwner
  void flood(const codec::pim::Bootstrap& message) noexcept override;
  void advertise(const codec::IpAddress& router, const codec::pim::CandidateRp& candidate) noexcept override;
  void rps_changed(Nanos now) noexcept override;

  void prime(PimLink& link, const codec::IpAddress& neighbour) noexcept;
  [[nodiscard]] bool is_routed(const codec::IpAddress& group) const noexcept;
  [[nodiscard]] PimLink* known(Interface interface, const codec::IpAddress& from) noexcept;

  [[nodiscard]] Group* find(const codec::IpAddress& group) noexcept;
  /** Null where there are too many. */
  /** What a tree is made for. Packets and registers of anybody make half of them at most, so that there is
   * room for what somebody wants. */
  enum class Need : std::uint8_t { wanted, data };
  [[nodiscard]] bool has_room(Need need) noexcept;
  Group* make(const codec::IpAddress& group, Need need = Need::wanted);
  Source* make(Group& group, const codec::IpAddress& source, Need need = Need::wanted);
  Leg* make_leg(Tree& tree, PimLink& link);
  /** Groups for which `each` is true have changed. */
  template <class Each>
  void refresh_where(Nanos now, Each&& each) noexcept {
    for (auto next = groups_.begin(); next != groups_.end();) {
      Group& group = (next++)->second;
      if (each(group)) refresh(group, now);
    }
  }

  // What follows from a change: pim_settle.cc.
  void refresh(Group& group, Nanos now) noexcept;
  void refresh(Source& source, Nanos now) noexcept;
  void retire(Source& source) noexcept;
  void retire(Group& group) noexcept;
  void tell(Tree& tree, const Route& route) noexcept;
  void find_rp(Group& group) noexcept;
  void find_own_rp(Group& group) noexcept;
  void find_way(Tree& tree, const codec::IpAddress& to) noexcept;
  void settle(Star& star, Nanos now) noexcept;
  void settle(Source& source, Nanos now) noexcept;
  template <class ItsTree>
  void settle_sets(ItsTree& tree) noexcept;
  void settle_registers(Source& source) noexcept;
  void settle_upstream(Tree& tree, bool desired, const Upstream& above, Nanos now) noexcept;
  void leave(Tree& tree) noexcept;
  void move(Tree& tree, const Upstream& before, Nanos now) noexcept;
  void settle_rpt(Source& source, Nanos now) noexcept;
  void compute(Star& star) noexcept { star.sets = sets_of(star, view()); }
  void compute(Source& source) noexcept;
  [[nodiscard]] TreeView view() const noexcept { return {designated_, options_.register_interface}; }
  [[nodiscard]] static bool join_desired(const Star& star) noexcept {
    return star.sets.immediate != 0 || star.kept;
  }
  [[nodiscard]] bool join_desired(const Source& source) const noexcept;
  [[nodiscard]] bool prune_desired(const Source& source) const noexcept;
  [[nodiscard]] static bool is_off_shared(const Source& source) noexcept;
  [[nodiscard]] Upstream above(const Tree& tree) const noexcept;
  [[nodiscard]] Upstream above_rpt(const Source& source) const noexcept;
  [[nodiscard]] Route route_of(const Group& group, const Source* source) const noexcept;
  [[nodiscard]] NoRoute why_none(const Group& group, const Source* source) const noexcept;
  [[nodiscard]] bool on_own_tree(const Source& source) const noexcept;

  // Joins and prunes: pim_join_prune.cc.
  void on_downstream(PimLink& link, const codec::pim::JoinPruneGroup& set, Groups& named, Nanos until,
                     Nanos now);
  bool join_star(PimLink& link, Group& group, const codec::IpAddress& rp, Nanos until);
  void end_star_join(Interface interface, Group& group) noexcept;
  void prune(PimLink& link, Group& group, const codec::pim::JoinPruneSource& one, Nanos until, Nanos now);
  void settle_touched(Group& group, const codec::pim::JoinPruneGroup& set, Nanos now) noexcept;
  void on_seen(const Seen& seen, const codec::pim::JoinPruneGroup& set, Groups& shared, Nanos now);
  [[nodiscard]] static bool names_shared(const codec::pim::JoinPruneGroup& set) noexcept;
  void see(const Seen& seen, Group& group, const codec::pim::JoinPruneSource& one, bool prune);
  void override_rpt(const Seen& seen, Group& group, const codec::IpAddress& source);
  void say(const Tree& tree, const Upstream& to, bool prune) noexcept;
  void say_rpt(const Source& source, const Upstream& to, bool prune) noexcept;
  void add(const PimEntry& entry) noexcept;
  void add_compound_prunes(const Group& group, const PimEntry& join) noexcept;
  [[nodiscard]] Nanos next_join(const Upstream& above, Nanos now) noexcept;
  [[nodiscard]] Nanos override_at(Interface interface, Nanos now) noexcept;

  // Asserts: pim_assert.cc.
  [[nodiscard]] AssertMetric metric(const Tree& way, Interface interface, bool rpt) const noexcept;
  [[nodiscard]] AssertView view_of(const Star& star, Interface interface) const noexcept;
  [[nodiscard]] AssertView view_of(const Source& source, Interface interface) const noexcept;
  [[nodiscard]] AssertView view_of(const Tree& tree, Interface interface) const noexcept;
  bool settle_asserts(Tree& tree) noexcept;
  void act(Leg& leg, AssertMachine::Action action, const codec::IpAddress& named) noexcept;
  void send_assert(const Leg& leg, const codec::IpAddress& named, bool cancel) noexcept;
  bool hear_assert(PimLink& link, Group& group, const codec::IpAddress& address, const AssertMetric& heard,
                   Nanos now);
  [[nodiscard]] AssertMachine::Times assert_times() const noexcept {
    return {options_.assert_time, options_.assert_override_interval};
  }

  // Packets and registers: pim_data.cc.
  void on_data(Interface interface, const codec::IpAddress& address, const codec::IpAddress& group_address,
               Nanos now);
  Source* source_of(Interface interface, const codec::IpAddress& address, const codec::IpAddress& group,
                    Nanos now);
  void update_spt(Source& source, Interface interface) noexcept;
  Source* check_switch(Group& group, Source* source, const codec::IpAddress& address, Nanos now);
  bool on_misplaced(Group& group, Source* source, Interface interface, const codec::IpAddress& address,
                    Nanos now);
  void run_registers(Source& source, Nanos now) noexcept;

  const PimOptions options_;
  std::vector<codec::IpAddress> own_;
  PimHost& host_;
  Deadlines& deadlines_;
  Chance chance_;
  std::array<std::unique_ptr<PimLink>, kInterfaces> links_;
  /** Legs of each interface. */
  std::array<std::size_t, kInterfaces> legs_{};
  InterfaceSet designated_ = 0;
  std::vector<RpMapping> rps_;
  std::unordered_map<codec::IpAddress, Group> groups_;
  std::size_t trees_ = 0;
  PimBootstrap bootstrap_;
  bool started_ = false;
  PimOutbox outbox_;
  PimCounters counters_;
  Timer<&Pim::flush> flush_{*this};
};

}  // namespace sluice::membership
