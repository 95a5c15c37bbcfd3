#include "plane/router.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "kernel/kept_name.h"

namespace sluice::plane {

namespace {

using kernel::KeptDescriptor;
using kernel::KeptName;

bool fits(const KeptName& name, const std::optional<MulticastRouterOptions>& options, int family) {
  return options && name.family == family && name.table == options->table;
}

/** Takes a table that was routed out of the kernel, with the rules that lead to it. `all`: what was kept
 * beside it, the note of its interfaces among them. */
void end_table(KeptDescriptor& routing, const KeptName& name, std::vector<KeptDescriptor>& all) {
  std::array<unsigned, kernel::kMostVifs> interfaces{};
  const std::string note = KeptName{"interfaces", name.family, name.table}.text();
  const auto beside = std::ranges::find(all, note, &KeptDescriptor::name);
  if (beside != all.end())
    if (const auto noted = kernel::KeptNote::adopt(std::move(beside->fd)))
      if (const auto bytes = noted->read(); bytes.size() == sizeof interfaces)
        std::memcpy(interfaces.data(), bytes.data(), bytes.size());
  auto socket = kernel::RoutingSocket::adopt({name.family, name.table, false, nullptr}, std::move(routing.fd),
                                             interfaces);
  if (socket.ok()) socket.value()->withdraw();
}

}  // namespace

Router::Router(RouterOptions options, MulticastRouter::Tell tell)
    : options_(std::move(options)),
      tell_(std::move(tell)),
      loop_("sluice-router", counters_, [](kernel::Nanos) {}) {}

std::optional<kernel::Error> Router::start() {
  store_refused_ = open_store();
  if (auto failure = loop_.start()) return failure;
  running_ = true;
  std::optional<kernel::Error> failure;
  loop_.call([&] {
    end_leftovers();
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
    store_ = std::make_unique<kernel::ServiceManagerStore>(keeper.service, keeper.service_most, inherited_);
  }
  return std::nullopt;
}

bool Router::is_ours(const KeptDescriptor& kept) const {
  const auto name = KeptName::parse(kept.name);
  return name && (fits(*name, options_.ipv4, AF_INET) || fits(*name, options_.ipv6, AF_INET6));
}

/** Of a configuration before, which nobody would ever ask for again. */
void Router::end_leftovers() {
  for (KeptDescriptor& one : inherited_) {
    const auto name = KeptName::parse(one.name);
    if (one.in_use || is_ours(one)) continue;
    if (name && name->what == "routing") end_table(one, *name, inherited_);
    if (store_) (void)store_->remove(one.name);
  }
  // Of a daemon that lives nothing is taken, though it be of the same table: that one is taken, then.
  std::erase_if(inherited_, [this](const KeptDescriptor& one) { return one.in_use || !is_ours(one); });
}

std::optional<kernel::Error> Router::open(const std::optional<MulticastRouterOptions>& options,
                                          std::unique_ptr<MulticastRouter>& router) {
  if (!options) return std::nullopt;
  // Each takes what is its own by name.
  MulticastRouter::Kept kept{store_.get(), {}, store_refused_};
  const int family = options->v4 ? AF_INET : AF_INET6;
  for (KeptDescriptor& one : inherited_)
    if (const auto name = KeptName::parse(one.name); name && fits(*name, options, family))
      kept.found.push_back(std::move(one));
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
  // What it has is the next one's from now on.
  store_.reset();
}

}  // namespace sluice::plane
