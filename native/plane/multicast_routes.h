// The routes of one multicast table: what the kernel has been told, and what it has forwarded.
#pragma once

#include <deque>
#include <map>
#include <unordered_map>

#include "codec/ip_address.h"
#include "kernel/multicast_routing.h"
#include "kernel/reactor.h"
#include "membership/channel.h"

namespace sluice::plane {

using kernel::Nanos;

/** Where packets come in, and where they go. */
struct Forwarding {
  kernel::Vif incoming = 0;
  kernel::VifSet outgoing = 0;
  bool operator==(const Forwarding&) const noexcept = default;
};

/** A route as it stands in the kernel. */
struct InstalledRoute {
  Forwarding forwarding;
  /** Of before a restart, and not confirmed yet: these interfaces go on receiving. */
  kernel::VifSet inherited = 0;
  /** It comes in where it did before a restart. */
  bool resumed = false;
  /** When it was made, and when it was last seen to have taken packets. */
  Nanos since = 0;
  Nanos active_at = 0;
  /** As sampled last. */
  kernel::RouteCounters counters = {};
};

struct MulticastRouteCounters {
  /** Calls of the kernel that made or changed a route. */
  std::uint64_t set = 0;
  std::uint64_t removed = 0;
  /** Beyond the limit. */
  std::uint64_t refused = 0;
  /** Not taken by the kernel. */
  std::uint64_t failed = 0;
};

/**
 * Tells the kernel only what changes. A route that leads nowhere is kept as long as packets come, so that the
 * kernel does not ask about each of them, and whoever joins is one call away; there are half of `most` of
 * them at most, so that whoever sends to many groups does not take the room of those that somebody wants.
 */
class MulticastRoutes {
 public:
  using Sources = std::map<codec::IpAddress, InstalledRoute>;

  /** `most`: routes at a time. The socket outlives it. */
  MulticastRoutes(kernel::RoutingSocket& socket, std::size_t most) : socket_(socket), most_(most) {}

  /** False when it is one too many, or the kernel does not take it; what was stays then. */
  bool set(const codec::IpAddress& source, const codec::IpAddress& group, Forwarding forwarding, Nanos now);
  void remove(const codec::IpAddress& source, const codec::IpAddress& group);
  /** Takes up what the kernel has of before a restart; each goes on to where it led until settle(). `anew`:
   * the kernel is told it, too, for what it led to and is not there any more. */
  void inherit(const kernel::KernelRoute& route, bool anew, Nanos now);
  /** What is inherited ends towards these interfaces, of all groups or of one, where `ends(source, group)`.
   */
  template <class Ends>
  void disinherit(kernel::VifSet to, Ends&& ends) {
    for (auto& [group, sources] : groups_) disinherit(sources, group, to, ends);
  }
  template <class Ends>
  void disinherit(kernel::VifSet to, const codec::IpAddress& group, Ends&& ends) {
    if (const auto found = groups_.find(group); found != groups_.end())
      disinherit(found->second, group, to, ends);
  }
  /** An interface is gone, and its place is another's next: nothing is inherited from it or towards it. */
  void drop(kernel::Vif vif) noexcept;
  /** Packets have come by another way than before the restart. */
  void release(const codec::IpAddress& source, const codec::IpAddress& group) noexcept;
  /** What is not confirmed ends: who of them is left to say afterwards is the caller's to decide anew. */
  void settle() noexcept;

  /** Null when there is none. */
  [[nodiscard]] const InstalledRoute* find(const codec::IpAddress& source,
                                           const codec::IpAddress& group) const noexcept;
  /** Null when there are none. */
  [[nodiscard]] const Sources* of(const codec::IpAddress& group) const noexcept;
  [[nodiscard]] const std::unordered_map<codec::IpAddress, Sources>& all() const noexcept { return groups_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] const MulticastRouteCounters& counters() const noexcept { return counters_; }

  /** Reads the kernel's counters of each route; `active(source, group)` of those that have taken packets
   * since. */
  template <class Active>
  void sample(Nanos now, Active&& active) {
    for (auto& [group, sources] : groups_)
      for (auto& [source, route] : sources)
        if (sample(source, group, route, now)) active(source, group);
  }

 private:
  template <class Ends>
  void disinherit(Sources& sources, const codec::IpAddress& group, kernel::VifSet to, Ends& ends) {
    for (auto& [source, route] : sources) {
      if ((route.inherited & to) == 0 || !ends(source, group)) continue;
      route.inherited &= ~to;
      tell(source, group, route);
    }
  }
  bool sample(const codec::IpAddress& source, const codec::IpAddress& group, InstalledRoute& route,
              Nanos now);
  bool tell(const codec::IpAddress& source, const codec::IpAddress& group, const InstalledRoute& route);
  [[nodiscard]] bool leads_nowhere(const membership::Channel& one) const noexcept;
  void note_nowhere(const codec::IpAddress& source, const codec::IpAddress& group,
                    const InstalledRoute& route);
  void evict();

  kernel::RoutingSocket& socket_;
  const std::size_t most_;
  std::unordered_map<codec::IpAddress, Sources> groups_;
  /** About the oldest first; some lead somewhere by now. */
  std::deque<membership::Channel> nowhere_;
  std::size_t size_ = 0;
  MulticastRouteCounters counters_;
};

}  // namespace sluice::plane
