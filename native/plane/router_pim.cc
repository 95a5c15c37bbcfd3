#include "plane/router_pim.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cstring>

#include "codec/pim_bootstrap.h"

namespace sluice::plane {

using codec::Bytes;
using codec::IpAddress;
using codec::IpEnds;
using kernel::Nanos;
using membership::Interface;
using membership::Membership;
using membership::WantedSources;
namespace pim = codec::pim;

namespace {

IpAddress address_of(const kernel::AddressBytes& bytes) {
  return IpAddress::v6(bytes.data());
}

/** Registers and what goes to a bootstrap router crosses the network. */
constexpr std::uint8_t kFar = 64;
constexpr std::uint8_t kLink = 1;
/** RFC 8200 section 5, and what every link of IPv4 here bears. */
constexpr std::uint32_t kLeastMtu = 1280;
/** What there was no room for is told again after so long. */
constexpr Nanos kAgain = 2 * kernel::kSecond;

}  // namespace

kernel::Result<std::unique_ptr<RouterPim>> RouterPim::open(kernel::Reactor& reactor,
                                                           const membership::PimOptions& options,
                                                           RouterPimOwner& owner,
                                                           membership::Deadlines& deadlines,
                                                           std::uint64_t seed) {
  auto socket =
      kernel::ControlSocket::open(options.v4 ? kernel::ControlProtocol::pim : kernel::ControlProtocol::pim6);
  if (!socket.ok()) return std::move(socket.error());
  std::unique_ptr<RouterPim> out(
      new RouterPim(reactor, std::move(socket.value()), options, owner, deadlines, seed));
  if (!reactor.watch(out->socket_->fd(), EPOLLIN, *out)) return kernel::system_error("watching PIM's socket");
  return out;
}

RouterPim::RouterPim(kernel::Reactor& reactor, std::unique_ptr<kernel::ControlSocket> socket,
                     const membership::PimOptions& options, RouterPimOwner& owner,
                     membership::Deadlines& deadlines, std::uint64_t seed)
    : reactor_(reactor),
      socket_(std::move(socket)),
      owner_(owner),
      v4_(options.v4),
      deadlines_(deadlines),
      pim_(options, static_cast<membership::PimHost&>(*this), deadlines, seed) {}

RouterPim::~RouterPim() {
  reactor_.unwatch(socket_->fd(), *this);
}

std::optional<kernel::Error> RouterPim::up(Interface interface, unsigned index,
                                           std::vector<IpAddress> addresses,
                                           const membership::PimLinkOptions& options, Nanos now) {
  if (pim_.link(interface) == nullptr)
    if (auto refused = socket_->join(index)) return refused;
  pim_.interface_up(interface, std::move(addresses), options, now);
  return std::nullopt;
}

void RouterPim::down(Interface interface, unsigned index, Nanos now) {
  if (pim_.link(interface) == nullptr) return;
  pim_.interface_down(interface, now);
  told_[interface].clear();
  socket_->leave(index);
}

void RouterPim::members(Interface interface, const IpAddress& group, WantedSources wanted, Nanos now) {
  if (pim_.link(interface) == nullptr) return;
  WantedSources& told = told_[interface][group];
  bool taken = true;
  const auto say = [&](const IpAddress& source, Membership what) {
    taken = pim_.local(interface, group, source, what, now) && taken;
  };
  for (const IpAddress& source : told.sources)
    if (!std::ranges::binary_search(wanted.sources, source)) say(source, Membership::none);
  if (wanted.excludes != told.excludes)
    say(IpAddress::any(v4_), wanted.excludes ? Membership::include : Membership::none);
  for (const IpAddress& source : wanted.sources)
    if (wanted.excludes != told.excludes || !std::ranges::binary_search(told.sources, source))
      say(source, wanted.excludes ? Membership::exclude : Membership::include);
  if (wanted.empty())
    told_[interface].erase(group);
  else
    told = std::move(wanted);
  if (taken) return;
  refused_.insert({group, interface});
  if (!again_.is_set()) deadlines_.set(again_, now + kAgain);
}

/** Those for whom there was no room are as if they had just come. */
void RouterPim::tell_again(Nanos now) noexcept {
  static_cast<void>(now);
  for (const auto& [group, interface] : std::exchange(refused_, {})) {
    told_[interface].erase(group);
    owner_.members_untold(interface, group);
  }
}

void RouterPim::on_ready(std::uint32_t) noexcept {
  const Nanos now = reactor_.now();
  // What does not fit into a batch makes it ready again, after what else is waiting.
  for (const kernel::ControlMessage& message : socket_->receive()) take(message, now);
  owner_.settle(now);
}

void RouterPim::take(const kernel::ControlMessage& received, Nanos now) noexcept {
  counters_.received++;
  const IpEnds ends{address_of(received.source), address_of(received.destination)};
  const Interface interface = owner_.interface_of(received.interface_index);
  const membership::PimLink* const link = pim_.link(interface);
  if (link != nullptr && link->has(ends.source)) return;
  pim::Message message;
  switch (pim::parse(received.payload, ends, message)) {
    case pim::Find::message:
      break;
    case pim::Find::other:
      counters_.other++;
      return;
    case pim::Find::malformed:
      counters_.malformed++;
      return;
    case pim::Find::bad_checksum:
      counters_.bad_checksum++;
      return;
  }
  // RFC 7761 section 4.9: what is for a link comes from it.
  const bool strange = ends.destination.is_multicast() && !owner_.is_on_link(interface, ends.source);
  if (strange || !ends.source.is_unicast() || !pim::is_rightly_addressed(message.type, ends.destination)) {
    counters_.wrong_address++;
    return;
  }
  take_body(interface, ends, message, now);
}

void RouterPim::take_body(Interface interface, const IpEnds& ends, const pim::Message& message,
                          Nanos now) noexcept {
  using pim::Type;
  const auto with = [&](const auto& parsed, auto&& act) {
    if (parsed)
      act(*parsed);
    else
      counters_.malformed++;
  };
  const bool on_link = pim_.link(interface) != nullptr;
  if (message.type == Type::hello && on_link) {
    with(pim::parse_hello(message), [&](const auto& m) { pim_.on_hello(interface, ends.source, m, now); });
  } else if (message.type == Type::join_prune && on_link) {
    with(pim::parse_join_prune(message),
         [&](const auto& m) { pim_.on_join_prune(interface, ends.source, m, now); });
  } else if (message.type == Type::assertion && on_link) {
    with(pim::parse_assert(message), [&](const auto& m) { pim_.on_assert(interface, ends.source, m, now); });
  } else if (message.type == Type::bootstrap && on_link && ends.destination.is_multicast()) {
    with(pim::parse_bootstrap(message),
         [&](const auto& m) { pim_.on_bootstrap(interface, ends.source, m, now); });
  } else if (message.type == Type::candidate_rp) {
    with(pim::parse_candidate_rp(message), [&](const auto& m) { pim_.on_candidate_rp(m, now); });
  } else if (message.type == Type::data_register) {
    with(pim::parse_register(message),
         [&](const auto& m) { pim_.on_register(ends.source, ends.destination, m, now); });
  } else if (message.type == Type::register_stop) {
    with(pim::parse_register_stop(message),
         [&](const auto& m) { pim_.on_register_stop(ends.source, m, now); });
  } else {
    counters_.other++;
  }
}

IpEnds RouterPim::to_routers(Interface interface) const noexcept {
  const membership::PimLink* const link = pim_.link(interface);
  return {link == nullptr ? IpAddress::any(v4_) : link->address(), pim::all_routers(v4_)};
}

std::optional<IpEnds> RouterPim::towards(const IpAddress& to) noexcept {
  const auto way = owner_.rpf(to);
  const membership::PimLink* const link = way ? pim_.link(way->interface) : nullptr;
  if (link == nullptr) return std::nullopt;
  // Of an IPv6 link the primary address is link-local, and good for that link only.
  for (const IpAddress& address : link->addresses())
    if (!address.is_link_local()) return IpEnds{address, to};
  return std::nullopt;
}

codec::MutableBytes RouterPim::room_of(Interface interface) noexcept {
  const std::uint32_t mtu = std::max(owner_.place_of(interface).mtu, kLeastMtu);
  const std::size_t header = v4_ ? 20 : 40;
  return codec::MutableBytes(room_).first(std::min<std::size_t>(mtu - header, room_.size()));
}

void RouterPim::send(unsigned index, const IpEnds& ends, std::uint8_t hops, Bytes payload) noexcept {
  const int error =
      payload.empty() ? EMSGSIZE
                      : socket_->send({index, ends.source.bytes(), ends.destination.bytes(), hops, payload});
  if (error != 0) counters_.send_errors++;
}

void RouterPim::send_to_routers(Interface interface, const IpEnds& ends, Bytes payload) noexcept {
  send(owner_.place_of(interface).index, ends, kLink, payload);
}

void RouterPim::send_hello(Interface interface, const IpAddress& from, const pim::Hello& hello) noexcept {
  const IpEnds ends{from, pim::all_routers(v4_)};
  const codec::MutableBytes room = room_of(interface);
  send_to_routers(interface, ends, room.first(pim::write_hello(hello, ends, room)));
}

void RouterPim::send_join_prune(Interface interface, const pim::JoinPrune& message) noexcept {
  const IpEnds ends = to_routers(interface);
  pim::write_join_prune(message, ends, room_of(interface),
                        [&](Bytes part) { send_to_routers(interface, ends, part); });
}

void RouterPim::send_assert(Interface interface, const pim::Assert& assertion) noexcept {
  const IpEnds ends = to_routers(interface);
  const codec::MutableBytes room = room_of(interface);
  send_to_routers(interface, ends, room.first(pim::write_assert(assertion, ends, room)));
}

void RouterPim::send_bootstrap(Interface interface, const pim::Bootstrap& message) noexcept {
  const IpEnds ends = to_routers(interface);
  pim::write_bootstrap(message, ends, room_of(interface),
                       [&](Bytes part) { send_to_routers(interface, ends, part); });
}

void RouterPim::send_null_register(const IpAddress& rp, const IpAddress& source,
                                   const IpAddress& group) noexcept {
  if (const auto ends = towards(rp))
    send(0, *ends, kFar, Bytes(room_).first(pim::write_null_register(source, group, *ends, room_)));
}

void RouterPim::send_register(const IpAddress& rp, Bytes packet) noexcept {
  const auto ends = towards(rp);
  if (!ends || packet.size() > room_.size() - pim::kRegisterHeader) return;
  if (!registers_.take(reactor_.now())) {
    counters_.registers_dropped++;
    return;
  }
  const std::size_t header = pim::write_register_header(*ends, room_);
  std::memcpy(room_.data() + header, packet.data(), packet.size());
  counters_.registers_sent++;
  send(0, *ends, kFar, Bytes(room_).first(header + packet.size()));
}

void RouterPim::send_register_stop(const IpAddress& from, const IpAddress& to,
                                   const pim::RegisterStop& stop) noexcept {
  const IpEnds ends{from, to};
  send(0, ends, kFar, Bytes(room_).first(pim::write_register_stop(stop, ends, room_)));
}

void RouterPim::send_candidate_rp(const IpAddress& to, const pim::CandidateRp& candidate) noexcept {
  if (const auto ends = towards(to))
    send(0, *ends, kFar, Bytes(room_).first(pim::write_candidate_rp(candidate, *ends, room_)));
}

std::optional<membership::Rpf> RouterPim::rpf(const IpAddress& address) noexcept {
  return owner_.rpf(address);
}

void RouterPim::changed(const IpAddress& source, const IpAddress& group) noexcept {
  owner_.route_changed(source, group);
}

}  // namespace sluice::plane
