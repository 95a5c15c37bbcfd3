#include "kernel/route_watch.h"

#include <linux/if_addr.h>
#include <net/if.h>

#include <algorithm>
#include <cerrno>

namespace sluice::kernel {

namespace {

constexpr std::array<unsigned, 8> kGroups{
    RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
    RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE,   RTNLGRP_NEXTHOP,
};

/** A dump that changes while it is made is asked for again. */
constexpr int kAttempts = 10;

template <class F>
int dump(NetlinkSocket& socket, std::uint16_t type, F&& take) {
  int outcome = EINTR;
  for (int i = 0; i < kAttempts && outcome == EINTR; i++) {
    // Each kind of dump takes a general message as its header, and links more than that.
    NetlinkRequest request(type, NLM_F_DUMP, ifinfomsg{});
    outcome = socket.ask(request, take);
  }
  return outcome;
}

/** Addresses that are not, or not yet, this machine's own. */
bool usable(const AddressMessage& m) noexcept {
  return (m.flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) == 0 || (m.flags & IFA_F_OPTIMISTIC) != 0;
}

}  // namespace

std::uint8_t route_preference(std::uint8_t protocol) noexcept {
  switch (protocol) {
    case RTPROT_KERNEL:
      return 0;
    case RTPROT_BOOT:
    case RTPROT_STATIC:
    case RTPROT_DHCP:
    case RTPROT_RA:
      return 1;
    case RTPROT_BGP:
      return 20;
    case RTPROT_EIGRP:
      return 90;
    case RTPROT_BABEL:
      return 100;
    case RTPROT_OSPF:
      return 110;
    case RTPROT_ISIS:
      return 115;
    case RTPROT_RIP:
      return 120;
    default:
      return 150;
  }
}

RpfRoute rpf_of(const RouteMessage& route) noexcept {
  RpfRoute out;
  if (route.next_hops.empty() || (route.type != RTN_UNICAST && route.type != RTN_LOCAL)) return out;
  const auto better = [](const NextHop& a, const NextHop& b) {
    return a.usable != b.usable ? b.usable : a.gateway < b.gateway;
  };
  const NextHop& best = *std::max_element(route.next_hops.begin(), route.next_hops.end(), better);
  out.kind = route.type == RTN_LOCAL ? RpfRoute::Kind::local : RpfRoute::Kind::unicast;
  out.interface_index = best.interface_index;
  out.next_hop = best.gateway;
  out.preference = route_preference(route.protocol);
  out.metric = route.metric;
  out.bits = route.bits;
  return out;
}

Result<std::unique_ptr<RouteWatch>> RouteWatch::open(const Options& options) {
  const std::string what = "watching routes";
  auto events = NetlinkSocket::open(what, kGroups);
  if (!events.ok()) return events.error();
  auto questions = NetlinkSocket::open(what);
  if (!questions.ok()) return questions.error();
  auto watch = std::unique_ptr<RouteWatch>(
      new RouteWatch(std::move(events.value()), std::move(questions.value()), options));
  errno = watch->snapshot();
  if (errno != 0) return system_error(what + ": listing links and addresses");
  return watch;
}

int RouteWatch::snapshot() {
  links_.clear();
  const int links = dump(questions_, RTM_GETLINK, [this](const NetlinkMessage& m) {
    const auto link = m.type == RTM_NEWLINK ? parse_link(m.body) : std::nullopt;
    if (link && !link->bridge_port) set_link(*link);
  });
  if (links != 0) return links;
  return dump(questions_, RTM_GETADDR, [this](const NetlinkMessage& m) {
    const auto address = m.type == RTM_NEWADDR ? parse_address(m.body) : std::nullopt;
    if (address) set_address(*address, usable(*address));
  });
}

void RouteWatch::receive(RouteListener& listener) {
  for (;;) {
    const auto bytes = events_.receive();
    if (!bytes.empty()) {
      each_message(bytes, [&](const NetlinkMessage& m) { take(m, listener); });
    } else if (errno == ENOBUFS) {
      resynchronise(listener);
    } else {
      return;
    }
  }
}

void RouteWatch::resynchronise(RouteListener& listener) {
  overruns_++;
  auto before = std::move(links_);
  // Without an answer, what was known is nearer to the truth than nothing.
  if (snapshot() != 0) links_ = before;
  generation_++;
  for (const auto& [index, link] : links_) before.try_emplace(index, link);
  for (const auto& [index, link] : before) listener.on_link(index);
  forget_all(listener);
}

void RouteWatch::take(const NetlinkMessage& m, RouteListener& listener) {
  switch (m.type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return take_link(m, listener);
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return take_address(m, listener);
    case RTM_NEWROUTE:
    case RTM_DELROUTE: {
      const auto route = parse_route(m.body);
      if (route && !route->cloned) take_route(*route, listener);
      return;
    }
    case RTM_NEWRULE:
    case RTM_DELRULE:
    case RTM_NEWNEXTHOP:
    case RTM_DELNEXTHOP:
      return forget_all(listener);
    default:
      return;
  }
}

void RouteWatch::take_link(const NetlinkMessage& m, RouteListener& listener) {
  const auto link = parse_link(m.body);
  if (!link || link->bridge_port) return;
  const bool gone = m.type == RTM_DELLINK;
  const bool changed = gone ? links_.erase(link->index) > 0 : set_link(*link) != 0;
  if (!changed) return;
  generation_++;
  listener.on_link(link->index);
  // IPv4 routes go without a word when their link does.
  forget_all(listener);
}

void RouteWatch::take_address(const NetlinkMessage& m, RouteListener& listener) {
  const auto address = parse_address(m.body);
  if (!address) return;
  const bool there = m.type == RTM_NEWADDR && usable(*address);
  if (set_address(*address, there) == 0) return;
  generation_++;
  listener.on_link(address->index);
  forget_all(listener);
}

void RouteWatch::take_route(const RouteMessage& route, RouteListener& listener) {
  generation_++;
  const auto first = kept_.lower_bound(route.prefix);
  auto last = first;
  while (last != kept_.end() && alike(last->first, route.prefix, route.bits)) ++last;
  if (first == last && !forgot_) return;
  kept_.erase(first, last);
  listener.on_routes(route.prefix, route.bits);
}

void RouteWatch::forget_all(RouteListener& listener) {
  generation_++;
  kept_.clear();
  forgot_ = false;
  listener.on_routes(AddressBytes{}, 0);
}

unsigned RouteWatch::set_link(const LinkMessage& m) {
  const bool fresh = !links_.contains(m.index);
  Link& link = links_[m.index];
  Link next{m.index,
            m.name.empty() ? link.name : m.name,
            m.kind,
            m.mtu,
            m.master,
            (m.flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING),
            (m.flags & IFF_MULTICAST) != 0,
            (m.flags & IFF_LOOPBACK) != 0,
            {}};
  const auto facts = [](const Link& l) {
    return std::tie(l.name, l.kind, l.mtu, l.master, l.running, l.multicast);
  };
  if (!fresh && facts(link) == facts(next)) return 0;
  next.addresses = std::move(link.addresses);
  link = std::move(next);
  return m.index;
}

unsigned RouteWatch::set_address(const AddressMessage& m, bool there) {
  const auto found = links_.find(m.index);
  if (found == links_.end()) return 0;
  auto& list = found->second.addresses;
  const bool secondary = (m.flags & IFA_F_SECONDARY) != 0 && is_v4(m.address);
  const auto same = [&](const LinkAddress& a) { return a.address == m.address && a.bits == m.bits; };
  const auto at = std::find_if(list.begin(), list.end(), same);
  if (there && at == list.end()) {
    list.push_back({m.address, m.bits, secondary});
  } else if (there && at->secondary != secondary) {
    at->secondary = secondary;
  } else if (!there && at != list.end()) {
    list.erase(at);
  } else {
    return 0;
  }
  return m.index;
}

const Link* RouteWatch::link(unsigned index) const noexcept {
  const auto found = links_.find(index);
  return found == links_.end() ? nullptr : &found->second;
}

RpfRoute RouteWatch::lookup(const AddressBytes& address) {
  const auto found = kept_.find(address);
  if (found != kept_.end()) return found->second;
  if (kept_.size() >= options_.kept) {
    kept_.clear();
    forgot_ = true;
  }
  return kept_.emplace(address, ask(address)).first->second;
}

RpfRoute RouteWatch::ask(const AddressBytes& address) {
  asked_++;
  const auto route = ask_route(address, RTM_F_FIB_MATCH);
  if (!route) return {};
  if (!route->next_hops.empty()) return rpf_of(*route);
  // A nexthop object whose parts the kernel was told not to show (net.ipv4.nexthop_compat_mode): it says
  // which of them it would take.
  auto resolved = ask_route(address, 0);
  if (!resolved) return {};
  resolved->protocol = route->protocol;
  resolved->metric = route->metric;
  resolved->bits = route->bits;
  return rpf_of(*resolved);
}

std::optional<RouteMessage> RouteWatch::ask_route(const AddressBytes& address, std::uint32_t flags) {
  const bool v4 = is_v4(address);
  rtmsg header{};
  header.rtm_family = v4 ? AF_INET : AF_INET6;
  header.rtm_dst_len = v4 ? 32 : 128;
  header.rtm_flags = flags;
  NetlinkRequest request(RTM_GETROUTE, 0, header);
  request.add(RTA_DST, address.data() + (v4 ? 12 : 0), v4 ? 4 : 16);
  if (options_.mark != 0) request.add(RTA_MARK, options_.mark);
  std::optional<RouteMessage> answer;
  const int refused = questions_.ask(request, [&](const NetlinkMessage& m) {
    if (m.type == RTM_NEWROUTE) answer = parse_route(m.body);
  });
  return refused == 0 ? answer : std::nullopt;
}

}  // namespace sluice::kernel
