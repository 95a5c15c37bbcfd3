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
  /** Most descriptors that it takes of ours; 0: it does not say. */
  std::size_t service_most = 0;
  /** As of kernel::HolderStore::connect(). */
  std::string holder = {};
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

  /** Errors as of MulticastRouter::open(); SYSTEM_CALL where there is no thread. Nothing runs then. Without
   * the keeper that was wanted it runs, and tells so (RouterEvent::Type::not_kept). What was kept for other
   * tables, families or ways to ask above is taken out of the kernel, and out of the keeper unless another
   * daemon uses it. */
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
  [[nodiscard]] bool is_ours(const kernel::KeptDescriptor& kept) const;
  void end_leftovers();
  std::optional<kernel::Error> open(const std::optional<MulticastRouterOptions>& options,
                                    std::unique_ptr<MulticastRouter>& router);

  RouterOptions options_;
  std::unique_ptr<kernel::DescriptorStore> store_;
  std::optional<kernel::Error> store_refused_;
  std::vector<kernel::KeptDescriptor> inherited_;
  const MulticastRouter::Tell tell_;
  LoopCounters counters_{};
  Loop loop_;
  std::unique_ptr<MulticastRouter> ipv4_;
  std::unique_ptr<MulticastRouter> ipv6_;
  bool running_ = false;
};

}  // namespace sluice::plane
