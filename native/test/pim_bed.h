// PIM routers on shared links, on a fake clock: what one sends, the others of the link hear; what a source
// sends goes the way that the routers' routes say.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "membership/pim.h"

namespace sluice::test {

using codec::IpAddress;
using codec::IpPrefix;
using membership::Interface;
using membership::InterfaceSet;
using membership::kMillisecond;
using membership::kNever;
using membership::kSecond;
using membership::Membership;
using membership::Nanos;
using membership::NoRoute;
using membership::only;
using membership::Pim;
using membership::PimLinkOptions;
using membership::PimOptions;
using membership::Route;
using membership::Rpf;

/** 10.0.<net>.<host>, or fd00:0:0:<net>::<host>. */
inline IpAddress host_address(bool v4, unsigned net, unsigned host) {
  if (v4) return IpAddress::v4(0x0a000000U | net << 8 | host);
  std::array<std::uint8_t, 16> bytes{0xfd};
  bytes[7] = static_cast<std::uint8_t>(net);
  bytes[15] = static_cast<std::uint8_t>(host);
  return IpAddress::v6(bytes.data());
}
/** fe80::<net>:<host>: of IPv6, what routers of a link call each other. */
inline IpAddress link_address(bool v4, unsigned net, unsigned host) {
  if (v4) return host_address(true, net, host);
  std::array<std::uint8_t, 16> bytes{0xfe, 0x80};
  bytes[13] = static_cast<std::uint8_t>(net);
  bytes[15] = static_cast<std::uint8_t>(host);
  return IpAddress::v6(bytes.data());
}
inline IpAddress ssm_group(bool v4, std::uint16_t number = 1) {
  if (v4) return IpAddress::v4(0xe8010000U + number);
  std::array<std::uint8_t, 16> bytes{0xff, 0x3e};
  bytes[14] = static_cast<std::uint8_t>(number >> 8);
  bytes[15] = static_cast<std::uint8_t>(number);
  return IpAddress::v6(bytes.data());
}
inline IpAddress asm_group(bool v4, std::uint16_t number = 1) {
  if (v4) return IpAddress::v4(0xef010000U + number);
  std::array<std::uint8_t, 16> bytes{0xff, 0x1e};
  bytes[14] = static_cast<std::uint8_t>(number >> 8);
  bytes[15] = static_cast<std::uint8_t>(number);
  return IpAddress::v6(bytes.data());
}

class Net;

/** Acts on nothing that it is told: for tests that say what matters to them. */
class SilentHost : public membership::PimHost {
 public:
  void send_hello(Interface, const IpAddress&, const codec::pim::Hello&) noexcept override {}
  void send_join_prune(Interface, const codec::pim::JoinPrune&) noexcept override {}
  void send_assert(Interface, const codec::pim::Assert&) noexcept override {}
  void send_null_register(const IpAddress&, const IpAddress&, const IpAddress&) noexcept override {}
  void send_register_stop(const IpAddress&, const IpAddress&,
                          const codec::pim::RegisterStop&) noexcept override {}
  void send_bootstrap(Interface, const codec::pim::Bootstrap&) noexcept override {}
  void send_candidate_rp(const IpAddress&, const codec::pim::CandidateRp&) noexcept override {}
  void changed(const IpAddress&, const IpAddress&) noexcept override {}
};

/** The clock goes on by so much, and what is due on the way happens. */
inline void pass(membership::Deadlines& deadlines, Nanos& now, Nanos time) {
  const Nanos end = now + time;
  while (deadlines.next() <= end) {
    now = std::max(now, deadlines.next());
    deadlines.run(now);
  }
  now = end;
}

/** One router, and its kernel: routes that are asked for when a packet has none, and again when they have
 * changed. */
class Router final : public membership::PimHost {
 public:
  static constexpr Interface kRegister = 31;
  struct Way {
    IpPrefix prefix;
    Rpf rpf;
  };
  /** As membership::PimHost::send_join_prune() was called. */
  struct Sent {
    Nanos at = 0;
    Interface interface = 0;
    IpAddress upstream;
    std::size_t groups = 0;
    std::size_t joins = 0;
    std::size_t prunes = 0;
  };

