#include "membership/pim_link.h"

#include <algorithm>

namespace sluice::membership {

using codec::IpAddress;
using codec::pim::Hello;
using codec::pim::LanPruneDelay;

namespace {

constexpr std::uint16_t kDefaultHoldtime = 105;
constexpr Nanos kDefaultPropagationDelay = 500 * kMillisecond;
constexpr Nanos kDefaultOverrideInterval = 2500 * kMillisecond;

/** As the elections of section 4.3.2 compare routers. */
struct Candidate {
  std::uint32_t priority = 0;
  IpAddress address;

  [[nodiscard]] bool is_better_than(const Candidate& other, bool by_priority) const noexcept {
    if (by_priority && priority != other.priority) return priority > other.priority;
    return address > other.address;
  }
};

}  // namespace

PimLink::PimLink(Interface interface, std::vector<IpAddress> addresses, const PimLinkOptions& options,
                 PimLinkOwner& owner, PimHost& host, Deadlines& deadlines, Chance& chance)
    : interface_(interface),
      options_(options),
      addresses_(std::move(addresses)),
      owner_(owner),
      host_(host),
      deadlines_(deadlines),
      chance_(chance),
      generation_id_(chance.number()),
      designated_(address()) {}

void PimLink::start(Nanos now) noexcept {
  if (!options_.passive) deadlines_.set(period_, now + chance_.between(0, options_.triggered_hello_delay));
}

void PimLink::stop() noexcept {
  if (introduced_) send_hello(address(), 0);
  period_.clear();
  triggered_.clear();
  neighbours_.clear();
  introduced_ = false;
}

void PimLink::readdress(std::vector<IpAddress> addresses, Nanos now) noexcept {
  if (addresses == addresses_) return;
  if (introduced_ && addresses.front() != address()) send_hello(address(), 0);
  addresses_ = std::move(addresses);
  if (introduced_) send_hello(address(), own_holdtime());
  elect();
  owner_.on_link_changed(*this, now);
}

void PimLink::configure(const PimLinkOptions& options, Nanos now) noexcept {
  if (options == options_ || options.passive != options_.passive) return;
  options_ = options;
  if (introduced_) on_period(now);
  elect();
  owner_.on_link_changed(*this, now);
}

bool PimLink::has(const IpAddress& address) const noexcept {
  return std::find(addresses_.begin(), addresses_.end(), address) != addresses_.end();
}

void PimLink::on_period(Nanos now) noexcept {
  send_hello(address(), own_holdtime());
  deadlines_.set(period_, now + options_.hello_period);
}

void PimLink::introduce() noexcept {
  if (!options_.passive && (!introduced_ || triggered_.is_set())) send_hello(address(), own_holdtime());
}

void PimLink::send_hello(const IpAddress& from, std::uint16_t holdtime_s) noexcept {
  Hello hello;
  hello.holdtime_s = holdtime_s;
  hello.dr_priority = options_.dr_priority;
  hello.generation_id = generation_id_;
  hello.lan_prune_delay = LanPruneDelay{
      options_.tracking, static_cast<std::uint16_t>(options_.propagation_delay / kMillisecond & 0x7fff),
      static_cast<std::uint16_t>(options_.override_interval / kMillisecond)};
  hello.secondary = codec::Sequence<IpAddress>(std::span<const IpAddress>(addresses_).subspan(1));
  triggered_.clear();
  introduced_ = true;
  counters_.hellos_out++;
  host_.send_hello(interface_, from, hello);
}

const PimLink::Neighbour* PimLink::find(const IpAddress& address) const noexcept {
  const auto one = std::find_if(neighbours_.begin(), neighbours_.end(),
                                [&](const Neighbour& each) { return each.address == address; });
  return one == neighbours_.end() ? nullptr : &*one;
}

void PimLink::on_hello(const IpAddress& from, const Hello& hello, Nanos now) noexcept {
  if (options_.passive || has(from)) return;
  counters_.hellos_in++;
  auto* known = const_cast<Neighbour*>(find(from));
  if (hello.holdtime_s == 0) {
    if (known != nullptr) remove(*known, now);
    return;
  }
  if (known == nullptr) {
    if (neighbours_.size() >= options_.most_neighbours) {
      counters_.neighbours_refused++;
      return;
    }
    Neighbour& one = neighbours_.emplace_back(*this);
    one.address = from;
    one.since = now;
    learn(one, hello, now);
    answer(now);
    owner_.on_neighbour(*this, NeighbourEvent::appeared, from, now);
    return;
  }
  const bool restarted = known->generation_id != hello.generation_id;
  if (restarted) known->since = now;
  learn(*known, hello, now);
  if (!restarted) return;
  answer(now);
  owner_.on_neighbour(*this, NeighbourEvent::restarted, from, now);
}

void PimLink::learn(Neighbour& one, const Hello& hello, Nanos now) noexcept {
  const IpAddress designated = designated_;
  one.dr_priority = hello.dr_priority;
  one.generation_id = hello.generation_id;
  one.lan_prune_delay = hello.lan_prune_delay;
  one.expires = after(now, holdtime(hello.holdtime_s.value_or(kDefaultHoldtime)));
  deadlines_.set(one.liveness, one.expires);
  const bool other_addresses = learn_addresses(one, hello);
  elect();
  if (designated != designated_ || other_addresses) owner_.on_link_changed(*this, now);
}

/** Section 4.3.4: of an address that two claim the newest claim holds. */
bool PimLink::learn_addresses(Neighbour& one, const Hello& hello) noexcept {
  constexpr std::size_t kMostAddresses = 64;
  std::vector<IpAddress> before = std::move(one.secondary);
  one.secondary.clear();
  for (const IpAddress& address : hello.secondary) {
    if (address == one.address || one.secondary.size() == kMostAddresses) continue;
    for (Neighbour& other : neighbours_) {
      if (&other != &one && std::erase(other.secondary, address) > 0) counters_.address_conflicts++;
    }
    one.secondary.push_back(address);
  }
  return before != one.secondary;
}

void PimLink::answer(Nanos now) noexcept {
  if (!triggered_.is_set())
    deadlines_.set(triggered_, now + chance_.between(0, options_.triggered_hello_delay));
}

void PimLink::remove(Neighbour& one, Nanos now) noexcept {
  const IpAddress address = one.address;
  neighbours_.remove_if([&](const Neighbour& each) { return &each == &one; });
  elect();
  owner_.on_neighbour(*this, NeighbourEvent::gone, address, now);
}

std::optional<IpAddress> PimLink::neighbour_with(const IpAddress& address) const noexcept {
  for (const Neighbour& one : neighbours_) {
    if (one.address == address ||
        std::find(one.secondary.begin(), one.secondary.end(), address) != one.secondary.end())
      return one.address;
  }
  return std::nullopt;
}

IpAddress PimLink::designated_without(const IpAddress& neighbour) const noexcept {
  const bool by_priority = std::all_of(neighbours_.begin(), neighbours_.end(), [&](const Neighbour& one) {
    return one.address == neighbour || one.dr_priority.has_value();
  });
  Candidate best{options_.dr_priority, address()};
  for (const Neighbour& one : neighbours_) {
    const Candidate candidate{one.dr_priority.value_or(0), one.address};
    if (one.address != neighbour && candidate.is_better_than(best, by_priority)) best = candidate;
  }
  return best.address;
}

void PimLink::elect() noexcept {
  designated_ = designated_without(address());
}

bool PimLink::all_tell_delays() const noexcept {
  return std::all_of(neighbours_.begin(), neighbours_.end(),
                     [](const Neighbour& one) { return one.lan_prune_delay.has_value(); });
}

Nanos PimLink::propagation_delay() const noexcept {
  if (!all_tell_delays()) return kDefaultPropagationDelay;
  Nanos longest = options_.propagation_delay;
  for (const Neighbour& one : neighbours_)
    longest = std::max(longest, one.lan_prune_delay->propagation_delay_ms * kMillisecond);
  return longest;
}

Nanos PimLink::override_interval() const noexcept {
  if (!all_tell_delays()) return kDefaultOverrideInterval;
  Nanos longest = options_.override_interval;
  for (const Neighbour& one : neighbours_)
    longest = std::max(longest, one.lan_prune_delay->override_interval_ms * kMillisecond);
  return longest;
}

bool PimLink::suppression() const noexcept {
  if (!all_tell_delays() || !options_.tracking) return true;
  return std::any_of(neighbours_.begin(), neighbours_.end(),
                     [](const Neighbour& one) { return !one.lan_prune_delay->tracking; });
}

}  // namespace sluice::membership
