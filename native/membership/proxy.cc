#include "membership/proxy.h"

#include <algorithm>
#include <iterator>

namespace sluice::membership {

using codec::IpAddress;

namespace {

using Sources = std::vector<IpAddress>;

template <auto Combine>
Sources combined(const Sources& a, const Sources& b) {
  Sources out;
  Combine(a, b, std::back_inserter(out));
  return out;
}

constexpr auto kUnion = [](const Sources& a, const Sources& b, auto out) {
  std::ranges::set_union(a, b, out);
};
constexpr auto kBoth = [](const Sources& a, const Sources& b, auto out) {
  std::ranges::set_intersection(a, b, out);
};
constexpr auto kWithout = [](const Sources& a, const Sources& b, auto out) {
  std::ranges::set_difference(a, b, out);
};

}  // namespace

bool WantedSources::wants(const IpAddress& source) const noexcept {
  return std::ranges::binary_search(sources, source) != excludes;
}

void WantedSources::add(const IpAddress& source) {
  merge(source.is_any() ? WantedSources{true, {}} : WantedSources{false, {source}});
}

void WantedSources::merge(const WantedSources& other) {
  if (excludes && other.excludes) {
    sources = combined<kBoth>(sources, other.sources);
  } else if (excludes) {
    sources = combined<kWithout>(sources, other.sources);
  } else if (other.excludes) {
    sources = combined<kWithout>(other.sources, sources);
    excludes = true;
  } else {
    sources = combined<kUnion>(sources, other.sources);
  }
}

void Proxy::want(const IpAddress& group, WantedSources wanted, Nanos now) {
  set(group, &Group::wanted, std::move(wanted), now);
}

void Proxy::keep(const IpAddress& group, WantedSources kept, Nanos now) {
  set(group, &Group::kept, std::move(kept), now);
}

void Proxy::set(const IpAddress& group, WantedSources Group::*which, WantedSources value, Nanos now) {
  if (value.empty() && !groups_.contains(group)) return;
  Group& found = groups_.try_emplace(group, *this, group).first->second;
  if (found.*which == value) return;
  found.*which = std::move(value);
  change(found, now);
}

WantedSources Proxy::joined(const IpAddress& group) const {
  const auto found = groups_.find(group);
  return found == groups_.end() ? WantedSources{} : found->second.joined;
}

void Proxy::change(Group& group, Nanos now) {
  const bool ends = group.wanted.empty() && group.kept.empty() && !group.joined.empty();
  if (!ends || hold_ <= 0) return settle(group);
  if (!group.held.is_set()) deadlines_.set(group.held, now + hold_);
}

void Proxy::settle(Group& group) {
  group.held.clear();
  WantedSources next = group.wanted;
  next.merge(group.kept);
  if (next != group.joined) {
    group.joined = std::move(next);
    host_.join(group.address, group.joined);
  }
  if (group.joined.empty()) groups_.erase(IpAddress(group.address));
}

}  // namespace sluice::membership
