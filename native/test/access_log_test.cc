// The access log: how lines are written, and that nobody waits for whoever writes them.
#include "http/access_log.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>

#include "http/request_parser.h"
#include "test/allocations.h"

using namespace sluice;
using http::AccessLog;
using http::AccessLogCounters;
using http::AccessLogOptions;
using http::AccessRecord;
using Format = http::LogFormat;

namespace {

AccessRecord record() {
  AccessRecord r{*kernel::Address::parse("192.0.2.7", 4711)};
  r.method = "GET";
  r.target = "/live/a.m3u8?x=1";
  r.protocol = "HTTP/1.1";
  r.status = 206;
  r.bytes = 188;
  r.referer = "http://page.example/";
  r.user_agent = "VLC/3.0";
  r.duration = 12'345'678;
  r.first_byte = 1'002'000;
  r.cache = "hit";
  r.tls = "TLSv1.3";
  r.source = "cdn";
  return r;
}

std::string line(Format format, const AccessRecord& r) {
  static http::LogLine into;
  const std::timespec time{1'763'638'306, 7'000'000};
  return {into.data(), http::format_line(format, r, time, into)};
}

std::string combined(const AccessRecord& r) {
  return line(Format::combined, r);
}

struct File {
  File() {
    char pattern[] = "/tmp/sluice-log-XXXXXX";
    folder = mkdtemp(pattern);
    path = folder + "/access.log";
  }
  ~File() {
    unlink(path.c_str());
    rmdir(folder.c_str());
  }
  [[nodiscard]] std::string text() const {
    std::ostringstream all;
    all << std::ifstream(path).rdbuf();
    return all.str();
  }
  std::string folder;
  std::string path;
};

}  // namespace

TEST_CASE("access log: combined is what Apache and nginx write") {
  setenv("TZ", "UTC", 1);
  tzset();
  CHECK(combined(record()) ==
        "192.0.2.7 - - [20/Nov/2025:11:31:46 +0000] \"GET /live/a.m3u8?x=1 HTTP/1.1\" 206 188 "
        "\"http://page.example/\" \"VLC/3.0\"\n");
  AccessRecord none{*kernel::Address::parse("2001:db8::1", 1)};
  none.status = 400;
  CHECK(combined(none) == "2001:db8::1 - - [20/Nov/2025:11:31:46 +0000] \"-\" 400 0 \"-\" \"-\"\n");
}

TEST_CASE("access log: JSON says the same and more") {
  CHECK(
      line(Format::json, record()) ==
      R"({"time":"2025-11-20T11:31:46.007Z","remote":"192.0.2.7","method":"GET","target":"/live/a.m3u8?x=1",)"
      R"("protocol":"HTTP/1.1","status":206,"bytes":188,"duration_ms":12.345,"first_byte_ms":1.002,)"
      R"("referer":"http://page.example/","user_agent":"VLC/3.0","cache":"hit","tls":"TLSv1.3","source":"cdn"})"
      "\n");
  AccessRecord none = record();
  none.first_byte = -1;
  CHECK(line(Format::json, none).find(R"("first_byte_ms":null,)") != std::string::npos);
}

TEST_CASE("access log: whatever a client sends, a line is one line, and its fields are its own") {
  // The pattern of Apache's documentation for combined, with its escapes.
  const std::regex pattern(
      R"re(^(\S+) - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "([^"]*)" (\d{3}) (\d+) "([^"]*)" "([^"]*)"\n$)re");
  for (int c = 0; c < 256; c++) {
    AccessRecord r = record();
    const std::string hostile = std::string("a\" ") + static_cast<char>(c) + "\\b";
    r.referer = r.user_agent = r.target = hostile;
    const std::string text = combined(r);
    std::smatch match;
    REQUIRE_MESSAGE(std::regex_match(text, match, pattern), text);
    std::ostringstream escaped;
    if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
      escaped << "\\x"
              << "0123456789ABCDEF"[c >> 4] << "0123456789ABCDEF"[c & 15];
    else
      escaped << static_cast<char>(c);
    CHECK(match[6].str() == "a\\x22 " + escaped.str() + "\\x5Cb");
    CHECK(match[5].str() == match[6].str());
    const std::string json = line(Format::json, r);
    CHECK(std::count(json.begin(), json.end(), '\n') == 1);
    CHECK(std::all_of(json.begin(), json.end() - 1, [](char one) { return one >= 0x20 && one < 0x7f; }));
  }
}

TEST_CASE("access log: signatures of tokens are told to nobody") {
  struct Row {
    const char* target;
    const char* told;
  };
  const Row rows[] = {
      {"/cdn/~k1.2.any.Lw.SECRET/live/a.ts?x", "/cdn/~k1.2.any.Lw.***/live/a.ts?x"},
      {"/cdn/%7ek1.2.any.Lw.SECRET/a", "/cdn/%7ek1.2.any.Lw.***/a"},
      {"/cdn/%7Ek1.SECRET", "/cdn/%7Ek1.***"},
      {"/cdn/a.ts?token=k1.2.any.Lw.SECRET", "/cdn/a.ts?token=k1.2.any.Lw.***"},
      {"/cdn/a.ts?x=1&token=SECRET&y=2", "/cdn/a.ts?x=1&token=***&y=2"},
      {"/~k1.SECRET/b/~k1.SECRET?token=SECRET", "/~k1.***/b/~k1.***?token=***"},
      {"/a?token=", "/a?token="},
      {"/~user/index.html", "/~user/index.html"},
      {"/~", "/~"},
      {"/a?tokens=open", "/a?tokens=open"},
  };
  for (const Row& row : rows) {
    AccessRecord r = record();
    r.target = row.target;
    const std::string with = "http://edge" + std::string(row.target);
    r.referer = with;
    for (const std::string& text : {combined(r), line(Format::json, r)}) {
      CHECK_MESSAGE(text.find("SECRET") == std::string::npos, text);
      const bool told = text.find(std::string(" ") + row.told + " HTTP/1.1") != std::string::npos ||
                        text.find(std::string("\"") + row.told + "\"") != std::string::npos;
      CHECK_MESSAGE(told, text);
      CHECK_MESSAGE(text.find("http://edge" + std::string(row.told) + "\"") != std::string::npos, text);
    }
  }
}

TEST_CASE("access log: the longest request that is taken fits, and what does not is left out") {
  const std::string most(http::RequestParser::kMaxTarget, '\x01');
  const std::string field(1024, '\xff');
  AccessRecord r = record();
  r.target = most;
  r.referer = r.user_agent = field;
  r.source = "a/name";
  for (const Format format : {Format::combined, Format::json}) {
    const std::string text = line(format, r);
    CHECK(text.back() == '\n');
    CHECK(text.size() < http::kMostLogLine);
    std::array<char, 100> small{};
    CHECK(http::format_line(format, r, {}, small) == small.size());
  }
}

TEST_CASE("access log: lines are in the file after a flush, and a file that was moved is let go") {
  const File file;
  AccessLogCounters counters{};
  auto log = std::move(AccessLog::open({file.path, Format::combined}, counters).value());
  log->write(record());
  log->flush();
  while (file.text().empty()) usleep(1000);
  CHECK(file.text() == file.text().substr(0, file.text().find('\n') + 1));
  const std::string moved = file.path + ".1";
  CHECK(rename(file.path.c_str(), moved.c_str()) == 0);
  log->write(record());
  auto next = std::move(AccessLog::open({file.path, Format::json}, counters).value());
  log.reset();
  next->write(record());
  next.reset();
  std::ostringstream old;
  old << std::ifstream(moved).rdbuf();
  unlink(moved.c_str());
  const std::string before = old.str();
  CHECK(std::count(before.begin(), before.end(), '\n') == 2);
  CHECK(file.text().front() == '{');
  CHECK(counters.lines == 3);
  CHECK(counters.dropped == 0);
}

TEST_CASE("access log: while nothing can be written lines are dropped and counted, and nobody waits") {
  const File file;
  REQUIRE(mkfifo(file.path.c_str(), 0600) == 0);
  // A pipe that nobody empties is a disk that hangs.
  const kernel::Fd reader(open(file.path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  AccessLogCounters counters{};
  auto log = std::move(AccessLog::open({file.path, Format::combined}, counters).value());
  AccessRecord r = record();
  const std::string agent(200, 'a');
  r.user_agent = agent;
  log->write(r);
  const std::uint64_t before = test::allocations();
  for (int i = 0; i < 20'000; i++) log->write(r);
  CHECK(test::allocations() == before);
  CHECK(counters.dropped > 0);
  CHECK(counters.lines + counters.dropped == 20'001);
  // Read on, and all that was taken comes, whole.
  fcntl(reader.get(), F_SETFL, 0);
  std::uint64_t lines = 0;
  std::thread drain([&] {
    std::array<char, 65536> buffer{};
    for (ssize_t n = 0; (n = read(reader.get(), buffer.data(), buffer.size())) > 0;)
      lines += static_cast<std::uint64_t>(std::count(buffer.begin(), buffer.begin() + n, '\n'));
  });
  log.reset();
  drain.join();
  CHECK(lines == counters.lines);
}

TEST_CASE("access log: a place that cannot be written to is named") {
  AccessLogCounters counters{};
  auto log = AccessLog::open({"/nowhere/at/all.log", Format::combined}, counters);
  REQUIRE_FALSE(log.ok());
  CHECK(std::string(log.error().code) == "SYSTEM_CALL");
  CHECK(log.error().message.find("/nowhere/at/all.log") != std::string::npos);
}
