// Links, addresses and the way back to a source (RPF), as the kernel has them, with live changes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernel/address.h"
#include "kernel/netlink.h"
#include "kernel/result.h"
#include "kernel/route_messages.h"

namespace sluice::kernel {

/** An address of a link. */
struct LinkAddress {
  AddressBytes address{};
  /** Of its prefix: 0 to 32 for IPv4, 0 to 128 for IPv6. */
  std::uint8_t bits = 0;
  /** One of several in a prefix, and not the first (IPv4). */
  bool secondary = false;
};

/** A network interface. */
struct Link {
  unsigned index = 0;
  std::string name;
  /** `bridge`, `veth`, `vlan`, …; empty for hardware. */
  std::string kind;
  std::uint32_t mtu = 0;
  /** Of the bridge or bond that it is part of; 0 for none. */
  unsigned master = 0;
  /** Set up, and with a carrier. */
  bool running = false;
  bool multicast = false;
  bool loopback = false;
  /** In the kernel's order; without those that are still being looked for on the link (RFC 4862 section 5.4).
   */
  std::vector<LinkAddress> addresses;
};

/** How packets to an address leave, and so where those from it must come in. */
struct RpfRoute {
  enum class Kind : std::uint8_t {
    none,
    unicast,
    /** It is an address of this machine. */
    local,
  };
  Kind kind = Kind::none;
  unsigned interface_index = 0;
  /** 0.0.0.0 or :: where the address is on the link itself. May be IPv6 for an IPv4 address (RFC 8950). */
  AddressBytes next_hop{};
  /** Of whatever protocol brought the route, as routers have it: 0 connected, 1 static, 110 OSPF, … 255 none.
   */
  std::uint8_t preference = 255;
  std::uint32_t metric = 0;
  /** Of the prefix in AddressBytes: 96 to 128 for IPv4. */
  unsigned bits = 0;

  friend bool operator==(const RpfRoute&, const RpfRoute&) noexcept = default;
};

/** Told by RouteWatch::receive() of what has changed. */
class RouteListener {
 public:
  /** A link, or its addresses; it may be gone. */
  virtual void on_link(unsigned index) noexcept = 0;
  /** Routes to some addresses of this prefix that were asked for; `bits` as in RpfRoute. All where it is 0.
   */
  virtual void on_routes(const AddressBytes& prefix, unsigned bits) noexcept = 0;

 protected:
  ~RouteListener() = default;
};

/**
 * The kernel's own tables are asked, not copied: it follows its rules, knows what became of routes whose link
 * went down without telling anybody (IPv4), and a full table of the Internet costs nothing here. Answers are
 * kept until something changes that could change them. For one thread.
 */
class RouteWatch {
 public:
  struct Options {
    /** Given to the kernel with each question, so that `ip rule … fwmark` can choose a table for it; 0 for
     * none. */
    std::uint32_t mark = 0;
    /** Answers kept; beyond, all are asked for anew, and every change is told. */
    std::size_t kept = 65'536;
  };
  /** With all links and addresses known. SYSTEM_CALL. */
  static Result<std::unique_ptr<RouteWatch>> open(const Options& options);
  static Result<std::unique_ptr<RouteWatch>> open() { return open(Options{}); }
  RouteWatch(const RouteWatch&) = delete;
  RouteWatch& operator=(const RouteWatch&) = delete;
  ~RouteWatch() = default;

  /** Readable when receive() has something to take. */
  [[nodiscard]] int fd() const noexcept { return events_.fd(); }
  /** Takes what the kernel has told since, and tells of it. Everything, when some was lost. */
  void receive(RouteListener& listener);
  /** The way to a unicast address. Several equal ways: the one with the highest next hop (the usual choice of
   * routers; RFC 7761 leaves it open), so that all who have the same routes choose alike. */
  [[nodiscard]] RpfRoute lookup(const AddressBytes& address);
  /** Null when there is none. Valid until the next receive(). */
  [[nodiscard]] const Link* link(unsigned index) const noexcept;
  [[nodiscard]] const std::map<unsigned, Link>& links() const noexcept { return links_; }
  /** Another number after anything has changed. */
  [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }
  /** Questions to the kernel, and how often it had told more than there was room for. */
  [[nodiscard]] std::uint64_t asked() const noexcept { return asked_; }
  [[nodiscard]] std::uint64_t overruns() const noexcept { return overruns_; }

 private:
  RouteWatch(NetlinkSocket events, NetlinkSocket questions, const Options& options)
      : events_(std::move(events)), questions_(std::move(questions)), options_(options) {}
  int snapshot();
  void resynchronise(RouteListener& listener);
  void take(const NetlinkMessage& m, RouteListener& listener);
  void take_link(const NetlinkMessage& m, RouteListener& listener);
  void take_address(const NetlinkMessage& m, RouteListener& listener);
  void take_route(const RouteMessage& route, RouteListener& listener);
  /** Sets what the message says; the index, or 0 when nothing has changed. */
  unsigned set_link(const LinkMessage& m);
  unsigned set_address(const AddressMessage& m, bool there);
  void forget_all(RouteListener& listener);
  RpfRoute ask(const AddressBytes& address);
  std::optional<RouteMessage> ask_route(const AddressBytes& address, std::uint32_t flags);

  NetlinkSocket events_;
  NetlinkSocket questions_;
  const Options options_;
  std::map<unsigned, Link> links_;
  /** Sorted, so that the addresses of a prefix stand together. */
  std::map<AddressBytes, RpfRoute> kept_;
  /** Some answers are not kept any more, but whoever got them must still be told. */
  bool forgot_ = false;
  std::uint64_t generation_ = 1;
  std::uint64_t asked_ = 0;
  std::uint64_t overruns_ = 0;
};

/** The preference of routes that a protocol (RTPROT_*) brought, where less is better. */
[[nodiscard]] std::uint8_t route_preference(std::uint8_t protocol) noexcept;
/** What a route means for its destination. */
[[nodiscard]] RpfRoute rpf_of(const RouteMessage& route) noexcept;

}  // namespace sluice::kernel
