// What the groups of one interface have in common.
#pragma once

#include "membership/querier_election.h"

namespace sluice::membership {

/** Belongs to a Querier, which its groups are parts of. */
struct QuerierCommons {
  QuerierCommons(const QuerierOptions& what, QuerierHost& who, Deadlines& when)
      : options(what), host(who), deadlines(when), election(options, host, counters, deadlines) {}

  QuerierOptions options;
  QuerierHost& host;
  Deadlines& deadlines;
  QuerierCounters counters;
  QuerierElection election;
  /** Sources that are known of all groups, and those that hosts are known to name. */
  std::size_t sources = 0;
  /** Pairs of host and group. */
  std::size_t hosts = 0;
  /** Sources of a query that is being sent. */
  std::vector<codec::IpAddress> scratch;

  [[nodiscard]] bool room_for_source(std::size_t in_group) const noexcept {
    return in_group < options.limits.sources_per_group && sources < options.limits.sources;
  }
};

}  // namespace sluice::membership
