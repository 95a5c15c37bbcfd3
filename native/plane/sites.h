// Prefixes of the front behind which objects stand.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "http/body.h"
#include "objects/store.h"

namespace sluice::plane {

struct SiteOptions {
  /** Begins and ends with a slash. */
  std::string prefix;
  /** Whether the query is part of an object's name; else it is ignored. */
  bool query = true;
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

  /** False when another site has the prefix. */
  bool set(std::uint64_t site, SiteOptions options);
  void erase(std::uint64_t site);
  /** The answer, or none when the path is of no site. */
  std::optional<http::Answer> resolve(const http::Request& request);
  /** Forgets what a site has of a path and all below it. */
  std::size_t purge(std::uint64_t site, const std::string& path);

 private:
  struct Site {
    std::uint64_t handle;
    SiteOptions options;
  };
  http::Answer answer(const Site& site, const http::Request& request);

  objects::Store& store_;
  const std::string via_;
  Ask ask_;
  /** Longest prefix first. */
  std::vector<Site> sites_;
};

}  // namespace sluice::plane
