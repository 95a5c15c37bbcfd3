// What of a multicast router outlives its process, and how the next one goes on with it.
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "kernel/kept_name.h"
#include "plane/multicast_router.h"

namespace sluice::plane {

using codec::IpAddress;
using membership::Channel;

std::string MulticastRouter::kept_name(const std::string& what) const {
  return kernel::KeptName{what, options_.v4 ? AF_INET : AF_INET6, options_.table}.text();
}

kernel::Fd MulticastRouter::take_kept(const std::string& name) {
  for (kernel::KeptDescriptor& one : kept_.found)
    if (one.name == name) return std::move(one.fd);
  return {};
}

kernel::Result<std::unique_ptr<kernel::RoutingSocket>> MulticastRouter::open_socket() {
  const kernel::RoutingOptions options{options_.v4 ? AF_INET : AF_INET6, options_.table,
                                       options_.upstream == UpstreamMode::pim, kept_.store};
  if (auto adopted = adopt_socket(options)) {
    socket_kept_ = true;
    inherited_until_ = kernel::monotonic_now() + options_.restart_grace;
    said_.push_back({RouterEvent::Type::resumed, options_.v4, {}, {}, {}, {}, nullptr, {}});
    return adopted;
  }
  return kernel::RoutingSocket::open(options);
}

/** Null where nothing was kept, or it is of no use. */
std::unique_ptr<kernel::RoutingSocket> MulticastRouter::adopt_socket(const kernel::RoutingOptions& options) {
  kernel::Fd socket = take_kept(kept_name("routing"));
  note_ = kernel::KeptNote::adopt(take_kept(kept_name("interfaces")));
  std::array<unsigned, kernel::kMostVifs> interfaces{};
  const auto noted = note_ ? note_->read() : std::vector<std::uint8_t>();
  if (!socket) return nullptr;
  // Without a note its interfaces are taken out; left alone it would hold the table for ever.
  if (noted.size() == sizeof interfaces) std::memcpy(interfaces.data(), noted.data(), noted.size());
  auto adopted = kernel::RoutingSocket::adopt(options, std::move(socket), interfaces);
  if (!adopted.ok()) return nullptr;
  places_freed_ = !std::ranges::equal(adopted.value()->interfaces(), interfaces);
  return std::move(adopted.value());
}

/** Before anything is routed by it: what is routed must not end with this process. */
void MulticastRouter::keep_socket() {
  const auto refused = kept_.store == nullptr ? kept_.refused : put_socket();
  if (refused) say_not_kept(*refused);
  note_interfaces();
}

/** What was adopted is kept already: putting it anew has a moment in which a service manager has none. */
std::optional<kernel::Error> MulticastRouter::put_socket() {
  if (!note_) {
    auto note = kernel::KeptNote::create();
    if (!note.ok()) return std::move(note.error());
    if (auto refused = kept_.store->put(kept_name("interfaces"), note.value().fd())) return refused;
    note_ = std::move(note.value());
  }
  if (socket_kept_) return std::nullopt;
  auto refused = kept_.store->put(kept_name("routing"), socket_->fd());
  socket_kept_ = !refused;
  return refused;
}

void MulticastRouter::say_not_kept(const kernel::Error& why) {
  said_not_kept_ = true;
  said_.push_back({RouterEvent::Type::not_kept, options_.v4, {}, {}, {}, {}, why.code, why.message});
}

std::size_t MulticastRouter::unkept() const noexcept {
  const std::size_t joins =
      socket_->control().joins().unkept() + (upstream_ ? upstream_->unkept() : std::size_t{0});
  const bool wanted = kept_.store != nullptr || kept_.refused;
  return joins + (wanted && !socket_kept_ ? 1 : 0);
}

/** Joins are made at any time; the first that is not kept is told of. */
void MulticastRouter::look_for_unkept() {
  const bool any = unkept() > 0;
  if (any && !said_not_kept_) {
    const auto& above = upstream_ ? upstream_->refusal() : std::nullopt;
    if (const auto& why = above ? above : socket_->control().joins().refusal()) say_not_kept(*why);
  }
  said_not_kept_ = any;
}

/** The kernel does not tell which interface of IPv6 has which place. */
void MulticastRouter::note_interfaces() {
  if (!note_) return;
  const auto interfaces = socket_->interfaces();
  note_->write({reinterpret_cast<const std::uint8_t*>(interfaces.data()), interfaces.size_bytes()});
}

void MulticastRouter::inherit_routes() {
  auto routes = socket_->dump();
  if (!routes.ok()) return;
  for (const kernel::KernelRoute& one : routes.value())
    routes_->inherit(one, places_freed_, kernel::monotonic_now());
}

/** What was joined stays so until it is joined anew, or the grace is over. */
void MulticastRouter::inherit_joins() {
  for (kernel::KeptDescriptor& one : kept_.found) {
    if (!one.fd) continue;
    const bool taken = socket_->control().joins().adopt(one) || (upstream_ && upstream_->adopt(one));
    if (taken && inherited_until_ == 0) inherited_until_ = kernel::monotonic_now() + options_.restart_grace;
    // Of a way to ask above that is not ours any more: nobody would ever end it.
    if (!taken && kept_.store != nullptr) (void)kept_.store->remove(one.name);
  }
  kept_.found.clear();
}

/**
 * Reports that came while nobody listened are taken when the interfaces that they came by are there, and what
 * their hosts may have. Where nobody can ask for a right, whoever has none loses what it inherited.
 */
void MulticastRouter::listen() {
  listen_at_ = membership::kNever;
  reactor_.rewatch(socket_->fd(), EPOLLIN, *this);
  for (const auto& one : interfaces_)
    if (one->admission().options().hold == 0) rights_changed(*one);
}

void MulticastRouter::rights_ended(RouterInterface& interface, const Channel& channel) noexcept {
  if (inherited_until_ == 0 || !interface.is_up()) return;
  routes_->disinherit(membership::only(interface.vif()), channel.group,
                      [&](const IpAddress& source, const IpAddress& group) {
                        return (channel.source.is_any() || channel.source == source) &&
                               !interface.admission().allows(group, source);
                      });
}

/** Of neighbouring routers nothing is known here: where hosts are not listened to, it goes on. */
void MulticastRouter::rights_changed(RouterInterface& interface) noexcept {
  if (inherited_until_ == 0 || !interface.is_up() || interface.querier() == nullptr) return;
  routes_->disinherit(membership::only(interface.vif()),
                      [&](const IpAddress& source, const IpAddress& group) {
                        return !interface.admission().allows(group, source);
                      });
}

/** Whatever nobody has asked for again by now is over. */
void MulticastRouter::end_grace() {
  inherited_until_ = 0;
  for (const auto& [group, sources] : routes_->all())
    for (const auto& [source, route] : sources)
      if (route.resumed) stale_.insert({group, source});
  routes_->settle();
  if (upstream_) upstream_->settle();
  socket_->control().joins().settle();
  drop_strange_interfaces();
}

/** Those that the configuration does not name any more. */
void MulticastRouter::drop_strange_interfaces() {
  for (kernel::Vif vif = 0; vif < kernel::kMostVifs; vif++) {
    const bool known =
        by_vif_[vif] != nullptr || (proxy_link_ && proxy_link_->vif == vif) || register_vif_ == vif;
    if (!known && socket_->interfaces()[vif] != 0) socket_->remove_interface(vif);
  }
  note_interfaces();
}

}  // namespace sluice::plane
