// A multicast router of one family: what hosts and neighbouring routers want comes in, routes of the kernel
// and messages go out.
//
//   RoutingSocket --- reports, queries ---> RouterInterface --- members --->  RouterPim, or Proxy and
//   UpstreamJoins
//        |                                                                          |
//        `----------- packets without a route ---> decide() <--- routes ------------'
//                                                     `--> MulticastRoutes
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "kernel/kept_note.h"
#include "kernel/route_watch.h"
#include "kernel/upstream_joins.h"
#include "plane/multicast_routes.h"
#include "plane/router_interface.h"
#include "plane/router_pim.h"

namespace sluice::plane {

/** How what hosts want is asked for from the network above. */
enum class UpstreamMode : std::uint8_t {
  /** Not at all: sources are on links of ours. */
  none,
  /** As one host would, on one interface (RFC 4605). */
  proxy,
  pim
};

struct MulticastRouterOptions {
  bool v4 = true;
  /** As of kernel::RoutingOptions. */
  std::uint32_t table = 0;
  UpstreamMode upstream = UpstreamMode::none;
  /** Of UpstreamMode::proxy: the device towards the querier above. */
  std::string proxy_device;
  /** A group that nobody wants any more stays joined above for so long. */
  Nanos leave_hold = 0;
  membership::PimOptions pim;
  std::size_t most_routes = 100'000;
  /** A route that leads nowhere is removed when it has taken no packets for so long. */
  Nanos idle = 60 * kernel::kSecond;
  /** How long what was forwarded before a restart goes on without anybody having asked for it again. */
  Nanos restart_grace = 130 * kernel::kSecond;
  /** What the kernel has refused, interfaces and joins above, is tried again so often. */
  Nanos retry = 5 * kernel::kSecond;
};

/** What happened, for policy and for people. */
struct RouterEvent {
  enum class Type : std::uint8_t {
    /** A join waits to be authorised. */
    join_held,
    join_admitted,
    join_denied,
    interface_up,
    interface_down,
    /** It cannot be routed for now: `code` and `detail` say why. */
    interface_refused,
    /** Groups are not joined above for now, likewise; and all are. */
    upstream_refused,
    upstream_joined,
    /** Routes of before a restart go on. */
    resumed,
    /** They will not outlive this process: `code` and `detail` say why. */
    not_kept
  };
  Type type = Type::join_held;
  bool v4 = true;
  /** Name of the device. */
  std::string interface;
  codec::IpAddress host;
  membership::Channel channel;
  membership::Denial why = membership::Denial::range;
  const char* code = nullptr;
  std::string detail;

