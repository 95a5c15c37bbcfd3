// What hosts want and get: events, groups, refusals, routes, what is kept above.
#include "addon/row_writer.h"

namespace sluice::addon {

using codec::IpAddress;
using kernel::Nanos;

namespace {

const char* name_of(plane::RouterEvent::Type type) {
  using Type = plane::RouterEvent::Type;
  switch (type) {
    case Type::join_held:
      return "join-held";
    case Type::join_admitted:
      return "join-admitted";
    case Type::join_denied:
      return "join-denied";
    case Type::interface_up:
      return "interface-up";
    case Type::interface_down:
      return "interface-down";
    case Type::interface_refused:
      return "interface-refused";
    case Type::upstream_refused:
      return "upstream-refused";
    case Type::upstream_joined:
      return "upstream-joined";
    case Type::resumed:
      return "resumed";
    case Type::not_kept:
      break;
  }
  return "not-kept";
}

}  // namespace

std::vector<std::string> names_of(const plane::MulticastRouter& router, kernel::VifSet set) {
  std::vector<std::string> out;
  for (kernel::Vif vif = 0; vif < kernel::kMostVifs; vif++)
    if ((set & membership::only(vif)) != 0) out.push_back(router.name_of(vif));
  return out;
}

const char* name_of(membership::Denial why) {
  using membership::Denial;
  switch (why) {
    case Denial::range:
      return "range";
    case Denial::not_authorised:
      return "not-authorised";
    case Denial::held_expired:
      return "held-expired";
    case Denial::hold_limit:
      return "hold-limit";
    case Denial::rate_limit:
      return "rate-limit";
    case Denial::group_limit:
      break;
  }
  return "group-limit";
}

std::string text_of(const IpAddress& address) {
  return kernel::Address::of(address.bytes(), 0).host();
}

Napi::Value address_value(Napi::Env env, const IpAddress& address) {
  return address.is_any() ? env.Null() : Napi::Value(Napi::String::New(env, text_of(address)));
}

Napi::Object event_value(Napi::Env env, const plane::RouterEvent& event) {
  RowWriter out(env);
  out.text("type", name_of(event.type)).number("family", event.v4 ? 4 : 6).text("interface", event.interface);
  using Type = plane::RouterEvent::Type;
  if (event.code != nullptr) return out.text("code", event.code).text("detail", event.detail).object();
  if (event.type == Type::interface_up || event.type == Type::interface_down ||
      event.type == Type::upstream_joined || event.type == Type::resumed)
    return out.object();
  out.address("host", event.host)
      .address("group", event.channel.group)
      .address("source", event.channel.source);
  if (event.type == Type::join_denied) out.text("reason", name_of(event.why));
  return out.object();
}

std::vector<GroupRow> group_rows(const plane::MulticastRouter& router) {
  std::vector<GroupRow> out;
  for (const auto& one : router.interfaces())
    if (const auto* const querier = one->querier(); querier != nullptr && one->is_up())
      querier->each_group(kernel::monotonic_now(), [&](const membership::GroupView& view) {
        out.push_back({one->options().name, view});
      });
  return out;
}

Napi::Object row_value(Napi::Env env, const GroupRow& row) {
  const membership::GroupView& view = row.view;
  RowWriter out(env);
  out.text("interface", row.interface)
      .address("group", view.group)
      .flag("excludes", view.excludes)
      .time("remainingMs", view.remaining)
      .time("ageMs", view.age)
      .number("compatibility", static_cast<int>(view.compatibility))
      .flag("asked", view.asked)
      .address("lastReporter", view.last_reporter)
      .addresses("statics", view.statics);
  out.list("sources", view.sources, [&](const membership::GroupView::Source& one) {
    return RowWriter(env)
        .address("address", one.address)
        .flag("forwarded", one.forwarded)
        .time("remainingMs", one.remaining)
        .object();
  });
  out.list("hosts", view.hosts, [&](const membership::GroupView::Host& one) {
    return RowWriter(env)
        .address("address", one.address)
        .flag("excludes", one.excludes)
        .number("version", one.version)
        .time("ageMs", one.age)
        .time("heardMs", one.heard)
        .time("remainingMs", one.remaining)
        .addresses("sources", one.sources)
        .object();
  });
  // A group of any source that is static has any() in its list, which is null there.
  return out.object();
}

std::vector<RefusalRow> refusal_rows(const plane::MulticastRouter& router) {
  std::vector<RefusalRow> out;
  const Nanos now = kernel::monotonic_now();
  for (const auto& one : router.interfaces()) {
    const std::string& name = one->options().name;
    one->admission().each_held(
        now, [&](const membership::Channel& channel, const IpAddress& host, unsigned version, Nanos left) {
          out.push_back({name, channel, host, version, std::nullopt, left});
        });
    one->admission().refusals().each([&](const membership::Refusal& refusal) {
      out.push_back({name, refusal.channel, refusal.host, refusal.version, refusal.why, now - refusal.at});
    });
  }
  return out;
}

Napi::Object row_value(Napi::Env env, const RefusalRow& row) {
  RowWriter out(env);
  out.text("interface", row.interface)
      .address("host", row.host)
      .address("group", row.channel.group)
      .address("source", row.channel.source)
      .number("version", row.version);
  if (row.why) return out.text("reason", name_of(*row.why)).time("ageMs", row.time).null("waitsMs").object();
  return out.null("reason").null("ageMs").time("waitsMs", row.time).object();
}

std::vector<RouteRow> route_rows(plane::MulticastRouter& router) {
  router.sample();
  std::vector<RouteRow> out;
  const Nanos now = kernel::monotonic_now();
  for (const auto& [group, sources] : router.routes().all())
    for (const auto& [source, route] : sources)
      out.push_back({source, group, router.name_of(route.forwarding.incoming),
                     names_of(router, route.forwarding.outgoing | route.inherited), route, now});
  return out;
}

Napi::Object row_value(Napi::Env env, const RouteRow& row) {
  return RowWriter(env)
      .address("source", row.source)
      .address("group", row.group)
      .text("incoming", row.incoming)
      .texts("outgoing", row.outgoing)
      .flag("inherited", row.route.inherited != 0)
      .number("packets", row.route.counters.packets)
      .number("bytes", row.route.counters.bytes)
      .number("wrongInterface", row.route.counters.wrong_interface)
      .time("ageMs", row.now - row.route.since)
      .time("idleMs", row.now - row.route.active_at)
      .object();
}

std::vector<KeptRow> kept_rows(const plane::MulticastRouter& router) {
  std::vector<KeptRow> out;
  const Nanos now = kernel::monotonic_now();
  if (router.pim() != nullptr)
    router.pim()->each_tree([&](const membership::TreeInfo& info) {
      const membership::Tree& tree = info.tree;
      if (!tree.kept && tree.held_until == membership::kNever) return;
      const membership::Interface above = tree.upstream.interface;
      out.push_back({{tree.group.address, tree.source},
                     tree.kept ? membership::kNever : tree.held_until,
                     above == membership::kNoInterface ? "" : router.name_of(above),
                     now});
    });
  if (router.proxy() != nullptr)
    router.proxy()->each_kept(
        [&](const IpAddress& group, const membership::WantedSources& sources, Nanos until) {
          const std::string& above = router.options().proxy_device;
          if (sources.excludes) out.push_back({{group, IpAddress::any(group.is_v4())}, until, above, now});
          for (const IpAddress& source : sources.sources)
            if (!sources.excludes) out.push_back({{group, source}, until, above, now});
        });
  return out;
}

Napi::Object row_value(Napi::Env env, const KeptRow& row) {
  return RowWriter(env)
      .address("source", row.channel.source)
      .address("group", row.channel.group)
      .text("interface", row.interface)
      .time("remainingMs", row.until == membership::kNever ? row.until : row.until - row.now)
      .object();
}

}  // namespace sluice::addon
