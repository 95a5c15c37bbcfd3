// RPs that a bootstrap router tells the domain (RFC 5059): learnt, passed on, told anew, and offered.
#pragma once

#include <list>

#include "membership/pim_zone.h"

namespace sluice::membership {

class BootstrapOwner {
 public:
  /** On all links where there are neighbours. */
  virtual void flood(const codec::pim::Bootstrap& message) noexcept = 0;
  virtual void advertise(const codec::IpAddress& router,
                         const codec::pim::CandidateRp& candidate) noexcept = 0;
  /** PimBootstrap::mappings() are others. */
  virtual void rps_changed(Nanos now) noexcept = 0;

 protected:
  ~BootstrapOwner() = default;
};

struct PimBootstrapCounters {
  std::uint64_t accepted = 0;
  std::uint64_t originated = 0;
  /** Messages that came another way than from their router, or too late for one that is not forwarded. */
  std::uint64_t dropped = 0;
  /** Zones, ranges or RPs beyond their limits. */
  std::uint64_t refused = 0;
  std::uint64_t advertisements_in = 0;
  /** Advertisements for a bootstrap router that we are not. */
  std::uint64_t advertisements_dropped = 0;
};

/** Zones of administrative scope are learnt; a candidate is this router for the domain as a whole only. */
class PimBootstrap {
 public:
  /** All that is referred to outlives it. */
  PimBootstrap(bool v4, const BootstrapOptions& options, BootstrapOwner& owner, Deadlines& deadlines,
               Chance& chance);

  /** Once, before all else. */
  void start(Nanos now);
  /** Takes back what was offered: another bootstrap router is to be elected, and our groups to be served by
   * others. */
  void stop(Nanos now);
  /** From a neighbour, to all of the link. `on_way`: it is the next router towards the message's router. */
  void on_bootstrap(const codec::pim::Bootstrap& message, bool on_way, Nanos now);
  void on_candidate(const codec::pim::CandidateRp& candidate, Nanos now);

  [[nodiscard]] std::vector<RpMapping> mappings() const;
  /** What a router that is new on a link is told: `send(const codec::pim::Bootstrap&)`. */
  template <class Send>
  void prime(Send&& send) const {
    for (const Zone& one : zones_)
      if (one.machine.router() && !one.machine.last().ranges.empty()) one.machine.last().tell(true, send);
  }
  /** The bootstrap router of the domain. */
  [[nodiscard]] std::optional<BsrWeight> router() const noexcept { return zones_.front().machine.router(); }
  [[nodiscard]] PimZone::State state() const noexcept { return zones_.front().machine.state(); }
  [[nodiscard]] PimBootstrapCounters counters() const noexcept;

 private:
  struct Zone {
    Zone(PimBootstrap& its_owner, const codec::IpPrefix& its_scope, PimZone its_machine)
        : owner(its_owner), scope(its_scope), machine(std::move(its_machine)) {}
    void on_time(Nanos now) noexcept { owner.on_time(*this, now); }

    PimBootstrap& owner;
    /** Groups of the zone; of no bits, the domain. */
    codec::IpPrefix scope;
    PimZone machine;
    Timer<&Zone::on_time> timer{*this};
  };
  /** As an RP has offered to serve. */
  struct Offer {
    codec::pim::GroupRange range;
    codec::pim::RendezvousPoint point;
    Nanos expires = kNever;
  };
  /** A range that nobody serves any more, of which that is still told. */
  struct Withdrawn {
    codec::pim::GroupRange range;
    Nanos until = kNever;
  };

  [[nodiscard]] std::optional<codec::IpPrefix> scope_of(const codec::pim::Bootstrap& message) const noexcept;
  Zone* zone_of(const codec::IpPrefix& scope, Nanos now);
  void on_time(Zone& zone, Nanos now) noexcept;
  void settle(Zone& zone, Nanos now) noexcept;
  void on_router(Nanos now) noexcept;
  void originate(Zone& zone, Nanos now);
  [[nodiscard]] KeptBootstrap message() const;
  bool take_offer(const codec::pim::GroupRange& range, const codec::pim::RendezvousPoint& point, Nanos now);
  void expire_offers(Nanos now) noexcept;
  void on_offers(Nanos now) noexcept;
  void on_advertise(Nanos now) noexcept;
  void advertise(std::uint16_t holdtime_s, Nanos now) noexcept;

  const bool v4_;
  const BootstrapOptions options_;
  BootstrapOwner& owner_;
  Deadlines& deadlines_;
  Chance& chance_;
  Nanos started_ = 0;
  /** The domain's first. */
  std::list<Zone> zones_;
  std::vector<Offer> offers_;
  std::vector<Withdrawn> withdrawn_;
  /** To whom we are offered, and how often still in quick succession. */
  std::optional<codec::IpAddress> advertised_to_;
  unsigned quick_ = 0;
  PimBootstrapCounters counters_;
  Timer<&PimBootstrap::on_offers> offers_timer_{*this};
  Timer<&PimBootstrap::on_advertise> advertise_timer_{*this};
};

}  // namespace sluice::membership
