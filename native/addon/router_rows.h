// What the multicast router has, as JavaScript gets it: taken on the loop, made into values on the JavaScript
// thread.
#pragma once

#include <napi.h>

#include "plane/multicast_router.h"

namespace sluice::addon {

/** `192.0.2.1`, `ff3e::1`. */
std::string text_of(const codec::IpAddress& address);
/** As text, null for any(). */
Napi::Value address_value(Napi::Env env, const codec::IpAddress& address);

/** RawRouterEvent of daemon/plane/addon-router.ts, as are all the others here. */
Napi::Object event_value(Napi::Env env, const plane::RouterEvent& event);

struct GroupRow {
  std::string interface;
  membership::GroupView view;
};
std::vector<GroupRow> group_rows(const plane::MulticastRouter& router);
Napi::Object row_value(Napi::Env env, const GroupRow& row);

/** A join that waits to be authorised, or was not taken a while ago. */
struct RefusalRow {
  std::string interface;
  membership::Channel channel;
  codec::IpAddress host;
  unsigned version = 0;
  /** None: it waits. */
  std::optional<membership::Denial> why;
  /** How long it waits yet, or how long ago it was denied. */
  kernel::Nanos time = 0;
};
std::vector<RefusalRow> refusal_rows(const plane::MulticastRouter& router);
Napi::Object row_value(Napi::Env env, const RefusalRow& row);

struct RouteRow {
  codec::IpAddress source;
  codec::IpAddress group;
  std::string incoming;
  std::vector<std::string> outgoing;
  plane::InstalledRoute route;
  kernel::Nanos now = 0;
};
/** With the kernel's counters as they are now. */
std::vector<RouteRow> route_rows(plane::MulticastRouter& router);
Napi::Object row_value(Napi::Env env, const RouteRow& row);

struct InterfaceRow {
  std::string name;
  bool up = false;
  /** Code of why it cannot be routed for now; null for no such reason. */
  const char* refused = nullptr;
  unsigned index = 0;
  kernel::Vif vif = 0;
  codec::IpAddress address;
  plane::RouterInterfaceCounters counters;
  struct Hosts {
    bool querier = false;
    codec::IpAddress other;
    kernel::Nanos other_remaining = 0;
    unsigned version = 0;
    std::size_t groups = 0;
    std::size_t sources = 0;
    std::size_t hosts = 0;
    membership::QuerierCounters counters;
  };
  std::optional<Hosts> hosts;
  membership::AdmissionCounters admission;
  std::size_t authorised = 0;
  std::size_t held = 0;
  struct Pim {
    codec::IpAddress designated;
    bool is_designated = false;
    bool passive = false;
    std::size_t neighbours = 0;
    std::uint32_t generation_id = 0;
  };
  std::optional<Pim> pim;
  kernel::VifCounters traffic;
};
std::vector<InterfaceRow> interface_rows(plane::MulticastRouter& router);
Napi::Object row_value(Napi::Env env, const InterfaceRow& row);

struct NeighbourRow {
  std::string interface;
  membership::PimNeighbour neighbour;
  bool designated = false;
  kernel::Nanos now = 0;
};
std::vector<NeighbourRow> neighbour_rows(const plane::MulticastRouter& router);
Napi::Object row_value(Napi::Env env, const NeighbourRow& row);

struct TreeRow {
  /** any() of a shared tree. */
  codec::IpAddress source;
  codec::IpAddress group;
  bool joined = false;
  membership::Route route;
  std::string incoming;
  std::vector<std::string> outgoing;
};
std::vector<TreeRow> tree_rows(const plane::MulticastRouter& router);
Napi::Object row_value(Napi::Env env, const TreeRow& row);

/** A channel that is joined above ahead of demand, or for those who come back. */
struct KeptRow {
  membership::Channel channel;
  /** kNever: ahead of demand. */
  kernel::Nanos until = membership::kNever;
  /** Where it is joined; empty where no way leads there. */
  std::string interface;
  kernel::Nanos now = 0;
};
std::vector<KeptRow> kept_rows(const plane::MulticastRouter& router);
Napi::Object row_value(Napi::Env env, const KeptRow& row);

/** Which RPs serve which groups, and who has told. */
struct RpSetRow {
  struct Mapping {
    membership::RpMapping mapping;
    /** The RP is this router. */
    bool own = false;
  };
  membership::PimZone::State state = membership::PimZone::State::accept_any;
  std::optional<membership::BsrWeight> router;
  membership::PimBootstrapCounters counters;
  std::vector<Mapping> mappings;
};
/** None without PIM. */
std::optional<RpSetRow> rp_set_row(const plane::MulticastRouter& router);
Napi::Object row_value(Napi::Env env, const RpSetRow& row);

/** Counters of the router as a whole. */
struct StatusRow {
  plane::MulticastRouterCounters router;
  plane::MulticastRouteCounters routes;
  std::size_t route_entries = 0;
  std::size_t joined_above = 0;
  std::size_t not_joined_above = 0;
  std::uint64_t control_drops = 0;
  std::size_t not_kept = 0;
  std::optional<plane::RouterPimCounters> pim_messages;
  std::optional<membership::PimCounters> pim;
};
StatusRow status_row(plane::MulticastRouter& router);
Napi::Object row_value(Napi::Env env, const StatusRow& row);

/** `not-authorised` and so on. */
const char* name_of(membership::Denial why);
/** `none` for what would be forwarded; else why not. */
const char* name_of(membership::NoRoute why);

template <class Row>
Napi::Array list_value(Napi::Env env, const std::vector<Row>& rows) {
  Napi::Array out = Napi::Array::New(env, rows.size());
  for (std::size_t i = 0; i < rows.size(); i++)
    out.Set(static_cast<std::uint32_t>(i), row_value(env, rows[i]));
  return out;
}

}  // namespace sluice::addon