  /** News that comes as fast as hosts talk. Who misses one misses no state: a host repeats its join. */
  [[nodiscard]] bool is_of_a_join() const noexcept {
    return type == Type::join_held || type == Type::join_admitted || type == Type::join_denied;
  }
};

struct MulticastRouterCounters {
  /** Packets that came without a route, and by another interface than their route's. */
  std::uint64_t unknown_sources = 0;
  std::uint64_t wrong_interface = 0;
  /** Queries and joins upstream that the kernel did not take. */
  std::uint64_t send_errors = 0;
  std::uint64_t upstream_errors = 0;
  /** Interfaces that could not be routed, each time that one began not to be. */
  std::uint64_t interfaces_refused = 0;
};

/** A device of the router. */
struct RouterLink {
  unsigned index = 0;
  kernel::Vif vif = 0;
};

class MulticastRouter final : private kernel::Watcher,
                              private kernel::Timer,
                              private kernel::RouteListener,
                              private RouterInterfaceOwner,
                              private RouterPimOwner,
                              private membership::ProxyHost {
 public:
  using Tell = std::function<void(RouterEvent)>;
  /** Descriptors that outlive the process: where they are put, and those that were found there. */
  struct Kept {
    /** None: nothing outlives the process. It outlives the router. */
    kernel::DescriptorStore* store = nullptr;
    std::vector<kernel::KeptDescriptor> found = {};
    /** Why there is no store where there was to be one. */
    std::optional<kernel::Error> refused = {};
  };

  /** On the reactor's thread, like everything else. `tell` is called from within. Errors as of
   * RoutingSocket::open(), RouteWatch::open(), ControlSocket::open(). */
  static kernel::Result<std::unique_ptr<MulticastRouter>> open(kernel::Reactor& reactor,
                                                               const MulticastRouterOptions& options,
                                                               Kept kept, Tell tell);
  MulticastRouter(const MulticastRouter&) = delete;
  MulticastRouter& operator=(const MulticastRouter&) = delete;
  /** What the kernel forwards goes on where a store has the descriptors. */
  ~MulticastRouter();

  /** An interface from now on, as soon as its device is there. ID_TAKEN. */
  std::optional<kernel::Error> add(const RouterInterfaceOptions& options);
  /** False when there is none of that name. */
  bool remove(const std::string& name);
  /** It speaks otherwise from now on, as of RouterInterface::reconfigure(): PIM where it was not spoken
   * begins without the hosts' notice, and the other way round. False when there is none of that name. */
  bool reconfigure(const RouterInterfaceOptions& options);
  /** Null when there is none. Whoever changes it says settle() afterwards. */
  [[nodiscard]] RouterInterface* find(const std::string& name) noexcept;
  /** Joined above whether anybody wants it or not, from now on; empty: not any more. By PIM a group is kept
   * as a whole, or sources of it are. */
  void keep(const codec::IpAddress& group, membership::WantedSources kept);
  /** Takes everything out of the kernel and the store. */
  void withdraw();

  /** Does what follows from what was told: routes first, then messages, then tells of it. */
  void settle(Nanos now) noexcept override;

  [[nodiscard]] const std::vector<std::unique_ptr<RouterInterface>>& interfaces() const noexcept {
    return interfaces_;
  }
  [[nodiscard]] const MulticastRoutes& routes() const noexcept { return *routes_; }
  /** With the kernel's counters as they are now. */
  void sample();
  /** Null where there is no PIM. */
  [[nodiscard]] const membership::Pim* pim() const noexcept { return pim_ ? &pim_->machine() : nullptr; }
  [[nodiscard]] const RouterPim* pim_side() const noexcept { return pim_.get(); }
  /** Why an interface, or the proxy's device, cannot be routed for now. */
  [[nodiscard]] const std::map<std::string, kernel::Error>& refused() const noexcept { return refused_; }
  /** Groups that a proxy wants, and that the kernel has not joined for now. */
  [[nodiscard]] std::size_t unjoined() const noexcept { return unjoined_.size(); }
  [[nodiscard]] const membership::Proxy* proxy() const noexcept { return proxy_ ? &*proxy_ : nullptr; }
  [[nodiscard]] const kernel::RouteWatch& links() const noexcept { return *watch_; }
  [[nodiscard]] kernel::RoutingSocket& socket() noexcept { return *socket_; }
  [[nodiscard]] const MulticastRouterOptions& options() const noexcept { return options_; }
  [[nodiscard]] const MulticastRouterCounters& counters() const noexcept { return counters_; }
  /** Descriptors that will not outlive this process, though they were to. */
  [[nodiscard]] std::size_t unkept() const noexcept;
  [[nodiscard]] std::string name_of(kernel::Vif vif) const;
  /** The way back to an address. */
  [[nodiscard]] std::optional<membership::Rpf> rpf(const codec::IpAddress& address) noexcept override;

 private:
  /** A watcher that calls a member. */
  class NetlinkWatcher final : public kernel::Watcher {
   public:
    explicit NetlinkWatcher(MulticastRouter& router) noexcept : router_(router) {}
    void on_ready(std::uint32_t) noexcept override { router_.on_netlink(); }

   private:
    MulticastRouter& router_;
  };

  MulticastRouter(kernel::Reactor& reactor, const MulticastRouterOptions& options, Kept kept, Tell tell);
  std::optional<kernel::Error> start();
  // What outlives the process: router_restart.cc.
  kernel::Result<std::unique_ptr<kernel::RoutingSocket>> open_socket();
  std::unique_ptr<kernel::RoutingSocket> adopt_socket(const kernel::RoutingOptions& options);
  void keep_socket();
  std::optional<kernel::Error> put_socket();
  void say_not_kept(const kernel::Error& why);
  void look_for_unkept();
  void note_interfaces();
  void inherit_routes();
  void inherit_joins();
  void listen();
  void end_grace();
  void drop_strange_interfaces();
  [[nodiscard]] kernel::Fd take_kept(const std::string& name);
  [[nodiscard]] std::string kept_name(const std::string& what) const;
  std::optional<kernel::Error> start_upstream();

  // What comes in.
  void on_ready(std::uint32_t events) noexcept override;
  void on_timer(Nanos now) noexcept override;
  void on_netlink() noexcept;
  void on_link(unsigned index) noexcept override;
  void on_routes(const kernel::AddressBytes& prefix, unsigned bits) noexcept override;
  void take(const kernel::ControlMessage& message, Nanos now) noexcept;
  void take(const kernel::Upcall& upcall, Nanos now) noexcept;

  // Devices that come and go.
  void look_at(const kernel::Link* link, const std::string& name);
  void bring_up(RouterInterface& interface, const kernel::Link& link);
  std::optional<kernel::Error> connect(RouterInterface& interface, const kernel::Link& link);
  std::optional<kernel::Error> connect_pim(RouterInterface& interface, const kernel::Link& link, bool anew);
  void bring_down(RouterInterface& interface);
  void bring_up_proxy(const kernel::Link& link);
  void refuse(const std::string& name, const kernel::Error& error);
  void retry(Nanos now) noexcept;
  [[nodiscard]] codec::IpAddress own_address(const kernel::Link& link) const;
  void own_addresses_changed();
  [[nodiscard]] std::vector<codec::IpAddress> pim_addresses(const kernel::Link& link) const;

  // RouterInterfaceOwner
  void send_query(RouterInterface& interface, const codec::MembershipQuery& query) noexcept override;
  void members_changed(RouterInterface& interface, const codec::IpAddress& group) noexcept override;
  void querier_changed(RouterInterface& interface) noexcept override;
  void join_held(RouterInterface& interface, const codec::IpAddress& host,
                 const membership::Channel& channel) noexcept override;
  void join_admitted(RouterInterface& interface, const codec::IpAddress& host,
                     const membership::Channel& channel) noexcept override;
  void join_denied(RouterInterface& interface, const codec::IpAddress& host,
                   const membership::Channel& channel, membership::Denial why) noexcept override;
  void rights_ended(RouterInterface& interface, const membership::Channel& channel) noexcept override;
  void rights_changed(RouterInterface& interface) noexcept override;
  // RouterPimOwner
  void route_changed(const codec::IpAddress& source, const codec::IpAddress& group) noexcept override;
  [[nodiscard]] membership::Interface interface_of(unsigned index) const noexcept override;
  [[nodiscard]] PimPlace place_of(membership::Interface interface) const noexcept override;
  [[nodiscard]] bool is_on_link(membership::Interface interface,
                                const codec::IpAddress& address) const noexcept override;
  void members_untold(membership::Interface interface, const codec::IpAddress& group) noexcept override;
  // ProxyHost
  void join(const codec::IpAddress& group, const membership::WantedSources& wanted) noexcept override;
  [[nodiscard]] std::optional<kernel::Error> join_above(const codec::IpAddress& group,
                                                        const membership::WantedSources& wanted);
  void retry_joins();

  // What follows.
  void settle_members(Nanos now);
  void settle_routes(Nanos now);
  void settle_route(const codec::IpAddress& source, const codec::IpAddress& group,
                    std::optional<kernel::Vif> asked, Nanos now);
  [[nodiscard]] std::optional<Forwarding> decide(const codec::IpAddress& source,
                                                 const codec::IpAddress& group);
  [[nodiscard]] bool is_way_in(kernel::Vif vif, const codec::IpAddress& source,
                               const codec::IpAddress& group) noexcept;
  [[nodiscard]] std::optional<kernel::Vif> way_in(const codec::IpAddress& source);
  /** A route is to be there before the packets are, and before who wants them. */
  [[nodiscard]] bool is_warm(const codec::IpAddress& source, const codec::IpAddress& group) const noexcept;
  void sweep(Nanos now);
  void say_active(const membership::Channel& one, Nanos now);
  void rearm();
  void tell();
  void say(RouterEvent::Type type, const RouterInterface& interface, const codec::IpAddress& host,
           const membership::Channel& channel, membership::Denial why);

  kernel::Reactor& reactor_;
  const MulticastRouterOptions options_;
  Kept kept_;
  const Tell tell_;
  MulticastRouterCounters counters_;
  membership::Deadlines deadlines_;
  std::unique_ptr<kernel::RouteWatch> watch_;
  std::unique_ptr<kernel::RoutingSocket> socket_;
  std::optional<MulticastRoutes> routes_;
  std::unique_ptr<kernel::UpstreamJoins> upstream_;
  std::optional<membership::Proxy> proxy_;
  std::optional<RouterLink> proxy_link_;
  std::unique_ptr<RouterPim> pim_;
  std::optional<kernel::Vif> register_vif_;
  std::vector<std::unique_ptr<RouterInterface>> interfaces_;
  /** By place; null where it is none of the interfaces. */
  std::array<RouterInterface*, kernel::kMostVifs> by_vif_{};
  NetlinkWatcher netlink_watcher_{*this};

  /** Groups of which members have changed on these interfaces. */
  std::map<codec::IpAddress, membership::InterfaceSet> changed_members_;
  /** Routes to be decided anew; any() for all of the group's. */
  std::set<membership::Channel> stale_;
  /** Told when routes and messages are out: waking another thread takes longer than both. */
  std::vector<RouterEvent> said_;
  /** By name. */
  std::map<std::string, kernel::Error> refused_;
  std::set<codec::IpAddress> unjoined_;
  /** Of them, who was tried again last. */
  codec::IpAddress retried_;
  membership::Timer<&MulticastRouter::retry> retry_{*this};
  Nanos next_sweep_ = 0;
  /** 0 when nothing is inherited. */
  Nanos inherited_until_ = 0;
  /** kNever while what comes is taken. */
  Nanos listen_at_ = membership::kNever;
  /** Places that the routes of before a restart lead to may be another interface's next. */
  bool places_freed_ = false;
  std::optional<kernel::KeptNote> note_;
  bool socket_kept_ = false;
  bool said_not_kept_ = false;
};

}  // namespace sluice::plane
