// The RP set of one zone as its bootstrap router tells it: who that is, and what it has told (RFC 5059
// section 3).
#pragma once

#include <utility>
#include <vector>

#include "membership/pim_host.h"
#include "membership/pim_rp_set.h"

namespace sluice::membership {

/** A bootstrap message, kept. */
struct KeptBootstrap {
  struct Range {
    codec::pim::GroupRange range;
    std::uint8_t total = 0;
    std::vector<codec::pim::RendezvousPoint> points;

    [[nodiscard]] bool whole() const noexcept { return points.size() >= total; }
  };

  std::uint16_t tag = 0;
  std::uint8_t hash_mask_bits = 30;
  std::uint8_t priority = 0;
  codec::IpAddress router;
  std::vector<Range> ranges;

  /** No ranges, or only that which names the zone (section 3.1.5). */
  [[nodiscard]] bool empty() const noexcept {
    return ranges.empty() || (ranges.size() == 1 && ranges[0].range.zone && ranges[0].total == 0);
  }
  /** Whether a range of the fragment is whole already: then it is of another message, even if it bears the
   * same tag. */
  [[nodiscard]] bool has_whole(const codec::pim::Bootstrap& fragment) const noexcept;
  /** Adds a fragment's ranges; at most so many RPs in all. False when that was too many. */
  bool add(const codec::pim::Bootstrap& fragment, std::size_t most);
  /** Calls `send(const codec::pim::Bootstrap&)`. */
  template <class Send>
  void tell(bool no_forward, Send&& send) const {
    std::vector<codec::pim::BootstrapRange> views;
    for (const Range& one : ranges)
      views.push_back({one.range, one.total, codec::Sequence<codec::pim::RendezvousPoint>(one.points)});
    send(codec::pim::Bootstrap{no_forward, tag, hash_mask_bits, priority, router,
                               codec::Sequence<codec::pim::BootstrapRange>(views)});
  }
};

/** What makes one bootstrap router preferred to another (section 3.1). */
struct BsrWeight {
  std::uint8_t priority = 0;
  codec::IpAddress address;

  bool operator==(const BsrWeight&) const noexcept = default;
  bool operator<(const BsrWeight& other) const noexcept {
    return std::pair(priority, address) < std::pair(other.priority, other.address);
  }
};

/** The machines of sections 3.1.1 (for a candidate) and 3.1.2, without timers' owners and messages' ways. */
class PimZone {
 public:
  enum class State : std::uint8_t { accept_any, accept_preferred, candidate, pending, elected };
  /** What is to be done. */
  enum class Action : std::uint8_t { none, forward, originate, remove };

  /** `own` of a router that is a candidate here. A zone that was learnt goes when nothing is heard of it any
   * more. */
  PimZone(const BootstrapOptions& options, std::optional<BsrWeight> own, bool learnt, Nanos now);

  /** A message that has passed the checks of section 3.1.3; what it tells holds when it is preferred. */
  Action on_message(const codec::pim::Bootstrap& message, Nanos now);
  /** Times that have come. */
  Action run(Nanos now);
  [[nodiscard]] Nanos next() const noexcept;
  /** What we tell ourselves, being elected. */
  void originated(const KeptBootstrap& message, Nanos now);
  /** What we would tell has changed. */
  void hasten(Nanos now) noexcept;

  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] const std::optional<BsrWeight>& router() const noexcept { return router_; }
  /** Whether any message has been accepted. */
  [[nodiscard]] bool informed() const noexcept { return informed_; }
  /** The last message of the present bootstrap router. */
  [[nodiscard]] const KeptBootstrap& last() const noexcept { return last_; }
  void append_to(std::vector<RpMapping>& all) const;
  /** Whether what append_to() gives has changed since this was asked last. */
  bool take_changed() noexcept { return std::exchange(changed_, false); }
  [[nodiscard]] std::uint64_t refused() const noexcept { return refused_; }

 private:
  struct Learnt {
    RpMapping mapping;
    Nanos expires = kNever;
  };

  [[nodiscard]] bool is_preferred(const BsrWeight& theirs) const noexcept;
  Action on_other(const BsrWeight& theirs, Nanos now) noexcept;
  void store(const codec::pim::Bootstrap& message, Nanos now);
  template <class Concerned>
  void apply(const KeptBootstrap& message, Nanos now, Concerned&& concerned);
  void replace(const KeptBootstrap::Range& range, std::uint8_t hash_mask_bits, Nanos now);
  void expire(Nanos now);
  [[nodiscard]] Nanos override_delay() const noexcept;

  const BootstrapOptions& options_;
  const std::optional<BsrWeight> own_;
  const bool learnt_;
  State state_;
  std::optional<BsrWeight> router_;
  KeptBootstrap last_;
  std::vector<Learnt> mappings_;
  bool informed_ = false;
  bool changed_ = false;
  /** The Bootstrap Timer, and the Scope-Zone Expiry Timer. */
  Nanos bootstrap_at_ = kNever;
  Nanos zone_until_ = kNever;
  std::uint64_t refused_ = 0;
};

}  // namespace sluice::membership
