// Answers made of objects: ranges, conditions, and objects that still grow.
#include "http/object_answer.h"

#include <doctest/doctest.h>

#include "http/forward.h"
#include "test/store_bed.h"

using namespace sluice;
using http::Answer;
using http::Body;
using http::Request;
using kernel::kSecond;
using objects::Object;
using objects::Phase;
using test::bytes_of_text;
using test::StoreBed;
using test::text_of;

namespace {

struct Listener final : http::AnswerListener {
  void on_answer_progress() noexcept override { told++; }
  int told = 0;
};

struct Bed : StoreBed {
  Answer ask(const std::shared_ptr<Object>& object, const Request& request = get()) {
    return http::answer_with(object, request, {"hit", reactor});
  }
  static Request get() {
    Request request;
    request.method = Request::Method::get;
    return request;
  }
  static Request range(const std::string& range) {
    Request request = get();
    request.range = range;
    return request;
  }
};

/** What of the body is there now, and what comes then. */
struct Read {
  std::string text;
  Body::Next next = Body::Next::end;
};

Read read(Body& body, Listener& listener) {
  Read read;
  body.listen(listener);
  for (;;) {
    const Body::Piece piece = body.peek();
    read.next = piece.next;
    if (piece.next != Body::Next::bytes) return read;
    // Taken in parts, as a slow viewer does.
    const std::size_t n = std::min<std::size_t>(piece.bytes.size(), 3);
    read.text += text_of(piece.bytes.first(n));
    body.consume(n);
  }
}

std::string body_of(const Answer& answer) {
  Listener listener;
  if (answer.text) return *answer.text;
  return answer.body ? read(*answer.body, listener).text : "";
}

}  // namespace

TEST_CASE("object answer: single ranges of a complete object (RFC 9110 section 14)") {
  Bed bed;
  const auto object = bed.make("a", "0123456789");
  struct Row {
    std::string range;
    unsigned status;
    const char* content_range;
    const char* body;
  };
  for (const Row& row : {
           Row{"bytes=0-0", 206, "bytes 0-0/10", "0"},
           Row{"bytes=0-9", 206, "bytes 0-9/10", "0123456789"},
           Row{"bytes=3-5", 206, "bytes 3-5/10", "345"},
           Row{"bytes=3-", 206, "bytes 3-9/10", "3456789"},
           Row{"bytes=9-", 206, "bytes 9-9/10", "9"},
           Row{"bytes=8-100", 206, "bytes 8-9/10", "89"},
           Row{"bytes=5-9007199254740991", 206, "bytes 5-9/10", "56789"},
           Row{"bytes=-3", 206, "bytes 7-9/10", "789"},
           Row{"bytes=-10", 206, "bytes 0-9/10", "0123456789"},
           Row{"bytes=-11", 206, "bytes 0-9/10", "0123456789"},
           Row{"bytes=10-", 416, "bytes */10", nullptr},
           Row{"bytes=18446744073709551615-", 416, "bytes */10", nullptr},
           Row{"bytes=-0", 416, "bytes */10", nullptr},
           Row{"bytes=5-3", 200, nullptr, "0123456789"},
           Row{"bytes=0-0,5-6", 200, nullptr, "0123456789"},
           Row{"bytes=", 200, nullptr, "0123456789"},
           Row{"bytes=-", 200, nullptr, "0123456789"},
           Row{"bytes=a-b", 200, nullptr, "0123456789"},
           Row{"bytes=+1-2", 200, nullptr, "0123456789"},
           Row{"bytes=--2", 200, nullptr, "0123456789"},
           Row{"bytes=18446744073709551616-", 200, nullptr, "0123456789"},
           Row{"lines=0-1", 200, nullptr, "0123456789"},
           Row{"", 200, nullptr, "0123456789"},
       }) {
    CAPTURE(row.range);
    const Answer answer = bed.ask(object, Bed::range(row.range));
    CHECK(answer.status == row.status);
    const bool told = answer.fields.find("Content-Range: ") != std::string::npos;
    CHECK(told == (row.content_range != nullptr));
    if (row.content_range != nullptr)
      CHECK(answer.fields.find(std::string("Content-Range: ") + row.content_range + "\r\n") !=
            std::string::npos);
    if (row.body != nullptr) {
      CHECK(body_of(answer) == row.body);
      CHECK(answer.length == std::string(row.body).size());
    }
  }
  const auto empty = bed.make("b", "");
  CHECK(bed.ask(empty, Bed::range("bytes=0-")).status == 416);
  CHECK(bed.ask(empty, Bed::range("bytes=-5")).status == 416);
  CHECK(bed.ask(empty).length == 0);
}

