// Verbs of the plane for sites and their objects; all of it is on the first loop.
#include "plane/plane.h"

namespace sluice::plane {

using kernel::Error;
using kernel::Result;

/** Its prefix is answered for as long as it lives. */
struct Plane::SiteEntry final : Entry {
  static constexpr Kind kKind = Kind::site;
  SiteEntry(Plane& p, Handle h, SiteCounters& c) noexcept : Entry(kKind), plane(p), handle(h), counters(c) {}
  SiteEntry(const SiteEntry&) = delete;
  SiteEntry& operator=(const SiteEntry&) = delete;
  ~SiteEntry() override {
    plane.ways_->erase(handle);
    plane.sites_->erase(handle);
  }
  Plane& plane;
  const Handle handle;
  SiteCounters& counters;
};

Result<Added> Plane::add_site(const SiteOptions& options) {
  return add<SiteEntry>(
      first(), 0, [&](Handle handle, std::uint32_t slot) -> Result<std::unique_ptr<SiteEntry>> {
        auto& counters = counters_.as<SiteCounters>(slot);
        if (!sites_->set(handle, options, counters))
          return Error{"USAGE", "another site has the prefix `" + options.prefix + "` already"};
        return std::make_unique<SiteEntry>(*this, handle, counters);
      });
}

bool Plane::set_tokens(Handle site, http::TokenRule rule) {
  return with<SiteEntry>(site, [&](SiteEntry&) { return sites_->set_tokens(site, std::move(rule)); });
}

bool Plane::set_way(Handle site, Way way, Nanos valid) {
  return with<SiteEntry>(site, [&](SiteEntry& entry) {
    way.fetched = &entry.counters.fetched;
    way.until = first().reactor().now() + valid;
    ways_->set(site, std::move(way));
    return true;
  });
}

bool Plane::fetch(FetchRequest request) {
  return open_ && first().call([&] { return fetchers_->request(std::move(request)); });
}

bool Plane::put_object(std::uint64_t ticket, MadeObject made) {
  return open_ && first().call([&] {
    const auto object = store_->flight(ticket);
    if (!object) return false;
    objects::Head head = object_head(made.head, options_.via);
    head.length = made.body.size();
    if (const auto error =
            store_->begin(object, std::move(head), http::freshness_of(made.head, made.freshness))) {
      store_->fail(object, {503, 1, error->message});
      return false;
    }
    if (store_->append(object, {reinterpret_cast<const std::uint8_t*>(made.body.data()), made.body.size()}) !=
        nullptr)
      return false;
    store_->complete(object);
    return true;
  });
}

bool Plane::refuse_object(std::uint64_t ticket, objects::Refusal refusal) {
  return open_ && first().call([&] {
    const auto object = store_->flight(ticket);
    if (object) store_->fail(object, std::move(refusal));
    return object != nullptr;
  });
}

std::size_t Plane::purge(Handle site, const std::string& path) {
  return open_ ? first().call([&] { return sites_->purge(site, path); }) : 0;
}

}  // namespace sluice::plane
