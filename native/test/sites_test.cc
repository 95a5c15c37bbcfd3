// From a request's target to an object's name: which paths are of a site, and which are of none.
#include "plane/sites.h"

#include <doctest/doctest.h>

#include <vector>

#include "test/store_bed.h"

using namespace sluice;

namespace {

struct Bed : test::StoreBed {
  http::Request get(const std::string& path, const std::string& query = "") const {
    http::Request request;
    request.method = http::Request::Method::get;
    request.path = path;
    request.query = query;
    return request;
  }
  std::optional<http::Answer> ask(const std::string& path, const std::string& query = "") {
    return sites.resolve(get(path, query), client);
  }
  bool set(std::uint64_t site, plane::SiteOptions options) {
    return sites.set(site, std::move(options), tokens);
  }
  const kernel::Address client = *kernel::Address::parse("192.0.2.7", 1234);
  plane::SiteCounters tokens{};
  std::vector<plane::WantedObject> wanted;
  plane::Sites sites{*store, "1.1 us",
                     [this](plane::WantedObject object) { wanted.push_back(std::move(object)); }};
};

}  // namespace

TEST_CASE("sites: the longest prefix counts; nobody else's path is taken; one prefix has one site") {
  Bed bed;
  CHECK(bed.set(1, {"/a/", true}));
  CHECK(bed.set(2, {"/a/b/", true}));
  CHECK(bed.set(3, {"/ab/", true}));
  CHECK_FALSE(bed.set(4, {"/a/", true}));
  CHECK(bed.set(1, {"/a/", true}));
  for (const char* path : {"/", "/a", "/abc/x", "/b/a/x"}) CHECK_FALSE(bed.ask(path));
  bed.ask("/a/b/c");
  bed.ask("/a/bc");
  bed.ask("/ab/");
  bed.ask("/a/b");
  REQUIRE(bed.wanted.size() == 4);
  CHECK(bed.wanted[0].site == 2);
  CHECK(bed.wanted[0].target == "c");
  CHECK(bed.wanted[1].site == 1);
  CHECK(bed.wanted[1].target == "bc");
  CHECK(bed.wanted[2].site == 3);
  CHECK(bed.wanted[2].target.empty());
  CHECK(bed.wanted[3].target == "b");
  bed.sites.erase(2);
  bed.ask("/a/b/c");
  CHECK(bed.wanted.back().site == 1);
}

TEST_CASE("sites: paths that could mean others at the origin are refused, however they are written") {
  Bed bed;
  REQUIRE(bed.set(1, {"/s/", true}));
  for (const char* path :
       {"/s/..",     "/s/../x",   "/s/a/../../x", "/s/.",       "/s/./x",       "/s/%2e%2e/x", "/s/%2E%2E/x",
        "/s/.%2e/x", "/s/%2e./x", "/s/%2e",       "/s/a/%2E/x", "/s/..%2fx",    "/s/a%2Fb",    "/s/..%5cx",
        "/s/a%5Cb",  "/s/a\\b",   "/s/..\\x",     "/s/a%00",    "/s/..;/x",     "/s/..;a=b/x", "/s/%2e%2e;/x",
        "/s/.;/x",   "/s/a b",    "/s/a\tb",      "/s/a\x7f",   "/s/a\xc3\xa4", "/s/a#b"}) {
    CAPTURE(path);
    const auto answer = bed.ask(path);
    REQUIRE(answer);
    CHECK(answer->status == 400);
  }
  CHECK(bed.ask("/s/x", "a b")->status == 400);
  CHECK(bed.wanted.empty());
  for (const char* path : {"/s/...", "/s/..a/x", "/s/a..", "/s/.a", "/s/a;b", "/s/%252e%252e/x", "/s//x",
                           "/s/a%20b", "/s/%2e%2e%2e", "/s/%2ea"}) {
    CAPTURE(path);
    CHECK(bed.ask(path)->pending);
  }
}

TEST_CASE("sites: the query is part of a name, or not, and is never looked at for paths") {
  Bed bed;
  REQUIRE(bed.set(1, {"/q/", true}));
  REQUIRE(bed.set(2, {"/n/", false}));
  bed.ask("/q/x", "a=1");
  bed.ask("/q/x", "a=/../%2f");
  bed.ask("/q/x");
  bed.ask("/n/x", "a=1");
  bed.ask("/n/x", "a=2");
  REQUIRE(bed.wanted.size() == 4);
  CHECK(bed.wanted[0].target == "x?a=1");
  CHECK(bed.wanted[1].target == "x?a=/../%2f");
  CHECK(bed.wanted[2].target == "x");
  CHECK(bed.wanted[3].target == "x");
}