TEST_CASE("object answer: If-Range and If-None-Match") {
  Bed bed;
  const auto object = bed.first("a");
  objects::Head head;
  head.etag = "\"v1\"";
  head.last_modified = "Sun, 06 Nov 1994 08:49:37 GMT";
  REQUIRE_FALSE(bed.store->begin(object, head, {kSecond, 0, 0}));
  REQUIRE(bed.store->append(object, bytes_of_text("0123456789")) == nullptr);
  bed.store->complete(object);

  struct IfRange {
    std::string value;
    unsigned status;
  };
  for (const IfRange& row :
       {IfRange{"\"v1\"", 206}, IfRange{"\"v2\"", 200}, IfRange{"W/\"v1\"", 200},
        IfRange{head.last_modified, 206}, IfRange{"Sun, 06 Nov 1994 08:49:38 GMT", 200}, IfRange{"", 206}}) {
    CAPTURE(row.value);
    Request request = Bed::range("bytes=0-1");
    request.if_range = row.value;
    CHECK(bed.ask(object, request).status == row.status);
  }
  struct NoneMatch {
    std::string value;
    unsigned status;
  };
  for (const NoneMatch& row :
       {NoneMatch{"\"v1\"", 304}, NoneMatch{"W/\"v1\"", 304}, NoneMatch{"*", 304}, NoneMatch{"\"v2\"", 200},
        NoneMatch{"\"v0\", W/\"v1\" , \"v2\"", 304}, NoneMatch{"\"v0\",\"v2\"", 200}, NoneMatch{"\"v1", 200},
        NoneMatch{"v1", 200}, NoneMatch{"\"a,b\", \"v1\"", 304}}) {
    CAPTURE(row.value);
    Request request = Bed::get();
    request.if_none_match = row.value;
    // Of no account beside If-None-Match (RFC 9110 section 13.1.3).
    request.if_modified_since = head.last_modified;
    const Answer answer = bed.ask(object, request);
    CHECK(answer.status == row.status);
    CHECK((answer.body == nullptr) == (row.status == 304));
  }
  Request since = Bed::get();
  since.if_modified_since = head.last_modified;
  CHECK(bed.ask(object, since).status == 304);
  since.if_modified_since = "Sun, 06 Nov 1994 08:49:36 GMT";
  CHECK(bed.ask(object, since).status == 200);
}

TEST_CASE("object answer: waits for a head; while it grows what is there goes out, and the end is honest") {
  Bed bed;
  struct Row {
    bool known;
    bool cut;
  };
  for (const Row& row : {Row{true, false}, Row{true, true}, Row{false, false}, Row{false, true}}) {
    CAPTURE(row.known);
    CAPTURE(row.cut);
    bed.store->purge("");
    const auto object = bed.first("a");
    Answer asked = bed.ask(object);
    REQUIRE(asked.pending);
    Listener listener;
    asked.pending->listen(listener);
    CHECK_FALSE(asked.pending->take());
    bed.begin(object, kSecond, row.known ? std::optional<std::uint64_t>(10) : std::nullopt);
    REQUIRE(bed.turn_until([&] { return listener.told > 0; }));
    std::optional<Answer> answer = asked.pending->take();
    REQUIRE(answer);
    CHECK(answer->length.has_value() == row.known);
    CHECK(answer->chunked != row.known);

    Read now = read(*answer->body, listener);
    CHECK(now.text.empty());
    CHECK(now.next == Body::Next::wait);
    listener.told = 0;
    REQUIRE(bed.store->append(object, bytes_of_text("01234")) == nullptr);
    REQUIRE(bed.turn_until([&] { return listener.told == 1; }));
    now = read(*answer->body, listener);
    CHECK(now.text == "01234");
    CHECK(now.next == Body::Next::wait);
    if (row.cut) {
      bed.store->fail(object, {});
    } else {
      REQUIRE(bed.store->append(object, bytes_of_text("56789")) == nullptr);
      bed.store->complete(object);
    }
    REQUIRE(bed.turn_until([&] { return listener.told == 2; }));
    now = read(*answer->body, listener);
    CHECK(now.text == (row.cut ? "" : "56789"));
    CHECK(now.next == (row.cut ? Body::Next::broken : Body::Next::end));
  }
}

