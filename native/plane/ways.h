// How a site's objects are fetched without asking anybody, while it is known.
#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "plane/fetchers.h"
#include "plane/sites.h"

namespace sluice::plane {

/** What TypeScript decided for one object of a site, and lets hold for others. */
struct Way {
  /** Address, TLS; the head is made for each object. */
  http::ClientRequest http;
  http::ClientTimeouts timeouts;
  http::FreshnessRule freshness;
  std::string host;
  /** Of the origin; an object's target is put behind it. */
  std::string base;
  std::vector<std::pair<std::string, std::string>> fields;
  /** Ends of paths, in lower case, that are asked about all the same: documents, which are rewritten. */
  std::vector<std::string> but;
  /** Counts objects that are fetched along it; outlives it. */
  std::uint64_t* fetched = nullptr;
  /** For so long. */
  kernel::Nanos until = 0;
};

/** An object that TypeScript must decide about. */
struct Question {
  WantedObject wanted;
  /** What the origin answered to a request along the way that was known; status 0 and no code where nobody
   * asked it. */
  UpstreamResult answer;
};

/**
 * Between the sites and whoever decides. Along a known way an object is fetched at once; everything that
 * turns out otherwise (redirects, errors, a connection refused) becomes a question, with the answer that
 * came, so that an origin is never asked twice. On the loop thread.
 */
class Ways {
 public:
  using Ask = std::function<void(Question)>;

  Ways(objects::Store& store, Ask ask) : store_(store), ask_(std::move(ask)) {}

  /** `fetchers` outlive every call but this one. */
  void use(Fetchers& fetchers) noexcept { fetchers_ = &fetchers; }
  void set(std::uint64_t site, Way way) { ways_.insert_or_assign(site, std::move(way)); }
  void erase(std::uint64_t site) { ways_.erase(site); }
  /** Fetches it, or asks. */
  void want(WantedObject wanted);
  /** Takes the end of a request of its own; false when it is another's. */
  bool take(UpstreamResult& result);

 private:
  bool go(const WantedObject& wanted);
  [[nodiscard]] Way* known(const WantedObject& wanted);

  objects::Store& store_;
  Ask ask_;
  Fetchers* fetchers_ = nullptr;
  std::unordered_map<std::uint64_t, Way> ways_;
  /** By ticket: fetched along a way, not ended. */
  std::unordered_map<std::uint64_t, WantedObject> under_way_;
};

}  // namespace sluice::plane
