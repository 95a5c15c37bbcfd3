#include "kernel/multicast_messages.h"

#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/mroute.h>
#include <linux/mroute6.h>

#include "kernel/netlink.h"
#include "kernel/route_messages.h"

namespace sluice::kernel {

using Bytes = std::span<const std::uint8_t>;

namespace {

bool is_kind(std::uint8_t type) noexcept {
  return type >= IGMPMSG_NOCACHE && type <= IGMPMSG_WRVIFWHOLE;
}

bool has_packet(Upcall::Kind kind) noexcept {
  return kind == Upcall::Kind::whole_packet || kind == Upcall::Kind::wrong_interface_packet;
}

std::optional<Upcall> parse_upcall6(Bytes message) noexcept {
  const auto m = NetlinkAttribute{0, message}.as<mrt6msg>();
  if (!m || m->im6_mbz != 0 || !is_kind(m->im6_msgtype) || m->im6_mif >= MAXMIFS) return std::nullopt;
  Upcall out{static_cast<Upcall::Kind>(m->im6_msgtype), m->im6_mif, {}, {}, {}};
  std::memcpy(out.source.data(), &m->im6_src, out.source.size());
  std::memcpy(out.group.data(), &m->im6_dst, out.group.size());
  if (has_packet(out.kind)) out.packet = message.subspan(sizeof *m);
  return out;
}

/** RTA_MULTIPATH of a multicast route: rtnexthop structures without attributes. False when a length is wrong.
 */
bool read_outgoing(Bytes list, std::vector<unsigned>& out) {
  while (!list.empty()) {
    const auto head = NetlinkAttribute{0, list}.as<rtnexthop>();
    if (!head || head->rtnh_len < sizeof *head || head->rtnh_len > list.size()) return false;
    out.push_back(static_cast<unsigned>(head->rtnh_ifindex));
    list = list.subspan(std::min<std::size_t>(RTNH_ALIGN(head->rtnh_len), list.size()));
  }
  return true;
}

std::optional<VifMessage> parse_vif(Bytes attributes) {
  VifMessage vif;
  bool numbered = false;
  each_attribute(attributes, [&](const NetlinkAttribute& a) {
    const auto value = a.as<std::uint32_t>().value_or(0);
    if (a.type == IPMRA_VIFA_VIF_ID) vif.vif = value;
    if (a.type == IPMRA_VIFA_IFINDEX) vif.interface_index = value;
    if (a.type == IPMRA_VIFA_FLAGS)
      vif.is_register = (a.as<std::uint16_t>().value_or(0) & VIFF_REGISTER) != 0;
    numbered = numbered || (a.type == IPMRA_VIFA_VIF_ID && a.value.size() >= sizeof value);
  });
  return numbered ? std::optional(vif) : std::nullopt;
}

}  // namespace

std::optional<Upcall> parse_upcall(int family, Bytes message) noexcept {
  if (family == AF_INET6) return parse_upcall6(message);
  const auto m = NetlinkAttribute{0, message}.as<igmpmsg>();
  if (!m || m->im_mbz != 0 || !is_kind(m->im_msgtype)) return std::nullopt;
  const auto vif = static_cast<std::uint16_t>(m->im_vif | (m->im_vif_hi << 8U));
  if (vif >= MAXVIFS) return std::nullopt;
  Upcall out{static_cast<Upcall::Kind>(m->im_msgtype), vif, mapped(&m->im_src), mapped(&m->im_dst), {}};
  if (has_packet(out.kind)) out.packet = message.subspan(sizeof *m);
  return out;
}

std::optional<MulticastRouteMessage> parse_multicast_route(Bytes body) {
  const auto head = take_front<rtmsg>(body);
  if (!head || (head->rtm_family != RTNL_FAMILY_IPMR && head->rtm_family != RTNL_FAMILY_IP6MR))
    return std::nullopt;
  MulticastRouteMessage route;
  route.family = head->rtm_family == RTNL_FAMILY_IPMR ? AF_INET : AF_INET6;
  route.table = head->rtm_table;
  route.source = route.group = any_address(route.family);
  route.unresolved = (head->rtm_flags & RTNH_F_UNRESOLVED) != 0;
  bool lengths = true;
  const bool whole = each_attribute(body, [&](const NetlinkAttribute& a) {
    if (a.type == RTA_TABLE) route.table = a.as<std::uint32_t>().value_or(route.table);
    if (a.type == RTA_SRC) route.source = address_of(route.family, a.value).value_or(route.source);
    if (a.type == RTA_DST) route.group = address_of(route.family, a.value).value_or(route.group);
    if (a.type == RTA_IIF) route.incoming = a.as<std::uint32_t>().value_or(0);
    if (a.type == RTA_MULTIPATH) lengths = lengths && read_outgoing(a.value, route.outgoing);
    const auto stats = a.type == RTA_MFC_STATS ? a.as<rta_mfc_stats>() : std::nullopt;
    if (!stats) return;
    route.packets = stats->mfcs_packets;
    route.bytes = stats->mfcs_bytes;
    route.wrong_interface = stats->mfcs_wrong_if;
  });
  return whole && lengths ? std::optional(route) : std::nullopt;
}

std::optional<VifTableMessage> parse_vif_table(Bytes body) {
  const auto head = take_front<ifinfomsg>(body);
  if (!head || head->ifi_family != RTNL_FAMILY_IPMR) return std::nullopt;
  VifTableMessage table;
  const auto read_vifs = [&](const NetlinkAttribute& a) {
    const auto vif = a.type == IPMRA_VIF ? parse_vif(a.value) : std::nullopt;
    if (vif) table.vifs.push_back(*vif);
  };
  const auto read_table = [&](const NetlinkAttribute& a) {
    if (a.type == IPMRA_TABLE_ID) table.table = a.as<std::uint32_t>().value_or(0);
    if (a.type == IPMRA_TABLE_VIFS) each_attribute(a.value, read_vifs);
  };
  const bool whole = each_attribute(body, [&](const NetlinkAttribute& a) {
    if (a.type == IFLA_AF_SPEC) each_attribute(a.value, read_table);
  });
  return whole ? std::optional(std::move(table)) : std::nullopt;
}

std::optional<RuleMessage> parse_rule(Bytes body) {
  const auto head = take_front<fib_rule_hdr>(body);
  if (!head) return std::nullopt;
  RuleMessage rule;
  rule.table = head->table;
  const bool whole = each_attribute(body, [&](const NetlinkAttribute& a) {
    if (a.type == FRA_PRIORITY) rule.priority = a.as<std::uint32_t>().value_or(0);
    if (a.type == FRA_TABLE) rule.table = a.as<std::uint32_t>().value_or(0);
    if (a.type != FRA_IIFNAME && a.type != FRA_OIFNAME) return;
    rule.direction = a.type;
    rule.device = a.text();
  });
  return whole ? std::optional(std::move(rule)) : std::nullopt;
}

}  // namespace sluice::kernel
