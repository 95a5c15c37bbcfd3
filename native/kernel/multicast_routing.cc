#include "kernel/multicast_routing.h"

#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/mroute.h>
#include <linux/mroute6.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

namespace sluice::kernel {

namespace {

// What both families have has the same numbers.
static_assert(MRT_INIT == MRT6_INIT && MRT_TABLE == MRT6_TABLE && MRT_ADD_VIF == MRT6_ADD_MIF);
static_assert(MRT_ADD_MFC == MRT6_ADD_MFC && MRT_DEL_MFC_PROXY == MRT6_DEL_MFC_PROXY && MAXVIFS == MAXMIFS);
static_assert(kMostVifs == MAXVIFS);

constexpr std::uint32_t kMostTable = 99'999'999;
/** Before the rule that leads to the kernel's own table (32767). */
constexpr std::uint32_t kRulePriority = 32'000;
/** Of rules that change meanwhile. */
constexpr int kMostDumps = 8;

bool has(VifSet set, Vif vif) noexcept {
  return ((set >> vif) & 1U) != 0;
}

void put4(const AddressBytes& from, in_addr& to) noexcept {
  std::memcpy(&to, from.data() + 12, sizeof to);
}

void put6(const AddressBytes& from, sockaddr_in6& to) noexcept {
  to.sin6_family = AF_INET6;
  std::memcpy(&to.sin6_addr, from.data(), from.size());
}

ControlProtocol protocol_of(int family) noexcept {
  return family == AF_INET ? ControlProtocol::igmp : ControlProtocol::mld;
}

}  // namespace

RoutingSocket::RoutingSocket(const RoutingOptions& options, std::unique_ptr<ControlSocket> control,
                             NetlinkSocket netlink)
    : options_(options), control_(std::move(control)), netlink_(std::move(netlink)) {
  upcalls_.reserve(ControlSocket::kBatch);
  messages_.reserve(ControlSocket::kBatch);
}

std::string RoutingSocket::name() const {
  const std::string family = options_.family == AF_INET ? "IPv4" : "IPv6";
  return family + " multicast routing" +
         (options_.table == 0 ? "" : " in table " + std::to_string(options_.table));
}

Error RoutingSocket::refused(const std::string& what, int error) const {
  const std::string text = name() + what;
  switch (error) {
    case EPERM:
    case EACCES:
      return {"ROUTING_REFUSED", text + ": this needs root, or CAP_NET_RAW and CAP_NET_ADMIN"};
    case EADDRINUSE:
      return {"ROUTING_TABLE_TAKEN",
              text + ": another program routes by this table; end it, or choose another table (1 to " +
                  std::to_string(kMostTable) + ")"};
    case ENOPROTOOPT:
      return {"ROUTING_UNSUPPORTED",
              text +
                  ": this kernel was built without it (CONFIG_IP_MROUTE, CONFIG_IPV6_MROUTE, their "
                  "MULTIPLE_TABLES, CONFIG_IP_PIMSM_V2, CONFIG_IPV6_PIMSM_V2)"};
    default:
      errno = error;
      return system_error(text);
  }
}

int RoutingSocket::option(int name, const void* value, std::size_t size) const noexcept {
  const int level = options_.family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
  return setsockopt(fd(), level, name, value, static_cast<socklen_t>(size)) == 0 ? 0 : errno;
}

Result<std::unique_ptr<RoutingSocket>> RoutingSocket::open(const RoutingOptions& options) {
  auto control = ControlSocket::open(protocol_of(options.family), options.keeper, options.table);
  if (!control.ok()) return control.error();
  auto netlink = NetlinkSocket::open("multicast routing");
  if (!netlink.ok()) return netlink.error();
  auto made = std::unique_ptr<RoutingSocket>(
      new RoutingSocket(options, std::move(control.value()), std::move(netlink.value())));
  if (auto error = made->start()) return *error;
  return made;
}

std::optional<Error> RoutingSocket::start() {
  if (options_.table > kMostTable)
    return Error{"USAGE", name() + ": expected a table of 1 to " + std::to_string(kMostTable)};
  const int on = 1;
  int error = options_.table == 0 ? 0 : option(MRT_TABLE, &options_.table, sizeof options_.table);
  if (error == 0) error = option(MRT_INIT, &on, sizeof on);
  if (error == 0 && options_.pim) error = option(MRT_PIM, &on, sizeof on);
  return error == 0 ? std::nullopt : std::optional(refused("", error));
}

Result<std::unique_ptr<RoutingSocket>> RoutingSocket::adopt(const RoutingOptions& options, Fd fd,
                                                            std::span<const unsigned> interfaces) {
  auto control =
      ControlSocket::adopt(protocol_of(options.family), std::move(fd), options.keeper, options.table);
  if (!control.ok()) return control.error();
  auto netlink = NetlinkSocket::open("multicast routing");
  if (!netlink.ok()) return netlink.error();
  auto made = std::unique_ptr<RoutingSocket>(
      new RoutingSocket(options, std::move(control.value()), std::move(netlink.value())));
  // The table of a socket that routes cannot be changed: that is how it shows that it does.
  const std::uint32_t table = made->table_number();
  const int probed = made->option(MRT_TABLE, &table, sizeof table);
  if (probed != EBUSY && probed != ENOPROTOOPT)
    return Error{"SYSTEM_CALL", made->name() + ": the socket that was kept does not route any more"};
  const int on = options.pim ? 1 : 0;
  if (const int error = made->option(MRT_PIM, &on, sizeof on); error != 0) return made->refused("", error);
  if (options.family == AF_INET) {
    if (auto error = made->learn_interfaces4()) return *error;
  } else {
    made->learn_interfaces6(interfaces);
  }
  made->drop_strange_rules();
  return made;
}

std::uint32_t RoutingSocket::table_number() const noexcept {
  if (options_.table != 0) return options_.table;
  return options_.family == AF_INET ? RT_TABLE_DEFAULT : RT_TABLE_MAIN;
}

std::optional<Error> RoutingSocket::learn_interfaces4() {
  ifinfomsg header{};
  header.ifi_family = RTNL_FAMILY_IPMR;
  NetlinkRequest request(RTM_GETLINK, NLM_F_DUMP, header);
  const int error = netlink_.ask(request, [this](const NetlinkMessage& m) {
    const auto table = parse_vif_table(m.body);
    if (!table || table->table != table_number()) return;
    for (const VifMessage& vif : table->vifs) {
      if (vif.vif >= kMostVifs) continue;
      interfaces_.at(vif.vif) = vif.is_register ? kRegister : vif.interface_index;
      if (vif.is_register) register_index_ = vif.interface_index;
    }
  });
  return error == 0 ? std::nullopt : std::optional(refused(": listing interfaces", error));
}

void RoutingSocket::learn_interfaces6(std::span<const unsigned> noted) {
  for (Vif vif = 0; vif < kMostVifs; vif++) {
    if (!exists(vif)) continue;
    const unsigned index = vif < noted.size() ? noted[vif] : 0;
    char device[IF_NAMESIZE] = "";
    const bool known = index == kRegister || if_indextoname(index, device) != nullptr;
    interfaces_.at(vif) = index;
    if (!known) remove_interface(vif);
  }
  if (vif_of(kRegister)) register_index_ = if_nametoindex(register_name().c_str());
}

bool RoutingSocket::exists(Vif vif) const noexcept {
  return counters(vif).has_value();
}

std::optional<Vif> RoutingSocket::vif_of(unsigned interface_index) const noexcept {
  const auto* const found = std::find(interfaces_.begin(), interfaces_.end(), interface_index);
  if (interface_index == 0 || found == interfaces_.end()) return std::nullopt;
  return static_cast<Vif>(found - interfaces_.begin());
}

Result<Vif> RoutingSocket::add_interface(unsigned interface_index) {
  char device[IF_NAMESIZE] = "";
  if (interface_index == kRegister || if_indextoname(interface_index, device) == nullptr) {
    return Error{"INTERFACE_UNKNOWN",
                 name() + ": there is no interface with the index " + std::to_string(interface_index)};
  }
  return add(interface_index);
}

Result<Vif> RoutingSocket::add_register_interface() {
  auto vif = add(kRegister);
  if (!vif.ok()) return vif;
  register_index_ = if_nametoindex(register_name().c_str());
  return vif;
}

std::string RoutingSocket::register_name() const {
  const std::string name = options_.family == AF_INET ? "pimreg" : "pim6reg";
  return options_.table == 0 ? name : name + std::to_string(options_.table);
}

Result<Vif> RoutingSocket::add(unsigned interface_index) {
  char device[IF_NAMESIZE] = "register";
  if (interface_index != kRegister) if_indextoname(interface_index, device);
  const std::string what = std::string(": interface ") + device;
  if (vif_of(interface_index)) return Error{"USAGE", name() + what + " is there already"};
  const auto free = free_place();
  if (!free) {
    return Error{"INTERFACE_LIMIT", name() + what + ": the kernel routes between " +
                                        std::to_string(kMostVifs) + " interfaces at most, and there are " +
                                        std::to_string(kMostVifs)};
  }
  const int error = add_vif(*free, interface_index);
  // It has no addresses of this family.
  if (error == EADDRNOTAVAIL || error == ENODEV)
    return Error{"INTERFACE_UNKNOWN", name() + what + ": it does not speak this family, or is gone"};
  if (error != 0) return refused(what, error);
  interfaces_.at(*free) = interface_index;
  const auto other = drop_strange_rules();
  const int ruled = other ? EADDRINUSE : change_rules(interface_index, true);
  if (ruled != 0) remove_interface(*free);
  if (other)
    return Error{"ROUTING_TABLE_TAKEN", name() + what + ": a rule (ip mrule) leads from it to table " +
                                            std::to_string(*other) +
                                            ", by which another program routes: one of both has to leave it"};
  if (ruled != 0) return refused(what + ": its rule", ruled);
  return *free;
}

std::optional<Vif> RoutingSocket::free_place() const noexcept {
  const auto* const free = std::find(interfaces_.begin(), interfaces_.end(), 0U);
  if (free == interfaces_.end()) return std::nullopt;
  return static_cast<Vif>(free - interfaces_.begin());
}

std::optional<Vif> RoutingSocket::vif_of_device(unsigned index) const noexcept {
  return vif_of(index != 0 && index == register_index_ ? kRegister : index);
}

int RoutingSocket::add_vif(Vif vif, unsigned interface_index) const noexcept {
  const bool registers = interface_index == kRegister;
  if (options_.family == AF_INET) {
    vifctl request{};
    request.vifc_vifi = vif;
    request.vifc_flags = registers ? VIFF_REGISTER : VIFF_USE_IFINDEX;
    request.vifc_threshold = 1;
    request.vifc_lcl_ifindex = registers ? 0 : static_cast<int>(interface_index);
    return option(MRT_ADD_VIF, &request, sizeof request);
  }
  mif6ctl request{};
  request.mif6c_mifi = vif;
  request.mif6c_flags = registers ? MIFF_REGISTER : 0;
  request.vifc_threshold = 1;
  request.mif6c_pifi = registers ? 0 : static_cast<std::uint16_t>(interface_index);
  // The kernel's structure has 16 bits for it.
  if (!registers && request.mif6c_pifi != interface_index) return EOVERFLOW;
  return option(MRT6_ADD_MIF, &request, sizeof request);
}

void RoutingSocket::remove_interface(Vif vif) {
  const unsigned index = vif < kMostVifs ? interfaces_.at(vif) : 0;
  if (vif >= kMostVifs) return;
  if (options_.family == AF_INET) {
    vifctl request{};
    request.vifc_vifi = vif;
    option(MRT_DEL_VIF, &request, sizeof request);
  } else {
    const mifi_t mif = vif;
    option(MRT6_DEL_MIF, &mif, sizeof mif);
  }
  if (index != 0) change_rules(index, false);
  if (index == kRegister) register_index_ = 0;
  interfaces_.at(vif) = 0;
}

/** What comes in by an interface, and what this machine itself sends by it, is looked up in our table. */
int RoutingSocket::change_rules(unsigned interface_index, bool add) {
  if (options_.table == 0) return 0;
  char device[IF_NAMESIZE] = "";
  const bool registers = interface_index == kRegister;
  if (!registers && if_indextoname(interface_index, device) == nullptr) return 0;
  const std::string name = registers ? register_name() : device;
  const std::uint16_t what = add ? RTM_NEWRULE : RTM_DELRULE;
  for (const std::uint16_t attribute : {FRA_IIFNAME, FRA_OIFNAME}) {
    const int error = change_rule(what, options_.table, attribute, name);
    if (add && error != 0 && error != EEXIST) return error;
  }
  return 0;
}

/**
 * Of a daemon that had another table and was ended by a signal: they would keep from us what our interfaces
 * take in, since the first of two rules is the one that holds. The table, where somebody routes by it still.
 */
std::optional<std::uint32_t> RoutingSocket::drop_strange_rules() {
  std::vector<RuleMessage> strange;
  int error = EINTR;
  for (int i = 0; i < kMostDumps && error == EINTR; i++) {
    strange.clear();
    fib_rule_hdr header{};
    header.family = options_.family == AF_INET ? RTNL_FAMILY_IPMR : RTNL_FAMILY_IP6MR;
    NetlinkRequest request(RTM_GETRULE, NLM_F_DUMP, header);
    error = netlink_.ask(request, [&](const NetlinkMessage& m) {
      auto rule = parse_rule(m.body);
      if (!rule || rule->priority != kRulePriority || rule->table == options_.table) return;
      if (vif_of(if_nametoindex(rule->device.c_str()))) strange.push_back(std::move(*rule));
    });
  }
  std::optional<std::uint32_t> living;
  for (const RuleMessage& rule : strange) {
    if (is_routed(rule.table))
      living = rule.table;
    else
      change_rule(RTM_DELRULE, rule.table, rule.direction, rule.device);
  }
  return living;
}

/** Whether anybody has the socket of a table: nothing else tells. */
bool RoutingSocket::is_routed(std::uint32_t table) const noexcept {
  const bool v4 = options_.family == AF_INET;
  const int protocol = v4 ? int{IPPROTO_IGMP} : int{IPPROTO_ICMPV6};
  const int level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
  const Fd probe(::socket(options_.family, SOCK_RAW | SOCK_CLOEXEC, protocol));
  const int on = 1;
  return setsockopt(probe.get(), level, MRT_TABLE, &table, sizeof table) == 0 &&
         setsockopt(probe.get(), level, MRT_INIT, &on, sizeof on) != 0 && errno == EADDRINUSE;
}

int RoutingSocket::change_rule(std::uint16_t what, std::uint32_t table, std::uint16_t attribute,
                               const std::string& name) {
  fib_rule_hdr header{};
  header.family = options_.family == AF_INET ? RTNL_FAMILY_IPMR : RTNL_FAMILY_IP6MR;
  header.action = FR_ACT_TO_TBL;
  const int flags = NLM_F_ACK | (what == RTM_NEWRULE ? NLM_F_CREATE | NLM_F_EXCL : 0);
  NetlinkRequest request(what, static_cast<std::uint16_t>(flags), header);
  request.add(FRA_TABLE, table);
  request.add(FRA_PRIORITY, kRulePriority);
  request.add(attribute, name.c_str(), name.size() + 1);
  return netlink_.ask(request, [](const NetlinkMessage&) {});
}

int RoutingSocket::call_route(int name, const MulticastRoute& route, VifSet outgoing) const noexcept {
  if (route.incoming >= kMostVifs) return EINVAL;
  if (options_.family == AF_INET) {
    mfcctl request{};
    put4(route.source, request.mfcc_origin);
    put4(route.group, request.mfcc_mcastgrp);
    request.mfcc_parent = route.incoming;
    for (Vif vif = 0; vif < kMostVifs; vif++) request.mfcc_ttls[vif] = has(outgoing, vif) ? 1 : 0;
    return option(name, &request, sizeof request);
  }
  mf6cctl request{};
  put6(route.source, request.mf6cc_origin);
  put6(route.group, request.mf6cc_mcastgrp);
  request.mf6cc_parent = route.incoming;
  request.mf6cc_ifset.ifs_bits[0] = outgoing;
  return option(name, &request, sizeof request);
}

int RoutingSocket::set(const MulticastRoute& route) noexcept {
  return call_route(MRT_ADD_MFC, route, route.outgoing & ~(VifSet{1} << (route.incoming % kMostVifs)));
}

int RoutingSocket::remove(const AddressBytes& source, const AddressBytes& group) noexcept {
  return call_route(MRT_DEL_MFC, {source, group, 0, 0}, 0);
}

int RoutingSocket::set_any_source(const MulticastRoute& route) noexcept {
  MulticastRoute any = route;
  any.source = any_address(options_.family);
  // The kernel takes packets for such a route from its outgoing interfaces, and never sends them back.
  return call_route(MRT_ADD_MFC_PROXY, any, route.outgoing | (VifSet{1} << (route.incoming % kMostVifs)));
}

int RoutingSocket::remove_any_source(const AddressBytes& group, Vif incoming) noexcept {
  return call_route(MRT_DEL_MFC_PROXY, {any_address(options_.family), group, incoming, 0}, 0);
}

std::optional<RouteCounters> RoutingSocket::counters(const AddressBytes& source,
                                                     const AddressBytes& group) const noexcept {
  if (options_.family == AF_INET) {
    sioc_sg_req request{};
    put4(source, request.src);
    put4(group, request.grp);
    if (ioctl(fd(), SIOCGETSGCNT, &request) != 0) return std::nullopt;
    return RouteCounters{request.pktcnt, request.bytecnt, request.wrong_if};
  }
  sioc_sg_req6 request{};
  put6(source, request.src);
  put6(group, request.grp);
  if (ioctl(fd(), SIOCGETSGCNT_IN6, &request) != 0) return std::nullopt;
  return RouteCounters{request.pktcnt, request.bytecnt, request.wrong_if};
}

std::optional<VifCounters> RoutingSocket::counters(Vif vif) const noexcept {
  if (options_.family == AF_INET) {
    sioc_vif_req request{};
    request.vifi = vif;
    if (ioctl(fd(), SIOCGETVIFCNT, &request) != 0) return std::nullopt;
    return VifCounters{request.icount, request.ibytes, request.ocount, request.obytes};
  }
  sioc_mif_req6 request{};
  request.mifi = vif;
  if (ioctl(fd(), SIOCGETMIFCNT_IN6, &request) != 0) return std::nullopt;
  return VifCounters{request.icount, request.ibytes, request.ocount, request.obytes};
}

RoutingSocket::Received RoutingSocket::receive() noexcept {
  upcalls_.clear();
  messages_.clear();
  for (const ControlMessage& message : control_->receive()) {
    if (!message.upcall)
      messages_.push_back(message);
    else if (const auto upcall = parse_upcall(options_.family, message.payload))
      upcalls_.push_back(*upcall);
  }
  return {upcalls_, messages_};
}

Result<std::vector<KernelRoute>> RoutingSocket::dump() {
  std::vector<KernelRoute> all;
  rtmsg header{};
  header.rtm_family = options_.family == AF_INET ? RTNL_FAMILY_IPMR : RTNL_FAMILY_IP6MR;
  NetlinkRequest request(RTM_GETROUTE, NLM_F_DUMP, header);
  const int error = netlink_.ask(request, [&](const NetlinkMessage& m) {
    const auto route = parse_multicast_route(m.body);
    if (route && route->table == table_number()) all.push_back(kernel_route(*route));
  });
  if (error != 0 && error != EINTR) return refused(": listing routes", error);
  return all;
}

KernelRoute RoutingSocket::kernel_route(const MulticastRouteMessage& m) const {
  KernelRoute out;
  const auto incoming = vif_of_device(m.incoming);
  out.route = {m.source, m.group, incoming.value_or(0), 0};
  out.unresolved = m.unresolved || !incoming;
  out.counters = {m.packets, m.bytes, m.wrong_interface};
  for (const unsigned index : m.outgoing) {
    const auto vif = vif_of_device(index);
    if (vif && vif != incoming) out.route.outgoing |= VifSet{1} << *vif;
  }
  return out;
}

void RoutingSocket::withdraw() noexcept {
  for (const unsigned index : interfaces_)
    if (index != 0) change_rules(index, false);
  const int on = 1;
  option(MRT_DONE, &on, sizeof on);
  interfaces_.fill(0);
}

}  // namespace sluice::kernel
