#include "http/token.h"

#include <strings.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <optional>

#include "http/client_key.h"
#include "secure/hmac.h"

namespace sluice::http {

namespace {

constexpr std::size_t kMostToken = 512;
constexpr std::size_t kMostKey = 32;
constexpr std::size_t kMostExpiry = 12;
constexpr std::string_view kParameter = "token=";
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

struct Token {
  std::string_view key;
  std::string_view address;
  std::string_view scope;
  std::string_view signature;
  std::string_view is_signed;
  std::int64_t expiry = 0;
};

/** The part up to the next dot, which is taken off, too; of the last part all. */
std::string_view take_part(std::string_view& rest) noexcept {
  const std::size_t dot = std::min(rest.find('.'), rest.size());
  const std::string_view part = rest.substr(0, dot);
  rest.remove_prefix(std::min(dot + 1, rest.size()));
  return part;
}

std::optional<Token> parse(std::string_view text) noexcept {
  if (text.size() > kMostToken || std::count(text.begin(), text.end(), '.') != 4) return std::nullopt;
  Token token;
  std::string_view rest = text;
  token.key = take_part(rest);
  const std::string_view expiry = take_part(rest);
  token.address = take_part(rest);
  token.scope = take_part(rest);
  token.signature = rest;
  token.is_signed = text.substr(0, text.size() - rest.size() - 1);
  if (token.key.empty() || token.key.size() > kMostKey || expiry.empty() || expiry.size() > kMostExpiry)
    return std::nullopt;
  const auto [end, error] = std::from_chars(expiry.data(), expiry.data() + expiry.size(), token.expiry);
  if (error != std::errc() || end != expiry.data() + expiry.size() || token.expiry < 0) return std::nullopt;
  return token;
}

/** base64url without padding (RFC 4648 section 5). */
std::string encoded(std::string_view bytes) {
  std::string text;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : bytes) {
    bits = bits << 8 | static_cast<std::uint8_t>(c);
    for (held += 8; held >= 6; held -= 6) text += kAlphabet[bits >> (held - 6) & 63];
  }
  if (held > 0) text += kAlphabet[bits << (6 - held) & 63];
  return text;
}

/** None where there are other characters. The bits that are over are not looked at. */
std::optional<std::string> decoded(std::string_view text) {
  std::string bytes;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    const std::size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    held += 6;
    if (held < 8) continue;
    held -= 8;
    bytes += static_cast<char>(bits >> held & 0xff);
  }
  return bytes;
}

bool signed_by(const TokenKey& key, const std::string& realm, const Token& token) {
  const auto mac = secure::hmac_sha256(key.secret, (realm + "\n").append(token.is_signed));
  if (!mac) return false;
  return secure::same_secret(token.signature,
                             encoded({reinterpret_cast<const char*>(mac->data()), mac->size()}));
}

bool is_for(std::string_view address, const kernel::Address& client) noexcept {
  if (address == "any") return true;
  const ClientKey key = client_key(client);
  std::array<char, 17> text{};
  if (key.ipv4 != 0)
    std::snprintf(text.data(), text.size(), "%08x", key.ipv4);
  else
    std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(key.network));
  return address == text.data();
}

bool covers(std::string_view scope, std::string_view path) noexcept {
  if (!scope.starts_with('/')) return false;
  scope.remove_prefix(1);
  return scope.empty() || scope.ends_with('/') ? path.starts_with(scope) : path == scope;
}

}  // namespace

const char* sentence_of(TokenFault fault) noexcept {
  switch (fault) {
    case TokenFault::missing:
      return "a token is needed, and there is none\n";
    case TokenFault::malformed:
      return "the token is not one\n";
    case TokenFault::key:
      return "the token is of a key that is not known here\n";
    case TokenFault::signature:
      return "the token is not signed by its key for this place\n";
    case TokenFault::expired:
      return "the token has expired\n";
    case TokenFault::address:
      return "the token is for another address\n";
    case TokenFault::scope:
      return "the token is for another path\n";
    case TokenFault::none:
      break;
  }
  return "";
}

TokenTarget take_token(std::string_view path, std::string_view query) {
  TokenTarget target{{}, path, {}};
  if (path.starts_with('~')) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    target.token = path.substr(1, slash - 1);
    target.path = path.substr(std::min(slash + 1, path.size()));
  }
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view parameter = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (!parameter.starts_with(kParameter))
      target.query.append(target.query.empty() ? "" : "&").append(parameter);
    else if (target.token.empty())
      target.token = parameter.substr(kParameter.size());
  }
  return target;
}

TokenFault check_token(const TokenRule& rule, const TokenTarget& target, const kernel::Address& client,
                       std::int64_t now) {
  if (target.token.empty()) return rule.required ? TokenFault::missing : TokenFault::none;
  const auto token = parse(target.token);
  const auto scope = token ? decoded(token->scope) : std::nullopt;
  if (!scope) return TokenFault::malformed;
  const auto key = std::find_if(rule.keys.begin(), rule.keys.end(),
                                [&](const TokenKey& one) { return one.id == token->key; });
  if (key == rule.keys.end()) return TokenFault::key;
  // What it says counts only when it is genuine.
  if (!signed_by(*key, rule.realm, *token)) return TokenFault::signature;
  if (now >= token->expiry) return TokenFault::expired;
  if (!is_for(token->address, client)) return TokenFault::address;
  return covers(*scope, target.path) ? TokenFault::none : TokenFault::scope;
}

SecretSpan next_secret(std::string_view text, std::size_t from) noexcept {
  for (std::size_t at = from; at < text.size(); at++) {
    const char before = at > 0 ? text[at - 1] : '\0';
    const std::string_view rest = text.substr(at);
    std::size_t skip = 0;
    std::string_view ends = "/?#";
    if (before == '/' && rest.starts_with('~')) {
      skip = 1;
    } else if (before == '/' && rest.size() >= 3 && strncasecmp(rest.data(), "%7e", 3) == 0) {
      skip = 3;
    } else if ((before == '?' || before == '&') && rest.starts_with(kParameter)) {
      skip = kParameter.size();
      ends = "&#";
    } else {
      continue;
    }
    const std::size_t end = std::min(text.find_first_of(ends, at + skip), text.size());
    const std::size_t dot = text.substr(at + skip, end - at - skip).rfind('.');
    const std::size_t begin = at + skip + (dot == std::string_view::npos ? 0 : dot + 1);
    // A path may have segments like a home folder's; only what looks like a token is one.
    if (begin < end && (dot != std::string_view::npos || ends.front() == '&')) return {begin, end};
    at = std::max(at, end > 0 ? end - 1 : 0);
  }
  return {text.size(), text.size()};
}

}  // namespace sluice::http
