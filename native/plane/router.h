// The multicast routers of both families, on a loop thread of their own: no stream waits for them, and they
// for none.
#pragma once

#include "plane/loop.h"
#include "plane/multicast_router.h"

namespace sluice::plane {

/** Who keeps what is to outlive the process; none of both: nobody. */
struct KeeperOptions {
  /** NOTIFY_SOCKET of the service manager. */
  std::string service;
  /** As of kernel::HolderStore::connect(). */
  std::string holder;
  /** What the service manager has handed over. */
  std::vector<kernel::KeptDescriptor> inherited = {};
};

struct RouterOptions {
  /** None: that family is not routed. */
  std::optional<MulticastRouterOptions> ipv4;
  std::optional<MulticastRouterOptions> ipv6;
  KeeperOptions keeper = {};
};

/** For one thread, which is not the loop's. */
class Router {
 public:
  /** `tell` is called on the loop's thread. */
  Router(RouterOptions options, MulticastRouter::Tell tell);
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;
  ~Router() { close(); }

  /** Errors as of MulticastRouter::open() and kernel::HolderStore::connect(); SYSTEM_CALL where there is no
   * thread. Nothing runs then. */
  std::optional<kernel::Error> start();
  /** Idempotent. */
  void close();

  /** Runs `f` with the router of a family on the loop, and then what follows from it. False when there is
   * none. */
  template <class F>
  bool with(bool v4, F&& f) {
    const std::unique_ptr<MulticastRouter>& router = v4 ? ipv4_ : ipv6_;
    if (!running_ || !router) return false;
    loop_.call([&] {
      f(*router);
      router->settle(kernel::monotonic_now());
    });
    return true;
  }
  [[nodiscard]] const LoopCounters& loop_counters() const noexcept { return counters_; }

 private:
  std::optional<kernel::Error> open_store();
  std::optional<kernel::Error> open(const std::optional<MulticastRouterOptions>& options,
                                    std::unique_ptr<MulticastRouter>& router);

  RouterOptions options_;
  std::unique_ptr<kernel::DescriptorStore> store_;
  std::vector<kernel::KeptDescriptor> inherited_;
  const MulticastRouter::Tell tell_;
  LoopCounters counters_{};
  Loop loop_;
  std::unique_ptr<MulticastRouter> ipv4_;
  std::unique_ptr<MulticastRouter> ipv6_;
  bool running_ = false;
};

}  // namespace sluice::plane
