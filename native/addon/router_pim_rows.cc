// What PIM knows: neighbours, trees and rendezvous points.
#include "addon/row_writer.h"

namespace sluice::addon {

using codec::IpAddress;
using kernel::Nanos;

namespace {

const char* name_of(membership::PimZone::State state) {
  using State = membership::PimZone::State;
  switch (state) {
    case State::accept_any:
      return "none";
    case State::accept_preferred:
      return "accepted";
    case State::candidate:
      return "candidate";
    case State::pending:
      return "pending";
    case State::elected:
      break;
  }
  return "elected";
}

}  // namespace

const char* name_of(membership::NoRoute why) {
  using membership::NoRoute;
  switch (why) {
    case NoRoute::none:
      return "none";
    case NoRoute::no_receivers:
      return "no-receivers";
    case NoRoute::not_designated:
      return "not-designated";
    case NoRoute::assert_lost:
      return "assert-lost";
    case NoRoute::needs_source:
      return "needs-source";
    case NoRoute::no_rp:
      return "no-rp";
    case NoRoute::no_rpf:
      return "no-rpf";
    case NoRoute::no_upstream_neighbour:
      break;
  }
  return "no-upstream-neighbour";
}

std::vector<NeighbourRow> neighbour_rows(const plane::MulticastRouter& router) {
  std::vector<NeighbourRow> out;
  if (router.pim() == nullptr) return out;
  const Nanos now = kernel::monotonic_now();
  router.pim()->each_neighbour([&](const membership::PimLink& link, const membership::PimNeighbour& one) {
    out.push_back({router.name_of(link.interface()), one, link.designated() == one.address, now});
  });
  return out;
}

Napi::Object row_value(Napi::Env env, const NeighbourRow& row) {
  RowWriter out(env);
  const membership::PimNeighbour& one = row.neighbour;
  out.text("interface", row.interface)
      .address("address", one.address)
      .addresses("secondary", one.secondary)
      .flag("designated", row.designated)
      .time("ageMs", row.now - one.since)
      .time("remainingMs", one.expires == membership::kNever ? one.expires : one.expires - row.now);
  const auto optional = [&](const char* key, const std::optional<std::uint32_t>& value) {
    if (value)
      out.number(key, *value);
    else
      out.null(key);
  };
  optional("drPriority", one.dr_priority);
  optional("generationId", one.generation_id);
  return out.object();
}

std::vector<TreeRow> tree_rows(const plane::MulticastRouter& router) {
  std::vector<TreeRow> out;
  if (router.pim() == nullptr) return out;
  router.pim()->each_tree([&](const membership::TreeInfo& info) {
    const membership::Route& route = info.route;
    out.push_back({info.tree.source, info.tree.group.address, info.tree.joined, route,
                   route.incoming == membership::kNoInterface ? "" : router.name_of(route.incoming),
                   names_of(router, route.outgoing)});
  });
  return out;
}

Napi::Object row_value(Napi::Env env, const TreeRow& row) {
  return RowWriter(env)
      .address("source", row.source)
      .address("group", row.group)
      .flag("joined", row.joined)
      .text("why", name_of(row.route.why))
      .flag("spt", row.route.spt)
      .flag("registers", row.route.registers)
      .address("rp", row.route.rp.value_or(IpAddress{}))
      .address("upstream", row.route.upstream.value_or(IpAddress{}))
      .text("incoming", row.incoming)
      .texts("outgoing", row.outgoing)
      .object();
}

std::optional<RpSetRow> rp_set_row(const plane::MulticastRouter& router) {
  const membership::Pim* const pim = router.pim();
  if (pim == nullptr) return std::nullopt;
  const membership::PimBootstrap& bootstrap = pim->bootstrap();
  RpSetRow row{bootstrap.state(), bootstrap.router(), bootstrap.counters(), {}};
  for (const membership::RpMapping& one : pim->rps()) row.mappings.push_back({one, pim->is_own(one.rp)});
  return row;
}

Napi::Object row_value(Napi::Env env, const RpSetRow& row) {
  RowWriter out(env);
  out.text("state", name_of(row.state))
      .number("accepted", row.counters.accepted)
      .number("originated", row.counters.originated)
      .number("dropped", row.counters.dropped)
      .number("refused", row.counters.refused)
      .number("advertisements", row.counters.advertisements_in)
      .list("rps", row.mappings, [&](const RpSetRow::Mapping& one) {
        const membership::RpMapping& mapping = one.mapping;
        return RowWriter(env)
            .text("groups", text_of(mapping.groups.address) + "/" + std::to_string(mapping.groups.bits))
            .address("rp", mapping.rp)
            .number("priority", mapping.priority)
            .number("hashMaskBits", mapping.hash_mask_bits)
            .flag("fixed", mapping.fixed)
            .flag("own", one.own)
            .object();
      });
  if (!row.router) return out.null("router").object();
  out.set("router", RowWriter(env)
                        .address("address", row.router->address)
                        .number("priority", row.router->priority)
                        .object());
  return out.object();
}

}  // namespace sluice::addon
