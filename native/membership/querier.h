// The router's side of IGMP and MLD on one interface (RFC 9776 sections 6 to 8, RFC 9777 likewise).
//
//   queries ----> QuerierElection --- general queries --->
//                      | values in force
//   records ----> QuerierGroup ------ specific queries -->      one for each group
//                   |       `- GroupHosts     what each host wants by itself
//                   `--------- SourceFilter   what all of them want: modes, sources, timers
#pragma once

#include <functional>
#include <set>

#include "membership/extra_queries.h"
#include "membership/querier_group.h"

namespace sluice::membership {

/** Of one group, for people to read. Times from now on, 0 where nothing runs. */
struct GroupView {
  struct Source {
    codec::IpAddress address;
    bool forwarded = false;
    Nanos remaining = 0;
  };
  struct Host {
    codec::IpAddress address;
    bool excludes = false;
    /** Of its last record. */
    unsigned version = 0;
    /** How long it has wanted something of the group, and until it is forgotten. */
    Nanos age = 0;
    Nanos remaining = 0;
    /** How long ago it said so last. */
    Nanos heard = 0;
    /** In EXCLUDE mode those it does not want. */
    std::vector<codec::IpAddress> sources;
  };

  codec::IpAddress group;
  /** EXCLUDE mode: of whatever source but those that are not forwarded. */
  bool excludes = false;
  Nanos remaining = 0;
  Nanos age = 0;
  Generation compatibility = Generation::third;
  /** Whether it is being asked who wants it. */
  bool asked = false;
  codec::IpAddress last_reporter;
  std::vector<Source> sources;
  std::vector<Host> hosts;
  /** By configuration: of any source (any()), or of these. */
  std::vector<codec::IpAddress> statics;
};

/**
 * What hosts on the interface want, who asks them, and when that ends. A pure machine: time is an argument,
 * messages go to the host. What comes in has been checked as its RFC says for packets (checksum, TTL, router
 * alert, destination) and been let pass by Admission. The deadlines and the host outlive it.
 */
class Querier final : private QuerierGroupOwner {
 public:
  Querier(const QuerierOptions& options, QuerierHost& host, Deadlines& deadlines);

  /** `own`: the address that queries are sent from, of MLD link-local; any() while there is none: then it
   * only listens. */
  void start(const codec::IpAddress& own, Nanos now) noexcept;
  /** Nothing is asked and nothing of what hosts want is forwarded any more. */
  void stop() noexcept;
  void readdress(const codec::IpAddress& own, Nanos now) noexcept;

  /** Other options of the same family; what is there stays, and follows them from its next record on. */
  void configure(const QuerierOptions& options, Nanos now) noexcept;

  /** A query of another router. */
  void on_query(const codec::IpAddress& from, const codec::MembershipQuery& query, Nanos now) noexcept;
  /** A record of a host's report, or its leave, in a message of this version of the family's protocol. */
  void on_record(const codec::IpAddress& host, const codec::GroupRecord& record, unsigned version,
                 Nanos now) noexcept;

  /** Whatever it wants, what no other host wants of that ends at once. Of hosts that are silent because they
   * heard it (older versions) the groups end, too, and they are asked. */
  void forget(const codec::IpAddress& host, Nanos now) noexcept;
  void forget(const codec::IpAddress& host, const codec::IpAddress& group, Nanos now) noexcept;
  /** What the list does not allow ends at once, of this group or of all, and hosts are asked what they want
   * of it: what is held for them then is there as soon as it is allowed. Static groups stay. */
  void restrict(const codec::IpAddress& group, const ChannelList& list, Nanos now) noexcept;
  void restrict(const ChannelList& list, Nanos now) noexcept;

  /** Hosts are asked at once, out of turn, whether they want this group; any(): about all. */
  void ask(const codec::IpAddress& group, Nanos now) noexcept { extra_.ask(group, now); }

  /** Groups that are forwarded whether hosts want them or not; `source` any(): of any source. */
  void add_static(const codec::IpAddress& group, const codec::IpAddress& source) noexcept;
  void remove_static(const codec::IpAddress& group, const codec::IpAddress& source) noexcept;

  [[nodiscard]] bool forwards(const codec::IpAddress& group, const codec::IpAddress& source) const noexcept;
  /** Whether sources that nobody has named are forwarded. */
  [[nodiscard]] bool wants_any_source(const codec::IpAddress& group) const noexcept;
  /** Whether hosts want anything of the group. */
  [[nodiscard]] bool has(const codec::IpAddress& group) const noexcept { return groups_.contains(group); }
  /** Groups that hosts want. */
  [[nodiscard]] std::size_t groups() const noexcept { return groups_.size(); }
  /** Calls `visit(source, forwarded)` for every source of the group that is named. */
  template <typename Visit>
  void each_source(const codec::IpAddress& group, Visit visit) const;
  void each_group(Nanos now, const std::function<void(const GroupView&)>& visit) const;

  [[nodiscard]] const QuerierElection& election() const noexcept { return commons_.election; }
  [[nodiscard]] const QuerierOptions& options() const noexcept { return commons_.options; }
  [[nodiscard]] const QuerierCounters& counters() const noexcept { return commons_.counters; }
  /** What QuerierLimits::sources and QuerierLimits::hosts limit. */
  [[nodiscard]] std::size_t sources() const noexcept { return commons_.sources; }
  [[nodiscard]] std::size_t hosts() const noexcept { return commons_.hosts; }

 private:
  using Statics = std::set<codec::IpAddress>;

  void settle(QuerierGroup& group) noexcept override;
  [[nodiscard]] bool takes(const codec::IpAddress& host, const codec::GroupRecord& record,
                           unsigned version) const noexcept;
  QuerierGroup* find(const codec::IpAddress& group) noexcept;
  QuerierGroup* find_or_add(const codec::IpAddress& group, Nanos now) noexcept;
  template <typename Change>
  void change_all(Change change) noexcept;
  [[nodiscard]] const Statics* statics_of(const codec::IpAddress& group) const noexcept;

  void restrict(QuerierGroup& group, const ChannelList& list, Nanos now) noexcept;

  QuerierCommons commons_;
  ExtraQueries extra_{commons_};
  std::map<codec::IpAddress, QuerierGroup> groups_;
  std::map<codec::IpAddress, Statics> statics_;
};

template <typename Visit>
void Querier::each_source(const codec::IpAddress& group, Visit visit) const {
  const Statics* const statics = statics_of(group);
  if (const auto found = groups_.find(group); found != groups_.end())
    for (const auto& [address, source] : found->second.filter().sources())
      if (statics == nullptr || !statics->contains(address)) visit(address, forwards(group, address));
  if (statics == nullptr) return;
  for (const codec::IpAddress& source : *statics)
    if (!source.is_any()) visit(source, true);
}

}  // namespace sluice::membership
