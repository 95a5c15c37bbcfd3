#include "http/request_parser.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "test/allocations.h"

using namespace sluice;
using http::Request;
using http::RequestParser;
using State = RequestParser::State;

namespace {

/** Feeds a text in pieces; stops at the first verdict that is not `more`. */
State feed(RequestParser& parser, const std::string& text, std::size_t piece, std::size_t* used = nullptr) {
  for (std::size_t at = 0; at < text.size();) {
    const std::vector<std::uint8_t> bytes(
        text.begin() + static_cast<std::ptrdiff_t>(at),
        text.begin() + static_cast<std::ptrdiff_t>(std::min(at + piece, text.size())));
    std::size_t consumed = 0;
    const State state = parser.feed(bytes, consumed);
    CHECK(consumed <= bytes.size());
    at += consumed;
    if (used != nullptr) *used = at;
    if (state != State::more) return state;
  }
  return State::more;
}

}  // namespace

TEST_CASE("request parser: what is taken from a request, whatever the pieces it came in") {
  struct Row {
    const char* text;
    Request::Method method;
    const char* path;
    const char* user_agent;
    bool keep_alive;
    bool has_body;
  };
  const Row rows[] = {
      {"GET /live/news/high.ts HTTP/1.1\r\nHost: edge\r\nUser-Agent: VLC/3\r\n\r\n", Request::Method::get,
       "/live/news/high.ts", "VLC/3", true, false},
      {"HEAD /a?token=1#x HTTP/1.1\r\nhost: e\r\nconnection: close\r\n\r\n", Request::Method::head, "/a", "",
       false, false},
      {"GET / HTTP/1.0\r\n\r\n", Request::Method::get, "/", "", false, false},
      {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", Request::Method::get, "/", "", true, false},
      {"OPTIONS * HTTP/1.1\r\nHost: e\r\n\r\n", Request::Method::options, "*", "", true, false},
      {"GET http://edge:8080/live/a.m3u8?x HTTP/1.1\r\nHost: e\r\n\r\n", Request::Method::get, "/live/a.m3u8",
       "", true, false},
      {"GET http://edge HTTP/1.1\r\nHost: e\r\n\r\n", Request::Method::get, "/", "", true, false},
      {"GET HTTP://EDGE?x=/y HTTP/1.1\r\nHost: e\r\n\r\n", Request::Method::get, "/", "", true, false},
      // RFC 9112 5.2: a folded field is refused or read as blanks; none of ours can carry one on.
      {"GET /f HTTP/1.1\r\nHost: e\r\nX: 1\r\n 2\r\n\r\n", Request::Method::get, "/f", "", true, false},
      {"POST /x HTTP/1.1\r\nHost: e\r\nContent-Length: 5\r\n\r\nhello", Request::Method::other, "/x", "",
       true, true},
      {"POST /x HTTP/1.1\r\nHost: e\r\nContent-Length: 0\r\n\r\n", Request::Method::other, "/x", "", true,
       false},
      {"PUT /x HTTP/1.1\r\nHost: e\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
       Request::Method::other, "/x", "", true, true},
  };
  for (const Row& row : rows) {
    for (const std::size_t piece : {1U, 2U, 7U, 1000U}) {
      CAPTURE(row.text);
      CAPTURE(piece);
      RequestParser parser;
      CHECK_FALSE(parser.begun());
      REQUIRE(feed(parser, row.text, piece) == State::complete);
      CHECK(parser.request().method == row.method);
      CHECK(parser.request().path == row.path);
      CHECK(parser.request().user_agent == row.user_agent);
      CHECK(parser.request().keep_alive == row.keep_alive);
      CHECK(parser.request().has_body == row.has_body);
    }
  }
}

TEST_CASE("request parser: every truncation waits for more") {
  const std::string text =
      "GET /live/news/index.m3u8 HTTP/1.1\r\nHost: edge\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n";
  for (std::size_t size = 0; size < text.size(); size++) {
    CAPTURE(size);
    RequestParser parser;
    CHECK(feed(parser, text.substr(0, size), 1000) == State::more);
  }
}

TEST_CASE("request parser: refused with the status that says why") {
  struct Row {
    std::string what;
    std::string text;
    unsigned status;
  };
  const Row rows[] = {
      {"no HTTP", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400},
      {"unknown method", "FETCH / HTTP/1.1\r\nHost: e\r\n\r\n", 400},
      {"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
      {"blank before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
      {"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
      {"length and chunked",
       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"long target", "GET /" + std::string(5000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
      {"endless field", "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(20'000, 'a'), 431},
      {"many fields",
       [] {
         std::string text = "GET / HTTP/1.1\r\nHost: a\r\n";
         for (int i = 0; i < 3000; i++) text += "X: 1\r\n";
         return text;
       }(),
       431},
  };
  for (const Row& row : rows) {
    for (const std::size_t piece : {1U, 100U, 4096U}) {
      CAPTURE(row.what);
      CAPTURE(piece);
      RequestParser parser;
      CHECK(feed(parser, row.text, piece) == State::error);
      CHECK(parser.error_status() == row.status);
    }
  }
}

TEST_CASE("request parser: one request after the other, the rest left to the next") {
  const std::string one = "GET /1 HTTP/1.1\r\nHost: e\r\n\r\n";
  const std::string two = "GET /2 HTTP/1.1\r\nHost: e\r\n\r\n";
  RequestParser parser;
  std::size_t used = 0;
  REQUIRE(feed(parser, one + two, 1000, &used) == State::complete);
  CHECK(parser.request().path == "/1");
  CHECK(used == one.size());
  parser.reset();
  REQUIRE(feed(parser, (one + two).substr(used), 1000) == State::complete);
  CHECK(parser.request().path == "/2");
}

TEST_CASE("request parser: a long user agent is cut, not refused") {
  RequestParser parser;
  REQUIRE(feed(parser, "GET / HTTP/1.1\r\nHost: e\r\nUser-Agent: " + std::string(5000, 'u') + "\r\n\r\n",
               100) == State::complete);
  CHECK(parser.request().user_agent.size() <= 1000);
}

TEST_CASE("request parser: random bytes are survived") {
  std::uint32_t random = 7;
  auto next = [&random] { return (random = random * 1664525U + 1013904223U) >> 16; };
  const std::string good = "GET /live/news/index.m3u8 HTTP/1.1\r\nHost: edge\r\nUser-Agent: x\r\n\r\n";
  for (int round = 0; round < 20'000; round++) {
    std::string text = good;
    for (std::uint32_t i = 0, n = next() % 4; i <= n; i++)
      text[next() % text.size()] = static_cast<char>(next());
    RequestParser parser;
    feed(parser, text, 1 + next() % 64);
    CHECK(parser.request().path.size() <= RequestParser::kMaxTarget);
  }
}

TEST_CASE("request parser: the end of a long field name is no name of its own, wherever the bytes are cut") {
  const std::string text = "GET / HTTP/1.1\r\n" + std::string(70, 'x') + "Host: a\r\n\r\n";
  for (std::size_t piece = 1; piece <= text.size(); piece++) {
    RequestParser parser;
    CHECK(feed(parser, text, piece) == State::error);
    CHECK(parser.error_status() == 400);
  }
}

TEST_CASE("request parser: a field without a name is refused") {
  const std::string text = "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n";
  for (std::size_t piece = 1; piece <= text.size(); piece++) {
    RequestParser parser;
    CHECK(feed(parser, text, piece) == State::error);
    CHECK(parser.error_status() == 400);
  }
}
