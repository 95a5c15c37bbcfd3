#include "plane/ways.h"

#include <strings.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "http/request.h"

namespace sluice::plane {

namespace {

/** Marks the ids of our requests; TypeScript's are below 2^53. */
constexpr std::uint64_t kOurs = std::uint64_t{1} << 63;

bool ends_with(std::string_view path, const std::string& end) noexcept {
  return path.size() >= end.size() &&
         strncasecmp(path.data() + path.size() - end.size(), end.data(), end.size()) == 0;
}

}  // namespace

Way* Ways::known(const WantedObject& wanted) {
  const auto at = ways_.find(wanted.site);
  if (at == ways_.end() || store_.reactor().now() >= at->second.until) return nullptr;
  const std::string_view path = std::string_view(wanted.target).substr(0, wanted.target.find('?'));
  const auto& but = at->second.but;
  const bool document =
      std::any_of(but.begin(), but.end(), [&](const auto& end) { return ends_with(path, end); });
  return document ? nullptr : &at->second;
}

bool Ways::go(const WantedObject& wanted) {
  const Way* const way = known(wanted);
  if (way == nullptr) return false;
  auto fields = way->fields;
  if (!wanted.etag.empty()) fields.emplace_back("if-none-match", wanted.etag);
  if (!wanted.last_modified.empty()) fields.emplace_back("if-modified-since", wanted.last_modified);
  auto head = http::make_get_head(way->host, way->base + wanted.target, fields);
  if (!head.ok()) return false;
  FetchRequest request{kOurs | wanted.ticket, way->http, way->timeouts, wanted.ticket, way->freshness};
  request.http.head = std::move(head.value());
  std::uint64_t& fetched = *way->fetched;
  if (!fetchers_->request(std::move(request))) return false;
  kernel::bump(fetched);
  return true;
}

void Ways::want(WantedObject wanted) {
  // Noted before: a request may end within the call that begins it.
  const std::uint64_t ticket = wanted.ticket;
  const auto at = under_way_.emplace(ticket, wanted).first;
  if (go(wanted)) return;
  under_way_.erase(at);
  ask_({std::move(wanted), {}});
}

bool Ways::take(UpstreamResult& result) {
  if ((result.request & kOurs) == 0) return false;
  const auto at = under_way_.find(result.request & ~kOurs);
  if (at == under_way_.end()) return true;
  WantedObject wanted = std::move(at->second);
  under_way_.erase(at);
  // Landed: with an object, or because nobody waits any more.
  if (!store_.flight(wanted.ticket)) return true;
  const bool unreached = result.code != nullptr && std::strcmp(result.code, "UPSTREAM_CONNECT") == 0;
  if (unreached) ways_.erase(wanted.site);
  ask_({std::move(wanted), unreached ? UpstreamResult{} : std::move(result)});
  return true;
}

}  // namespace sluice::plane
