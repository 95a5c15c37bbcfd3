#include "plane/segmenter.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

namespace sluice::plane {

namespace {

constexpr std::int64_t kPtsModulus = std::int64_t{1} << 33;
constexpr std::int64_t kTicksPerPts = 300;
/** Segments kept for those who read an older playlist, beyond the listed ones (RFC 8216 6.2.2). */
constexpr std::size_t kKeptBeyondWindow = 3;

}  // namespace

Segmenter::Segmenter(std::int64_t target, std::size_t window, std::uint64_t first_number, StreamCounters& counters)
    : target_(target),
      window_(window),
      counters_(counters),
      next_number_(first_number),
      target_duration_(static_cast<int>((target + codec::kSystemClock - 1) / codec::kSystemClock)) {}

std::int64_t Segmenter::duration_to(const AccessPoint& point, std::int64_t media_time) const noexcept {
  const std::int64_t by_clock = media_time - begin_time_;
  if (point.pts < 0 || begin_.pts < 0 || point.discontinuity) return by_clock;
  const std::int64_t by_pts = ((point.pts - begin_.pts + kPtsModulus) % kPtsModulus) * kTicksPerPts;
  // The pictures' own times are exact, but only where they belong to one timeline.
  return std::abs(by_pts - by_clock) < codec::kSystemClock / 2 ? by_pts : by_clock;
}

void Segmenter::add(const AccessPoint& point, std::int64_t media_time) {
  if (!open_) {
    open_ = true;
    begin_ = point;
    begin_.discontinuity = begin_.discontinuity || !segments_.empty();
    begin_time_ = media_time;
    return;
  }
  // A third of a frame is granted, so that rounding does not skip a cut.
  const bool due = duration_to(point, media_time) + codec::kSystemClock / 100 >= target_;
  if (due || point.discontinuity) cut(point, media_time);
}

void Segmenter::cut(const AccessPoint& point, std::int64_t media_time) {
  Segment s;
  s.number = next_number_++;
  s.begin = begin_.position;
  s.end = point.position;
  s.duration = std::max<std::int64_t>(duration_to(point, media_time), 1);
  s.discontinuity = begin_.discontinuity;
  s.psi = begin_.psi;
  const double seconds = static_cast<double>(s.duration) / static_cast<double>(codec::kSystemClock);
  target_duration_ = std::max(target_duration_, static_cast<int>(seconds + 0.5));
  segments_.push_back(s);
  begin_ = point;
  begin_time_ = media_time;
  while (segments_.size() > window_ + kKeptBeyondWindow) drop_oldest();
  kernel::bump(counters_.segments);
  double peak = 0;
  for (const Segment& x : segments_)
    peak = std::max(peak, static_cast<double>(x.size()) * 8 * static_cast<double>(codec::kSystemClock) /
                              static_cast<double>(x.duration));
  kernel::gauge(counters_.segment_bitrate_peak, static_cast<std::uint64_t>(peak));
  cached_.reset();
}

void Segmenter::drop_oldest() {
  // RFC 8216 6.2.2: tags that leave the playlist are counted, so that clients can still tell the timelines apart.
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
  if (segments_.empty() || number < segments_.front().number || number > segments_.back().number) return nullptr;
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
    char line[64];
    std::snprintf(line, sizeof line, "#EXTINF:%.5f,\n%" PRIu64 ".ts\n",
                  static_cast<double>(s.duration) / static_cast<double>(codec::kSystemClock), s.number);
    const std::string entry(line);
    const auto newline = entry.find('\n');
    text += entry.substr(0, newline + 1) + prefix + entry.substr(newline + 1);
  }
  return text;
}

}  // namespace sluice::plane
