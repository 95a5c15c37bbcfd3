// Fuzz target: bytes as whatever the kernel tells a multicast router (netlink, upcalls, raw packets):
// everything that is read lies inside, and numbers are in their ranges.
#include "fuzz/check.h"
#include "kernel/control_socket.h"
#include "kernel/multicast_messages.h"
#include "kernel/netlink.h"
#include "kernel/route_messages.h"
#include "kernel/route_watch.h"

using namespace sluice;

namespace {

void check_inside(std::span<const std::uint8_t> part, const fuzz::Block& all) {
  SLUICE_HOLDS(part.empty() ||
               (part.data() >= all.data() && part.data() + part.size() <= all.data() + all.size()));
}

void check_body(std::span<const std::uint8_t> body) {
  if (const auto route = kernel::parse_route(body)) {
    SLUICE_HOLDS(route->bits <= 128 && (route->family == AF_INET6 || route->bits >= 96));
    const kernel::RpfRoute rpf = kernel::rpf_of(*route);
    SLUICE_HOLDS(rpf.kind == kernel::RpfRoute::Kind::none || !route->next_hops.empty());
  }
  if (const auto route = kernel::parse_multicast_route(body))
    SLUICE_HOLDS(route->family == AF_INET6 || (kernel::is_v4(route->source) && kernel::is_v4(route->group)));
  if (const auto link = kernel::parse_link(body))
    SLUICE_HOLDS(link->index > 0 && link->name.size() <= body.size());
  (void)kernel::parse_address(body);
  (void)kernel::parse_vif_table(body);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const fuzz::Block& bytes = input.body();
  check_body(bytes);
  kernel::each_message(bytes, [&](const kernel::NetlinkMessage& m) {
    check_inside(m.body, bytes);
    check_body(m.body);
  });
  for (const int family : {AF_INET, AF_INET6}) {
    const auto upcall = kernel::parse_upcall(family, bytes);
    if (!upcall) continue;
    SLUICE_HOLDS(upcall->vif < 32);
    check_inside(upcall->packet, bytes);
  }
  kernel::ControlMessage message;
  if (kernel::read_ipv4(bytes, message)) check_inside(message.payload, bytes);
  (void)kernel::ipv6_router_alert(bytes);
  return 0;
}
