// How long an answer may be used (RFC 9111 section 4.2), under an operator's rule.
#pragma once

#include "http/response.h"
#include "objects/object.h"

namespace sluice::http {

/** What the operator says about it. */
struct FreshnessRule {
  /** Whether the origin's Cache-Control and Expires count. */
  bool honour = true;
  /** Where they do not, or say nothing. */
  kernel::Nanos otherwise = kernel::kSecond;
  kernel::Nanos least = 0;
  kernel::Nanos most = 3600 * kernel::kSecond;
  kernel::Nanos stale_if_error = 0;
};

/**
 * For a shared cache: s-maxage before max-age before Expires; no-store, no-cache and private make the answer
 * fresh for no time, so that it serves those who wait for it and nobody else. `least` does not lengthen
 * these, and `stale_if_error` counts neither for them nor with must-revalidate. Numbers that are none count
 * as zero (RFC 9111 section 4.2.1).
 */
objects::Freshness freshness_of(const ResponseHead& head, const FreshnessRule& rule) noexcept;

/** Seconds since 1970 of an IMF-fixdate (RFC 9110 section 5.6.7); -1 when it is none. */
std::int64_t parse_http_date(const std::string& text) noexcept;

}  // namespace sluice::http
