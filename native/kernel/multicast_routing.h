// The kernel's multicast forwarding (MRT_*, MRT6_*): interfaces, routes, and what the kernel asks.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernel/address.h"
#include "kernel/control_socket.h"
#include "kernel/multicast_messages.h"
#include "kernel/netlink.h"
#include "kernel/result.h"

namespace sluice::kernel {

/** Interfaces that one routing table can have, the register interface included. */
constexpr std::size_t kMostVifs = 32;
/** The number of an interface in the table: 0 to 31. */
using Vif = std::uint8_t;
/** One bit for each Vif. */
using VifSet = std::uint32_t;

struct RoutingOptions {
  /** AF_INET or AF_INET6. */
  int family = AF_INET;
  /** 0 for the kernel's own; else one beside it, 1 to 99,999,999, to which rules lead that are made for every
   * interface (`ip mrule`). */
  std::uint32_t table = 0;
  /** Whether packets from a wrong interface are told of (asserts), and whole packets to the register
   * interface. */
  bool pim = false;
  /** Has what control() joins kept, so that reports of meanwhile are there after a restart; outlives the
   * socket. */
  DescriptorStore* keeper = nullptr;
};

/** A route. `source` and `group` may be 0.0.0.0 or :: in a route for any (RoutingSocket::set_any_source). */
struct MulticastRoute {
  AddressBytes source{};
  AddressBytes group{};
  Vif incoming = 0;
  /** Where packets with a TTL above 1 go; the incoming one does not count. */
  VifSet outgoing = 0;
  friend bool operator==(const MulticastRoute&, const MulticastRoute&) noexcept = default;
};

/** What has passed by a route or an interface since it was made. */
struct RouteCounters {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  /** Packets that came by another interface than the route's. */
  std::uint64_t wrong_interface = 0;
};
struct VifCounters {
  std::uint64_t packets_in = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t packets_out = 0;
  std::uint64_t bytes_out = 0;
};

/** A route that the kernel has, as dump() finds it. */
struct KernelRoute {
  MulticastRoute route;
  RouteCounters counters;
  /** Packets wait for it; it has no interfaces yet. */
  bool unresolved = false;
};

/**
 * The one routing socket of a table, and of IGMP or MLD on its interfaces. When the last descriptor of it is
 * closed, the kernel removes everything; as long as a keeper has a duplicate, forwarding goes on and what
 * comes meanwhile is queued. For one thread.
 */
class RoutingSocket {
 public:
  /** ROUTING_REFUSED (no privilege), ROUTING_TABLE_TAKEN (another daemon has it), ROUTING_UNSUPPORTED (the
   * kernel lacks it), USAGE (the table's number), SYSTEM_CALL. */
  static Result<std::unique_ptr<RoutingSocket>> open(const RoutingOptions& options);
  /**
   * Takes over a socket that a keeper held, of the same options. `interfaces`: what interfaces() said last;
   * those of IPv4 are asked of the kernel. An interface that is gone meanwhile, or is not known, is removed.
   * SYSTEM_CALL when the descriptor is something else, or has its table no more.
   */
  static Result<std::unique_ptr<RoutingSocket>> adopt(const RoutingOptions& options, Fd fd,
                                                      std::span<const unsigned> interfaces);
  RoutingSocket(const RoutingSocket&) = delete;
  RoutingSocket& operator=(const RoutingSocket&) = delete;
  ~RoutingSocket() = default;

  /** For epoll, and for a keeper. */
  [[nodiscard]] int fd() const noexcept { return control_->fd(); }
  /** IGMP (IPv4) or MLD (IPv6) by this very socket: joins and sends; what it receives comes by receive(). */
  [[nodiscard]] ControlSocket& control() noexcept { return *control_; }

