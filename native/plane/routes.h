// What the viewers' front answers for a path.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <variant>

#include "http/body.h"
#include "plane/range_repair.h"
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
struct PacketsRoute {
  std::uint64_t stream;
  /** Used on the stream's loop only. */
  std::shared_ptr<RangeRepair> repair;
};
using Route = std::variant<StaticRoute, ContinuousRoute, PlaylistRoute, SegmentsRoute, PacketsRoute>;

/** Finds a stream by its handle, or null. */
using StreamFinder = std::function<Stream*(std::uint64_t handle)>;

/** The stream that a route leads to; none of a static one. */
[[nodiscard]] std::optional<std::uint64_t> stream_of(const Route& route) noexcept;

/** The table of paths of one loop, shared by all listeners. On its thread. */
class Routes final : public http::Router {
 public:
  explicit Routes(StreamFinder find) : find_(std::move(find)) {}

  /** `elsewhere` is the loop that answers it, where that is another. */
  void set(const std::string& path, Route route, std::optional<std::uint32_t> elsewhere = std::nullopt) {
    routes_.insert_or_assign(path, Known{std::move(route), elsewhere});
  }
  void erase(const std::string& path) { routes_.erase(path); }
  /** Where to look for paths that are not in the table. */
  void set_sites(Sites* sites) noexcept { sites_ = sites; }
  /** Where to look before the sites. */
  void set_relays(Relays* relays) noexcept { relays_ = relays; }
  /** Or the loop that knows. */
  void set_rest(std::uint32_t loop) noexcept { rest_ = loop; }
  void set_viewer_lag(Nanos lag) noexcept { viewer_lag_ = lag; }

  http::Answer resolve(const http::Request& request, const kernel::Address& remote) override;
  http::Answer follow(std::uint64_t stream) override { return answer(ContinuousRoute{stream}); }
  void on_sent(std::uint64_t stream, std::uint64_t bytes) noexcept override;

 private:
  struct Known {
    Route route;
    std::optional<std::uint32_t> elsewhere;
  };
  http::Answer answer(const StaticRoute& route);
  http::Answer answer(const ContinuousRoute& route);
  http::Answer answer(const PlaylistRoute& route);
  http::Answer answer(const PacketsRoute& route, const http::Request& request);
  std::optional<http::Answer> segment(const std::string& path);

  StreamFinder find_;
  std::unordered_map<std::string, Known> routes_;
  Relays* relays_ = nullptr;
  Sites* sites_ = nullptr;
  std::optional<std::uint32_t> rest_;
  Nanos viewer_lag_ = 10 * kernel::kSecond;
};

}  // namespace sluice::plane
