// Tokens: made elsewhere (RFC 2104 with Python's hmac), taken here, and refused for the right reason.
#include "http/token.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice;
using http::check_token;
using http::take_token;
using http::TokenFault;
using http::TokenRule;
using kernel::Address;

namespace {

const TokenRule kRule{"cdn", {{"k1", "0123456789abcdef"}, {"k2", "fedcba9876543210"}}, true};
const std::string kLive = "k1.2000000000.any.L2xpdmUv.F1f3jBLz7Xgb-HBDsS2EGYhOtBHnZkjsPO07qTIlq3k";
const std::string kHome = "k2.2000000000.c0000207.Lw.wMIeCYA-UdOWbR_zzcOfsZX-oCYyCm4OoAqBpiOb1Ls";
const std::string kFilm =
    "k1.2000000000.20010db800000001.L3ZvZC9maWxtLm1wNA.6xdfxEUQPqfqmNb9uA09hXzYc9qs3q-gh0pdl4r0A80";
constexpr std::int64_t kNow = 1'999'999'999;

TokenFault check(const std::string& token, const std::string& path, const char* client = "192.0.2.7",
                 std::int64_t now = kNow, const TokenRule& rule = kRule) {
  const std::string whole = "~" + token + "/" + path;
  return check_token(rule, take_token(whole, ""), *Address::parse(client, 1), now);
}

}  // namespace

TEST_CASE("token: opens what it is for") {
  CHECK(check(kLive, "live/index.m3u8") == TokenFault::none);
  CHECK(check(kLive, "live/") == TokenFault::none);
  CHECK(check(kHome, "") == TokenFault::none);
  CHECK(check(kHome, "any/thing") == TokenFault::none);
  CHECK(check(kHome, "x", "::ffff:192.0.2.7") == TokenFault::none);
  CHECK(check(kFilm, "vod/film.mp4", "2001:db8:0:1::99") == TokenFault::none);
  CHECK(check(kFilm, "vod/film.mp4", "2001:db8:0:1:ffff::") == TokenFault::none);
}

TEST_CASE("token: refused by reason") {
  CHECK(check(kLive, "live/a", "192.0.2.7", kNow + 1) == TokenFault::expired);
  CHECK(check(kLive, "live") == TokenFault::scope);
  CHECK(check(kLive, "vod/a") == TokenFault::scope);
  CHECK(check(kLive, "/live/a") == TokenFault::scope);
  CHECK(check(kFilm, "vod/film.mp4.key", "2001:db8:0:1::99") == TokenFault::scope);
  CHECK(check(kHome, "x", "192.0.2.8") == TokenFault::address);
  CHECK(check(kHome, "x", "2001:db8::1") == TokenFault::address);
  CHECK(check(kFilm, "vod/film.mp4", "2001:db8:0:2::99") == TokenFault::address);
  CHECK(check("k3" + kLive.substr(2), "live/a") == TokenFault::key);
  CHECK(check("k2" + kLive.substr(2), "live/a") == TokenFault::signature);
  TokenRule other = kRule;
  other.realm = "other";
  CHECK(check(kLive, "live/a", "192.0.2.7", kNow, other) == TokenFault::signature);
  other = kRule;
  other.keys.erase(other.keys.begin());
  CHECK(check(kLive, "live/a", "192.0.2.7", kNow, other) == TokenFault::key);
}

TEST_CASE("token: one without, where it is wanted and where it is not") {
  TokenRule rule = kRule;
  const Address client = *Address::parse("192.0.2.7", 1);
  CHECK(check_token(rule, take_token("live/a", "x=1"), client, kNow) == TokenFault::missing);
  CHECK(check_token(rule, take_token("~", ""), client, kNow) == TokenFault::missing);
  CHECK(check_token(rule, take_token("~/live/a", ""), client, kNow) == TokenFault::missing);
  rule.required = false;
  CHECK(check_token(rule, take_token("live/a", ""), client, kNow) == TokenFault::none);
  CHECK(check_token(rule, take_token("live/a", "token=x"), client, kNow) == TokenFault::malformed);
}

TEST_CASE("token: with any one bit other than it was signed, it opens nothing") {
  for (const std::string& good : {kLive, kHome}) {
    for (std::size_t bit = 0; bit < good.size() * 8; bit++) {
      std::string bad = good;
      bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
      CHECK_MESSAGE(check(bad, "live/a") != TokenFault::none, bad);
    }
  }
}

TEST_CASE("token: what is none") {
  for (const std::string& bad :
       {std::string("x"), std::string("...."), std::string("k1.2000000000.any.L2xpdmUv"), kLive + ".",
        "." + kLive, kLive.substr(0, 3), std::string(600, 'a'), std::string(400, '.'),
        "k1.-1" + kLive.substr(13), "k1.9999999999999" + kLive.substr(13),
        "k1.2000000000 " + kLive.substr(13), "k1.2e9" + kLive.substr(13),
        std::string("k1.2000000000.any.L2xpd%.F1f3")})
    CHECK_MESSAGE(check(bad, "live/a") == TokenFault::malformed, bad);
  // Every beginning of one, and bytes of all kinds.
  for (std::size_t n = 0; n < kLive.size(); n++)
    CHECK(check(kLive.substr(0, n), "live/a") != TokenFault::none);
  for (int c = 1; c < 256; c++)
    if (c != '/') CHECK(check(kLive + static_cast<char>(c), "live/a") != TokenFault::none);
}

TEST_CASE("token: is taken off wherever it stands, and nothing else is") {
  struct Row {
    const char* path;
    const char* query;
    const char* token;
    const char* left;
    const char* left_query;
  };
  const Row rows[] = {
      {"a/b.ts", "", "", "a/b.ts", ""},
      {"~t/a/b.ts", "x=1&y", "t", "a/b.ts", "x=1&y"},
      {"~t", "", "t", "", ""},
      {"~t/", "", "t", "", ""},
      {"a/~t/b", "", "", "a/~t/b", ""},
      {"a", "token=t", "t", "a", ""},
      {"a", "x=1&token=t&y=2", "t", "a", "x=1&y=2"},
      {"a", "token=t&token=u", "t", "a", ""},
      {"a", "tokens=t&mytoken=u&Token=v", "", "a", "tokens=t&mytoken=u&Token=v"},
      {"~p/a", "token=q", "p", "a", ""},
      {"a", "&&x", "", "a", "x"},
  };
  for (const Row& row : rows) {
    const auto target = take_token(row.path, row.query);
    CHECK_MESSAGE(target.token == row.token, row.path);
    CHECK_MESSAGE(target.path == row.left, row.path);
    CHECK_MESSAGE(target.query == row.left_query, row.query);
  }
}