TEST_CASE("sites: a request that has passed here is a loop; one that has passed a namesake's kin is none") {
  Bed bed;
  REQUIRE(bed.set(1, {"/s/", true}));
  for (const char* via : {"1.1 us", "1.0 other, 1.1 us", "1.1 us (comment), 1.1 x", "1.1 x,1.1 us"}) {
    CAPTURE(via);
    http::Request request = bed.get("/s/x");
    request.via = via;
    CHECK(bed.sites.resolve(request, bed.client)->status == 508);
  }
  for (const char* via : {"1.1 us2", "1.1 bus", "2.1.1 us", "1.1 other"}) {
    CAPTURE(via);
    http::Request request = bed.get("/s/x");
    request.via = via;
    CHECK(bed.sites.resolve(request, bed.client)->pending);
  }
}

TEST_CASE("sites: validators of what is no longer fresh go with the question; a purge is of one site") {
  Bed bed;
  REQUIRE(bed.set(1, {"/s/", true}));
  REQUIRE(bed.set(11, {"/t/", true}));
  bed.ask("/s/x");
  bed.ask("/t/x");
  for (const auto& wanted : bed.wanted) {
    CHECK(wanted.etag.empty());
    const auto object = bed.store->flight(wanted.ticket);
    objects::Head head;
    head.etag = "\"v1\"";
    head.last_modified = "yesterday";
    REQUIRE_FALSE(bed.store->begin(object, head, {1, 0, 0}));
    bed.store->complete(object);
  }
  bed.turn();
  CHECK(bed.sites.purge(1, "y") == 0);
  bed.ask("/s/x");
  CHECK(bed.wanted.back().etag == "\"v1\"");
  CHECK(bed.wanted.back().last_modified == "yesterday");
  CHECK(bed.sites.purge(1, "") == 1);
  CHECK(bed.counters.objects == 1);
}

TEST_CASE("sites: those who wait for something of a site that goes are told at once") {
  Bed bed;
  REQUIRE(bed.set(1, {"/s/", true}));
  const auto answer = bed.ask("/s/x");
  const auto object = bed.store->flight(bed.wanted.at(0).ticket);
  bed.sites.erase(1);
  CHECK(object->phase() == objects::Phase::refused);
  CHECK(answer->pending->take()->status == 404);
  CHECK_FALSE(bed.ask("/s/x"));
}

TEST_CASE(
    "sites: a token is looked at by the site that the path is of, and is no part of the object's name") {
  // For realm cdn, good until 2033, from native/test/token_test.cc.
  const std::string token = "k1.2000000000.any.L2xpdmUv.F1f3jBLz7Xgb-HBDsS2EGYhOtBHnZkjsPO07qTIlq3k";
  const http::TokenRule rule{"cdn", {{"k1", "0123456789abcdef"}}, true};
  Bed bed;
  REQUIRE(bed.set(1, {"/a/", true, "a", rule}));
  REQUIRE(bed.set(2, {"/a/live/", true, "b", {}}));
  REQUIRE(bed.set(3, {"/c/", true, "c", {}}));
  CHECK(bed.ask("/a/~" + token + "/live/x.ts", "q=1")->pending);
  CHECK(bed.ask("/a/~" + token + "/live/x.ts", "q=1&token=other")->pending);
  REQUIRE(bed.wanted.size() == 1);
  CHECK(bed.wanted[0].site == 1);
  CHECK(bed.wanted[0].target == "live/x.ts?q=1");
  CHECK(bed.tokens.tokens_accepted == 2);
  // It opens no other site, and asks for none where tokens are not looked at.
  CHECK(bed.ask("/a/live/x.ts")->source->compare("b") == 0);
  CHECK(bed.ask("/c/~" + token + "/live/x.ts", "token=t")->pending);
  CHECK(bed.wanted.back().target == "~" + token + "/live/x.ts?token=t");
  CHECK(bed.ask("/a/x.ts")->status == 403);
  CHECK(bed.ask("/a/~" + token + "/vod/x.ts")->status == 403);
  CHECK(bed.ask("/a/~" + token + "/live/../vod/x.ts")->status == 400);
  CHECK(bed.ask("/a/~" + token + "/live/%2e%2E/vod/x.ts")->status == 400);
  CHECK(bed.tokens.token_missing == 1);
  CHECK(bed.tokens.token_scope == 1);
  REQUIRE(bed.sites.set_tokens(1, {}));
  CHECK(bed.ask("/a/x.ts")->pending);
  CHECK_FALSE(bed.sites.set_tokens(9, rule));
}
