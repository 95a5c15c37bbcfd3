// Multicast routers in networks of a test's own, turned by hand.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "plane/multicast_router.h"
#include "test/keeper.h"
#include "test/namespaces.h"

namespace sluice::test {

using codec::IpAddress;
using plane::MulticastRouter;
using plane::MulticastRouterOptions;
using plane::RouterInterfaceOptions;
using plane::UpstreamMode;

inline IpAddress ip(const std::string& text) {
  return IpAddress::v6(bytes_of(text).data());
}

inline RouterInterfaceOptions hosts_on(const std::string& name, bool v4) {
  RouterInterfaceOptions o;
  o.name = name;
  o.querier.emplace();
  o.querier->v4 = v4;
  o.querier->version = v4 ? 3 : 2;
  o.querier->query_response = kernel::kSecond / 2;
  o.querier->immediate_leave = membership::ImmediateLeave::tracked;
  o.admission.open = true;
  return o;
}

/** A router of one of the networks. */
class TurnedRouter {
 private:
  struct Beat final : kernel::Timer {
    void on_timer(kernel::Nanos) noexcept override {}
  };
  const Network& network_;
  kernel::Reactor reactor_;
  Beat beat_;

 public:
  explicit TurnedRouter(const Network& network) : network_(network) {}

  /** As `options` say now. */
  void open(MulticastRouter::Kept kept) {
    network_.in([&] {
      auto opened = MulticastRouter::open(reactor_, options, std::move(kept),
                                          [this](plane::RouterEvent e) { events.push_back(std::move(e)); });
      REQUIRE(opened.ok());
      router = std::move(opened.value());
    });
  }
  void add(const RouterInterfaceOptions& o) {
    REQUIRE_FALSE(network_.in([&] { return router->add(o); }));
  }
  /** Something always comes soon: whoever is polled for meanwhile is not the reactor's. */
  void turn() {
    reactor_.arm(beat_, kernel::monotonic_now() + kernel::kMillisecond);
    network_.in([&] { reactor_.turn(); });
  }

  MulticastRouterOptions options;
  std::vector<plane::RouterEvent> events;
  std::unique_ptr<MulticastRouter> router;
};

/** Until it holds, for ten seconds at most. */
template <class F>
bool turn_until(const std::vector<TurnedRouter*>& routers, F&& done) {
  const kernel::Nanos end = kernel::monotonic_now() + 10 * kernel::kSecond;
  while (!done()) {
    if (kernel::monotonic_now() > end) return false;
    for (TurnedRouter* const one : routers)
      if (one->router) one->turn();
  }
  return true;
}

struct HasStar {
  Star star;
};

/** The router of a star. */
struct MulticastBed : HasStar, TurnedRouter {
  explicit MulticastBed(int its_family, UpstreamMode mode = UpstreamMode::none,
                        MulticastRouter::Kept kept = {})
      : TurnedRouter(star.router), family(its_family) {
    options.v4 = v4();
    options.upstream = mode;
    options.proxy_device = "up0";
    options.pim.v4 = v4();
    open(std::move(kept));
  }
  [[nodiscard]] bool v4() const { return family == AF_INET; }
  bool reconfigure(const plane::RouterInterfaceOptions& o) {
    return star.router.in([&] {
      const bool found = router->reconfigure(o);
      router->settle(kernel::monotonic_now());
      return found;
    });
  }
  template <class F>
  bool turn_until(F&& done) {
    return test::turn_until({this}, std::forward<F>(done));
  }
  /** Sends until the listener has had so many. */
  bool flows(Talker& talker, Listener& listener, std::size_t packets = 20) {
    const std::size_t before = listener.count();
    return turn_until([&] { return talker.send() && listener.count() >= before + packets; });
  }
  /** Sends so many, and whether the listener had none of them. */
  bool silent(Talker& talker, Listener& listener, std::uint32_t packets = 50) {
    const std::size_t before = listener.count();
    const std::uint32_t end = talker.sent() + packets;
    return turn_until([&] { return talker.send() && talker.sent() >= end; }) && listener.count() == before;
  }
  [[nodiscard]] std::string group() const { return Star::group(family); }

  const int family;
};

}  // namespace sluice::test
