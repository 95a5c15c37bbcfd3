#include "kernel/route_messages.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>

#include "kernel/netlink.h"

namespace sluice::kernel {

using Bytes = std::span<const std::uint8_t>;

std::optional<AddressBytes> address_of(int family, Bytes value) noexcept {
  if (family == AF_INET && value.size() == 4) return mapped(value.data());
  if (family != AF_INET6 || value.size() != 16) return std::nullopt;
  AddressBytes all{};
  std::memcpy(all.data(), value.data(), all.size());
  return all;
}

namespace {

std::string kind_of(Bytes link_info) {
  std::string kind;
  each_attribute(link_info, [&](const NetlinkAttribute& a) {
    if (a.type == IFLA_INFO_KIND) kind = a.text();
  });
  return kind;
}

/** RTA_VIA: a router of another family than the route's. */
std::optional<AddressBytes> via_of(const NetlinkAttribute& a) noexcept {
  const auto family = a.as<std::uint16_t>();
  return family ? address_of(*family, a.value.subspan(sizeof *family)) : std::nullopt;
}

void read_gateway(const NetlinkAttribute& a, int family, NextHop& out) noexcept {
  const auto gateway = a.type == RTA_VIA ? via_of(a) : address_of(family, a.value);
  if (gateway) out.gateway = *gateway;
}

/** RTA_MULTIPATH: rtnexthop structures, each with attributes of its own. False when a length is wrong. */
bool read_next_hops(Bytes list, int family, std::vector<NextHop>& out) {
  while (!list.empty()) {
    const auto head = NetlinkAttribute{0, list}.as<rtnexthop>();
    if (!head || head->rtnh_len < sizeof *head || head->rtnh_len > list.size()) return false;
    NextHop hop{static_cast<unsigned>(head->rtnh_ifindex), any_address(family),
                (head->rtnh_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) == 0};
    const bool whole =
        each_attribute(list.first(head->rtnh_len).subspan(sizeof *head), [&](const NetlinkAttribute& a) {
          if (a.type == RTA_GATEWAY || a.type == RTA_VIA) read_gateway(a, family, hop);
        });
    if (!whole) return false;
    out.push_back(hop);
    list = list.subspan(std::min<std::size_t>(RTNH_ALIGN(head->rtnh_len), list.size()));
  }
  return true;
}

}  // namespace

std::optional<LinkMessage> parse_link(Bytes body) {
  const auto head = take_front<ifinfomsg>(body);
  if (!head || head->ifi_index <= 0) return std::nullopt;
  LinkMessage link;
  link.bridge_port = head->ifi_family == AF_BRIDGE;
  link.index = static_cast<unsigned>(head->ifi_index);
  link.flags = head->ifi_flags;
  const bool whole = each_attribute(body, [&](const NetlinkAttribute& a) {
    if (a.type == IFLA_IFNAME) link.name = a.text();
    if (a.type == IFLA_MTU) link.mtu = a.as<std::uint32_t>().value_or(0);
    if (a.type == IFLA_MASTER) link.master = a.as<std::uint32_t>().value_or(0);
    if (a.type == IFLA_LINKINFO) link.kind = kind_of(a.value);
  });
  return whole ? std::optional(link) : std::nullopt;
}

std::optional<AddressMessage> parse_address(Bytes body) {
  const auto head = take_front<ifaddrmsg>(body);
  if (!head) return std::nullopt;
  const int family = head->ifa_family;
  AddressMessage out{head->ifa_index, {}, head->ifa_prefixlen, head->ifa_flags};
  bool found = false;
  bool local = false;
  const bool whole = each_attribute(body, [&](const NetlinkAttribute& a) {
    if (a.type == IFA_FLAGS) out.flags = a.as<std::uint32_t>().value_or(out.flags);
    // On a point-to-point link IFA_ADDRESS is the other end's.
    if (a.type != IFA_LOCAL && (a.type != IFA_ADDRESS || local)) return;
    const auto address = address_of(family, a.value);
    if (!address) return;
    out.address = *address;
    found = true;
    local = a.type == IFA_LOCAL;
  });
  return whole && found ? std::optional(out) : std::nullopt;
}

std::optional<RouteMessage> parse_route(Bytes body) {
  const auto head = take_front<rtmsg>(body);
  if (!head || (head->rtm_family != AF_INET && head->rtm_family != AF_INET6)) return std::nullopt;
  const int family = head->rtm_family;
  const unsigned most = family == AF_INET ? 32 : 128;
  if (head->rtm_dst_len > most) return std::nullopt;
  RouteMessage route;
  route.family = family;
  route.prefix = any_address(family);
  route.bits = head->rtm_dst_len + (128 - most);
  route.type = head->rtm_type;
  route.protocol = head->rtm_protocol;
  route.table = head->rtm_table;
  route.cloned = (head->rtm_flags & RTM_F_CLONED) != 0;
  NextHop only{0, any_address(family), (head->rtm_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) == 0};
  bool lengths = true;
  const bool whole = each_attribute(body, [&](const NetlinkAttribute& a) {
    if (a.type == RTA_DST) route.prefix = address_of(family, a.value).value_or(route.prefix);
    if (a.type == RTA_TABLE) route.table = a.as<std::uint32_t>().value_or(route.table);
    if (a.type == RTA_PRIORITY) route.metric = a.as<std::uint32_t>().value_or(0);
    if (a.type == RTA_OIF) only.interface_index = a.as<std::uint32_t>().value_or(0);
    if (a.type == RTA_GATEWAY || a.type == RTA_VIA) read_gateway(a, family, only);
    if (a.type == RTA_MULTIPATH) lengths = lengths && read_next_hops(a.value, family, route.next_hops);
  });
  if (!whole || !lengths) return std::nullopt;
  if (route.next_hops.empty() && only.interface_index != 0) route.next_hops.push_back(only);
  return route;
}

}  // namespace sluice::kernel
