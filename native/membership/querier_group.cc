#include "membership/querier_group.h"

namespace sluice::membership {

using codec::IpAddress;
using codec::RecordType;

namespace {

/** What is known of hosts is looked through so far for one record; beyond it they are asked. */
constexpr std::size_t kMostLookups = 2048;

}  // namespace

QuerierGroup::QuerierGroup(const IpAddress& address, QuerierCommons& commons, QuerierGroupOwner& owner,
                           Nanos now) noexcept
    : address_(address),
      commons_(commons),
      owner_(owner),
      since_(now),
      filter_(commons, *this),
      hosts_(commons),
      last_reporter_(IpAddress::any(address.is_v4())) {}

Generation QuerierGroup::compatibility(Nanos now) const noexcept {
  const Generation hosts = first_until_ > now    ? Generation::first
                           : second_until_ > now ? Generation::second
                                                 : Generation::third;
  return std::min(hosts, commons_.options.speaks());
}

bool QuerierGroup::has_unknown_hosts(Nanos now) const noexcept {
  return std::max({first_until_, second_until_, unkept_until_}) > now;
}

/** Whoever is there has been asked since we began, and is known by name. */
bool QuerierGroup::knows_all(Nanos now) const noexcept {
  return now >= commons_.election.settled_at() && !has_unknown_hosts(now);
}

void QuerierGroup::note_version(RecordType type, Generation version, Nanos now) noexcept {
  if (type != RecordType::is_exclude || version == Generation::third) return;
  (version == Generation::first ? first_until_ : second_until_) =
      now + commons_.election.timing().older_host();
}

/** RFC 9776 section 7.3.2: hosts of older versions cannot say that they want what another blocks, or that
 * they stay. */
void QuerierGroup::take(const IpAddress& host, const codec::GroupRecord& record, unsigned version,
                        Nanos now) noexcept {
  note_version(record.type, generation(commons_.options.v4, version), now);
  const Generation oldest = compatibility(now);
  if (record.type == RecordType::block && oldest != Generation::third) return;
  if (record.type == RecordType::to_include && oldest == Generation::first) return;
  codec::GroupRecord taken = record;
  if (record.type == RecordType::to_exclude && oldest != Generation::third) taken.sources = {};
  last_reporter_ = host;
  const SourceFilter::Asked asked = filter_.take(taken.type, taken.sources, now);
  // Of a host without an address there may be several (RFC 9776 section 4.2.14).
  if (host.is_any() || !hosts_.take(host, taken, version, now))
    unkept_until_ = now + commons_.election.timing().group_membership();
  resolve(asked, now);
}

/** What a record leaves behind ends at once, or is asked about. */
void QuerierGroup::resolve(SourceFilter::Asked asked, Nanos now) noexcept {
  const ImmediateLeave leave = commons_.options.immediate_leave;
  const bool always = leave == ImmediateLeave::always;
  const std::size_t lookups = hosts_.all().size() * std::max<std::size_t>(filter_.sources().size(), 1);
  const bool known = leave == ImmediateLeave::tracked && knows_all(now) && lookups <= kMostLookups;
  bool query = false;
  if (asked.group && (always || (known && !hosts_.exclude()))) {
    commons_.counters.immediate_leaves++;
    end_exclude(known, now);
  } else if (asked.group) {
    query = ask_group(now);
  }
  for (auto at = filter_.sources().begin(); asked.sources && at != filter_.sources().end();) {
    SourceFilter::Source& source = at->second;
    const bool left = std::exchange(source.to_ask, false);
    const bool ends = left && (always || (known && !hosts_.want(source.address(), now)));
    if (ends) commons_.counters.immediate_leaves++;
    if (left && !ends && ask_source(source, now)) query = true;
    at = ends ? filter_.end(at) : std::next(at);
  }
  if (query) transmit(now);
}

/** In EXCLUDE mode the filter forgets sources that are forwarded anyway; with `keep`, those that hosts want
 * by name stay. */
void QuerierGroup::end_exclude(bool keep, Nanos now) noexcept {
  if (!filter_.excludes()) return;
  if (keep)
    for (const auto& [address, host] : hosts_.all())
      host.each_wanted(now, [&](const IpAddress& source, Nanos until) { filter_.keep(source, until); });
  queries_left_ = 0;
  filter_.end_exclude();
}

/**
 * RFC 9776 section 6.6.3.1. A leave that is repeated while nobody has answered changes nothing. IGMPv1 has no
 * such queries. Who is not the querier lowers its timers when the querier asks.
 */
bool QuerierGroup::ask_group(Nanos now) noexcept {
  const Nanos end = now + commons_.options.last_member_time();
  if (!commons_.election.is_querier()) return false;
  if (commons_.options.speaks() == Generation::first) return false;
  if (retransmission_.is_set() && filter_.group_timer().at() <= end) return false;
  queries_left_ = commons_.options.last_member_queries();
  filter_.lower_group(end);
  return true;
}

/** RFC 9776 section 6.6.3.2. Queries of older versions name no sources: those that nobody wants run out by
 * themselves. */
bool QuerierGroup::ask_source(SourceFilter::Source& source, Nanos now) noexcept {
  const Nanos end = now + commons_.options.last_member_time();
  if (!commons_.election.is_querier() || source.at() <= end) return false;
  if (commons_.options.speaks() != Generation::third) return false;
  source.queries_left = static_cast<std::uint8_t>(commons_.options.last_member_queries());
  filter_.lower(source, end);
  return true;
}

/**
 * Sends what is due of the queries for the group and for sources of it, which share one rhythm (RFC 9776
 * section 6.6.3). Where the group is asked about, the sources that somebody has answered for are not.
 */
void QuerierGroup::transmit(Nanos now) noexcept {
  const bool asks = commons_.election.is_querier();
  const Nanos end = now + commons_.options.last_member_time();
  const bool answered = filter_.group_timer().is_set() && filter_.group_timer().at() > end;
  // Without the S flag another query would undo the answer at other routers (RFC 2236 section 7).
  if (!asks || (answered && commons_.options.speaks() != Generation::third)) queries_left_ = 0;
  const bool group = queries_left_ > 0;
  if (group) {
    queries_left_--;
    send_group_query(answered);
  } else if (asks) {
    send_source_query(true, now);
  }
  if (asks) send_source_query(false, now);
  bool more = queries_left_ > 0;
  for (auto& [address, source] : filter_.sources()) {
    if (source.queries_left > 0) source.queries_left = asks ? source.queries_left - 1 : 0;
    more = more || source.queries_left > 0;
  }
  if (more) {
    commons_.deadlines.set(retransmission_, now + commons_.options.last_member_interval);
  } else {
    retransmission_.clear();
  }
}

void QuerierGroup::send_group_query(bool suppress) noexcept {
  commons_.counters.group_queries_sent++;
  codec::MembershipQuery query = make_query(commons_.options, address_);
  query.suppress = suppress && commons_.options.speaks() == Generation::third;
  commons_.host.send(query);
}

/** With `suppress` of those that somebody has answered for, without of the others; as many queries as they
 * need. */
void QuerierGroup::send_source_query(bool suppress, Nanos now) noexcept {
  const Nanos end = now + commons_.options.last_member_time();
  commons_.scratch.clear();
  for (const auto& [address, source] : filter_.sources())
    if (source.queries_left > 0 && (source.at() > end) == suppress) commons_.scratch.push_back(address);
  const codec::SourceList all(commons_.scratch);
  const std::size_t most = commons_.options.sources_of_a_query();
  for (std::size_t from = 0; from < all.size(); from += most) {
    commons_.counters.source_queries_sent++;
    codec::MembershipQuery query = make_query(commons_.options, address_);
    query.suppress = suppress;
    query.sources = all.part(from, std::min(most, all.size() - from));
    commons_.host.send(query);
  }
}

/** RFC 9776 section 6.6.1; the time is of the router that asks (RFC 2236 section 3), but never less than
 * ours: whoever tells a shorter one would end what hosts had no time to confirm. */
void QuerierGroup::on_query(const codec::MembershipQuery& query, Nanos now) noexcept {
  if (query.suppress) return;
  const Nanos told = query.max_response_ms * kMillisecond;
  const Nanos interval = std::max(told, commons_.options.last_member_interval);
  const Nanos end = now + interval * commons_.options.last_member_queries();
  if (query.sources.empty()) return filter_.lower_group(end);
  filter_.lower(query.sources, end);
}

/** Others that may be there unknown are cut off, too, and asked at once, so that they are back when they
 * answer. */
void QuerierGroup::forget(const IpAddress& host, Nanos now) noexcept {
  const bool unknown = has_unknown_hosts(now);
  if (!hosts_.forget(host) && !unknown) return;
  if (!hosts_.exclude()) end_exclude(true, now);
  for (auto at = filter_.sources().begin(); at != filter_.sources().end();)
    at = at->second.forwarded() && !hosts_.want(at->first, now) ? filter_.end(at) : std::next(at);
  if (unknown && commons_.election.is_querier() && compatibility(now) != Generation::first)
    send_group_query(true);
}

void QuerierGroup::restrict(const ChannelList& list, Nanos now) noexcept {
  hosts_.restrict(address_, list);
  if (list.allows(address_, IpAddress::any(address_.is_v4()))) return;
  end_exclude(true, now);
  for (auto at = filter_.sources().begin(); at != filter_.sources().end();)
    at = list.allows(address_, at->first) ? std::next(at) : filter_.end(at);
}

void QuerierGroup::filter_expired(Nanos now) noexcept {
  static_cast<void>(now);
  owner_.settle(*this);
}

}  // namespace sluice::membership
