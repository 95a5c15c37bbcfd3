#include "plane/router.h"

namespace sluice::plane {

Router::Router(RouterOptions options, MulticastRouter::Tell tell)
    : options_(std::move(options)),
      tell_(std::move(tell)),
      loop_("sluice-router", counters_, [](kernel::Nanos) {}) {}

std::optional<kernel::Error> Router::start() {
  if (auto failure = open_store()) return failure;
  if (auto failure = loop_.start()) return failure;
  running_ = true;
  std::optional<kernel::Error> failure;
  loop_.call([&] {
    failure = open(options_.ipv4, ipv4_);
    if (!failure) failure = open(options_.ipv6, ipv6_);
  });
  if (failure) close();
  return failure;
}

std::optional<kernel::Error> Router::open_store() {
  KeeperOptions& keeper = options_.keeper;
  inherited_ = std::move(keeper.inherited);
  if (!keeper.holder.empty()) {
    auto holder = kernel::HolderStore::connect(keeper.holder);
    if (!holder.ok()) return std::move(holder.error());
    auto kept = holder.value()->all();
    if (!kept.ok()) return std::move(kept.error());
    inherited_ = std::move(kept.value());
    store_ = std::move(holder.value());
  } else if (!keeper.service.empty()) {
    store_ = std::make_unique<kernel::ServiceManagerStore>(keeper.service);
  }
  return std::nullopt;
}

std::optional<kernel::Error> Router::open(const std::optional<MulticastRouterOptions>& options,
                                          std::unique_ptr<MulticastRouter>& router) {
  if (!options) return std::nullopt;
  // Each takes what is its own by name.
  MulticastRouter::Kept kept{store_.get()};
  const std::string family = options->v4 ? "4" : "6";
  for (kernel::KeptDescriptor& one : inherited_)
    if (one.fd && one.name.find(family + "-") != std::string::npos) kept.found.push_back(std::move(one));
  auto opened = MulticastRouter::open(loop_.reactor(), *options, std::move(kept), tell_);
  if (!opened.ok()) return std::move(opened.error());
  router = std::move(opened.value());
  return std::nullopt;
}

void Router::close() {
  if (!running_) return;
  running_ = false;
  loop_.call([&] {
    ipv4_.reset();
    ipv6_.reset();
  });
  loop_.stop();
}

}  // namespace sluice::plane
