// What a router asks of the network above it for all its interfaces together, as a host does (RFC 4605).
#pragma once

#include <map>
#include <vector>

#include "membership/channel.h"
#include "membership/deadlines.h"

namespace sluice::membership {

/** Which sources of a group are wanted; nothing at first. */
struct WantedSources {
  /** EXCLUDE mode: all but `sources`. Else only these. */
  bool excludes = false;
  /** Ascending, each once. */
  std::vector<codec::IpAddress> sources;

  [[nodiscard]] bool empty() const noexcept { return !excludes && sources.empty(); }
  [[nodiscard]] bool wants(const codec::IpAddress& source) const noexcept;
  /** Wants `source` from now on; any(): all sources that are excluded by nobody. */
  void add(const codec::IpAddress& source);
  /** Wants what either did (RFC 9776 section 3.2). */
  void merge(const WantedSources& other);
  bool operator==(const WantedSources&) const noexcept = default;
};

/** Who acts for a proxy; outlives it. */
class ProxyHost {
 public:
  /** These sources of the group from now on, in the place of those before; none: leave it. */
  virtual void join(const codec::IpAddress& group, const WantedSources& wanted) noexcept = 0;

 protected:
  ~ProxyHost() = default;
};

/**
 * Remembers what is asked for, so that only changes are told; holds a group for a while after the last one
 * who wanted it has gone, so that those who change channels do not make the network above it follow; and
 * keeps what is to be joined before anybody wants it.
 */
class Proxy {
 public:
  /** `hold`: how long a group that nobody wants any more stays joined. */
  Proxy(Nanos hold, ProxyHost& host, Deadlines& deadlines) noexcept
      : hold_(hold), host_(host), deadlines_(deadlines) {}
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  /** What all interfaces together want of a group now. */
  void want(const codec::IpAddress& group, WantedSources wanted, Nanos now);
  /** Joined from now on whether anybody wants it or not, in the place of what was kept of the group before.
   */
  void keep(const codec::IpAddress& group, WantedSources kept, Nanos now);

  /** What is asked for of a group. */
  [[nodiscard]] WantedSources joined(const codec::IpAddress& group) const;
  /** `visit(group, what is asked for)`. */
  template <class Visit>
  void each(Visit&& visit) const {
    for (const auto& [address, group] : groups_) visit(address, group.joined);
  }
  /** `visit(group, sources, until)` of what is joined ahead (`until` is kNever then), and of what nobody
   * wants any more. */
  template <class Visit>
  void each_kept(Visit&& visit) const {
    for (const auto& [address, group] : groups_) {
      if (!group.kept.empty()) visit(address, group.kept, kNever);
      if (group.held.is_set()) visit(address, group.joined, group.held.at());
    }
  }
  [[nodiscard]] std::size_t groups() const noexcept { return groups_.size(); }

 private:
  struct Group final {
    Group(Proxy& its_proxy, const codec::IpAddress& its_address) noexcept
        : proxy(its_proxy), address(its_address) {}
    void on_held(Nanos) noexcept { proxy.settle(*this); }

    Proxy& proxy;
    const codec::IpAddress address;
    WantedSources wanted;
    WantedSources kept;
    WantedSources joined;
    Timer<&Group::on_held> held{*this};
  };

  void set(const codec::IpAddress& group, WantedSources Group::*which, WantedSources value, Nanos now);
  void change(Group& group, Nanos now);
  void settle(Group& group);

  const Nanos hold_;
  ProxyHost& host_;
  Deadlines& deadlines_;
  std::map<codec::IpAddress, Group> groups_;
};

}  // namespace sluice::membership