  /** Adds an interface, in the lowest place that is free. INTERFACE_LIMIT beyond 32, with how many there are;
   * INTERFACE_UNKNOWN, USAGE when it is there already, ROUTING_TABLE_TAKEN when a rule leads from it to a
   * table of another program, SYSTEM_CALL. */
  Result<Vif> add_interface(unsigned interface_index);
  /** Adds the register interface (RFC 7761 section 4.4): what is routed to it comes as Upcall::whole_packet,
   * and what comes in registers enters by it. Errors as of add_interface(); ROUTING_UNSUPPORTED. */
  Result<Vif> add_register_interface();
  /** Nothing when it is not there. Routes that name it stay, and do not lead there. */
  void remove_interface(Vif vif);
  /** By place: the interface's index, 0 for none, kRegister for the register interface. */
  [[nodiscard]] std::span<const unsigned> interfaces() const noexcept { return interfaces_; }
  static constexpr unsigned kRegister = 0xffff'ffff;
  /** The place of an interface; none when it has none. */
  [[nodiscard]] std::optional<Vif> vif_of(unsigned interface_index) const noexcept;

  /** Makes or changes a route; what waited for it is sent at once. 0 or errno. */
  int set(const MulticastRoute& route) noexcept;
  /** 0 or errno; ENOENT when there is none. */
  int remove(const AddressBytes& source, const AddressBytes& group) noexcept;
  /**
   * Makes or changes a route for any source of `group` that comes in by `route.incoming`: the kernel asks
   * about none of them. Routes with a source go before it. `route.source` is not looked at. 0 or errno.
   */
  int set_any_source(const MulticastRoute& route) noexcept;
  int remove_any_source(const AddressBytes& group, Vif incoming) noexcept;
  /** None when there is no such route. */
  [[nodiscard]] std::optional<RouteCounters> counters(const AddressBytes& source,
                                                      const AddressBytes& group) const noexcept;
  [[nodiscard]] std::optional<VifCounters> counters(Vif vif) const noexcept;

  /** What has come; valid until the next call. */
  struct Received {
    std::span<const Upcall> upcalls;
    /** IGMP or MLD. */
    std::span<const ControlMessage> messages;
  };
  [[nodiscard]] Received receive() noexcept;
  [[nodiscard]] bool more() const noexcept { return control_->more(); }
  /** Every route of the table. SYSTEM_CALL. */
  Result<std::vector<KernelRoute>> dump();
  /** Takes all routes and interfaces out of the kernel, whoever else may have the descriptor. */
  void withdraw() noexcept;

 private:
  RoutingSocket(const RoutingOptions& options, std::unique_ptr<ControlSocket> control, NetlinkSocket netlink);
  int option(int name, const void* value, std::size_t size) const noexcept;
  [[nodiscard]] std::string name() const;
  [[nodiscard]] Error refused(const std::string& what, int error) const;
  std::optional<Error> start();
  Result<Vif> add(unsigned interface_index);
  int add_vif(Vif vif, unsigned interface_index) const noexcept;
  int call_route(int name, const MulticastRoute& route, VifSet outgoing) const noexcept;
  [[nodiscard]] std::uint32_t table_number() const noexcept;
  int change_rule(std::uint16_t what, std::uint32_t table, std::uint16_t attribute, const std::string& name);
  std::optional<std::uint32_t> drop_strange_rules();
  [[nodiscard]] bool is_routed(std::uint32_t table) const noexcept;
  int change_rules(unsigned interface_index, bool add);
  [[nodiscard]] bool exists(Vif vif) const noexcept;
  std::optional<Error> learn_interfaces4();
  void learn_interfaces6(std::span<const unsigned> noted);
  [[nodiscard]] std::string register_name() const;
  [[nodiscard]] std::optional<Vif> free_place() const noexcept;
  /** As vif_of(), also by the index of the register interface's device. */
  [[nodiscard]] std::optional<Vif> vif_of_device(unsigned index) const noexcept;
  [[nodiscard]] KernelRoute kernel_route(const MulticastRouteMessage& m) const;

  const RoutingOptions options_;
  std::unique_ptr<ControlSocket> control_;
  NetlinkSocket netlink_;
  std::array<unsigned, kMostVifs> interfaces_{};
  /** Of the device that the kernel makes for the register interface; 0 for none. */
  unsigned register_index_ = 0;
  std::vector<Upcall> upcalls_;
  std::vector<ControlMessage> messages_;
};

}  // namespace sluice::kernel
