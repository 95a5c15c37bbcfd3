#include "http/freshness.h"

#include <strings.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <optional>
#include <string_view>

namespace sluice::http {

using kernel::kSecond;
using kernel::Nanos;

namespace {

/** More than a year is as good as for ever (RFC 9111 section 1.2.2 asks for 2^31 at least). */
constexpr std::int64_t kMostSeconds = std::int64_t{1} << 31;

struct CacheControl {
  std::optional<std::int64_t> max_age;
  std::optional<std::int64_t> shared_max_age;
  bool never = false;
  /** Not even in the place of an origin that fails (RFC 9111 section 4.2.4). */
  bool never_stale = false;
};

std::string_view trim(std::string_view text) noexcept {
  const std::size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

bool same(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::int64_t seconds_of(std::string_view text) noexcept {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (end != text.data() + text.size()) return 0;
  if (error == std::errc::result_out_of_range) return text.front() == '-' ? 0 : kMostSeconds;
  if (error != std::errc{}) return 0;
  return std::clamp<std::int64_t>(value, 0, kMostSeconds);
}

void take_directive(CacheControl& control, std::string_view directive) noexcept {
  const std::size_t equals = directive.find('=');
  const std::string_view name = trim(directive.substr(0, equals));
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view{} : trim(directive.substr(equals + 1));
  if (same(name, "max-age")) {
    control.max_age = seconds_of(value);
  } else if (same(name, "s-maxage")) {
    control.shared_max_age = seconds_of(value);
  } else if (same(name, "no-store") || same(name, "no-cache") || same(name, "private")) {
    control.never = control.never_stale = true;
  } else if (same(name, "must-revalidate") || same(name, "proxy-revalidate")) {
    control.never_stale = true;
  }
}

CacheControl parse_cache_control(const std::string* field) noexcept {
  CacheControl control;
  std::string_view rest = field != nullptr ? std::string_view(*field) : std::string_view{};
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    take_directive(control, rest.substr(0, comma));
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  return control;
}

/** Expires less Date; none where there is no Expires. */
std::optional<std::int64_t> until_expiry(const ResponseHead& head) noexcept {
  const std::string* const expires = head.find("expires");
  if (expires == nullptr) return std::nullopt;
  const std::int64_t then = parse_http_date(*expires);
  const std::string* const date = head.find("date");
  const std::int64_t parsed = date != nullptr ? parse_http_date(*date) : -1;
  const std::int64_t now = parsed >= 0 ? parsed : static_cast<std::int64_t>(std::time(nullptr));
  // RFC 9111 section 5.3: what is no date has expired.
  return then < 0 ? 0 : std::clamp<std::int64_t>(then - now, 0, kMostSeconds);
}

}  // namespace

std::int64_t parse_http_date(const std::string& text) noexcept {
  std::tm utc{};
  const char* const end = strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return end != nullptr && *end == '\0' ? static_cast<std::int64_t>(timegm(&utc)) : -1;
}

objects::Freshness freshness_of(const ResponseHead& head, const FreshnessRule& rule) noexcept {
  objects::Freshness result;
  const std::string* const age = head.find("age");
  result.age = (age != nullptr ? seconds_of(*age) : 0) * kSecond;
  const CacheControl control = rule.honour ? parse_cache_control(head.find("cache-control")) : CacheControl{};
  if (!control.never_stale) result.stale_if_error = rule.stale_if_error;
  if (control.never) return result;
  std::optional<std::int64_t> seconds = control.shared_max_age ? control.shared_max_age : control.max_age;
  if (!seconds && rule.honour) seconds = until_expiry(head);
  const Nanos life = seconds ? *seconds * kSecond - result.age : rule.otherwise;
  result.fresh = std::clamp(life, rule.least, std::max(rule.least, rule.most));
  return result;
}

}  // namespace sluice::http
