#include "membership/admission.h"

namespace sluice::membership {

using codec::GroupRecord;
using codec::IpAddress;
using codec::RecordType;

Admission::Admission(const AdmissionOptions& options, AdmissionHost& host, Deadlines& deadlines)
    : options_(options),
      host_(host),
      deadlines_(deadlines),
      joins_(options.joins_per_second, options.burst),
      events_(options.events_per_second, 0) {}

void Admission::configure(const AdmissionOptions& options, Nanos now) {
  options_ = options;
  joins_ = TokenBucket(options.joins_per_second, options.burst);
  events_ = TokenBucket(options.events_per_second, 0);
  release(held_.begin(), held_.end(), now);
  if (has_refused()) host_.allowed({}, now);
}

/** Whether somebody may be there who has asked in vain, or has been cut off. */
bool Admission::has_refused() const noexcept {
  return counters_.revoked > 0 ||
         std::any_of(counters_.denied.begin(), counters_.denied.end(), [](auto count) { return count > 0; });
}

bool Admission::in_range(const Channel& channel) const noexcept {
  if (options_.ranges.empty()) return true;
  return std::any_of(options_.ranges.begin(), options_.ranges.end(), [&](const ChannelRange& range) {
    if (!range.groups.contains(channel.group)) return false;
    return range.sources.bits == 0 || (!channel.source.is_any() && range.sources.contains(channel.source));
  });
}

bool Admission::allows(const IpAddress& group, const IpAddress& source) const noexcept {
  const Channel channel{group, source};
  if (!in_range(channel)) return false;
  return options_.open || leases_.contains(channel) ||
         leases_.contains({group, IpAddress::any(group.is_v4())});
}

void Admission::authorise(const Channel& channel, Nanos until, Nanos now) noexcept {
  deadlines_.set(leases_.try_emplace(channel, *this, channel).first->second, until);
  const IpAddress& group = channel.group;
  release(held_.lower_bound({{group, {}}, {}}),
          std::find_if(held_.lower_bound({{group, {}}, {}}), held_.end(),
                       [&](const auto& one) { return one.first.channel.group != group; }),
          now);
  if (has_refused() && allows(group, channel.source) && !host_.has(channel)) host_.allowed(group, now);
}

void Admission::revoke(const Channel& channel, Nanos now) noexcept {
  const bool had = leases_.erase(channel) != 0;
  if (!allows(channel.group, channel.source)) host_.refused(channel);
  if (!had) return;
  counters_.revoked++;
  host_.revoked(channel.group, now);
}

void Admission::on_record(const IpAddress& host, const GroupRecord& record, unsigned version,
                          Nanos now) noexcept {
  cancel(host, record);
  const bool excludes = record.type == RecordType::is_exclude || record.type == RecordType::to_exclude;
  if (excludes) {
    const Join join{{record.group, IpAddress::any(record.group.is_v4())}, host};
    if (judge(join, version, now)) host_.pass(host, record, version, now);
    return;
  }
  if (record.type == RecordType::block) return host_.pass(host, record, version, now);
  allowed_.clear();
  for (const IpAddress& source : record.sources)
    if (judge({{record.group, source}, host}, version, now)) allowed_.push_back(source);
  // What TO_IN does not name is left: that passes, whatever it names.
  if (allowed_.empty() && record.type != RecordType::to_include) return;
  host_.pass(host, {record.type, record.group, codec::SourceList(allowed_)}, version, now);
}

/** Whether it is allowed now; else it is denied or held. What is there already costs nothing, but is looked
 * at again. */
bool Admission::judge(const Join& join, unsigned version, Nanos now) noexcept {
  const bool has = host_.has(join.channel);
  if (!in_range(join.channel)) {
    deny(join, Denial::range, version, now);
  } else if (!has && !held_.contains(join) && !joins_.take(now)) {
    deny(join, Denial::rate_limit, version, now);
  } else if (!allows(join.channel.group, join.channel.source)) {
    hold(join, version, now);
  } else {
    return has || take_up(join, version, now);
  }
  return false;
}

/** One that is held already neither waits longer nor is told again. */
void Admission::hold(const Join& join, unsigned version, Nanos now) noexcept {
  if (held_.contains(join)) return;
  if (options_.hold == 0) return deny(join, Denial::not_authorised, version, now);
  if (held_.size() >= options_.most_held) return deny(join, Denial::hold_limit, version, now);
  deadlines_.set(held_.try_emplace(join, *this, join, version).first->second, now + options_.hold);
  counters_.held++;
  host_.held(join.host, join.channel);
}

/** A new channel that is authorised. */
bool Admission::take_up(const Join& join, unsigned version, Nanos now) noexcept {
  const bool fits =
      options_.groups == 0 || host_.has_group(join.channel.group) || host_.groups() < options_.groups;
  if (!fits) {
    deny(join, Denial::group_limit, version, now);
    return false;
  }
  counters_.admitted++;
  if (may_tell(now)) host_.admitted(join.host, join.channel);
  return true;
}

void Admission::deny(const Join& join, Denial why, unsigned version, Nanos now) noexcept {
  counters_.denied[static_cast<std::size_t>(why)]++;
  refusals_.add({join.channel, join.host, why, version, now});
  if (why == Denial::range || why == Denial::not_authorised || why == Denial::held_expired)
    host_.refused(join.channel);
  if (may_tell(now)) host_.denied(join.host, join.channel, why);
}

bool Admission::may_tell(Nanos now) noexcept {
  const bool may = events_.take(now);
  if (!may) counters_.events_suppressed++;
  return may;
}

/**
 * Of these, those that are allowed now go to the querier. A host in EXCLUDE mode is passed without the
 * sources it does not want: it repeats its record (RFC 9776 section 5.1).
 */
void Admission::release(HeldJoins::iterator from, HeldJoins::iterator to, Nanos now) noexcept {
  while (from != to) {
    const Join join = from->first;
    const unsigned version = from->second.version();
    if (!allows(join.channel.group, join.channel.source)) {
      ++from;
      continue;
    }
    from = held_.erase(from);
    if (!host_.has(join.channel) && !take_up(join, version, now)) continue;
    counters_.released++;
    const bool any = join.channel.source.is_any();
    GroupRecord record{any ? RecordType::is_exclude : RecordType::allow, join.channel.group, {}};
    if (!any) record.sources = codec::SourceList({&join.channel.source, 1});
    host_.pass(join.host, record, version, now);
  }
}

/** What is left is not waited for any more. Of a long TO_IN that comes as several, one does not undo the
 * others. */
void Admission::cancel(const IpAddress& host, const GroupRecord& record) noexcept {
  if (held_.empty()) return;
  if (record.type == RecordType::block)
    for (const IpAddress& source : record.sources) held_.erase({{record.group, source}, host});
  if (record.type != RecordType::to_include) return;
  held_.erase({{record.group, IpAddress::any(record.group.is_v4())}, host});
  if (record.sources.empty())
    std::erase_if(held_, [&](const auto& one) {
      return one.first.channel.group == record.group && one.first.host == host;
    });
}

void Admission::Held::on_deadline(Nanos now) noexcept {
  Admission& admission = admission_;
  const Join join = join_;
  const unsigned version = version_;
  admission.held_.erase(join);
  admission.deny(join, Denial::held_expired, version, now);
}

}  // namespace sluice::membership
