#include "membership/pim_bootstrap.h"

#include <algorithm>

namespace sluice::membership {

using codec::IpAddress;
using codec::IpPrefix;
using codec::pim::Bootstrap;
using codec::pim::CandidateRp;
using codec::pim::GroupRange;
using codec::pim::RendezvousPoint;

PimBootstrap::PimBootstrap(bool v4, const BootstrapOptions& options, BootstrapOwner& owner,
                           Deadlines& deadlines, Chance& chance)
    : v4_(v4), options_(options), owner_(owner), deadlines_(deadlines), chance_(chance) {
  zones_.emplace_back(*this, IpPrefix{IpAddress::any(v4), 0}, PimZone(options_, std::nullopt, false, 0));
}

void PimBootstrap::start(Nanos now) {
  started_ = now;
  if (!options_.router) return;
  const BsrWeight own{options_.router->priority, options_.router->address};
  zones_.clear();
  zones_.emplace_back(*this, IpPrefix{IpAddress::any(v4_), 0}, PimZone(options_, own, false, now));
  settle(zones_.front(), now);
}

void PimBootstrap::stop(Nanos now) {
  if (options_.rp && advertised_to_) advertise(0, now);
  advertise_timer_.clear();
  for (Zone& one : zones_) one.timer.clear();
  if (state() != PimZone::State::elected) return;
  KeptBootstrap last = message();
  last.priority = 0;
  last.tell(false, [&](const Bootstrap& out) { owner_.flood(out); });
}

/** The zone that the first range names; none where it names none as it should. */
std::optional<IpPrefix> PimBootstrap::scope_of(const Bootstrap& message) const noexcept {
  const auto first = message.ranges.begin();
  if (first == message.ranges.end() || !first->range.zone) return IpPrefix{IpAddress::any(v4_), 0};
  IpPrefix scope = first->range.groups;
  if (v4_) return scope;
  if (scope.bits < 16) return std::nullopt;
  std::array<std::uint8_t, 16> bytes{0xff, static_cast<std::uint8_t>(scope.address.bytes()[1] & 0x0f)};
  return IpPrefix{IpAddress::v6(bytes.data()), 16};
}

PimBootstrap::Zone* PimBootstrap::zone_of(const IpPrefix& scope, Nanos now) {
  for (Zone& one : zones_)
    if (one.scope == scope) return &one;
  if (zones_.size() > options_.most_zones) {
    counters_.refused++;
    return nullptr;
  }
  return &zones_.emplace_back(*this, scope, PimZone(options_, std::nullopt, true, now));
}

void PimBootstrap::on_bootstrap(const Bootstrap& message, bool on_way, Nanos now) {
  const auto scope = scope_of(message);
  const bool early = now - started_ <= options_.period;
  if (!scope || (message.no_forward ? !early : !on_way)) {
    counters_.dropped++;
    return;
  }
  Zone* const zone = zone_of(*scope, now);
  if (zone == nullptr) return;
  if (message.no_forward && zone->machine.informed()) {
    counters_.dropped++;
    return;
  }
  const PimZone::Action action = zone->machine.on_message(message, now);
  if (action == PimZone::Action::forward) {
    counters_.accepted++;
    if (!message.no_forward) owner_.flood(message);
  }
  if (action == PimZone::Action::originate) originate(*zone, now);
  settle(*zone, now);
}

void PimBootstrap::on_time(Zone& zone, Nanos now) noexcept {
  const PimZone::Action action = zone.machine.run(now);
  if (action == PimZone::Action::originate) originate(zone, now);
  if (action != PimZone::Action::remove) return settle(zone, now);
  zones_.remove_if([&](const Zone& one) { return &one == &zone; });
  owner_.rps_changed(now);
}

void PimBootstrap::settle(Zone& zone, Nanos now) noexcept {
  deadlines_.set(zone.timer, zone.machine.next());
  if (&zone == &zones_.front()) on_router(now);
  if (zone.machine.take_changed()) owner_.rps_changed(now);
}

/** Another bootstrap router is told of us soon, and three times (section 3.2). */
void PimBootstrap::on_router(Nanos now) noexcept {
  const auto to =
      state() == PimZone::State::pending || !router() ? std::nullopt : std::optional(router()->address);
  if (!options_.rp || to == advertised_to_) return;
  advertised_to_ = to;
  if (!to) return advertise_timer_.clear();
  quick_ = 2;
  deadlines_.set(advertise_timer_, now + chance_.between(0, options_.advertisement_backoff));
}

void PimBootstrap::on_advertise(Nanos now) noexcept {
  const bool quick = quick_ > 0;
  if (quick) quick_--;
  deadlines_.set(advertise_timer_, now + (quick ? chance_.between(0, options_.advertisement_backoff)
                                                : options_.advertisement_period));
  advertise(static_cast<std::uint16_t>(options_.advertisement_period * 5 / 2 / kSecond), now);
}

void PimBootstrap::advertise(std::uint16_t holdtime_s, Nanos now) noexcept {
  std::vector<GroupRange> ranges;
  for (const IpPrefix& one : options_.rp->groups) ranges.push_back({one});
  if (ranges.empty()) return;
  const CandidateRp candidate{{options_.rp->address, holdtime_s, options_.rp->priority},
                              codec::Sequence<GroupRange>(ranges)};
  if (state() == PimZone::State::elected) return on_candidate(candidate, now);
  owner_.advertise(*advertised_to_, candidate);
}

void PimBootstrap::on_candidate(const CandidateRp& candidate, Nanos now) {
  counters_.advertisements_in++;
  if (state() != PimZone::State::elected) {
    counters_.advertisements_dropped++;
    return;
  }
  bool changed = false;
  for (const GroupRange& range : candidate.ranges)
    changed = take_offer(range, candidate.point, now) || changed;
  if (candidate.ranges.empty()) {
    constexpr std::array<std::uint8_t, 16> kMulticast{0xff};
    const GroupRange all{{v4_ ? IpAddress::v4(0xe0000000) : IpAddress::v6(kMulticast.data()), v4_ ? 4U : 8U}};
    changed = take_offer(all, candidate.point, now);
  }
  Nanos next = kNever;
  for (const Offer& one : offers_) next = std::min(next, one.expires);
  deadlines_.set(offers_timer_, next);
  if (!changed) return;
  zones_.front().machine.hasten(now);
  settle(zones_.front(), now);
}

/** Whether what we tell has changed. */
bool PimBootstrap::take_offer(const GroupRange& range, const RendezvousPoint& point, Nanos now) {
  const auto known = std::find_if(offers_.begin(), offers_.end(), [&](const Offer& one) {
    return one.range.groups == range.groups && one.point.address == point.address;
  });
  if (known == offers_.end()) {
    if (point.holdtime_s == 0) return false;
    if (offers_.size() + withdrawn_.size() >= options_.most_mappings) {
      counters_.refused++;
      return false;
    }
    std::erase_if(withdrawn_, [&](const Withdrawn& one) { return one.range.groups == range.groups; });
    offers_.push_back({range, point, after(now, holdtime(point.holdtime_s))});
    return true;
  }
  const bool changed = known->point.priority != point.priority || point.holdtime_s == 0;
  known->point = point;
  known->expires = after(now, holdtime(point.holdtime_s));
  if (point.holdtime_s == 0) expire_offers(now);
  return changed;
}

/** Ranges that nobody offers to serve are told as such, so that routers need not wait for their end
 * (section 4.1.1). */
void PimBootstrap::expire_offers(Nanos now) noexcept {
  std::erase_if(withdrawn_, [&](const Withdrawn& one) { return one.until <= now; });
  std::vector<GroupRange> gone;
  for (const Offer& one : offers_)
    if (one.expires <= now) gone.push_back(one.range);
  std::erase_if(offers_, [&](const Offer& one) { return one.expires <= now; });
  for (const GroupRange& range : gone) {
    const auto same = [&](const auto& one) { return one.range.groups == range.groups; };
    if (std::any_of(offers_.begin(), offers_.end(), same) ||
        std::any_of(withdrawn_.begin(), withdrawn_.end(), same))
      continue;
    withdrawn_.push_back({range, now + options_.timeout});
  }
}

void PimBootstrap::on_offers(Nanos now) noexcept {
  expire_offers(now);
  Nanos next = kNever;
  for (const Offer& one : offers_) next = std::min(next, one.expires);
  deadlines_.set(offers_timer_, next);
  zones_.front().machine.hasten(now);
  settle(zones_.front(), now);
}

KeptBootstrap PimBootstrap::message() const {
  KeptBootstrap made;
  made.priority = options_.router->priority;
  made.router = options_.router->address;
  made.hash_mask_bits = options_.router->hash_mask_bits;
  const auto least = static_cast<std::uint16_t>(options_.period * 5 / 2 / kSecond);
  for (const Offer& one : offers_) {
    auto range = std::find_if(made.ranges.begin(), made.ranges.end(), [&](const KeptBootstrap::Range& each) {
      return each.range.groups == one.range.groups;
    });
    if (range == made.ranges.end()) range = made.ranges.insert(made.ranges.end(), {one.range, 0, {}});
    if (range->total == 255) continue;
    RendezvousPoint point = one.point;
    point.holdtime_s = std::max(point.holdtime_s, least);
    range->points.push_back(point);
    range->total++;
  }
  for (const Withdrawn& one : withdrawn_) made.ranges.push_back({one.range, 0, {}});
  return made;
}

void PimBootstrap::originate(Zone& zone, Nanos now) {
  expire_offers(now);
  KeptBootstrap made = message();
  made.tag = static_cast<std::uint16_t>(chance_.number());
  counters_.originated++;
  zone.machine.originated(made, now);
  made.tell(false, [&](const Bootstrap& out) { owner_.flood(out); });
}

std::vector<RpMapping> PimBootstrap::mappings() const {
  std::vector<RpMapping> all;
  for (const Zone& one : zones_) one.machine.append_to(all);
  return all;
}

PimBootstrapCounters PimBootstrap::counters() const noexcept {
  PimBootstrapCounters all = counters_;
  for (const Zone& one : zones_) all.refused += one.machine.refused();
  return all;
}

}  // namespace sluice::membership
