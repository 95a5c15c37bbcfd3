// What the viewers' front answers for a path.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <variant>

#include "http/body.h"
#include "plane/relays.h"
#include "plane/sites.h"
#include "plane/stream.h"

namespace sluice::plane {

struct StaticRoute {
  std::string content_type;
  std::string cache_control;
  std::shared_ptr<const std::string> body;
};
struct ContinuousRoute {
  std::uint64_t stream;
};
struct PlaylistRoute {
  std::uint64_t stream;
  std::string prefix;
};
struct SegmentsRoute {
  std::uint64_t stream;
};
using Route = std::variant<StaticRoute, ContinuousRoute, PlaylistRoute, SegmentsRoute>;

/** Finds a stream by its handle, or null. */
using StreamFinder = std::function<Stream*(std::uint64_t handle)>;

/** The table of paths, shared by all listeners. On the loop thread. */
class Routes final : public http::Router {
 public:
  explicit Routes(StreamFinder find) : find_(std::move(find)) {}

  void set(const std::string& path, Route route) { routes_.insert_or_assign(path, std::move(route)); }
  void erase(const std::string& path) { routes_.erase(path); }
  /** Where to look for paths that are not in the table. */
  void set_sites(Sites* sites) noexcept { sites_ = sites; }
  /** Where to look before the sites. */
  void set_relays(Relays* relays) noexcept { relays_ = relays; }
  void set_viewer_lag(Nanos lag) noexcept { viewer_lag_ = lag; }

  http::Answer resolve(const http::Request& request, const kernel::Address& remote) override;
  void on_sent(std::uint64_t stream, std::uint64_t bytes) noexcept override;
  /** The answer of a continuous stream. */
  http::Answer follow(std::uint64_t stream) { return answer(ContinuousRoute{stream}); }

 private:
  http::Answer answer(const StaticRoute& route);
  http::Answer answer(const ContinuousRoute& route);
  http::Answer answer(const PlaylistRoute& route);
  std::optional<http::Answer> segment(const std::string& path);

  StreamFinder find_;
  std::unordered_map<std::string, Route> routes_;
  Relays* relays_ = nullptr;
  Sites* sites_ = nullptr;
  Nanos viewer_lag_ = 10 * kernel::kSecond;
};

}  // namespace sluice::plane
