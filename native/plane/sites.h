// Prefixes of the front behind which objects stand.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "http/body.h"
#include "http/token.h"
#include "objects/store.h"

namespace sluice::plane {

// Formatted by hand: the formatter moves the lines of such a list each time it is run.
// clang-format off
#define SLUICE_SITE_COUNTERS(X)                                                                  \
  X(fetched) X(tokens_accepted) X(token_missing) X(token_malformed) X(token_key) X(token_signature)         \
  X(token_expired) X(token_address) X(token_scope)
// clang-format on

/** In the order of SITE_COUNTERS in daemon/plane/contract-counters.ts. */
struct SiteCounters {
#define SLUICE_COUNTER_FIELD(name) std::uint64_t name;
  SLUICE_SITE_COUNTERS(SLUICE_COUNTER_FIELD)
#undef SLUICE_COUNTER_FIELD
};

struct SiteOptions {
  /** Begins and ends with a slash. */
  std::string prefix;
  /** Whether the query is part of an object's name; else it is ignored. */
  bool query = true;
  /** For the log. */
  std::string name = {};
  http::TokenRule tokens = {};
};

/** An object that nobody has asked for before. */
struct WantedObject {
  std::uint64_t site = 0;
  std::uint64_t ticket = 0;
  /** Path behind the prefix, with its query; as the viewer wrote it. */
  std::string target;
  /** Validators of what is there but no longer fresh, or empty. */
  std::string etag;
  std::string last_modified;
};

/** Turns requests into objects of the store. On the loop thread. */
class Sites {
 public:
  using Ask = std::function<void(WantedObject)>;

  /** `ask` is called for each flight that begins. */
  Sites(objects::Store& store, std::string via, Ask ask)
      : store_(store), via_(std::move(via)), ask_(std::move(ask)) {}

  /** False when another site has the prefix. The counters outlive the site. */
  bool set(std::uint64_t site, SiteOptions options, SiteCounters& counters);
  /** False when there is no such site. */
  bool set_tokens(std::uint64_t site, http::TokenRule rule);
  void erase(std::uint64_t site);
  /** The answer, or none when the path is of no site. */
  std::optional<http::Answer> resolve(const http::Request& request, const kernel::Address& remote);
  /** Forgets what a site has of a path and all below it. */
  std::size_t purge(std::uint64_t site, const std::string& path);

 private:
  struct Site {
    std::uint64_t handle;
    SiteOptions options;
    std::shared_ptr<const std::string> name;
    SiteCounters* counters;
  };
  http::Answer answer(const Site& site, const http::Request& request, const kernel::Address& remote);
  http::Answer object(const Site& site, const http::Request& request, std::string target);

  objects::Store& store_;
  const std::string via_;
  Ask ask_;
  /** Longest prefix first. */
  std::vector<Site> sites_;
};

}  // namespace sluice::plane
