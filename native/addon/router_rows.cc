#include "addon/router_rows.h"

namespace sluice::addon {

using codec::IpAddress;
using kernel::Nanos;

namespace {

/** Sets the members of an object. */
class Writer {
 public:
  explicit Writer(Napi::Env env) : env_(env), object_(Napi::Object::New(env)) {}
  Writer& number(const char* key, double value) { return set(key, Napi::Number::New(env_, value)); }
  template <class T>
  Writer& number(const char* key, T value) {
    return number(key, static_cast<double>(value));
  }
  /** In milliseconds; null for what never comes. */
  Writer& time(const char* key, Nanos value) {
    if (value == membership::kNever) return set(key, env_.Null());
    return number(key, static_cast<double>(value) / static_cast<double>(kernel::kMillisecond));
  }
  Writer& text(const char* key, const std::string& value) { return set(key, Napi::String::New(env_, value)); }
  Writer& flag(const char* key, bool value) { return set(key, Napi::Boolean::New(env_, value)); }
  Writer& address(const char* key, const IpAddress& value) { return set(key, address_value(env_, value)); }
  Writer& null(const char* key) { return set(key, env_.Null()); }
  Writer& set(const char* key, const Napi::Value& value) {
    object_.Set(key, value);
    return *this;
  }
  template <class List, class Each>
  Writer& list(const char* key, const List& list, Each&& each) {
    Napi::Array out = Napi::Array::New(env_, list.size());
    std::uint32_t at = 0;
    for (const auto& one : list) out.Set(at++, each(one));
    return set(key, out);
  }
  Writer& addresses(const char* key, const std::vector<IpAddress>& value) {
    return list(key, value, [&](const IpAddress& one) { return address_value(env_, one); });
  }
  Writer& texts(const char* key, const std::vector<std::string>& value) {
    return list(key, value, [&](const std::string& one) { return Napi::String::New(env_, one); });
  }
  [[nodiscard]] Napi::Object object() const { return object_; }

 private:
  Napi::Env env_;
  Napi::Object object_;
};

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

std::vector<std::string> names_of(const plane::MulticastRouter& router, kernel::VifSet set) {
  std::vector<std::string> out;
  for (kernel::Vif vif = 0; vif < kernel::kMostVifs; vif++)
    if ((set & membership::only(vif)) != 0) out.push_back(router.name_of(vif));
  return out;
}

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

Napi::Object admission_value(Napi::Env env, const InterfaceRow& row) {
  using membership::Denial;
  const membership::AdmissionCounters& c = row.admission;
  Writer denied(env);
  for (const Denial why : {Denial::range, Denial::not_authorised, Denial::held_expired, Denial::hold_limit,
                           Denial::rate_limit, Denial::group_limit})
    denied.number(name_of(why), c.of(why));
  return Writer(env)
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
  return Writer(env)
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

std::string text_of(const IpAddress& address) {
  return kernel::Address::of(address.bytes(), 0).host();
}

Napi::Value address_value(Napi::Env env, const IpAddress& address) {
  return address.is_any() ? env.Null() : Napi::Value(Napi::String::New(env, text_of(address)));
}

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

Napi::Object event_value(Napi::Env env, const plane::RouterEvent& event) {
  Writer out(env);
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
  Writer out(env);
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
    return Writer(env)
        .address("address", one.address)
        .flag("forwarded", one.forwarded)
        .time("remainingMs", one.remaining)
        .object();
  });
  out.list("hosts", view.hosts, [&](const membership::GroupView::Host& one) {
    return Writer(env)
        .address("address", one.address)
        .flag("excludes", one.excludes)
        .number("version", one.version)
        .time("ageMs", one.age)
        .time("remainingMs", one.remaining)
        .addresses("sources", one.sources)
        .object();
  });
  // A group of any source that is static has any() in its list, which is null there.
  return out.object();
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
  return Writer(env)
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
  Writer out(env);
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
  out.set("pim", Writer(env)
                     .address("designated", row.pim->designated)
                     .flag("isDesignated", row.pim->is_designated)
                     .flag("passive", row.pim->passive)
                     .number("neighbours", row.pim->neighbours)
                     .number("generationId", row.pim->generation_id)
                     .object());
  return out.object();
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
  Writer out(env);
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
  return Writer(env)
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
  return Writer(env)
      .address("source", row.channel.source)
      .address("group", row.channel.group)
      .text("interface", row.interface)
      .time("remainingMs", row.until == membership::kNever ? row.until : row.until - row.now)
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
  Writer out(env);
  out.text("state", name_of(row.state))
      .number("accepted", row.counters.accepted)
      .number("originated", row.counters.originated)
      .number("dropped", row.counters.dropped)
      .number("refused", row.counters.refused)
      .number("advertisements", row.counters.advertisements_in)
      .list("rps", row.mappings, [&](const RpSetRow::Mapping& one) {
        const membership::RpMapping& mapping = one.mapping;
        return Writer(env)
            .text("groups", text_of(mapping.groups.address) + "/" + std::to_string(mapping.groups.bits))
            .address("rp", mapping.rp)
            .number("priority", mapping.priority)
            .number("hashMaskBits", mapping.hash_mask_bits)
            .flag("fixed", mapping.fixed)
            .flag("own", one.own)
            .object();
      });
  if (!row.router) return out.null("router").object();
  out.set(
      "router",
      Writer(env).address("address", row.router->address).number("priority", row.router->priority).object());
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
  Writer out(env);
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
  out.set("pim", Writer(env)
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
