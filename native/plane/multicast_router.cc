#include "plane/multicast_router.h"

#include <sys/epoll.h>

#include <algorithm>
#include <limits>
#include <random>

#include "codec/igmp.h"
#include "codec/mld.h"

namespace sluice::plane {

using codec::IpAddress;
using membership::Channel;
using membership::WantedSources;

namespace {

/** How often routes are looked at; well within a third of PIM's keepalive period. */
constexpr Nanos kSweep = 20 * kernel::kSecond;
/** How long reports of before the start wait for the first interface, and for the next one and its rights. */
constexpr Nanos kPatience = kernel::kSecond;
constexpr Nanos kPause = kernel::kSecond / 5;

IpAddress address_of(const kernel::AddressBytes& bytes) {
  return IpAddress::v6(bytes.data());
}

}  // namespace

kernel::Result<std::unique_ptr<MulticastRouter>> MulticastRouter::open(kernel::Reactor& reactor,
                                                                       const MulticastRouterOptions& options,
                                                                       Kept kept, Tell tell) {
  std::unique_ptr<MulticastRouter> out(
      new MulticastRouter(reactor, options, std::move(kept), std::move(tell)));
  if (auto failure = out->start()) return std::move(*failure);
  return out;
}

MulticastRouter::MulticastRouter(kernel::Reactor& reactor, const MulticastRouterOptions& options, Kept kept,
                                 Tell tell)
    : reactor_(reactor), options_(options), kept_(std::move(kept)), tell_(std::move(tell)) {}

MulticastRouter::~MulticastRouter() {
  if (socket_) reactor_.unwatch(socket_->fd(), *this);
  if (watch_) reactor_.unwatch(watch_->fd(), netlink_watcher_);
}

std::optional<kernel::Error> MulticastRouter::start() {
  auto watch = kernel::RouteWatch::open();
  if (!watch.ok()) return std::move(watch.error());
  watch_ = std::move(watch.value());
  auto socket = open_socket();
  if (!socket.ok()) return std::move(socket.error());
  socket_ = std::move(socket.value());
  keep_socket();
  routes_.emplace(*socket_, options_.most_routes);
  if (inherited_until_ != 0) inherit_routes();
  if (auto failure = start_upstream()) return failure;
  inherit_joins();
  const bool waits = inherited_until_ != 0;
  if (!reactor_.watch(socket_->fd(), waits ? 0U : EPOLLIN, *this) ||
      !reactor_.watch(watch_->fd(), EPOLLIN, netlink_watcher_))
    return kernel::system_error("watching the sockets of a multicast router");
  if (waits) listen_at_ = kernel::monotonic_now() + kPatience;
  next_sweep_ = kernel::monotonic_now() + kSweep;
  own_addresses_changed();
  for (const auto& [index, link] : watch_->links()) look_at(&link, link.name);
  rearm();
  tell();
  return std::nullopt;
}

std::optional<kernel::Error> MulticastRouter::start_upstream() {
  if (options_.upstream == UpstreamMode::proxy) {
    upstream_ = std::make_unique<kernel::UpstreamJoins>(options_.v4 ? AF_INET : AF_INET6, kept_.store,
                                                        "joins", options_.table);
    membership::ProxyHost& acts = *this;
    proxy_.emplace(options_.leave_hold, acts, deadlines_);
  }
  if (options_.upstream != UpstreamMode::pim) return std::nullopt;
  membership::PimOptions pim = options_.pim;
  const auto known = socket_->vif_of(kernel::RoutingSocket::kRegister);
  auto place = known ? kernel::Result<kernel::Vif>(*known) : socket_->add_register_interface();
  // Without one there are no registers, and so no shared trees from here; all else works.
  if (place.ok()) {
    register_vif_ = place.value();
    pim.register_interface = *register_vif_;
  }
  // That of a loopback is an RP's as well as one of an interface.
  for (const membership::StaticRp& one : pim.static_rps)
    if (watch_->lookup(one.address.bytes()).kind == kernel::RpfRoute::Kind::local)
      pim.addresses.push_back(one.address);
  auto opened = RouterPim::open(reactor_, pim, *this, deadlines_, std::random_device{}());
  if (!opened.ok()) return std::move(opened.error());
  pim_ = std::move(opened.value());
  return std::nullopt;
}

std::optional<kernel::Error> MulticastRouter::add(const RouterInterfaceOptions& options) {
  if (find(options.name) != nullptr)
    return kernel::Error{"ID_TAKEN", "the interface " + options.name + " is there already"};
  RouterInterfaceOwner& acts = *this;
  interfaces_.push_back(std::make_unique<RouterInterface>(options, acts, deadlines_));
  if (listen_at_ != membership::kNever) listen_at_ = kernel::monotonic_now() + kPause;
  for (const auto& [index, link] : watch_->links())
    if (link.name == options.name) look_at(&link, link.name);
  settle(kernel::monotonic_now());
  return std::nullopt;
}

bool MulticastRouter::remove(const std::string& name) {
  const auto found =
      std::ranges::find_if(interfaces_, [&](const auto& one) { return one->options().name == name; });
  if (found == interfaces_.end()) return false;
  bring_down(**found);
  // What follows still looks at it.
  settle(kernel::monotonic_now());
  interfaces_.erase(found);
  refused_.erase(name);
  return true;
}

bool MulticastRouter::reconfigure(const RouterInterfaceOptions& options) {
  RouterInterface* const interface = find(options.name);
  if (interface == nullptr) return false;
  const Nanos now = kernel::monotonic_now();
  const unsigned index = interface->index();
  if (interface->querier() != nullptr && !options.querier && interface->is_up())
    socket_->control().leave(index);
  // Whether PIM is spoken cannot change while neighbours are known.
  if (pim_ && interface->is_up() && interface->options().pim.has_value() != options.pim.has_value())
    pim_->down(interface->vif(), index, now);
  interface->reconfigure(options, now);
  querier_changed(*interface);
  if (const kernel::Link* const link = watch_->link(index)) bring_up(*interface, *link);
  return true;
}

RouterInterface* MulticastRouter::find(const std::string& name) noexcept {
  for (const auto& one : interfaces_)
    if (one->options().name == name) return one.get();
  return nullptr;
}

void MulticastRouter::keep(const IpAddress& group, WantedSources kept) {
  const Nanos now = kernel::monotonic_now();
  if (pim_)
    pim_->machine().keep(group, kept.excludes, kept.excludes ? std::vector<IpAddress>() : kept.sources, now);
  if (proxy_) proxy_->keep(group, std::move(kept), now);
}

void MulticastRouter::withdraw() {
  const Nanos now = kernel::monotonic_now();
  // Those above hear that nobody wants anything before they hear that we go.
  for (const auto& one : interfaces_)
    if (one->querier() != nullptr) one->down_hosts();
  settle(now);
  if (pim_) pim_->machine().withdraw(now);
  for (const auto& one : interfaces_) bring_down(*one);
  settle(now);
  refused_.clear();
  unjoined_.clear();
  retry_.clear();
  if (upstream_) upstream_->withdraw();
  socket_->control().joins().withdraw();
  socket_->withdraw();
  if (kept_.store == nullptr) return;
  for (const char* const what : {"routing", "interfaces"}) (void)kept_.store->remove(kept_name(what));
}

void MulticastRouter::sample() {
  routes_->sample(kernel::monotonic_now(), [](const IpAddress&, const IpAddress&) {});
}

std::string MulticastRouter::name_of(kernel::Vif vif) const {
  if (register_vif_ == vif) return "register";
  const unsigned index = socket_->interfaces()[vif];
  const kernel::Link* const link = watch_->link(index);
  return link == nullptr ? std::to_string(index) : link->name;
}

void MulticastRouter::on_ready(std::uint32_t) noexcept {
  const Nanos now = reactor_.now();
  // What does not fit into a batch makes it ready again, after what else is waiting.
  const auto received = socket_->receive();
  for (const kernel::ControlMessage& message : received.messages) take(message, now);
  for (const kernel::Upcall& upcall : received.upcalls) take(upcall, now);
  settle(now);
}

void MulticastRouter::take(const kernel::ControlMessage& received, Nanos now) noexcept {
  const auto found = std::ranges::find_if(
      interfaces_, [&](const auto& one) { return one->is_up() && one->index() == received.interface_index; });
  if (found == interfaces_.end()) return;
  RouterInterface& interface = **found;
  const codec::ControlIp ip{{address_of(received.source), address_of(received.destination)},
                            received.hop_limit,
                            received.router_alert};
  if (!ip.ends.source.is_any() && ip.ends.source == interface.address()) return;
  const codec::MembershipMessage message =
      options_.v4 ? codec::igmp::parse(received.payload) : codec::mld::parse(received.payload);
  RouterInterfaceCounters& counters = interface.counters();
  using Kind = codec::MembershipKind;
  if (message.kind == Kind::malformed) counters.malformed++;
  if (message.kind == Kind::bad_checksum) counters.bad_checksum++;
  if (message.kind != Kind::query && message.kind != Kind::report) return;
  codec::ControlFaults faults =
      options_.v4 ? codec::igmp::faults(ip, message) : codec::mld::faults(ip, message);
  if (interface.options().lenient) faults.router_alert = false;
  // RFC 9776 section 10.2: who is not of the link cannot be a host of it.
  const bool strange =
      options_.v4 && !ip.ends.source.is_any() && !is_on_link(interface.vif(), ip.ends.source);
  // A query that no host hears must not end what they would have confirmed.
  const bool unheard = message.kind == Kind::query && ip.ends.destination.is_unicast();
  if (strange || unheard || faults != codec::ControlFaults{}) {
    counters.wrong_header++;
    return;
  }
  if (message.kind == Kind::query)
    interface.on_query(ip.ends.source, message.query, now);
  else
    interface.on_report(ip.ends.source, message.report, now);
}

void MulticastRouter::take(const kernel::Upcall& upcall, Nanos now) noexcept {
  using Kind = kernel::Upcall::Kind;
  const IpAddress source = address_of(upcall.source);
  const IpAddress group = address_of(upcall.group);
  if (upcall.vif >= kernel::kMostVifs) return;
  const auto vif = static_cast<kernel::Vif>(upcall.vif);
  switch (upcall.kind) {
    case Kind::no_route:
      counters_.unknown_sources++;
      // Whoever has just asked for it is to be heard first.
      settle_members(now);
      if (pim_) pim_->machine().on_source(vif, source, group, now);
      settle_route(source, group, vif, now);
      return;
    case Kind::wrong_interface:
    case Kind::wrong_interface_packet:
      counters_.wrong_interface++;
      if (pim_) pim_->machine().on_wrong_interface(vif, source, group, now);
      if (const auto next = decide(source, group); next && next->incoming == vif)
        routes_->release(source, group);
      settle_route(source, group, std::nullopt, now);
      return;
    case Kind::whole_packet:
      if (!pim_) return;
      if (const auto route = pim_->machine().route(source, group); route.registers && route.rp)
        pim_->send_register(*route.rp, upcall.packet);
      return;
  }
}

void MulticastRouter::on_timer(Nanos now) noexcept {
  deadlines_.run(now);
  if (now >= listen_at_) listen();
  if (inherited_until_ != 0 && now >= inherited_until_) end_grace();
  if (now >= next_sweep_) sweep(now);
  settle(now);
}

void MulticastRouter::sweep(Nanos now) {
  next_sweep_ = now + kSweep;
  std::vector<Channel> active;
  routes_->sample(now, [&](const IpAddress& source, const IpAddress& group) {
    active.push_back({group, source});
  });
  if (pim_)
    for (const Channel& one : active) say_active(one, now);
  std::vector<Channel> idle;
  for (const auto& [group, sources] : routes_->all())
    for (const auto& [source, route] : sources)
      if (route.forwarding.outgoing == 0 && route.inherited == 0 && now - route.active_at >= options_.idle &&
          !is_warm(source, group))
        idle.push_back({group, source});
  for (const Channel& one : idle) routes_->remove(one.source, one.group);
}

void MulticastRouter::say_active(const Channel& one, Nanos now) {
  const InstalledRoute* const route = routes_->find(one.source, one.group);
  // Packets that led nowhere when they were new may have found a rendezvous point since.
  if (route != nullptr && route->forwarding.outgoing == 0)
    pim_->machine().on_source(route->forwarding.incoming, one.source, one.group, now);
  else
    pim_->machine().on_active(one.source, one.group, now);
}

void MulticastRouter::rearm() {
  Nanos next = std::min({deadlines_.next(), next_sweep_, listen_at_});
  if (inherited_until_ != 0) next = std::min(next, inherited_until_);
  reactor_.arm(*this, next);
}

void MulticastRouter::send_query(RouterInterface& interface, const codec::MembershipQuery& query) noexcept {
  std::array<std::uint8_t, 2048> room{};
  const codec::IpEnds ends{interface.address(),
                           options_.v4 ? codec::igmp::destination(query) : codec::mld::destination(query)};
  const std::size_t size =
      options_.v4 ? codec::igmp::write_query(query, room) : codec::mld::write_query(query, ends, room);
  const kernel::ControlSend message{interface.index(), ends.source.bytes(), ends.destination.bytes(), 1,
                                    codec::Bytes(room).first(size)};
  if (size == 0 || socket_->control().send(message) != 0) counters_.send_errors++;
}

void MulticastRouter::members_changed(RouterInterface& interface, const IpAddress& group) noexcept {
  changed_members_[group] |= membership::only(interface.vif());
}

void MulticastRouter::querier_changed(RouterInterface&) noexcept {
  if (pim_) return;
  for (const auto& [group, sources] : routes_->all()) stale_.insert({group, IpAddress::any(options_.v4)});
}

void MulticastRouter::join_held(RouterInterface& interface, const IpAddress& host,
                                const Channel& channel) noexcept {
  say(RouterEvent::Type::join_held, interface, host, channel, {});
}

void MulticastRouter::join_admitted(RouterInterface& interface, const IpAddress& host,
                                    const Channel& channel) noexcept {
  say(RouterEvent::Type::join_admitted, interface, host, channel, {});
}

void MulticastRouter::join_denied(RouterInterface& interface, const IpAddress& host, const Channel& channel,
                                  membership::Denial why) noexcept {
  say(RouterEvent::Type::join_denied, interface, host, channel, why);
}

void MulticastRouter::say(RouterEvent::Type type, const RouterInterface& interface, const IpAddress& host,
                          const Channel& channel, membership::Denial why) {
  said_.push_back({type, options_.v4, interface.options().name, host, channel, why, nullptr, {}});
}

}  // namespace sluice::plane
