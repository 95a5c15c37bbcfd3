#include "membership/querier.h"

namespace sluice::membership {

using codec::IpAddress;
using codec::RecordType;

Querier::Querier(const QuerierOptions& options, QuerierHost& host, Deadlines& deadlines)
    : commons_(options, host, deadlines) {}

void Querier::start(const IpAddress& own, Nanos now) noexcept {
  commons_.election.start(own, now);
}

void Querier::stop() noexcept {
  commons_.election.stop();
  extra_.stop();
  while (!groups_.empty()) {
    const IpAddress group = groups_.begin()->first;
    groups_.erase(groups_.begin());
    commons_.host.changed(group);
  }
}

void Querier::readdress(const IpAddress& own, Nanos now) noexcept {
  commons_.election.readdress(own, now);
}

void Querier::configure(const QuerierOptions& options, Nanos now) noexcept {
  commons_.options = options;
  commons_.election.reconfigured(now);
}

void Querier::on_query(const IpAddress& from, const codec::MembershipQuery& query, Nanos now) noexcept {
  commons_.counters.queries_received++;
  // RFC 9777 section 5.1.14.
  if (query.group.is_v4() != commons_.options.v4 || (!commons_.options.v4 && !from.is_link_local())) {
    commons_.counters.ignored_queries++;
    return;
  }
  commons_.election.on_query(from, query, now);
  if (QuerierGroup* const group = find(query.group)) group->on_query(query, now);
}

/** RFC 9776 section 4.2.14 takes reports from 0.0.0.0, RFC 9777 section 5.2.14 none but from link-local
 * addresses. */
bool Querier::takes(const IpAddress& host, const codec::GroupRecord& record,
                    unsigned version) const noexcept {
  const QuerierOptions& options = commons_.options;
  if (record.group.is_v4() != options.v4 || !record.group.is_multicast()) return false;
  if (record.group.is_link_scope_group() || (!options.v4 && !host.is_link_local())) return false;
  if (!options.ssm || !is_ssm(record.group)) return true;
  // RFC 9776 section 6.4: older messages, and records in EXCLUDE mode, mean nothing there.
  return record.type != RecordType::is_exclude && record.type != RecordType::to_exclude &&
         generation(options.v4, version) == Generation::third;
}

void Querier::on_record(const IpAddress& host, const codec::GroupRecord& record, unsigned version,
                        Nanos now) noexcept {
  commons_.counters.records++;
  if (!takes(host, record, version)) {
    commons_.counters.ignored_records++;
    return;
  }
  QuerierGroup* const group = wants_something(record) ? find_or_add(record.group, now) : find(record.group);
  if (group == nullptr) return;
  group->take(host, record, version, now);
  settle(*group);
}

QuerierGroup* Querier::find(const IpAddress& group) noexcept {
  const auto found = groups_.find(group);
  return found == groups_.end() ? nullptr : &found->second;
}

/** None beyond the limit. */
QuerierGroup* Querier::find_or_add(const IpAddress& group, Nanos now) noexcept {
  if (QuerierGroup* const found = find(group)) return found;
  if (groups_.size() >= commons_.options.limits.groups) {
    commons_.counters.groups_refused++;
    return nullptr;
  }
  QuerierGroupOwner& owner = *this;
  return &groups_.try_emplace(group, group, commons_, owner, now).first->second;
}

/** A group that nobody wants goes before its end is told, so that the host sees it gone. */
void Querier::settle(QuerierGroup& group) noexcept {
  const bool changed = group.take_changed();
  const IpAddress address = group.address();
  if (group.empty()) groups_.erase(address);
  if (changed) commons_.host.changed(address);
}

template <typename Change>
void Querier::change_all(Change change) noexcept {
  for (auto at = groups_.begin(); at != groups_.end();) {
    QuerierGroup& group = at->second;
    ++at;
    change(group);
    settle(group);
  }
}

void Querier::forget(const IpAddress& host, Nanos now) noexcept {
  change_all([&](QuerierGroup& group) {
    if (group.hosts().all().contains(host)) group.forget(host, now);
  });
}

void Querier::forget(const IpAddress& host, const IpAddress& group, Nanos now) noexcept {
  QuerierGroup* const found = find(group);
  if (found == nullptr) return;
  found->forget(host, now);
  settle(*found);
}

void Querier::restrict(const IpAddress& group, const ChannelList& list, Nanos now) noexcept {
  QuerierGroup* const found = find(group);
  if (found == nullptr) return;
  restrict(*found, list, now);
  settle(*found);
}

void Querier::restrict(const ChannelList& list, Nanos now) noexcept {
  change_all([&](QuerierGroup& group) { restrict(group, list, now); });
}

void Querier::restrict(QuerierGroup& group, const ChannelList& list, Nanos now) noexcept {
  if (group.restrict(list, now)) extra_.ask(group.address(), now);
}

void Querier::add_static(const IpAddress& group, const IpAddress& source) noexcept {
  if (statics_[group].insert(source).second) commons_.host.changed(group);
}

void Querier::remove_static(const IpAddress& group, const IpAddress& source) noexcept {
  const auto found = statics_.find(group);
  if (found == statics_.end() || found->second.erase(source) == 0) return;
  if (found->second.empty()) statics_.erase(found);
  commons_.host.changed(group);
}

const Querier::Statics* Querier::statics_of(const IpAddress& group) const noexcept {
  const auto found = statics_.find(group);
  return found == statics_.end() ? nullptr : &found->second;
}

bool Querier::forwards(const IpAddress& group, const IpAddress& source) const noexcept {
  const Statics* const statics = statics_of(group);
  if (statics != nullptr && (statics->contains(source) || statics->contains(IpAddress::any(group.is_v4()))))
    return true;
  const auto found = groups_.find(group);
  return found != groups_.end() && found->second.filter().forwards(source);
}

bool Querier::wants_any_source(const IpAddress& group) const noexcept {
  const Statics* const statics = statics_of(group);
  if (statics != nullptr && statics->contains(IpAddress::any(group.is_v4()))) return true;
  const auto found = groups_.find(group);
  return found != groups_.end() && found->second.filter().excludes();
}

namespace {

GroupView view_of(const QuerierGroup& group, Nanos now) {
  GroupView view;
  view.group = group.address();
  view.excludes = group.filter().excludes();
  view.remaining = group.filter().group_timer().remaining(now);
  view.age = now - group.since();
  view.compatibility = group.compatibility(now);
  view.asked = group.is_asked();
  view.last_reporter = group.last_reporter();
  for (const auto& [address, source] : group.filter().sources())
    view.sources.push_back({address, source.forwarded(), source.remaining(now)});
  for (const auto& [address, host] : group.hosts().all()) {
    GroupView::Host& shown = view.hosts.emplace_back();
    shown = {
        address, host.excludes(), host.version(), now - host.since(), host.remaining(now), now - host.heard(),
        {}};
    for (const auto& [source, until] : host.sources()) shown.sources.push_back(source);
  }
  return view;
}

}  // namespace

void Querier::each_group(Nanos now, const std::function<void(const GroupView&)>& visit) const {
  for (const auto& [address, group] : groups_) {
    GroupView view = view_of(group, now);
    if (const Statics* const statics = statics_of(address))
      view.statics.assign(statics->begin(), statics->end());
    visit(view);
  }
  for (const auto& [address, sources] : statics_) {
    if (groups_.contains(address)) continue;
    GroupView view;
    view.group = address;
    view.last_reporter = IpAddress::any(address.is_v4());
    view.statics.assign(sources.begin(), sources.end());
    visit(view);
  }
}

}  // namespace sluice::membership
