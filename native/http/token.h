// Signed URLs: who may fetch what, and until when.
//
// A token is `KEY.EXPIRY.ADDRESS.SCOPE.SIGNATURE`, each part of the characters A-Z a-z 0-9 - _:
//   KEY        name of the key, 1 to 32 characters
//   EXPIRY     seconds since 1970 from which on it is good no more, in decimal, at most 12 digits
//   ADDRESS    `any`; 8 hexadecimal digits, an IPv4 address; or 16, the first 64 bits of an IPv6 address
//   SCOPE      base64url of a path behind the prefix, which begins with `/`: one that ends in `/` stands for
//              everything below, another for itself
//   SIGNATURE  base64url of HMAC-SHA256 over the realm, a line feed, and the token up to here without the dot
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/address.h"

namespace sluice::http {

struct TokenKey {
  std::string id;
  std::string secret;
};

/** What a place that wants tokens takes for one. */
struct TokenRule {
  /** Tokens for one realm are none for another with the same key. */
  std::string realm;
  /** Several while one takes the place of another; none: nothing is looked at. */
  std::vector<TokenKey> keys;
  /** Whether whoever has no token is turned away. */
  bool required = true;
};

enum class TokenFault : std::uint8_t { none, missing, malformed, key, signature, expired, address, scope };

/** For the viewer, one sentence. */
const char* sentence_of(TokenFault fault) noexcept;

/** A target behind a prefix, taken apart. */
struct TokenTarget {
  /** Empty where there is none. */
  std::string_view token;
  /** What the object is called. */
  std::string_view path;
  std::string query;
};

/**
 * The token of `~TOKEN/PATH`, or else that of the parameter `token`; neither is part of the path and the
 * query that are left. `path` stands behind a prefix, without a slash before it, and must outlive the result.
 */
TokenTarget take_token(std::string_view path, std::string_view query);

/** Whether the token opens the path. `now` in seconds since 1970. */
TokenFault check_token(const TokenRule& rule, const TokenTarget& target, const kernel::Address& client,
                       std::int64_t now);

/** A range of a text that must not be told on. */
struct SecretSpan {
  std::size_t begin;
  std::size_t end;
};

/** The first signature of a token in a target or URL, at `from` or behind it; empty at the end where there is
 * none. */
SecretSpan next_secret(std::string_view text, std::size_t from) noexcept;

}  // namespace sluice::http