  Router(Net& net, const std::string& name, const PimOptions& options, std::uint64_t seed);

  void send_hello(Interface interface, const IpAddress& from,
                  const codec::pim::Hello& hello) noexcept override;
  void send_join_prune(Interface interface, const codec::pim::JoinPrune& message) noexcept override;
  void send_assert(Interface interface, const codec::pim::Assert& assertion) noexcept override;
  void send_null_register(const IpAddress& rp, const IpAddress& source,
                          const IpAddress& group) noexcept override;
  void send_register_stop(const IpAddress& from, const IpAddress& to,
                          const codec::pim::RegisterStop& stop) noexcept override;
  void send_bootstrap(Interface interface, const codec::pim::Bootstrap& message) noexcept override;
  void send_candidate_rp(const IpAddress& to, const codec::pim::CandidateRp& candidate) noexcept override;
  std::optional<Rpf> rpf(const IpAddress& address) noexcept override;
  void changed(const IpAddress& source, const IpAddress& group) noexcept override;

  /** The route to a net: by a next hop, or a link of ours without one. */
  void way(const IpPrefix& prefix, Interface interface, const IpAddress& next_hop, std::uint32_t metric = 10);
  /** Forgets all, as if the process had been killed and begun anew; what it has forwarded goes on where
   * `kept`. */
  void restart(bool kept = false);
  /** Hears and says nothing any more. */
  void crash() { dead = true; }
  Route decide(const IpAddress& source, const IpAddress& group);
  void packet(Interface interface, const IpAddress& source, const IpAddress& group, int hops);
  void transmit(Interface interface, const IpAddress& from, codec::Bytes bytes);
  void transmit(const codec::IpEnds& ends, codec::Bytes bytes);
  void receive(Interface at, const codec::IpEnds& ends, codec::Bytes packet);

  Net& net;
  const std::string name;
  const PimOptions options;
  std::uint64_t seed;
  membership::Deadlines deadlines;
  std::unique_ptr<Pim> pim;
  std::vector<Way> ways;
  std::map<Interface, unsigned> nets;
  std::map<Interface, PimLinkOptions> link_options;
  std::map<Interface, std::vector<IpAddress>> addresses;
  std::map<std::pair<IpAddress, IpAddress>, Route> kernel;
  /** Of before a restart. */
  std::map<std::pair<IpAddress, IpAddress>, Route> inherited;
  bool dead = false;
  std::vector<Sent> sent;
  std::size_t hellos = 0;
  std::size_t asserts = 0;
  std::size_t null_registers = 0;
  std::size_t register_stops = 0;
  std::size_t registers = 0;
  std::size_t bootstraps = 0;
  std::size_t advertisements = 0;
  std::size_t changes = 0;
  std::optional<codec::pim::Hello> last_hello;
  std::vector<codec::pim::Assert> sent_asserts;
  /** What an Ethernet's frame has for PIM. */
  std::array<std::uint8_t, 1460> room{};
};

/** Links have numbers, which are those of their nets; a router's interface is numbered in order of attaching.
 */
class Net {
 public:
  explicit Net(bool is_v4 = true, unsigned long chance = 1) : v4(is_v4), random_(chance) {}

  Router& router(const std::string& name, PimOptions options = {}) {
    options.v4 = v4;
    options.register_interface = Router::kRegister;
    auto made = std::make_unique<Router>(*this, name, options, 1000 + routers.size());
    return *routers.emplace_back(std::move(made));
  }
  /** Its address there ends in `host`. */
  Interface attach(Router& router, unsigned net, unsigned host, const PimLinkOptions& options = {}) {
    const auto interface = static_cast<Interface>(router.nets.size());
    router.nets[interface] = net;
    router.link_options[interface] = options;
    router.addresses[interface] = {link_address(v4, net, host)};
    if (!v4) router.addresses[interface].push_back(host_address(false, net, host));
    router.way(prefix(net), interface, IpAddress::any(v4), 0);
    router.pim->interface_up(interface, router.addresses[interface], options, now);
    return interface;
  }
  [[nodiscard]] IpPrefix prefix(unsigned net) const { return {host_address(v4, net, 0), v4 ? 24U : 64U}; }
  [[nodiscard]] IpAddress host(unsigned net, unsigned number) const { return host_address(v4, net, number); }
  [[nodiscard]] IpAddress on_link(unsigned net, unsigned number) const {
    return link_address(v4, net, number);
  }
  [[nodiscard]] IpAddress any() const { return IpAddress::any(v4); }