TEST_CASE("object answer: ranges of what grows wait for their bytes, or are open-ended as RFC 8673 says") {
  Bed bed;
  const auto known = bed.first("known");
  bed.begin(known, kSecond, 10);
  Answer answer = bed.ask(known, Bed::range("bytes=-4"));
  CHECK(answer.status == 206);
  CHECK(answer.fields.find("Content-Range: bytes 6-9/10\r\n") != std::string::npos);
  CHECK(bed.ask(known, Bed::range("bytes=10-")).status == 416);

  const auto object = bed.first("unknown");
  bed.begin(object);
  REQUIRE(bed.store->append(object, bytes_of_text("01234")) == nullptr);
  answer = bed.ask(object, Bed::range("bytes=1-3"));
  CHECK(answer.status == 206);
  CHECK(answer.fields.find("Content-Range: bytes 1-3/*\r\n") != std::string::npos);
  CHECK(body_of(answer) == "123");

  answer = bed.ask(object, Bed::range("bytes=2-9007199254740991"));
  CHECK(answer.status == 206);
  CHECK(answer.chunked);
  CHECK_FALSE(answer.length);
  CHECK(answer.fields.find("Content-Range: bytes 2-9007199254740991/*\r\n") != std::string::npos);
  Listener open;
  CHECK(read(*answer.body, open).text == "234");

  Answer later = bed.ask(object, Bed::range("bytes=4-6"));
  Answer suffix = bed.ask(object, Bed::range("bytes=-2"));
  Answer behind = bed.ask(object, Bed::range("bytes=20-9007199254740991"));
  REQUIRE((later.pending && suffix.pending && behind.pending));
  Listener listeners[3];
  later.pending->listen(listeners[0]);
  suffix.pending->listen(listeners[1]);
  behind.pending->listen(listeners[2]);
  REQUIRE(bed.store->append(object, bytes_of_text("567")) == nullptr);
  REQUIRE(bed.turn_until([&] { return listeners[0].told > 0 && listeners[1].told > 0; }));
  std::optional<Answer> now = later.pending->take();
  REQUIRE(now);
  CHECK(body_of(*now) == "456");
  CHECK_FALSE(suffix.pending->take());
  CHECK_FALSE(behind.pending->take());
  bed.store->complete(object);
  REQUIRE(bed.turn_until([&] { return listeners[1].told > 1 && listeners[2].told > 1; }));
  now = suffix.pending->take();
  REQUIRE(now);
  CHECK(body_of(*now) == "67");
  now = behind.pending->take();
  REQUIRE(now);
  CHECK(now->status == 416);
  CHECK(read(*answer.body, open).text == "567");
}

TEST_CASE("object answer: refused, cut before anything was sent, replaced by what was there") {
  Bed bed;
  auto object = bed.first("a");
  bed.store->fail(object, {504, 3, "nobody answered"});
  Answer answer = bed.ask(object);
  CHECK(answer.status == 504);
  CHECK(answer.retry_after == 3);
  CHECK(*answer.text == "nobody answered\n");

  object = bed.first("a");
  bed.begin(object, kSecond, 5);
  bed.store->fail(object, {});
  CHECK(bed.ask(object).status == 502);

  const auto old = bed.first("b");
  REQUIRE_FALSE(bed.store->begin(old, {}, {1, 3600 * kSecond, 5 * kSecond}));
  bed.store->complete(old);
  bed.turn();
  auto flight = bed.first("b");
  bed.store->fail(flight, {500, 0, ""});
  answer = bed.ask(flight);
  CHECK(answer.status == 200);
  CHECK(std::string(answer.cache) == "stale");
  CHECK(answer.fields.find("Age: 5\r\n") != std::string::npos);
  flight = bed.first("b");
  REQUIRE(bed.store->revalidate(flight, {kSecond, 0, 0}));
  CHECK(std::string(bed.ask(flight).cache) == "revalidated");

  const auto missing = bed.first("c");
  objects::Head head;
  head.status = 404;
  head.etag = "\"x\"";
  REQUIRE_FALSE(bed.store->begin(missing, head, {kSecond, 0, 0}));
  REQUIRE(bed.store->append(missing, bytes_of_text("none")) == nullptr);
  bed.store->complete(missing);
  Request request = Bed::range("bytes=0-1");
  request.if_none_match = "\"x\"";
  answer = bed.ask(missing, request);
  CHECK_MESSAGE(answer.status == 404, "neither conditions nor ranges count for what is not there");
  CHECK(body_of(answer) == "none");
}

TEST_CASE("forward: what belongs to one connection, or is this server's to say, stays behind") {
  http::ResponseHead head;
  head.fields = {{"content-type", "video/mp4"},
                 {"connection", "close, X-Hop\t,\t x-other ,"},
                 {"x-hop", "1"},
                 {"x-other", "2"},
                 {"x-kept", "3"},
                 {"keep-alive", "timeout=5"},
                 {"transfer-encoding", "chunked"},
                 {"content-length", "7"},
                 {"set-cookie", "a=b"},
                 {"date", "now"},
                 {"age", "3"},
                 {"via", "1.0 before"}};
  CHECK(http::forwarded_fields(head, "1.1 us") ==
        "content-type: video/mp4\r\nx-kept: 3\r\nvia: 1.0 before, 1.1 us\r\n");
}
