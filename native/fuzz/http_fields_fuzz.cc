// Fuzz target: bytes as the value of every field of HTTP that is read further: ranges, codings, dates, lives.
#include <cctype>
#include <string>

#include "fuzz/check.h"
#include "http/content_range.h"
#include "http/forward.h"
#include "http/freshness.h"
#include "http/inflate.h"
#include "http/range.h"
#include "http/rtp_range.h"

using namespace sluice;

namespace {

/** `bytes 007-` as from_chars reads it. */
void check_content_range(const std::string& text) {
  const auto begin = http::range_begin(text);
  if (!begin) return;
  const auto dash = text.find('-');
  SLUICE_HOLDS(text.rfind("bytes ", 0) == 0 && dash != std::string::npos && dash > 6);
  const auto digits = text.substr(6, dash - 6);
  const auto first = digits.find_first_not_of('0');
  SLUICE_HOLDS((first == std::string::npos ? "0" : digits.substr(first)) == std::to_string(*begin));
}

/** A range that is written again is the same range. */
void check_range(const std::string& text) {
  const auto range = http::parse_range(text);
  if (!range) return;
  const bool open = range->last == http::ByteRange::kOpen;
  SLUICE_HOLDS(range->is_suffix || range->first <= range->last);
  const auto again =
      http::parse_range("bytes=" + (range->is_suffix ? "-" + std::to_string(range->suffix)
                                                     : std::to_string(range->first) + "-" +
                                                           (open ? "" : std::to_string(range->last))));
  SLUICE_HOLDS(again && again->is_suffix == range->is_suffix && again->suffix == range->suffix &&
               again->first == range->first && again->last == range->last);
}

/** Ranges that are written again are the same ranges. */
void check_rtp_ranges(const std::string& text) {
  const auto ranges = http::parse_rtp_ranges(text);
  if (!ranges) return;
  SLUICE_HOLDS(!ranges->empty() && ranges->size() <= text.size());
  std::string again = "rtp=";
  for (const http::RtpRange& one : *ranges) {
    SLUICE_HOLDS(one.size() >= 1 && one.size() <= 65'536);
    again += std::to_string(one.first) + "-" + std::to_string(one.last) + ",";
  }
  SLUICE_HOLDS(http::parse_rtp_ranges(again) == ranges);
}

void check_coding(const std::string& text) {
  std::string other = text;
  for (char& c : other) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  SLUICE_HOLDS(http::content_coding(text) == http::content_coding(" \t" + other + "\t "));
}

http::ResponseHead head_with(std::initializer_list<const char*> names, const std::string& value) {
  http::ResponseHead head;
  head.status = 200;
  for (const char* name : names) head.fields.push_back({name, value});
  return head;
}

void check_freshness(const std::string& text) {
  const http::FreshnessRule rule;
  for (const char* name : {"cache-control", "expires", "age"}) {
    const auto freshness = http::freshness_of(head_with({name}, text), rule);
    SLUICE_HOLDS(freshness.fresh >= 0 && freshness.fresh <= rule.most && freshness.age >= 0);
  }
  const auto all = head_with({"cache-control", "expires", "age", "date"}, text);
  SLUICE_HOLDS(http::freshness_of(all, rule).fresh <= rule.most);
  SLUICE_HOLDS(http::freshness_of(head_with({"cache-control"}, "max-age=-" + text), rule).fresh == 0 ||
               text.find_first_of(",=\"") != std::string::npos);
}

/** No value makes a line of its own, and no hop-by-hop field goes on. */
void check_forwarding(const std::string& text) {
  if (text.find_first_of("\r\n") != std::string::npos) return;
  const auto head = head_with({"x-a", "set-cookie", "keep-alive", "connection", "etag"}, text);
  const auto lines = http::forwarded_fields(head, "1.1 sluice");
  SLUICE_HOLDS(lines.size() >= 2 && lines.substr(lines.size() - 2) == "\r\n");
  std::size_t count = 0;
  for (std::size_t at = 0; at < lines.size(); at = lines.find("\r\n", at) + 2, count++) {
    SLUICE_HOLDS(lines.find(':', at) < lines.find("\r\n", at));
    SLUICE_HOLDS(lines.compare(at, 10, "set-cookie") != 0 && lines.compare(at, 10, "connection") != 0);
  }
  SLUICE_HOLDS(count <= 3);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  check_content_range(text);
  check_range(text);
  check_rtp_ranges(text);
  check_coding(text);
  check_freshness(text);
  check_forwarding(text);
  return 0;
}