  /** After a delay of 100 us to all others of the link, if chance has it. */
  void deliver(Router& from, Interface interface, const std::function<void(Router&, Interface)>& take) {
    const unsigned net = from.nets.at(interface);
    for (auto& one : routers) {
      for (const auto& [its, its_net] : one->nets) {
        if (its_net != net || (one.get() == &from && its == interface) || lost()) continue;
        Router* const to = one.get();
        const Interface at = its;
        events_.push({now + 100'000, next_event_++, [=] {
                        if (!to->dead && to->nets.contains(at)) take(*to, at);
                      }});
      }
    }
  }
  /** To whoever has the address, over any distance. */
  void unicast(const IpAddress& to, const std::function<void(Router&)>& take) {
    for (auto& one : routers) {
      for (const auto& [interface, addresses] : one->addresses) {
        if (std::find(addresses.begin(), addresses.end(), to) == addresses.end() || lost()) continue;
        Router* const at = one.get();
        events_.push({now + 200'000, next_event_++, [=] {
                        if (!at->dead) take(*at);
                      }});
        return;
      }
    }
  }

  void to(Nanos time) {
    for (;;) {
      Nanos next = events_.empty() ? kNever : events_.top().at;
      for (auto& one : routers)
        if (!one->dead) next = std::min(next, one->deadlines.next());
      if (next > time) break;
      now = std::max(now, next);
      step();
    }
    now = time;
  }
  void pass(Nanos time) { to(now + time); }
  void step() {
    while (!events_.empty() && events_.top().at <= now) {
      const auto act = events_.top().act;
      events_.pop();
      act();
    }
    for (auto& one : routers)
      if (!one->dead) one->deadlines.run(now);
  }

  /** A packet of a host; how many copies of it each link has seen, its own included. */
  const std::map<unsigned, int>& send(unsigned net, const IpAddress& source, const IpAddress& group) {
    copies.clear();
    put(net, source, group, nullptr, 0);
    return copies;
  }
  int copies_on(unsigned net) const { return copies.contains(net) ? copies.at(net) : 0; }
  void put(unsigned net, const IpAddress& source, const IpAddress& group, const Router* from, int hops) {
    copies[net]++;
    REQUIRE_MESSAGE(hops < 20, "packets go round");
    for (auto& one : routers) {
      if (one.get() == from || one->dead) continue;
      for (const auto& [interface, its_net] : std::map(one->nets))
        if (its_net == net) one->packet(interface, source, group, hops + 1);
    }
  }
  /** So many packets, one each `spacing`. */
  void stream(unsigned net, const IpAddress& source, const IpAddress& group, int packets,
              Nanos spacing = 10 * kMillisecond) {
    for (int i = 0; i < packets; i++) {
      send(net, source, group);
      pass(spacing);
    }
  }

  const bool v4;
  Nanos now = kSecond;
  std::vector<std::unique_ptr<Router>> routers;
  std::map<unsigned, int> copies;
  /** Of 1,000 messages, so many are lost. */
  unsigned loss = 0;

 private:
  struct Event {
    Nanos at;
    std::uint64_t number;
    std::function<void()> act;
    bool operator<(const Event& other) const {
      return std::pair(at, number) > std::pair(other.at, other.number);
    }
  };
  bool lost() { return random_.number() % 1000 < loss; }

  std::priority_queue<Event> events_;
  std::uint64_t next_event_ = 0;
  membership::Chance random_;
};

