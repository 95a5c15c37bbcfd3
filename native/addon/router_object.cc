#include "addon/router_object.h"

#include "addon/convert.h"

namespace sluice::addon {

using codec::IpAddress;
using membership::Channel;
using plane::MulticastRouter;

namespace {

constexpr std::int64_t kMostRoutes = 1'000'000;

IpAddress ip_of(Napi::Env env, const std::string& text) {
  const auto address = kernel::Address::parse(text, 0);
  if (!address) throw_error(env, {"ADDRESS_INVALID", "`" + text + "` is not a numeric IPv4 or IPv6 address"});
  return IpAddress::v6(address->bytes().data());
}

IpAddress ip_of(const Napi::Value& value) {
  return ip_of(value.Env(), value.As<Napi::String>().Utf8Value());
}

IpAddress ip_or_any(const Options& o, const char* key, bool v4) {
  return o.is_null(key) ? IpAddress::any(v4) : ip_of(o.env(), o.text(key));
}

codec::IpPrefix prefix_of(Napi::Env env, const std::string& text) {
  const std::size_t slash = text.find('/');
  const IpAddress address = ip_of(env, text.substr(0, slash));
  const unsigned whole = address.is_v4() ? 32 : 128;
  return {address,
          slash == std::string::npos ? whole : static_cast<unsigned>(std::stoul(text.substr(slash + 1)))};
}

template <class F>
auto list_of(const Napi::Value& value, F&& each) {
  std::vector<decltype(each(value))> out;
  const auto list = value.As<Napi::Array>();
  for (std::uint32_t i = 0; i < list.Length(); i++) out.push_back(each(list.Get(i)));
  return out;
}

std::vector<codec::IpPrefix> prefixes_of(const Napi::Value& value) {
  return list_of(
      value, [](const Napi::Value& one) { return prefix_of(one.Env(), one.As<Napi::String>().Utf8Value()); });
}

plane::UpstreamMode mode_of(const std::string& name) {
  if (name == "proxy") return plane::UpstreamMode::proxy;
  return name == "pim" ? plane::UpstreamMode::pim : plane::UpstreamMode::none;
}

/** What this router would be to its domain (RFC 5059). An RP's address need not be of an interface that is
 * routed. */
void set_candidacies(Napi::Env env, const Options& o, membership::PimOptions& pim) {
  membership::BootstrapOptions& bootstrap = pim.bootstrap;
  if (!o.is_null("candidateBsr")) {
    const Options bsr(env, o.get("candidateBsr"));
    bootstrap.router = {ip_of(env, bsr.text("address")), bsr.number<std::uint8_t>("priority", 0, 255),
                        bsr.number<std::uint8_t>("hashMaskBits", 0, pim.v4 ? 32 : 128)};
    bootstrap.period = bsr.milliseconds("intervalMs");
    bootstrap.timeout = 2 * bootstrap.period + bootstrap.min_interval;
    pim.addresses.push_back(bootstrap.router->address);
  }
  if (o.is_null("candidateRp")) return;
  const Options rp(env, o.get("candidateRp"));
  bootstrap.rp = {ip_of(env, rp.text("address")), rp.number<std::uint8_t>("priority", 0, 255),
                  prefixes_of(rp.get("groups"))};
  bootstrap.advertisement_period = rp.milliseconds("intervalMs");
  pim.addresses.push_back(bootstrap.rp->address);
}

std::optional<plane::MulticastRouterOptions> router_of(Napi::Env env, const Napi::Value& value, bool v4) {
  if (value.IsNull()) return std::nullopt;
  const Options o(env, value);
  plane::MulticastRouterOptions r;
  r.v4 = v4;
  r.table = o.number<std::uint32_t>("table", 0, 99'999'999);
  r.upstream = mode_of(o.text("upstream"));
  r.proxy_device = o.text_or_empty("proxyInterface");
  r.leave_hold = o.milliseconds("leaveHoldMs");
  r.most_routes = o.number<std::size_t>("mostRoutes", 1, kMostRoutes);
  r.idle = o.milliseconds("idleMs");
  r.restart_grace = o.milliseconds("restartGraceMs");
  r.pim.v4 = v4;
  r.pim.leave_hold = r.leave_hold;
  r.pim.spt_switch = o.flag("sptSwitch");
  r.pim.source_specific = prefixes_of(o.get("sourceSpecific"));
  r.pim.static_rps = list_of(o.get("rps"), [](const Napi::Value& one) {
    const Options rp(one.Env(), one);
    return membership::StaticRp{prefix_of(one.Env(), rp.text("groups")),
                                ip_of(one.Env(), rp.text("address"))};
  });
  set_candidacies(env, o, r.pim);
  return r;
}

plane::KeeperOptions keeper_of(Napi::Env env, const Napi::Value& value) {
  const Options o(env, value);
  plane::KeeperOptions keeper{o.text_or_empty("service"), o.number<std::size_t>("serviceMost", 0, 1 << 20),
                              o.text_or_empty("holder")};
  keeper.inherited = list_of(o.get("inherited"), [](const Napi::Value& one) {
    const Options kept(one.Env(), one);
    return kernel::KeptDescriptor{kept.text("name"), kernel::Fd(kept.number<int>("fd", 0, 1 << 20))};
  });
  return keeper;
}

membership::ImmediateLeave leave_of(const std::string& name) {
  if (name == "tracked") return membership::ImmediateLeave::tracked;
  return name == "always" ? membership::ImmediateLeave::always : membership::ImmediateLeave::off;
}

std::optional<membership::QuerierOptions> querier_of(Napi::Env env, const Napi::Value& value, bool v4) {
  if (value.IsNull()) return std::nullopt;
  const Options o(env, value);
  membership::QuerierOptions q;
  q.v4 = v4;
  q.version = o.number<std::uint8_t>("version", 1, v4 ? 3 : 2);
  q.robustness = o.number<std::uint8_t>("robustness", 1, 7);
  q.query_interval = o.milliseconds("queryIntervalMs");
  q.query_response = o.milliseconds("queryResponseMs");
  q.last_member_interval = o.milliseconds("lastMemberIntervalMs");
  q.last_member_count = o.number<std::uint8_t>("lastMemberCount", 1, 7);
  q.immediate_leave = leave_of(o.text("immediateLeave"));
  return q;
}

membership::AdmissionOptions admission_of(Napi::Env env, const Napi::Value& value, bool v4) {
  const Options o(env, value);
  membership::AdmissionOptions a;
  a.open = o.flag("open");
  a.ranges = list_of(o.get("ranges"), [v4](const Napi::Value& one) {
    const Options range(one.Env(), one);
    const codec::IpPrefix any{IpAddress::any(v4), 0};
    return membership::ChannelRange{
        prefix_of(one.Env(), range.text("groups")),
        range.is_null("sources") ? any : prefix_of(one.Env(), range.text("sources"))};
  });
  a.groups = o.number<std::size_t>("groups", 0, 1'000'000);
  a.joins_per_second = o.number<unsigned>("joinsPerSecond", 0, 1'000'000);
  a.burst = o.number<unsigned>("burst", 0, 1'000'000);
  a.hold = o.milliseconds("holdMs");
  a.most_held = o.number<std::size_t>("mostHeld", 0, 1'000'000);
  return a;
}

std::optional<membership::PimLinkOptions> pim_of(Napi::Env env, const Napi::Value& value) {
  if (value.IsNull()) return std::nullopt;
  const Options o(env, value);
  membership::PimLinkOptions p;
  p.dr_priority = o.number<std::uint32_t>("drPriority", 0, 0xffffffffLL);
  p.hello_period = o.milliseconds("helloMs");
  p.join_period = o.milliseconds("joinMs");
  p.propagation_delay = o.milliseconds("propagationMs");
  p.override_interval = o.milliseconds("overrideMs");
  p.bootstrap = o.flag("bootstrap");
  return p;
}

plane::RouterInterfaceOptions interface_of(Napi::Env env, const Napi::Value& value, bool v4) {
  const Options o(env, value);
  plane::RouterInterfaceOptions i;
  i.name = o.text("name");
  i.lenient = o.flag("lenient");
  i.always_forwards = o.flag("alwaysForwards");
  i.querier = querier_of(env, o.get("querier"), v4);
  i.admission = admission_of(env, o.get("admission"), v4);
  i.pim = pim_of(env, o.get("pim"));
  return i;
}

Channel channel_of(const Napi::Value& value, bool v4) {
  const Options o(value.Env(), value);
  return {ip_of(value.Env(), o.text("group")), ip_or_any(o, "source", v4)};
}

bool is_v4(const Napi::CallbackInfo& info) {
  return info[0].As<Napi::Number>().Int32Value() == 4;
}

}  // namespace

Napi::Function RouterObject::define(Napi::Env env) {
  return DefineClass(env, "Router",
                     {
                         InstanceMethod<&RouterObject::add_interface>("addInterface"),
                         InstanceMethod<&RouterObject::set_interface>("setInterface"),
                         InstanceMethod<&RouterObject::remove_interface>("removeInterface"),
                         InstanceMethod<&RouterObject::set_admission>("setAdmission"),
                         InstanceMethod<&RouterObject::set_static>("setStatic"),
                         InstanceMethod<&RouterObject::authorise>("authorise"),
                         InstanceMethod<&RouterObject::revoke>("revoke"),
                         InstanceMethod<&RouterObject::keep>("keep"),
                         InstanceMethod<&RouterObject::interfaces>("interfaces"),
                         InstanceMethod<&RouterObject::groups>("groups"),
                         InstanceMethod<&RouterObject::refusals>("refusals"),
                         InstanceMethod<&RouterObject::routes>("routes"),
                         InstanceMethod<&RouterObject::neighbours>("neighbours"),
                         InstanceMethod<&RouterObject::trees>("trees"),
                         InstanceMethod<&RouterObject::kept>("kept"),
                         InstanceMethod<&RouterObject::rps>("rps"),
                         InstanceMethod<&RouterObject::status>("status"),
                         InstanceMethod<&RouterObject::rpf>("rpf"),
                         InstanceMethod<&RouterObject::lost_events>("lostEvents"),
                         InstanceMethod<&RouterObject::withdraw>("withdraw"),
                         InstanceMethod<&RouterObject::close>("close"),
                     });
}

RouterObject::RouterObject(const Info& info) : Napi::ObjectWrap<RouterObject>(info) {
  const Napi::Env env = info.Env();
  if (info.Length() < 2 || !info[0].IsObject() || !info[1].IsFunction())
    throw Napi::TypeError::New(env, "expected (options, onEvents)");
  const Options o(env, info[0]);
  plane::RouterOptions options{router_of(env, o.get("ipv4"), true), router_of(env, o.get("ipv6"), false),
                               keeper_of(env, o.get("keeper"))};
  events_ = std::make_unique<EventQueue<plane::RouterEvent>>(env, info[1].As<Napi::Function>(), event_value);
  router_ =
      std::make_unique<plane::Router>(std::move(options), [queue = events_.get()](plane::RouterEvent e) {
        const bool may_be_lost = e.is_of_a_join();
        queue->push(std::move(e), may_be_lost);
      });
  if (const auto error = router_->start()) throw_error(env, *error);
  // Node runs hooks in reverse order, so the loop ends before the queue into this environment does.
  napi_add_env_cleanup_hook(env, on_environment_end, this);
  hooked_ = true;
}

RouterObject::~RouterObject() {
  if (hooked_) napi_remove_env_cleanup_hook(Env(), on_environment_end, this);
  shut();
}

void RouterObject::shut() {
  if (router_) router_->close();
  if (events_) events_->release();
}

template <class F>
bool RouterObject::with(const Info& info, F&& f) {
  return router_->with(is_v4(info), std::forward<F>(f));
}

Napi::Value RouterObject::add_interface(const Info& info) {
  const Napi::Env env = info.Env();
  const bool v4 = is_v4(info);
  const auto options = interface_of(env, info[1], v4);
  const auto statics = list_of(Options(env, info[1]).get("statics"),
                               [v4](const Napi::Value& one) { return channel_of(one, v4); });
  std::optional<kernel::Error> refused;
  with(info, [&](MulticastRouter& router) {
    refused = router.add(options);
    if (auto* const added = router.find(options.name); added != nullptr && !refused)
      for (const Channel& channel : statics) added->add_static(channel);
  });
  if (refused) throw_error(env, *refused);
  return env.Undefined();
}

Napi::Value RouterObject::set_interface(const Info& info) {
  const auto options = interface_of(info.Env(), info[1], is_v4(info));
  bool set = false;
  with(info, [&](MulticastRouter& router) { set = router.reconfigure(options); });
  return Napi::Boolean::New(info.Env(), set);
}

Napi::Value RouterObject::remove_interface(const Info& info) {
  const std::string name = info[1].As<Napi::String>();
  bool removed = false;
  with(info, [&](MulticastRouter& router) { removed = router.remove(name); });
  return Napi::Boolean::New(info.Env(), removed);
}

Napi::Value RouterObject::set_admission(const Info& info) {
  const std::string name = info[1].As<Napi::String>();
  const auto admission = admission_of(info.Env(), info[2], is_v4(info));
  bool found = false;
  with(info, [&](MulticastRouter& router) {
    auto* const interface = router.find(name);
    found = interface != nullptr;
    if (found) interface->configure(admission, kernel::monotonic_now());
  });
  return Napi::Boolean::New(info.Env(), found);
}

Napi::Value RouterObject::set_static(const Info& info) {
  const std::string name = info[1].As<Napi::String>();
  const Channel channel = channel_of(info[2], is_v4(info));
  const bool present = info[3].As<Napi::Boolean>();
  bool found = false;
  with(info, [&](MulticastRouter& router) {
    auto* const interface = router.find(name);
    found = interface != nullptr;
    if (!found) return;
    if (present)
      interface->add_static(channel);
    else
      interface->remove_static(channel);
  });
  return Napi::Boolean::New(info.Env(), found);
}

Napi::Value RouterObject::authorise(const Info& info) {
  const std::string name = info[1].As<Napi::String>();
  const bool v4 = is_v4(info);
  struct Lease {
    Channel channel;
    kernel::Nanos lasts;
  };
  const auto leases = list_of(info[2], [v4](const Napi::Value& one) {
    const Options o(one.Env(), one);
    return Lease{channel_of(one, v4), o.is_null("leaseMs")
                                          ? membership::kNever
                                          : o.integer("leaseMs", 0, 1LL << 40) * kernel::kMillisecond};
  });
  bool found = false;
  with(info, [&](MulticastRouter& router) {
    auto* const interface = router.find(name);
    found = interface != nullptr;
    if (!found) return;
    const kernel::Nanos now = kernel::monotonic_now();
    for (const auto& [channel, lasts] : leases)
      interface->admission().authorise(channel, lasts == membership::kNever ? lasts : now + lasts, now);
  });
  return Napi::Boolean::New(info.Env(), found);
}

Napi::Value RouterObject::revoke(const Info& info) {
  const std::string name = info[1].As<Napi::String>();
  const bool v4 = is_v4(info);
  const auto channels = list_of(info[2], [v4](const Napi::Value& one) { return channel_of(one, v4); });
  bool found = false;
  with(info, [&](MulticastRouter& router) {
    auto* const interface = router.find(name);
    found = interface != nullptr;
    if (!found) return;
    for (const Channel& channel : channels) interface->admission().revoke(channel, kernel::monotonic_now());
  });
  return Napi::Boolean::New(info.Env(), found);
}

Napi::Value RouterObject::keep(const Info& info) {
  const IpAddress group = ip_of(info[1]);
  const Options o(info.Env(), info[2]);
  membership::WantedSources wanted;
  wanted.excludes = o.flag("excludes");
  for (const IpAddress& source : list_of(o.get("sources"), [](const Napi::Value& one) { return ip_of(one); }))
    wanted.merge({false, {source}});
  with(info, [&](MulticastRouter& router) { router.keep(group, wanted); });
  return info.Env().Undefined();
}

Napi::Value RouterObject::interfaces(const Info& info) {
  std::vector<InterfaceRow> rows;
  with(info, [&](MulticastRouter& router) { rows = interface_rows(router); });
  return list_value(info.Env(), rows);
}

Napi::Value RouterObject::groups(const Info& info) {
  std::vector<GroupRow> rows;
  with(info, [&](MulticastRouter& router) { rows = group_rows(router); });
  return list_value(info.Env(), rows);
}

Napi::Value RouterObject::refusals(const Info& info) {
  std::vector<RefusalRow> rows;
  with(info, [&](MulticastRouter& router) { rows = refusal_rows(router); });
  return list_value(info.Env(), rows);
}

Napi::Value RouterObject::routes(const Info& info) {
  std::vector<RouteRow> rows;
  with(info, [&](MulticastRouter& router) { rows = route_rows(router); });
  return list_value(info.Env(), rows);
}

Napi::Value RouterObject::neighbours(const Info& info) {
  std::vector<NeighbourRow> rows;
  with(info, [&](MulticastRouter& router) { rows = neighbour_rows(router); });
  return list_value(info.Env(), rows);
}

Napi::Value RouterObject::trees(const Info& info) {
  std::vector<TreeRow> rows;
  with(info, [&](MulticastRouter& router) { rows = tree_rows(router); });
  return list_value(info.Env(), rows);
}

Napi::Value RouterObject::kept(const Info& info) {
  std::vector<KeptRow> rows;
  with(info, [&](MulticastRouter& router) { rows = kept_rows(router); });
  return list_value(info.Env(), rows);
}

Napi::Value RouterObject::rps(const Info& info) {
  std::optional<RpSetRow> row;
  with(info, [&](MulticastRouter& router) { row = rp_set_row(router); });
  return row ? Napi::Value(row_value(info.Env(), *row)) : info.Env().Null();
}

Napi::Value RouterObject::status(const Info& info) {
  std::optional<StatusRow> row;
  with(info, [&](MulticastRouter& router) { row = status_row(router); });
  return row ? Napi::Value(row_value(info.Env(), *row)) : info.Env().Null();
}

Napi::Value RouterObject::rpf(const Info& info) {
  const IpAddress address = ip_of(info[1]);
  std::optional<membership::Rpf> way;
  std::string interface;
  with(info, [&](MulticastRouter& router) {
    way = router.rpf(address);
    if (way) interface = router.name_of(way->interface);
  });
  if (!way) return info.Env().Null();
  Napi::Object o = Napi::Object::New(info.Env());
  o.Set("interface", interface);
  o.Set("nextHop", address_value(info.Env(), way->next_hop));
  return o;
}

Napi::Value RouterObject::lost_events(const Info& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(events_->lost()));
}

Napi::Value RouterObject::withdraw(const Info& info) {
  for (const bool v4 : {true, false}) router_->with(v4, [](MulticastRouter& router) { router.withdraw(); });
  return info.Env().Undefined();
}

Napi::Value RouterObject::close(const Info& info) {
  shut();
  return info.Env().Undefined();
}

}  // namespace sluice::addon
