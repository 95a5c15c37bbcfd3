#include "membership/extra_queries.h"

namespace sluice::membership {

using codec::IpAddress;

/** One that is under way is not sent sooner for being asked for again. */
void ExtraQueries::ask(const IpAddress& group, Nanos now) noexcept {
  const QuerierOptions& options = commons_.options;
  const bool all = group.is_any() || options.speaks() == Generation::first ||
                   (asks_.size() >= kMostGroups && !asks_.contains(group));
  if (all) std::erase_if(asks_, [](const auto& one) { return !one.first.is_any(); });
  const IpAddress about = all ? IpAddress::any(options.v4) : group;
  Ask& ask = asks_.try_emplace(about, *this, about).first->second;
  ask.left = options.last_member_queries();
  if (!ask.is_set()) commons_.deadlines.set(ask, now);
}

void ExtraQueries::send(Ask& ask, Nanos now) noexcept {
  const QuerierOptions& options = commons_.options;
  const IpAddress group = ask.group();
  // Another router that asks has its own time for it.
  if (!commons_.election.is_querier()) {
    asks_.erase(group);
    return;
  }
  if (group.is_any()) {
    commons_.election.ask_now(now);
  } else {
    commons_.counters.group_queries_sent++;
    codec::MembershipQuery query = make_query(options, group);
    query.suppress = options.speaks() == Generation::third;
    commons_.host.send(query);
  }
  if (--ask.left > 0)
    commons_.deadlines.set(ask,
                           now + (group.is_any() ? options.query_response : options.last_member_interval));
  else
    asks_.erase(group);
}

}  // namespace sluice::membership
