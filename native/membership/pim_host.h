// What a PIM router asks of those around it, and what it tells them: PimHost; and how it is set up.
#pragma once

#include <optional>
#include <vector>

#include "codec/pim_assert.h"
#include "codec/pim_bootstrap.h"
#include "codec/pim_hello.h"
#include "codec/pim_join_prune.h"
#include "codec/pim_register.h"
#include "membership/deadlines.h"

namespace sluice::membership {

/** No interface. */
inline constexpr Interface kNoInterface = 0xff;

/** The set of one interface; empty for kNoInterface. */
constexpr InterfaceSet only(Interface interface) noexcept {
  return interface < kInterfaces ? InterfaceSet{1} << interface : 0;
}

/** What hosts of a link want of a group's packets, or of one source's: of any source none or include; of one
 * source also exclude, where they want the group but not this source. */
enum class Membership : std::uint8_t { none, include, exclude };

/** How packets of an address would come to us, as the unicast routes have it (the MRIB of RFC 7761). */
struct Rpf {
  Interface interface = kNoInterface;
  /** any() when the address is of a link of ours. */
  codec::IpAddress next_hop;
  /** Of asserts: the lower the better. */
  std::uint32_t preference = 0;
  std::uint32_t metric = 0;

  bool operator==(const Rpf&) const noexcept = default;
};

/** Of one interface. Times are those of RFC 7761 section 4.11. */
struct PimLinkOptions {
  /** The others must not be heard: no hello leaves, no message is accepted. We act for the hosts of the link.
   */
  bool passive = false;
  std::uint32_t dr_priority = 1;
  Nanos hello_period = 30 * kSecond;
  Nanos triggered_hello_delay = 5 * kSecond;
  /** Of LAN prune delay, whole milliseconds. */
  Nanos propagation_delay = 500 * kMillisecond;
  Nanos override_interval = 2500 * kMillisecond;
  /** Joins that others send do not suppress ours, where all neighbours can do without it. */
  bool tracking = false;
  /** t_periodic. */
  Nanos join_period = 60 * kSecond;
  /** Bootstrap messages come in and go out. */
  bool bootstrap = true;
  std::size_t most_neighbours = 64;
  /** Trees that neighbours may join or prune here. */
  std::size_t most_joined = 20'000;

  bool operator==(const PimLinkOptions&) const noexcept = default;
};

/** RPs that are set, beside those that a bootstrap router tells. */
struct StaticRp {
  codec::IpPrefix groups;
  codec::IpAddress address;
};

/** This router would be the domain's bootstrap router (RFC 5059). */
struct BsrCandidacy {
  codec::IpAddress address;
  /** The higher the better. */
  std::uint8_t priority = 64;
  std::uint8_t hash_mask_bits = 30;
};

/** This router would be RP of these groups. */
struct RpCandidacy {
  codec::IpAddress address;
  /** The lower the better. */
  std::uint8_t priority = 192;
  std::vector<codec::IpPrefix> groups;
};

/** RFC 5059 section 5. */
struct BootstrapOptions {
  std::optional<BsrCandidacy> router;
  std::optional<RpCandidacy> rp;
  Nanos period = 60 * kSecond;
  Nanos timeout = 130 * kSecond;
  Nanos min_interval = 10 * kSecond;
  Nanos zone_timeout = 1300 * kSecond;
  Nanos advertisement_period = 60 * kSecond;
  Nanos advertisement_backoff = 3 * kSecond;
  /** Of one zone. */
  std::size_t most_mappings = 1024;
  std::size_t most_zones = 16;
};

struct PimOptions {
  bool v4 = true;
  /** Groups without shared trees: 232.0.0.0/8 or ff3x::/32 (RFC 4607) where none are given. */
  std::vector<codec::IpPrefix> source_specific;
  std::vector<StaticRp> static_rps;
  /** Addresses of ours that no PIM interface has, such as an RP's. */
  std::vector<codec::IpAddress> addresses;
  BootstrapOptions bootstrap;
  /** Whether the last hop and the RP join a source's own tree with its first packet, or never. */
  bool spt_switch = true;
  /** Where decapsulated registers come in; without it we are no RP. */
  Interface register_interface = kNoInterface;
  /** The tree above is left so long after the last who wanted it. */
  Nanos leave_hold = 0;
  /** As Pim::trees() counts them. */
  std::size_t most_trees = 100'000;
  /** Sources of one group. */
  std::size_t most_sources = 4'096;
  Nanos assert_time = 180 * kSecond;
  Nanos assert_override_interval = 3 * kSecond;
  Nanos keepalive_period = 210 * kSecond;
  Nanos register_suppression_time = 60 * kSecond;
  Nanos register_probe_time = 5 * kSecond;
};

/** Who acts; outlives the router. Nothing of it may call what changes the router. */
class PimHost {
 public:
  /** To all PIM routers of the link, from this address of ours. */
  virtual void send_hello(Interface interface, const codec::IpAddress& from,
                          const codec::pim::Hello& hello) noexcept = 0;
  /** To all PIM routers of the link; as many messages as its length takes. */
  virtual void send_join_prune(Interface interface, const codec::pim::JoinPrune& message) noexcept = 0;
  virtual void send_assert(Interface interface, const codec::pim::Assert& assertion) noexcept = 0;
  /** A null register, to the RP. */
  virtual void send_null_register(const codec::IpAddress& rp, const codec::IpAddress& source,
                                  const codec::IpAddress& group) noexcept = 0;
  /** From the address that the register was sent to. */
  virtual void send_register_stop(const codec::IpAddress& from, const codec::IpAddress& to,
                                  const codec::pim::RegisterStop& stop) noexcept = 0;
  /** To all PIM routers of the link. */
  virtual void send_bootstrap(Interface interface, const codec::pim::Bootstrap& message) noexcept = 0;
  /** To the bootstrap router. */
  virtual void send_candidate_rp(const codec::IpAddress& to,
                                 const codec::pim::CandidateRp& candidate) noexcept = 0;
  /** None where no route leads there. */
  virtual std::optional<Rpf> rpf(const codec::IpAddress& address) noexcept = 0;
  /** Pim::route() of (source, group) may be another now; with any() for `source`, of all sources of the
   * group. */
  virtual void changed(const codec::IpAddress& source, const codec::IpAddress& group) noexcept = 0;

 protected:
  ~PimHost() = default;
};

/** Chance for delays that many draw at once, so that they do not act at once; nothing is kept secret by it.
 */
class Chance {
 public:
  explicit Chance(std::uint64_t seed) noexcept : state_(seed * 2 + 1) {}
  std::uint32_t number() noexcept {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<std::uint32_t>(state_ >> 32);
  }
  /** Between both, `from` included. */
  Nanos between(Nanos from, Nanos to) noexcept {
    return from + static_cast<Nanos>(static_cast<double>(to - from) * (number() / 4294967296.0));
  }

 private:
  std::uint64_t state_;
};

/** Seconds of a message's field; kNever for codec::pim::kForever. */
constexpr Nanos holdtime(std::uint16_t seconds) noexcept {
  return seconds == codec::pim::kForever ? kNever : seconds * kSecond;
}
/** A moment so long after `now`. */
constexpr Nanos after(Nanos now, Nanos time) noexcept {
  return time == kNever ? kNever : now + time;
}
/** Holdtimes that we send are 3.5 times the period, as long as the field can hold that. */
constexpr std::uint16_t holdtime_of(Nanos period) noexcept {
  return static_cast<std::uint16_t>(std::min<Nanos>(period * 7 / 2 / kSecond, codec::pim::kForever - 1));
}

}  // namespace sluice::membership
