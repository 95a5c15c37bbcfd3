// PIM on one interface: hellos, neighbours and who of them is the designated router (RFC 7761 section 4.3).
#pragma once

#include <list>

#include "membership/pim_host.h"

namespace sluice::membership {

class PimLink;

struct PimLinkCounters {
  std::uint64_t hellos_in = 0;
  std::uint64_t hellos_out = 0;
  /** Hellos of further neighbours when the table was full. */
  std::uint64_t neighbours_refused = 0;
  /** Secondary addresses that two neighbours claim. */
  std::uint64_t address_conflicts = 0;
};

struct PimNeighbour {
  codec::IpAddress address;
  std::vector<codec::IpAddress> secondary;
  std::optional<std::uint32_t> dr_priority;
  std::optional<std::uint32_t> generation_id;
  std::optional<codec::pim::LanPruneDelay> lan_prune_delay;
  Nanos since = 0;
  /** kNever where it never does. */
  Nanos expires = kNever;
};

enum class NeighbourEvent : std::uint8_t { appeared, restarted, gone };

class PimLinkOwner {
 public:
  /** `address` is the neighbour's primary one. */
  virtual void on_neighbour(PimLink& link, NeighbourEvent event, const codec::IpAddress& address,
                            Nanos now) noexcept = 0;
  /** Who the designated router is, or by what addresses neighbours are known, has changed. */
  virtual void on_link_changed(PimLink& link, Nanos now) noexcept = 0;

 protected:
  ~PimLinkOwner() = default;
};

/** One interface on which PIM is up, as long as it lives. */
class PimLink {
 public:
  /** `addresses` are ours on the link, the primary one first, at least one. All that is referred to outlives
   * it. */
  PimLink(Interface interface, std::vector<codec::IpAddress> addresses, const PimLinkOptions& options,
          PimLinkOwner& owner, PimHost& host, Deadlines& deadlines, Chance& chance);
  PimLink(const PimLink&) = delete;
  PimLink& operator=(const PimLink&) = delete;

  void start(Nanos now) noexcept;
  /** Goodbye: a hello that tells it; the owner is not told of neighbours that go by it. */
  void stop() noexcept;
  /** Other addresses of ours. Neighbours forget the old primary one at once (section 4.3.1). */
  void readdress(std::vector<codec::IpAddress> addresses, Nanos now) noexcept;
  /** Other options, told at once: neighbours stay. Whether it is passive cannot change. */
  void configure(const PimLinkOptions& options, Nanos now) noexcept;

  void on_hello(const codec::IpAddress& from, const codec::pim::Hello& hello, Nanos now) noexcept;
  /** To be called before any other message is sent here: who has not heard our hello would not accept it. */
  void introduce() noexcept;

  [[nodiscard]] Interface interface() const noexcept { return interface_; }
  [[nodiscard]] const PimLinkOptions& options() const noexcept { return options_; }
  /** The primary one. */
  [[nodiscard]] const codec::IpAddress& address() const noexcept { return addresses_.front(); }
  [[nodiscard]] const std::vector<codec::IpAddress>& addresses() const noexcept { return addresses_; }
  [[nodiscard]] bool has(const codec::IpAddress& address) const noexcept;
  [[nodiscard]] std::uint32_t generation_id() const noexcept { return generation_id_; }

  /** Whether it is the primary address of a neighbour. */
  [[nodiscard]] bool knows(const codec::IpAddress& address) const noexcept {
    return find(address) != nullptr;
  }
  [[nodiscard]] std::size_t neighbours() const noexcept { return neighbours_.size(); }
  template <class Visitor>
  void each_neighbour(Visitor&& visit) const {
    for (const Neighbour& one : neighbours_) visit(static_cast<const PimNeighbour&>(one));
  }
  /** The primary address of the neighbour that has this address (NBR of RFC 7761); none where nobody has it.
   */
  [[nodiscard]] std::optional<codec::IpAddress> neighbour_with(
      const codec::IpAddress& address) const noexcept;

  /** The designated router. */
  [[nodiscard]] const codec::IpAddress& designated() const noexcept { return designated_; }
  [[nodiscard]] bool is_designated() const noexcept { return designated_ == address(); }
  /** Who it would be without this neighbour. */
  [[nodiscard]] codec::IpAddress designated_without(const codec::IpAddress& neighbour) const noexcept;

  /** Section 4.3.3: as all routers of the link have agreed. */
  [[nodiscard]] Nanos propagation_delay() const noexcept;
  [[nodiscard]] Nanos override_interval() const noexcept;
  [[nodiscard]] bool suppression() const noexcept;
  /** J/P_Override_Interval: how long a prune waits for those who still want it; 0 where there is nobody else.
   */
  [[nodiscard]] Nanos prune_delay() const noexcept {
    return neighbours() > 1 ? propagation_delay() + override_interval() : Nanos{0};
  }

  [[nodiscard]] const PimLinkCounters& counters() const noexcept { return counters_; }

 private:
  struct Neighbour final : PimNeighbour {
    explicit Neighbour(PimLink& its_link) : link(its_link) {}
    void expire(Nanos now) noexcept { link.remove(*this, now); }

    PimLink& link;
    Timer<&Neighbour::expire> liveness{*this};
  };

  void on_period(Nanos now) noexcept;
  void on_triggered(Nanos) noexcept { send_hello(address(), own_holdtime()); }
  void send_hello(const codec::IpAddress& from, std::uint16_t holdtime_s) noexcept;
  [[nodiscard]] std::uint16_t own_holdtime() const noexcept { return holdtime_of(options_.hello_period); }
  [[nodiscard]] const Neighbour* find(const codec::IpAddress& address) const noexcept;
  void remove(Neighbour& one, Nanos now) noexcept;
  void learn(Neighbour& one, const codec::pim::Hello& hello, Nanos now) noexcept;
  bool learn_addresses(Neighbour& one, const codec::pim::Hello& hello) noexcept;
  void answer(Nanos now) noexcept;
  void elect() noexcept;
  [[nodiscard]] bool all_tell_delays() const noexcept;

  const Interface interface_;
  PimLinkOptions options_;
  std::vector<codec::IpAddress> addresses_;
  PimLinkOwner& owner_;
  PimHost& host_;
  Deadlines& deadlines_;
  Chance& chance_;
  std::uint32_t generation_id_;
  std::list<Neighbour> neighbours_;
  codec::IpAddress designated_;
  /** A hello has left with our present address. */
  bool introduced_ = false;
  PimLinkCounters counters_;
  Timer<&PimLink::on_period> period_{*this};
  Timer<&PimLink::on_triggered> triggered_{*this};
};

}  // namespace sluice::membership