inline Router::Router(Net& its_net, const std::string& its_name, const PimOptions& its_options,
                      std::uint64_t its_seed)
    : net(its_net),
      name(its_name),
      options(its_options),
      seed(its_seed),
      pim(std::make_unique<Pim>(options, *this, deadlines, seed)) {}

/** A message on its way, as its bytes. */
inline void Router::transmit(Interface interface, const IpAddress& from, codec::Bytes bytes) {
  REQUIRE(!bytes.empty());
  const codec::IpEnds ends{from, codec::pim::all_routers(net.v4)};
  const std::vector<std::uint8_t> packet(bytes.begin(), bytes.end());
  net.deliver(*this, interface, [=](Router& to, Interface at) { to.receive(at, ends, packet); });
}

inline void Router::transmit(const codec::IpEnds& ends, codec::Bytes bytes) {
  REQUIRE(!bytes.empty());
  const std::vector<std::uint8_t> packet(bytes.begin(), bytes.end());
  net.unicast(ends.destination, [=](Router& to) { to.receive(membership::kNoInterface, ends, packet); });
}

inline void Router::receive(Interface at, const codec::IpEnds& ends, codec::Bytes packet) {
  using codec::pim::Type;
  codec::pim::Message message;
  REQUIRE(codec::pim::parse(packet, ends, message) == codec::pim::Find::message);
  const Nanos now = net.now;
  switch (message.type) {
    case Type::hello:
      return pim->on_hello(at, ends.source, codec::pim::parse_hello(message).value(), now);
    case Type::join_prune:
      return pim->on_join_prune(at, ends.source, codec::pim::parse_join_prune(message).value(), now);
    case Type::assertion:
      return pim->on_assert(at, ends.source, codec::pim::parse_assert(message).value(), now);
    case Type::bootstrap:
      return pim->on_bootstrap(at, ends.source, codec::pim::parse_bootstrap(message).value(), now);
    case Type::candidate_rp:
      return pim->on_candidate_rp(codec::pim::parse_candidate_rp(message).value(), now);
    case Type::register_stop:
      return pim->on_register_stop(ends.source, codec::pim::parse_register_stop(message).value(), now);
    case Type::data_register:
      pim->on_register(ends.source, ends.destination, codec::pim::parse_register(message).value(), now);
  }
}

inline void Router::send_hello(Interface interface, const IpAddress& from,
                               const codec::pim::Hello& hello) noexcept {
  hellos++;
  last_hello = hello;
  const codec::IpEnds ends{from, codec::pim::all_routers(net.v4)};
  transmit(interface, from, codec::Bytes(room).first(codec::pim::write_hello(hello, ends, room)));
}

inline void Router::send_join_prune(Interface interface, const codec::pim::JoinPrune& message) noexcept {
  Sent record{net.now, interface, message.upstream};
  for (const auto& group : message.groups) {
    record.groups++;
    record.joins += group.joins.count();
    record.prunes += group.prunes.count();
  }
  sent.push_back(record);
  const IpAddress from = addresses.at(interface).front();
  codec::pim::write_join_prune(message, {from, codec::pim::all_routers(net.v4)}, room,
                               [&](codec::Bytes part) { transmit(interface, from, part); });
}

inline void Router::send_assert(Interface interface, const codec::pim::Assert& assertion) noexcept {
  asserts++;
  sent_asserts.push_back(assertion);
  const IpAddress from = addresses.at(interface).front();
  const codec::IpEnds ends{from, codec::pim::all_routers(net.v4)};
  transmit(interface, from, codec::Bytes(room).first(codec::pim::write_assert(assertion, ends, room)));
}

inline void Router::send_null_register(const IpAddress& rp, const IpAddress& source,
                                       const IpAddress& group) noexcept {
  null_registers++;
  const codec::IpEnds ends{addresses.at(pim->route(source, group).incoming).back(), rp};
  transmit(ends, codec::Bytes(room).first(codec::pim::write_null_register(source, group, ends, room)));
}

inline void Router::send_register_stop(const IpAddress& from, const IpAddress& to,
                                       const codec::pim::RegisterStop& stop) noexcept {
  register_stops++;
  const codec::IpEnds ends{from, to};
  transmit(ends, codec::Bytes(room).first(codec::pim::write_register_stop(stop, ends, room)));
}

