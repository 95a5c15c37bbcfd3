#include "plane/segmenter.h"

#include <doctest/doctest.h>

#include <string>

using namespace sluice;
using codec::kSystemClock;
using plane::AccessPoint;
using plane::Segmenter;

namespace {

constexpr std::int64_t kPts = 90'000;

struct Bed {
  explicit Bed(std::size_t window = 3, std::int64_t target = 2 * kSystemClock)
      : segmenter(target, window, 1000, counters) {}

  /** An access point so many seconds later than the last, a megabyte further. */
  void point(double seconds, bool discontinuity = false) {
    time += static_cast<std::int64_t>(seconds * static_cast<double>(kSystemClock));
    position += 1'000'000;
    AccessPoint p;
    p.position = position;
    p.pts = (pts_start + time / 300) & ((std::int64_t{1} << 33) - 1);
    p.tables_in_place = true;
    p.discontinuity = discontinuity;
    segmenter.add(p, time, time);
  }
  [[nodiscard]] std::string playlist(const std::string& prefix = "") {
    const auto text = segmenter.playlist(prefix);
    return text ? *text : std::string();
  }
  [[nodiscard]] bool has(const std::string& text) { return playlist().find(text) != std::string::npos; }

  plane::StreamCounters counters{};
  Segmenter segmenter;
  std::int64_t time = 0;
  std::int64_t pts_start = 5 * kPts;
  std::uint64_t position = 0;
};

int count(const std::string& text, const std::string& what) {
  int n = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) n++;
  return n;
}

}  // namespace

TEST_CASE("segmenter: no playlist before the first segment is whole") {
  Bed bed;
  CHECK(bed.segmenter.playlist("") == nullptr);
  bed.point(0);
  CHECK(bed.segmenter.playlist("") == nullptr);
  bed.point(2);
  CHECK(bed.playlist("high/") ==
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-TARGETDURATION:2\n"
        "#EXT-X-MEDIA-SEQUENCE:1000\n#EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXTINF:2.00000,\nhigh/1000.ts\n");
  CHECK(bed.counters.segments == 1);
}

TEST_CASE("segmenter: cuts at the first access point after the target, durations are those of the pictures") {
  Bed bed;
  bed.point(0);
  for (const double step : {0.96, 0.96, 0.96, 0.5, 1.5}) bed.point(step);
  CHECK(bed.has("#EXTINF:2.88000,\n1000.ts"));
  CHECK(bed.has("#EXTINF:2.00000,\n1001.ts"));
  CHECK(bed.has("#EXT-X-TARGETDURATION:3\n"));
  CHECK(bed.counters.segments == 2);
}

TEST_CASE("segmenter: the PTS may wrap within a segment") {
  Bed bed;
  bed.pts_start = (std::int64_t{1} << 33) - kPts;
  bed.point(0);
  bed.point(2.04);
  CHECK(bed.has("#EXTINF:2.04000,"));
}

TEST_CASE("segmenter: the window slides, what has left it can still be fetched for as long again") {
  Bed bed;
  for (int i = 0; i < 12; i++) bed.point(2);
  // Eleven segments, 1000 to 1010, three listed, seven kept.
  CHECK(count(bed.playlist(), "#EXTINF") == 3);
  CHECK(bed.has("#EXT-X-MEDIA-SEQUENCE:1008\n"));
  CHECK(bed.segmenter.find(1010) != nullptr);
  CHECK(bed.segmenter.find(1011) == nullptr);
  CHECK(bed.segmenter.find(1004) != nullptr);
  CHECK(bed.segmenter.find(1003) == nullptr);
  for (std::uint64_t n = 1005; n <= 1010; n++)
    CHECK(bed.segmenter.find(n)->begin == bed.segmenter.find(n - 1)->end);
}

TEST_CASE("segmenter: a discontinuity cuts at once, is tagged, and is counted when its tag has left") {
  Bed bed;
  bed.point(0);
  bed.point(2);
  bed.point(0.5, true);
  bed.point(2);
  CHECK(bed.has("#EXTINF:0.50000,\n1001.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:2.00000,\n1002.ts\n"));
  CHECK(bed.has("#EXT-X-DISCONTINUITY-SEQUENCE:0\n"));
  bed.point(2);
  bed.point(2);
  CHECK(bed.has("#EXT-X-DISCONTINUITY-SEQUENCE:0\n#EXT-X-DISCONTINUITY\n"));
  bed.point(2);
  CHECK(bed.has("#EXT-X-DISCONTINUITY-SEQUENCE:1\n#EXTINF"));
  for (int i = 0; i < 20; i++) bed.point(2);
  CHECK(bed.has("#EXT-X-DISCONTINUITY-SEQUENCE:1\n#EXTINF"));
}

TEST_CASE("segmenter: an outage is no part of the segment before it") {
  Bed bed;
  bed.point(0);
  bed.point(2);
  // One second of media, then thirty seconds of nothing.
  bed.time += 31 * kSystemClock;
  AccessPoint p;
  p.position = bed.position += 1'000'000;
  p.discontinuity = true;
  bed.segmenter.add(p, bed.time, bed.time - 30 * kSystemClock);
  bed.point(2);
  CHECK(bed.has("#EXTINF:1.00000,\n1001.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:2.00000,\n1002.ts"));
  CHECK(bed.has("#EXT-X-TARGETDURATION:2\n"));
}

TEST_CASE("segmenter: no listed segment is longer than the target duration when rounded (RFC 8216 4.3.3.1)") {
  Bed bed;
  bed.point(0);
  for (const double step : {2.4, 2.6, 2.0, 3.49}) bed.point(step);
  CHECK(bed.segmenter.target_duration() == 3);
  bed.point(3.5);
  CHECK(bed.segmenter.target_duration() == 4);
  // It does not go back: players have planned with it.
  for (int i = 0; i < 20; i++) bed.point(2);
  CHECK(bed.segmenter.target_duration() == 4);
}

TEST_CASE("segmenter: what the ring has passed is forgotten, an open segment with it") {
  Bed bed;
  for (int i = 0; i < 5; i++) bed.point(2);
  bed.segmenter.expire(3'000'000);
  CHECK(bed.segmenter.find(1001) == nullptr);
  CHECK(bed.segmenter.find(1002) != nullptr);
  bed.segmenter.expire(bed.position + 1);
  CHECK(bed.segmenter.playlist("") == nullptr);
  bed.point(2);
  CHECK(bed.segmenter.playlist("") == nullptr);
  bed.point(2);
  CHECK(bed.has("#EXT-X-MEDIA-SEQUENCE:1004\n"));
}

TEST_CASE("segmenter: the playlist is made once for each change and prefix") {
  Bed bed;
  bed.point(0);
  bed.point(2);
  const auto first = bed.segmenter.playlist("a/");
  CHECK(bed.segmenter.playlist("a/") == first);
  CHECK(bed.segmenter.playlist("b/")->find("b/1000.ts") != std::string::npos);
  bed.point(2);
  CHECK(bed.segmenter.playlist("a/") != first);
  // 1 MB in 2 s.
  CHECK(bed.counters.segment_bitrate_peak == 4'000'000);
}
