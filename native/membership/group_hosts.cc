#include "membership/group_hosts.h"

namespace sluice::membership {

using codec::IpAddress;
using codec::RecordType;
using codec::SourceList;

GroupHost::~GroupHost() {
  hosts_.commons_.sources -= sources_.size();
}

void GroupHost::on_deadline(Nanos now) noexcept {
  static_cast<void>(now);
  hosts_.forget(address_);
}

void GroupHost::take(RecordType type, const SourceList& sources, Nanos now) noexcept {
  incomplete_ = false;
  const Nanos until = now + hosts_.commons_.election.timing().group_membership();
  switch (type) {
    case RecordType::is_exclude:
    case RecordType::to_exclude:
      exclude(sources, until);
      break;
    case RecordType::is_include:
    case RecordType::allow:
      include(sources, false, now, until);
      break;
    case RecordType::to_include:
      include(sources, true, now, until);
      break;
    case RecordType::block:
      block(sources);
      break;
  }
}

void GroupHost::exclude(const SourceList& sources, Nanos until) noexcept {
  excludes_ = true;
  for (auto& [source, at] : sources_) at = 0;
  for (const IpAddress& source : sources) put(source, until);
  drop_if([](Nanos at) { return at == 0; });
  settle(until);
}

/**
 * `all`: the record tells all sources (TO_IN). A long one comes as several (RFC 9776 section 4.2.16), so that
 * in INCLUDE mode those it does not name stay as long as an answer to the query about them may come. An IS_IN
 * record of a host in EXCLUDE mode answers such a query, and tells which sources it does not exclude (5.2).
 */
void GroupHost::include(const SourceList& sources, bool all, Nanos now, Nanos until) noexcept {
  if (excludes_ && !all) {
    for (const IpAddress& source : sources) {
      const auto found = sources_.find(source);
      if (found != sources_.end()) found->second = 0;
    }
    return drop_if([](Nanos at) { return at == 0; });
  }
  if (excludes_ || (all && sources.empty())) drop_if([](Nanos) { return true; });
  excludes_ = false;
  const Nanos asked = now + hosts_.commons_.options.last_member_time();
  if (all)
    for (auto& [source, at] : sources_) at = std::min(at, asked);
  for (const IpAddress& source : sources) put(source, until);
  drop_if([&](Nanos at) { return at <= now; });
  settle(sources.empty() ? at() : until);
}

void GroupHost::block(const SourceList& sources) noexcept {
  for (const IpAddress& source : sources) {
    if (excludes_) {
      put(source, at());
      continue;
    }
    const auto found = sources_.find(source);
    if (found != sources_.end()) found->second = 0;
  }
  if (!excludes_) drop_if([](Nanos at) { return at == 0; });
  settle(at());
}

void GroupHost::put(const IpAddress& source, Nanos until) noexcept {
  const auto found = sources_.find(source);
  if (found != sources_.end()) {
    found->second = until;
  } else if (hosts_.commons_.room_for_source(sources_.size())) {
    sources_.emplace(source, until);
    hosts_.commons_.sources++;
  } else {
    incomplete_ = true;
  }
}

template <typename Condition>
void GroupHost::drop_if(Condition condition) noexcept {
  hosts_.commons_.sources -= std::erase_if(sources_, [&](const auto& one) { return condition(one.second); });
}

void GroupHost::settle(Nanos until) noexcept {
  if (excludes_ || !sources_.empty()) hosts_.commons_.deadlines.set(*this, until);
}

bool GroupHost::wants(const IpAddress& source, Nanos now) const noexcept {
  const auto found = sources_.find(source);
  if (excludes_) return found == sources_.end();
  return found != sources_.end() && found->second > now;
}

bool GroupHosts::take(const IpAddress& host, const codec::GroupRecord& record, unsigned version,
                      Nanos now) noexcept {
  auto at = hosts_.find(host);
  if (at == hosts_.end()) {
    if (!wants_something(record)) return true;
    const QuerierLimits& limits = commons_.options.limits;
    if (commons_.hosts >= limits.hosts || hosts_.size() >= limits.hosts_per_group) {
      commons_.counters.hosts_refused++;
      return false;
    }
    at = hosts_.try_emplace(host, *this, host, now).first;
    commons_.hosts++;
  }
  GroupHost& one = at->second;
  one.version_ = static_cast<std::uint8_t>(version);
  one.heard_ = now;
  one.take(record.type, record.sources, now);
  const bool whole = !one.incomplete_;
  if (!one.excludes_ && one.sources_.empty()) forget(host);
  return whole;
}

bool GroupHosts::exclude() const noexcept {
  return std::any_of(hosts_.begin(), hosts_.end(), [](const auto& one) { return one.second.excludes_; });
}

bool GroupHosts::want(const IpAddress& source, Nanos now) const noexcept {
  return std::any_of(hosts_.begin(), hosts_.end(),
                     [&](const auto& one) { return one.second.wants(source, now); });
}

bool GroupHosts::forget(const IpAddress& host) noexcept {
  const auto found = hosts_.find(host);
  if (found == hosts_.end()) return false;
  hosts_.erase(found);
  commons_.hosts--;
  return true;
}

void GroupHosts::restrict(const IpAddress& group, const ChannelList& list) noexcept {
  const bool any = list.allows(group, IpAddress::any(group.is_v4()));
  for (auto at = hosts_.begin(); at != hosts_.end();) {
    GroupHost& host = at->second;
    if (!host.excludes_)
      commons_.sources -=
          std::erase_if(host.sources_, [&](const auto& one) { return !list.allows(group, one.first); });
    const bool goes = host.excludes_ ? !any : host.sources_.empty();
    if (goes) commons_.hosts--;
    at = goes ? hosts_.erase(at) : std::next(at);
  }
}

}  // namespace sluice::membership