inline void Router::send_bootstrap(Interface interface, const codec::pim::Bootstrap& message) noexcept {
  bootstraps++;
  const IpAddress from = addresses.at(interface).front();
  codec::pim::write_bootstrap(message, {from, codec::pim::all_routers(net.v4)}, room,
                              [&](codec::Bytes part) { transmit(interface, from, part); });
}

inline void Router::send_candidate_rp(const IpAddress& to,
                                      const codec::pim::CandidateRp& candidate) noexcept {
  advertisements++;
  const codec::IpEnds ends{addresses.begin()->second.back(), to};
  transmit(ends, codec::Bytes(room).first(codec::pim::write_candidate_rp(candidate, ends, room)));
}

inline std::optional<Rpf> Router::rpf(const IpAddress& address) noexcept {
  const Way* best = nullptr;
  for (const Way& one : ways)
    if (one.prefix.contains(address) && (best == nullptr || one.prefix.bits > best->prefix.bits)) best = &one;
  return best == nullptr ? std::nullopt : std::optional(best->rpf);
}

inline void Router::changed(const IpAddress& source, const IpAddress& group) noexcept {
  changes++;
  std::erase_if(kernel, [&](const auto& one) {
    return one.first.second == group && (source.is_any() || one.first.first == source);
  });
}

inline void Router::way(const IpPrefix& prefix, Interface interface, const IpAddress& next_hop,
                        std::uint32_t metric) {
  std::erase_if(ways, [&](const Way& one) { return one.prefix == prefix; });
  ways.push_back({prefix, {interface, next_hop, next_hop.is_any() ? 0U : 110U, metric}});
  pim->rpf_changed(prefix, net.now);
}

inline void Router::restart(bool kept) {
  pim.reset();
  inherited.clear();
  if (kept) inherited = kernel;
  kernel = inherited;
  pim = std::make_unique<Pim>(options, *this, deadlines, ++seed);
  for (const auto& [interface, its] : nets)
    pim->interface_up(interface, addresses.at(interface), link_options.at(interface), net.now);
}

/** What the kernel is told: who received before a restart goes on receiving. */
inline Route Router::decide(const IpAddress& source, const IpAddress& group) {
  const auto before = inherited.find({source, group});
  if (before == inherited.end()) return pim->route(source, group);
  pim->resume(before->second.incoming, source, group, net.now);
  Route route = pim->route(source, group);
  if (route.incoming == membership::kNoInterface) return before->second;
  route.outgoing |= before->second.outgoing & ~only(route.incoming);
  return route;
}

inline void Router::packet(Interface interface, const IpAddress& source, const IpAddress& group, int hops) {
  const auto key = std::pair(source, group);
  // Of a route that it has, the kernel does not ask.
  if (!kernel.contains(key) && inherited.contains(key)) kernel[key] = decide(source, group);
  if (!kernel.contains(key)) {
    pim->on_source(interface, source, group, net.now);
    Route route = pim->route(source, group);
    // What nobody wants is dropped where it comes in.
    if (route.incoming == membership::kNoInterface) route.incoming = interface;
    kernel[key] = route;
  } else if (kernel[key].incoming != interface) {
    pim->on_wrong_interface(interface, source, group, net.now);
  } else {
    pim->on_active(source, group, net.now);
  }
  // What a packet leads to is installed after it.
  if (!kernel.contains(key)) kernel[key] = decide(source, group);
  const Route route = kernel[key];
  if (route.incoming != interface) return;
  if (route.registers) {
    registers++;
    const IpAddress from = addresses.at(interface).back();
    const IpAddress rp = *route.rp;
    net.unicast(rp, [=](Router& to) {
      if (to.pim->on_register(from, rp, {false, false, source, group, {}}, to.net.now) != 0)
        to.packet(kRegister, source, group, hops);
    });
  }
  for (const auto& [out, its_net] : std::map(nets))
    if ((route.outgoing & only(out)) != 0) net.put(its_net, source, group, this, hops);
}

}  // namespace sluice::test
