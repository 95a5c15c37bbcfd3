#include "membership/pim_zone.h"

#include <cmath>
#include <utility>

namespace sluice::membership {

using codec::IpAddress;
using codec::pim::Bootstrap;
using codec::pim::BootstrapRange;
using codec::pim::RendezvousPoint;

namespace {

/** For the differences of addresses in section 5, of which logarithms are taken. */
double number_of(const IpAddress& address) noexcept {
  double number = 0;
  for (const std::uint8_t byte : address.wire()) number = number * 256 + byte;
  return number;
}

}  // namespace

bool KeptBootstrap::has_whole(const Bootstrap& fragment) const noexcept {
  for (const BootstrapRange& one : fragment.ranges) {
    if (one.range.zone || one.total == 0) continue;
    const auto same = [&](const Range& each) {
      return each.range.groups == one.range.groups && each.whole();
    };
    if (std::any_of(ranges.begin(), ranges.end(), same)) return true;
  }
  return false;
}

bool KeptBootstrap::add(const Bootstrap& fragment, std::size_t most) {
  std::size_t held = 0;
  for (const Range& one : ranges) held += 1 + one.points.size();
  for (const BootstrapRange& one : fragment.ranges) {
    auto known = std::find_if(ranges.begin(), ranges.end(),
                              [&](const Range& each) { return each.range.groups == one.range.groups; });
    if (known == ranges.end()) {
      if (held++ >= most) return false;
      known = ranges.insert(ranges.end(), {one.range, one.total, {}});
    }
    for (const RendezvousPoint& point : one.points) {
      const auto same = [&](const RendezvousPoint& each) { return each.address == point.address; };
      if (std::any_of(known->points.begin(), known->points.end(), same)) continue;
      if (held++ >= most) return false;
      known->points.push_back(point);
    }
  }
  return true;
}

PimZone::PimZone(const BootstrapOptions& options, std::optional<BsrWeight> own, bool learnt, Nanos now)
    : options_(options), own_(own), learnt_(learnt), state_(own ? State::pending : State::accept_any) {
  if (own_) bootstrap_at_ = now + override_delay();
}

bool PimZone::is_preferred(const BsrWeight& theirs) const noexcept {
  switch (state_) {
    case State::accept_any:
      return true;
    case State::accept_preferred:
      return !(theirs < *router_) || theirs.address == router_->address;
    case State::candidate:
      return !(theirs < *router_) || (theirs.address == router_->address && !(theirs < *own_));
    default:
      return !(theirs < *own_);
  }
}

PimZone::Action PimZone::on_message(const Bootstrap& message, Nanos now) {
  const BsrWeight theirs{message.priority, message.router};
  if (!is_preferred(theirs)) return on_other(theirs, now);
  if (router_ != theirs) last_ = {};
  router_ = theirs;
  state_ = own_ ? State::candidate : State::accept_preferred;
  bootstrap_at_ = now + options_.timeout;
  zone_until_ = kNever;
  informed_ = true;
  store(message, now);
  return Action::forward;
}

/** One that is not preferred. */
PimZone::Action PimZone::on_other(const BsrWeight& theirs, Nanos now) noexcept {
  if (state_ == State::pending) return Action::forward;
  if (state_ == State::elected) {
    bootstrap_at_ = now + options_.period;
    return Action::originate;
  }
  if (state_ != State::candidate || theirs.address != router_->address) return Action::none;
  state_ = State::pending;
  router_ = theirs;
  bootstrap_at_ = now + override_delay();
  return Action::forward;
}

/** Store RP-Set (section 3.1.5). Ranges of which fragments are missing stay as they were. */
template <class Concerned>
void PimZone::apply(const KeptBootstrap& message, Nanos now, Concerned&& concerned) {
  if (message.empty()) return;
  for (Learnt& one : mappings_) {
    changed_ = changed_ || one.mapping.hash_mask_bits != message.hash_mask_bits;
    one.mapping.hash_mask_bits = message.hash_mask_bits;
  }
  for (const KeptBootstrap::Range& range : message.ranges)
    if (range.whole() && concerned(range)) replace(range, message.hash_mask_bits, now);
}

PimZone::Action PimZone::run(Nanos now) {
  expire(now);
  if (zone_until_ <= now) return Action::remove;
  if (bootstrap_at_ > now) return Action::none;
  if (state_ == State::pending || state_ == State::elected) {
    state_ = State::elected;
    router_ = own_;
    bootstrap_at_ = now + options_.period;
    return Action::originate;
  }
  // Refresh RP-Set: it is to last until another bootstrap router is elected, which takes a candidate longest
  // to learn.
  apply(last_, now, [](const KeptBootstrap::Range&) { return true; });
  last_ = {};
  bootstrap_at_ = own_ ? now + override_delay() : kNever;
  state_ = own_ ? State::pending : State::accept_any;
  router_.reset();
  if (learnt_) zone_until_ = now + options_.zone_timeout;
  return Action::none;
}

Nanos PimZone::next() const noexcept {
  Nanos earliest = std::min(bootstrap_at_, zone_until_);
  for (const Learnt& one : mappings_) earliest = std::min(earliest, one.expires);
  return earliest;
}

void PimZone::originated(const KeptBootstrap& message, Nanos now) {
  last_ = message;
  informed_ = true;
  apply(last_, now, [](const KeptBootstrap::Range&) { return true; });
}

void PimZone::hasten(Nanos now) noexcept {
  if (state_ == State::elected) bootstrap_at_ = std::min(bootstrap_at_, now + options_.min_interval);
}

void PimZone::store(const Bootstrap& message, Nanos now) {
  if (last_.tag != message.fragment_tag || last_.router != message.router || last_.has_whole(message))
    last_ = {};
  last_.tag = message.fragment_tag;
  last_.router = message.router;
  last_.priority = message.priority;
  last_.hash_mask_bits = message.hash_mask_bits;
  if (!last_.add(message, options_.most_mappings)) refused_++;
  apply(last_, now, [&](const KeptBootstrap::Range& range) {
    const auto same = [&](const BootstrapRange& one) { return one.range.groups == range.range.groups; };
    return std::any_of(message.ranges.begin(), message.ranges.end(), same);
  });
}

void PimZone::replace(const KeptBootstrap::Range& range, std::uint8_t hash_mask_bits, Nanos now) {
  const auto told = [&](const IpAddress& rp) {
    const auto one = std::find_if(range.points.begin(), range.points.end(),
                                  [&](const RendezvousPoint& each) { return each.address == rp; });
    return one != range.points.end() && one->holdtime_s != 0;
  };
  const auto gone = std::erase_if(mappings_, [&](const Learnt& one) {
    return one.mapping.groups == range.range.groups && !told(one.mapping.rp);
  });
  changed_ = changed_ || gone > 0;
  for (const RendezvousPoint& point : range.points) {
    if (point.holdtime_s == 0) continue;
    const RpMapping mapping{range.range.groups,        point.address, point.priority, false,
                            range.range.bidirectional, hash_mask_bits};
    auto known = std::find_if(mappings_.begin(), mappings_.end(), [&](const Learnt& one) {
      return one.mapping.groups == mapping.groups && one.mapping.rp == mapping.rp;
    });
    if (known == mappings_.end()) {
      if (mappings_.size() >= options_.most_mappings) {
        refused_++;
        continue;
      }
      known = mappings_.insert(mappings_.end(), Learnt{});
    }
    changed_ = changed_ || known->mapping != mapping;
    *known = {mapping, after(now, holdtime(point.holdtime_s))};
  }
}

void PimZone::expire(Nanos now) {
  if (std::erase_if(mappings_, [&](const Learnt& one) { return one.expires <= now; }) > 0) changed_ = true;
}

void PimZone::append_to(std::vector<RpMapping>& all) const {
  for (const Learnt& one : mappings_) all.push_back(one.mapping);
}

/** BS_Rand_Override (section 5): the lighter, the later; 5 to 23 s. */
Nanos PimZone::override_delay() const noexcept {
  const BsrWeight best = router_ ? std::max(*router_, *own_) : *own_;
  const std::uint8_t best_priority = std::max(best.priority, own_->priority);
  const double priority_delay = 2 * std::log2(1.0 + best_priority - own_->priority);
  const double bits = own_->address.is_v4() ? 32 : 128;
  const double ours = number_of(own_->address);
  const double best_address = std::max(ours, router_ ? number_of(router_->address) : 0);
  const double address_delay = best_priority == own_->priority
                                   ? std::log2(1 + (best_address - ours)) / (bits / 2)
                                   : 2 - ours / std::exp2(bits - 1);
  return static_cast<Nanos>((5 + priority_delay + address_delay) * static_cast<double>(kSecond));
}

}  // namespace sluice::membership
