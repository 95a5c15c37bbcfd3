// A multicast router between real hosts, turned by hand.
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

/** The router of a star. */
struct MulticastBed {
  explicit MulticastBed(int its_family, UpstreamMode mode = UpstreamMode::none,
                        MulticastRouter::Kept kept = {})
      : family(its_family) {
    options.v4 = v4();
    options.upstream = mode;
    options.proxy_device = "up0";
    options.pim.v4 = v4();
    open(std::move(kept));
  }
  void open(MulticastRouter::Kept kept) {
    star.router.in([&] {
      auto opened = MulticastRouter::open(reactor, options, std::move(kept),
                                          [this](plane::RouterEvent e) { events.push_back(std::move(e)); });
      REQUIRE(opened.ok());
      router = std::move(opened.value());
    });
  }
  [[nodiscard]] bool v4() const { return family == AF_INET; }
  void add(RouterInterfaceOptions o) {
    REQUIRE_FALSE(star.router.in([&] { return router->add(o); }));
  }
  template <class F>
  bool turn_until(F&& done) {
    const kernel::Nanos end = kernel::monotonic_now() + 10 * kernel::kSecond;
    while (!done()) {
      if (kernel::monotonic_now() > end) return false;
      // Something always comes soon: whoever is polled for here is not the reactor's.
      reactor.arm(beat, kernel::monotonic_now() + kernel::kMillisecond);
      star.router.in([&] { reactor.turn(); });
    }
    return true;
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

  struct Beat final : kernel::Timer {
    void on_timer(kernel::Nanos) noexcept override {}
  };
  const int family;
  MulticastRouterOptions options;
  Star star;
  kernel::Reactor reactor;
  Beat beat;
  std::vector<plane::RouterEvent> events;
  std::unique_ptr<MulticastRouter> router;
};

}  // namespace sluice::test
