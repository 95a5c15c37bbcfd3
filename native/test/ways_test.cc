// Objects fetched along a known way: what is asked about all the same, and that an origin is never asked
// twice.
#include "plane/ways.h"

#include <doctest/doctest.h>

#include "test/http_server.h"
#include "test/store_bed.h"

using namespace sluice;
using kernel::kSecond;
using objects::Phase;
using test::Peer;
using test::Server;

namespace {

struct Bed : test::StoreBed {
  Bed() { ways.use(fetchers); }
  void know(const kernel::Address& origin, kernel::Nanos valid = 3600 * kSecond) {
    plane::Way way;
    way.http.address = origin;
    way.http.to_sink = true;
    way.host = "origin";
    way.base = "/base/";
    way.fields = {{"x-site", "7"}};
    way.but = {".m3u8"};
    way.fetched = &fetched;
    way.until = reactor.now() + valid;
    ways.set(1, std::move(way));
  }
  std::shared_ptr<objects::Object> want(const std::string& target, const std::string& etag = "") {
    const objects::Found found = store->want("1:" + target);
    REQUIRE(found.first);
    ways.want({1, found.object->ticket(), target, etag, ""});
    return found.object;
  }
  bool lands(const std::shared_ptr<objects::Object>& object) {
    return turn_until(
        [&] { return object->phase() == Phase::complete || object->phase() == Phase::replaced; });
  }
  bool is_asked() {
    return turn_until([&] { return !questions.empty(); });
  }
  std::uint64_t fetched = 0;
  std::vector<plane::Question> questions;
  plane::Ways ways{*store, [this](plane::Question question) { questions.push_back(std::move(question)); }};
  plane::FetchCounters fetches;
  plane::Fetchers fetchers{reactor, *store, "1.1 us", fetches,
                           [this](plane::UpstreamResult result) { CHECK(ways.take(result)); }};
};

}  // namespace

TEST_CASE(
    "ways: an object is fetched along the way that is known, with what the way and the viewer's validators "
    "say") {
  std::atomic<int> asked = 0;
  std::string head;
  Server origin([&](Peer& peer, int) {
    head = peer.read_head();
    asked++;
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc");
  });
  Bed bed;
  bed.know(origin.address());
  const auto object = bed.want("seg/1.ts?a=b", "\"v0\"");
  REQUIRE(bed.lands(object));
  CHECK(test::text_of(object->bytes_from(0)) == "abc");
  CHECK(bed.questions.empty());
  CHECK(bed.fetched == 1);
  CHECK(asked == 1);
  CHECK(head.starts_with("GET /base/seg/1.ts?a=b HTTP/1.1\r\n"));
  CHECK(head.find("x-site: 7\r\n") != std::string::npos);
  CHECK(head.find("if-none-match: \"v0\"\r\n") != std::string::npos);
}

TEST_CASE("ways: an answer that is no object becomes a question with the answer; the origin is asked once") {
  for (const char* status : {"302 Found\r\nLocation: /x", "404 Not Found", "500 Internal Server Error"}) {
    std::atomic<int> asked = 0;
    Server origin([&](Peer& peer, int) {
      peer.read_head();
      asked++;
      peer.send(std::string("HTTP/1.1 ") + status + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
    Bed bed;
    bed.know(origin.address());
    const auto object = bed.want("1.ts");
    REQUIRE(bed.is_asked());
    CHECK(bed.questions[0].answer.status == std::stoul(status));
    CHECK(bed.questions[0].answer.code == nullptr);
    CHECK(bed.questions[0].wanted.target == "1.ts");
    CHECK(object->phase() == Phase::wanted);
    CHECK(asked == 1);
  }
}

TEST_CASE(
    "ways: an origin that ends without a head is a question with the reason; a refused connection forgets "
    "the way") {
  Bed bed;
  {
    Server origin([](Peer& peer, int) { peer.read_head(); });
    bed.know(origin.address());
    bed.want("1.ts");
    REQUIRE(bed.is_asked());
    CHECK(std::string(bed.questions[0].answer.code) == "UPSTREAM_CLOSED");
    bed.questions.clear();
  }
  // Nobody listens any more.
  bed.want("2.ts");
  REQUIRE(bed.is_asked());
  CHECK(bed.questions[0].answer.code == nullptr);
  CHECK(bed.questions[0].answer.status == 0);
  bed.want("3.ts");
  CHECK(bed.questions.size() == 2);
}

TEST_CASE("ways: documents, unknown sites and ways that have expired are asked about") {
  Server origin([](Peer& peer, int) { peer.read_head(); });
  Bed bed;
  bed.want("1.ts");
  CHECK(bed.questions.size() == 1);
  bed.know(origin.address());
  bed.want("live/INDEX.M3U8?x=1.ts");
  CHECK(bed.questions.size() == 2);
  bed.know(origin.address(), 0);
  bed.want("2.ts");
  CHECK(bed.questions.size() == 3);
  bed.know(origin.address());
  bed.ways.erase(1);
  bed.want("3.ts");
  CHECK(bed.questions.size() == 4);
  CHECK(bed.fetched == 0);
  CHECK(origin.accepted() == 0);
}
