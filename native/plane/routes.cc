#include "plane/routes.h"

#include <charconv>

#include "http/object_answer.h"
#include "plane/viewer.h"

namespace sluice::plane {

using http::Answer;

namespace {

constexpr const char* kTypeTs = "video/mp2t";
constexpr const char* kTypePlaylist = "application/vnd.apple.mpegurl";
constexpr std::string_view kSegmentSuffix = ".ts";

Answer not_found() {
  return http::answer_with_text(404, "there is nothing at this address\n");
}

Answer not_yet() {
  return http::answer_with_text(503, "the source has not given a picture yet\n", 1);
}

}  // namespace

std::optional<std::uint64_t> stream_of(const Route& route) noexcept {
  if (const auto* r = std::get_if<ContinuousRoute>(&route)) return r->stream;
  if (const auto* r = std::get_if<PlaylistRoute>(&route)) return r->stream;
  if (const auto* r = std::get_if<SegmentsRoute>(&route)) return r->stream;
  if (const auto* r = std::get_if<PacketsRoute>(&route)) return r->stream;
  return std::nullopt;
}

Answer Routes::resolve(const http::Request& request, const kernel::Address& remote) {
  const auto at = routes_.find(request.path);
  if (at == routes_.end()) {
    if (auto a = segment(request.path)) return std::move(*a);
    if (auto a = relays_ != nullptr ? relays_->resolve(request) : std::nullopt) return std::move(*a);
    if (auto a = sites_ != nullptr ? sites_->resolve(request, remote) : std::nullopt) return std::move(*a);
    return rest_ ? http::answer_elsewhere(*rest_) : not_found();
  }
  const auto& [known, elsewhere] = at->second;
  if (elsewhere) return http::answer_elsewhere(*elsewhere);
  if (const auto* route = std::get_if<StaticRoute>(&known)) return answer(*route);
  if (const auto* route = std::get_if<ContinuousRoute>(&known)) return answer(*route);
  if (const auto* route = std::get_if<PlaylistRoute>(&known)) return answer(*route);
  if (const auto* route = std::get_if<PacketsRoute>(&known)) return answer(*route, request);
  return not_found();
}

Answer Routes::answer(const StaticRoute& route) {
  Answer a;
  a.content_type = route.content_type.c_str();
  a.cache_control = route.cache_control.c_str();
  a.text = route.body;
  return a;
}

Answer Routes::answer(const ContinuousRoute& route) {
  Stream* const stream = find_(route.stream);
  if (stream == nullptr) return not_found();
  if (stream->newest_access_point() == nullptr) return not_yet();
  Answer a;
  a.content_type = kTypeTs;
  a.cache_control = "no-store";
  a.source = stream->name();
  a.body = std::make_unique<FollowerBody>(*stream, route.stream, viewer_lag_);
  return a;
}

Answer Routes::answer(const PlaylistRoute& route) {
  Stream* const stream = find_(route.stream);
  if (stream == nullptr) return not_found();
  Answer a;
  a.text = stream->segmenter().playlist(route.prefix);
  if (!a.text) return not_yet();
  a.content_type = kTypePlaylist;
  a.source = stream->name();
  a.segmented_stream = route.stream;
  return a;
}

Answer Routes::answer(const PacketsRoute& route, const http::Request& request) {
  Stream* const stream = find_(route.stream);
  return stream == nullptr ? not_found() : route.repair->answer(*stream, request, kernel::monotonic_now());
}

/** None when no stream has its segments there. */
std::optional<Answer> Routes::segment(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return std::nullopt;
  const auto at = routes_.find(path.substr(0, slash + 1));
  if (at == routes_.end()) return std::nullopt;
  if (at->second.elsewhere) return http::answer_elsewhere(*at->second.elsewhere);
  const auto* const route = std::get_if<SegmentsRoute>(&at->second.route);
  Stream* const stream = route != nullptr ? find_(route->stream) : nullptr;
  if (stream == nullptr) return not_found();
  const std::string_view name = std::string_view(path).substr(slash + 1);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() ||
      std::string_view(end, static_cast<std::size_t>(name.data() + name.size() - end)) != kSegmentSuffix)
    return not_found();
  stream->segmenter().expire(stream->ring().oldest_position());
  const Segment* const segment = stream->segmenter().find(number);
  if (segment == nullptr) return not_found();
  Answer a;
  a.content_type = kTypeTs;
  a.cache_control = "max-age=60";
  a.source = stream->name();
  a.length = segment->size();
  a.body = std::make_unique<SegmentBody>(*stream, *segment);
  a.segmented_stream = route->stream;
  return a;
}

void Routes::on_sent(std::uint64_t stream, std::uint64_t bytes) noexcept {
  if (Stream* const s = find_(stream)) kernel::bump(s->counters().viewer_bytes, bytes);
}

}  // namespace sluice::plane
