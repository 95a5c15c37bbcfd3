#include "plane/segmenter.h"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cmath>
#include <cstdio>

namespace sluice::plane {

namespace {

constexpr std::int64_t kPtsModulus = std::int64_t{1} << 33;
constexpr std::int64_t kTicksPerPts = 300;
/** EXTINF has five decimals. */
constexpr std::int64_t kUnitsPerSecond = 100'000;
}  // namespace

Segmenter::Segmenter(std::int64_t target, std::size_t window, std::uint64_t first_number,
                     StreamCounters& counters)
    : target_(target),
      window_(window),
      counters_(counters),
      next_number_(first_number),
      target_duration_(static_cast<int>((target + codec::kSystemClock - 1) / codec::kSystemClock)) {}

std::int64_t Segmenter::duration_to(const AccessPoint& point, std::int64_t media_time) const noexcept {
  const std::int64_t by_clock = media_time - begin_time_;
  if (point.pts < 0 || begin_.pts < 0) return by_clock;
  const std::int64_t by_pts = ((point.pts - begin_.pts + kPtsModulus) % kPtsModulus) * kTicksPerPts;
  // The pictures' own times are exact, but only where they belong to one timeline.
  return std::abs(by_pts - by_clock) < codec::kSystemClock / 2 ? by_pts : by_clock;
}

void Segmenter::add(const AccessPoint& point, std::int64_t media_time, std::int64_t end_before) {
  if (!open_) {
    open_ = true;
    begin_ = point;
    begin_.discontinuity = begin_.discontinuity || !segments_.empty();
    begin_time_ = media_time;
    return;
  }
  // A third of a frame is granted, so that rounding does not skip a cut.
  const std::int64_t duration =
      point.discontinuity ? end_before - begin_time_ : duration_to(point, media_time);
  if (point.discontinuity || duration + codec::kSystemClock / 100 >= target_)
    cut(point, media_time, duration);
}

void Segmenter::cut(const AccessPoint& point, std::int64_t media_time, std::int64_t duration) {
  Segment s;
  s.number = next_number_++;
  s.begin = begin_.position;
  s.end = point.position;
  s.duration = std::max<std::int64_t>(duration, 1);
  s.discontinuity = begin_.discontinuity;
  s.psi = begin_.psi;
  const double seconds = static_cast<double>(s.duration) / static_cast<double>(codec::kSystemClock);
  target_duration_ = std::max(target_duration_, static_cast<int>(std::lround(seconds)));
  segments_.push_back(s);
  begin_ = point;
  begin_time_ = media_time;
  // RFC 8216 6.2.2: what has left the playlist is kept for its own duration and that of the longest playlist.
  while (segments_.size() > 2 * window_ + 1) drop_oldest();
  kernel::bump(counters_.segments);
  double peak = 0;
  for (const Segment& x : segments_)
    peak = std::max(peak, static_cast<double>(x.size()) * 8 * static_cast<double>(codec::kSystemClock) /
                              static_cast<double>(x.duration));
  kernel::gauge(counters_.segment_bitrate_peak, static_cast<std::uint64_t>(peak));
  cached_.reset();
}

void Segmenter::drop_oldest() {
  // RFC 8216 6.2.2: tags that leave the playlist are counted, so that clients can still tell the timelines
  // apart.
  if (segments_.front().discontinuity) discontinuity_sequence_++;
  segments_.pop_front();
}

void Segmenter::expire(std::uint64_t position) {
  while (!segments_.empty() && segments_.front().begin < position) {
    drop_oldest();
    cached_.reset();
  }
  if (open_ && begin_.position < position) open_ = false;
}

const Segment* Segmenter::find(std::uint64_t number) const noexcept {
  if (segments_.empty() || number < segments_.front().number || number > segments_.back().number)
    return nullptr;
  return &segments_[static_cast<std::size_t>(number - segments_.front().number)];
}

std::shared_ptr<const std::string> Segmenter::playlist(const std::string& prefix) {
  if (segments_.empty()) return nullptr;
  if (!cached_ || cached_prefix_ != prefix) {
    cached_ = std::make_shared<const std::string>(render(prefix));
    cached_prefix_ = prefix;
  }
  return cached_;
}

std::string Segmenter::render(const std::string& prefix) const {
  const std::size_t listed = std::min(window_, segments_.size());
  const std::size_t first = segments_.size() - listed;
  std::uint64_t earlier = discontinuity_sequence_;
  for (std::size_t i = 0; i < first; i++) earlier += segments_[i].discontinuity ? 1 : 0;
  std::string text = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-TARGETDURATION:" +
                     std::to_string(target_duration_) +
                     "\n#EXT-X-MEDIA-SEQUENCE:" + std::to_string(segments_[first].number) +
                     "\n#EXT-X-DISCONTINUITY-SEQUENCE:" + std::to_string(earlier) + "\n";
  for (std::size_t i = first; i < segments_.size(); i++) {
    const Segment& s = segments_[i];
    if (s.discontinuity) text += "#EXT-X-DISCONTINUITY\n";
    // In whole numbers: a locale must not put its own decimal sign there.
    const std::int64_t units = s.duration / (codec::kSystemClock / kUnitsPerSecond);
    std::array<char, 48> line{};
    std::snprintf(line.data(), line.size(), "#EXTINF:%" PRId64 ".%05" PRId64 ",\n", units / kUnitsPerSecond,
                  units % kUnitsPerSecond);
    text += line.data() + prefix + std::to_string(s.number) + ".ts\n";
  }
  return text;
}

}  // namespace sluice::plane
