// Interfaces, and the router as a whole.
#include "addon/row_writer.h"

namespace sluice::addon {

using codec::IpAddress;
using kernel::Nanos;

namespace {

Napi::Object admission_value(Napi::Env env, const InterfaceRow& row) {
  using membership::Denial;
  const membership::AdmissionCounters& c = row.admission;
  RowWriter denied(env);
  for (const Denial why : {Denial::range, Denial::not_authorised, Denial::held_expired, Denial::hold_limit,
                           Denial::rate_limit, Denial::group_limit})
    denied.number(name_of(why), c.of(why));
  return RowWriter(env)
      .number("authorised", row.authorised)
      .number("waiting", row.held)
      .number("admitted", c.admitted)
      .number("held", c.held)
      .number("released", c.released)
      .number("revoked", c.revoked)
      .number("eventsSuppressed", c.events_suppressed)
      .set("denied", denied.object())
      .object();
}

Napi::Value hosts_value(Napi::Env env, const std::optional<InterfaceRow::Hosts>& hosts) {
  if (!hosts) return env.Null();
  const membership::QuerierCounters& c = hosts->counters;
  return RowWriter(env)
      .flag("querier", hosts->querier)
      .address("other", hosts->other)
      .time("otherRemainingMs", hosts->other_remaining)
      .number("version", hosts->version)
      .number("groups", hosts->groups)
      .number("sources", hosts->sources)
      .number("hosts", hosts->hosts)
      .number("generalQueries", c.general_queries_sent)
      .number("groupQueries", c.group_queries_sent)
      .number("sourceQueries", c.source_queries_sent)
      .number("queriesIn", c.queries_received)
      .number("otherVersionQueries", c.other_version_queries)
      .number("ignoredQueries", c.ignored_queries)
      .number("records", c.records)
      .number("ignoredRecords", c.ignored_records)
      .number("refused", c.groups_refused + c.sources_refused + c.hosts_refused)
      .number("immediateLeaves", c.immediate_leaves)
      .number("elections", c.elections)
      .object();
}

}  // namespace

std::vector<InterfaceRow> interface_rows(plane::MulticastRouter& router) {
  std::vector<InterfaceRow> out;
  const Nanos now = kernel::monotonic_now();
  for (const auto& one : router.interfaces()) {
    InterfaceRow row;
    row.name = one->options().name;
    row.up = one->is_up();
    if (const auto refused = router.refused().find(row.name); refused != router.refused().end())
      row.refused = refused->second.code;
    row.index = one->index();
    row.vif = one->vif();
    row.address = row.up ? one->address() : IpAddress{};
    row.counters = one->counters();
    row.admission = one->admission().counters();
    row.authorised = one->admission().authorised();
    row.held = one->admission().held();
    if (const auto* const q = one->querier(); q != nullptr)
      row.hosts = InterfaceRow::Hosts{q->election().is_querier(),
                                      q->election().querier(),
                                      q->election().other_remaining(now),
                                      q->options().version,
                                      q->groups(),
                                      q->sources(),
                                      q->hosts(),
                                      q->counters()};
    const auto* const link = row.up && router.pim() != nullptr ? router.pim()->link(one->vif()) : nullptr;
    if (link != nullptr)
      row.pim = InterfaceRow::Pim{link->designated(), link->is_designated(), link->options().passive,
                                  link->neighbours(), link->generation_id()};
    if (row.up) row.traffic = router.socket().counters(one->vif()).value_or(kernel::VifCounters{});
    out.push_back(std::move(row));
  }
  return out;
}

Napi::Object row_value(Napi::Env env, const InterfaceRow& row) {
  RowWriter out(env);
  out.text("name", row.name)
      .flag("up", row.up)
      .set("refused", row.refused == nullptr ? env.Null() : Napi::Value(Napi::String::New(env, row.refused)))
      .number("index", row.index)
      .number("vif", row.vif)
      .address("address", row.address)
      .number("reports", row.counters.reports)
      .number("malformed", row.counters.malformed)
      .number("badChecksum", row.counters.bad_checksum)
      .number("wrongHeader", row.counters.wrong_header)
      .number("tooMany", row.counters.too_many)
      .set("hosts", hosts_value(env, row.hosts))
      .set("admission", admission_value(env, row))
      .number("packetsIn", row.traffic.packets_in)
      .number("packetsOut", row.traffic.packets_out)
      .number("bytesIn", row.traffic.bytes_in)
      .number("bytesOut", row.traffic.bytes_out);
  if (!row.pim) return out.null("pim").object();
  out.set("pim", RowWriter(env)
                     .address("designated", row.pim->designated)
                     .flag("isDesignated", row.pim->is_designated)
                     .flag("passive", row.pim->passive)
                     .number("neighbours", row.pim->neighbours)
                     .number("generationId", row.pim->generation_id)
                     .object());
  return out.object();
}

StatusRow status_row(plane::MulticastRouter& router) {
  StatusRow row{router.counters(),
                router.routes().counters(),
                router.routes().size(),
                0,
                0,
                router.socket().control().drops(),
                router.unkept(),
                {},
                {}};
  if (router.proxy() != nullptr) {
    row.not_joined_above = router.unjoined();
    row.joined_above = router.proxy()->groups() - row.not_joined_above;
  }
  if (router.pim_side() != nullptr) {
    row.pim_messages = router.pim_side()->counters();
    row.pim = router.pim()->counters();
  }
  return row;
}

Napi::Object row_value(Napi::Env env, const StatusRow& row) {
  RowWriter out(env);
  out.number("unknownSources", row.router.unknown_sources)
      .number("wrongInterface", row.router.wrong_interface)
      .number("sendErrors", row.router.send_errors)
      .number("upstreamErrors", row.router.upstream_errors)
      .number("interfacesRefused", row.router.interfaces_refused)
      .number("routes", row.route_entries)
      .number("routesSet", row.routes.set)
      .number("routesRemoved", row.routes.removed)
      .number("routesRefused", row.routes.refused)
      .number("routesFailed", row.routes.failed)
      .number("joinedAbove", row.joined_above)
      .number("notJoinedAbove", row.not_joined_above)
      .number("controlDrops", row.control_drops)
      .number("notKept", row.not_kept);
  if (!row.pim || !row.pim_messages) return out.null("pim").object();
  const membership::PimCounters& c = *row.pim;
  out.set("pim", RowWriter(env)
                     .number("received", row.pim_messages->received)
                     .number("malformed", row.pim_messages->malformed + row.pim_messages->bad_checksum)
                     .number("wrongAddress", row.pim_messages->wrong_address)
                     .number("sendErrors", row.pim_messages->send_errors)
                     .number("registersSent", row.pim_messages->registers_sent)
                     .number("registersDropped", row.pim_messages->registers_dropped)
                     .number("joinsIn", c.joins_in)
                     .number("prunesIn", c.prunes_in)
                     .number("joinsOut", c.joins_out)
                     .number("prunesOut", c.prunes_out)
                     .number("assertsIn", c.asserts_in)
                     .number("assertsOut", c.asserts_out)
                     .number("registersIn", c.registers_in)
                     .number("unknownNeighbour", c.unknown_neighbour)
                     .number("treesRefused", c.trees_refused)
                     .object());
  return out.object();
}

}  // namespace sluice::addon
