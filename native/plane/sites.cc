#include "plane/sites.h"

#include <algorithm>
#include <ctime>
#include <string_view>
#include <utility>

#include "http/object_answer.h"
#include "kernel/counter.h"

namespace sluice::plane {

using http::Answer;
using http::TokenFault;

namespace {

/** `.` as it may be written: itself, or %2e. How many characters it takes, or 0. */
std::size_t dot_at(std::string_view text) noexcept {
  if (text.starts_with('.')) return 1;
  return text.starts_with("%2e") || text.starts_with("%2E") ? 3 : 0;
}

bool dot_segment(std::string_view segment) noexcept {
  for (int dots = 0; dots < 3; dots++) {
    // Some servers take what follows a semicolon for no part of the segment.
    if (segment.empty() || segment.front() == ';') return dots > 0;
    const std::size_t n = dot_at(segment);
    if (n == 0) return false;
    segment.remove_prefix(n);
  }
  return false;
}

bool plain(std::string_view target) noexcept {
  return std::all_of(target.begin(), target.end(), [](char c) {
    return c > ' ' && c != '\\' && c != '#' && c != '\x7f' && static_cast<unsigned char>(c) < 0x80;
  });
}

/**
 * Whether a path could mean another one at the origin than it does here: dot segments (RFC 3986
 * section 5.2.4), slashes that are written as something else.
 */
bool treacherous(std::string_view path) noexcept {
  for (const std::string_view coded : {"%2f", "%2F", "%5c", "%5C", "%00"})
    if (path.find(coded) != std::string_view::npos) return true;
  while (!path.empty()) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    if (dot_segment(path.substr(0, slash))) return true;
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return false;
}

/** Whether one of the members of a Via field (RFC 9110 section 7.6.3) is `via`, comment or not. */
bool names(std::string_view field, std::string_view via) noexcept {
  for (std::size_t at = field.find(via); at != std::string_view::npos; at = field.find(via, at + 1)) {
    const std::size_t end = at + via.size();
    const bool begins = at == 0 || field[at - 1] == ',' || field[at - 1] == ' ' || field[at - 1] == '\t';
    const bool ends = end == field.size() || field[end] == ',' || field[end] == ' ' || field[end] == '\t';
    if (begins && ends) return true;
  }
  return false;
}

std::string key_of(std::uint64_t site, std::string_view target) {
  return std::to_string(site).append(":").append(target);
}

std::uint64_t& counter_of(SiteCounters& counters, TokenFault fault) noexcept {
  switch (fault) {
    case TokenFault::missing:
      return counters.token_missing;
    case TokenFault::malformed:
      return counters.token_malformed;
    case TokenFault::key:
      return counters.token_key;
    case TokenFault::signature:
      return counters.token_signature;
    case TokenFault::expired:
      return counters.token_expired;
    case TokenFault::address:
      return counters.token_address;
    case TokenFault::scope:
      return counters.token_scope;
    case TokenFault::none:
      break;
  }
  return counters.tokens_accepted;
}

}  // namespace

bool Sites::set(std::uint64_t site, SiteOptions options, SiteCounters& counters) {
  const bool taken = std::any_of(sites_.begin(), sites_.end(), [&](const Site& other) {
    return other.handle != site && other.options.prefix == options.prefix;
  });
  if (taken) return false;
  std::erase_if(sites_, [&](const Site& other) { return other.handle == site; });
  const auto at = std::find_if(sites_.begin(), sites_.end(), [&](const Site& other) {
    return other.options.prefix.size() < options.prefix.size();
  });
  auto name = std::make_shared<const std::string>(options.name);
  sites_.insert(at, {site, std::move(options), std::move(name), &counters});
  return true;
}

bool Sites::set_tokens(std::uint64_t site, http::TokenRule rule) {
  const auto at =
      std::find_if(sites_.begin(), sites_.end(), [&](const Site& other) { return other.handle == site; });
  if (at != sites_.end()) at->options.tokens = std::move(rule);
  return at != sites_.end();
}

void Sites::erase(std::uint64_t site) {
  std::erase_if(sites_, [&](const Site& other) { return other.handle == site; });
  store_.refuse_wanted(key_of(site, ""), {404, 0, "there is no such site any more"});
  store_.purge(key_of(site, ""));
}

std::size_t Sites::purge(std::uint64_t site, const std::string& path) {
  return store_.purge(key_of(site, path));
}

std::optional<Answer> Sites::resolve(const http::Request& request, const kernel::Address& remote) {
  const auto at = std::find_if(sites_.begin(), sites_.end(), [&](const Site& site) {
    return request.path.starts_with(site.options.prefix);
  });
  if (at == sites_.end()) return std::nullopt;
  Answer known = answer(*at, request, remote);
  known.source = at->name;
  return known;
}

Answer Sites::answer(const Site& site, const http::Request& request, const kernel::Address& remote) {
  if (treacherous(request.path) || !plain(request.path) || !plain(request.query))
    return http::answer_with_text(400, "the target has dot segments, or characters that no target has\n");
  // RFC 9110 section 7.6.3: our own name in Via is a loop.
  if (names(request.via, via_))
    return http::answer_with_text(508, "the request has passed here before (Via)\n");
  const std::string_view path = std::string_view(request.path).substr(site.options.prefix.size());
  http::TokenTarget wanted{{}, path, {}};
  if (site.options.tokens.keys.empty()) {
    wanted.query = request.query;
  } else {
    wanted = http::take_token(path, request.query);
    const auto fault = http::check_token(site.options.tokens, wanted, remote, std::time(nullptr));
    if (fault != TokenFault::none || !wanted.token.empty()) kernel::bump(counter_of(*site.counters, fault));
    if (fault != TokenFault::none) return http::answer_with_text(403, http::sentence_of(fault));
  }
  std::string target(wanted.path);
  if (site.options.query && !wanted.query.empty()) target.append("?").append(wanted.query);
  return object(site, request, std::move(target));
}

Answer Sites::object(const Site& site, const http::Request& request, std::string target) {
  const objects::Found found = store_.want(key_of(site.handle, target));
  const char* cache = "hit";
  if (found.first) {
    cache = "miss";
    WantedObject wanted{site.handle, found.object->ticket(), std::move(target), {}, {}};
    if (const auto before = store_.current(found.object->key());
        before && before->phase() == objects::Phase::complete && before->head().status == 200) {
      wanted.etag = before->head().etag;
      wanted.last_modified = before->head().last_modified;
    }
    ask_(std::move(wanted));
  } else if (found.object->phase() != objects::Phase::complete) {
    cache = "join";
  }
  return http::answer_with(found.object, request, {cache, store_.reactor()});
}

}  // namespace sluice::plane
