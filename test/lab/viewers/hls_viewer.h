// A viewer of HLS (RFC 8216): polls the media playlist, fetches every new segment once, checks each and the
// joints.
#pragma once

#include <algorithm>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

#include "connection.h"
#include "ts_check.h"

namespace sluice::lab {

class HlsViewer final : public Client {
 public:
  HlsViewer(int poller, const Server& server, std::string path, int64_t start_at)
      : Client(poller, server), path_(std::move(path)), next_poll_(start_at) {}

  void on_tick(int64_t now) override {
    if (busy_ && now - asked_at_ > kAnswerMs) {
      failures++;
      busy_ = false;
      hang_up();
    }
    if (!busy_) next(now);
  }

  [[nodiscard]] const TsCounters& ts() const { return check_.counters; }
  /** Whether no new segment has come for more than three target durations. */
  [[nodiscard]] bool stale(int64_t now) const { return now - last_segment_at_ > 3 * target_ms_; }

  uint64_t playlists = 0;
  uint64_t segments = 0;
  uint64_t missed = 0;
  uint64_t failures = 0;
  uint64_t misaligned = 0;
  uint64_t without_access_point = 0;
  uint64_t discontinuities = 0;
  uint64_t reconnects = 0;
  uint64_t bytes = 0;
  int64_t last_sequence = -1;
  /** Milliseconds since 1970 when the newest segment had come. */
  int64_t last_segment_real = 0;

 private:
  struct Segment {
    int64_t sequence;
    std::string path;
    bool discontinuity;
  };
  static constexpr int64_t kAnswerMs = 10'000;
  static constexpr size_t kStartFromEnd = 3;

  void next(int64_t now) {
    if (!wanted_.empty()) {
      fetch_segment(now);
    } else if (now >= next_poll_) {
      in_segment_ = false;
      playlist_.clear();
      ask(path_, now);
    }
  }

  void fetch_segment(int64_t now) {
    in_segment_ = true;
    if (wanted_.front().discontinuity) {
      discontinuities++;
      check_.restart();
    }
    before_ = check_.counters;
    ask(wanted_.front().path, now);
  }

  void ask(const std::string& path, int64_t now) {
    busy_ = true;
    asked_at_ = now;
    if (!connected()) reconnects++;
    if (!get(path)) on_lost();
  }

  void on_body(const uint8_t* data, size_t size) override {
    bytes += size;
    if (reader_.status() != 200) return;
    if (in_segment_) {
      check_.feed(data, size);
    } else if (playlist_.size() < 1'000'000) {
      playlist_.append(reinterpret_cast<const char*>(data), size);
    }
  }

  void on_response() override {
    const int64_t now = monotonic_ms();
    busy_ = false;
    if (reader_.status() != 200) {
      refused(now);
    } else if (in_segment_) {
      end_of_segment(now);
    } else {
      end_of_playlist(now);
    }
    if (!busy_) next(now);
  }

  void on_lost() override {
    // A server may close an idle connection at any time (RFC 9112 9.3): only the second loss in a row is a
    // failure.
    const bool nothing_came = reader_.status() == 0;
    busy_ = false;
    if (!nothing_came || retried_) {
      refused(monotonic_ms());
      retried_ = false;
      return;
    }
    retried_ = true;
    if (!in_segment_) next_poll_ = 0;
  }

  void refused(int64_t now) {
    failures++;
    if (in_segment_ && !wanted_.empty()) {
      wanted_.pop_front();
      check_.restart();
    }
    next_poll_ = now + 500;
  }

  void end_of_segment(int64_t now) {
    retried_ = false;
    segments++;
    if (check_.rest() != 0) {
      misaligned++;
      check_.restart();
    }
    if (check_.counters.access_points == before_.access_points) without_access_point++;
    last_sequence = wanted_.front().sequence;
    last_segment_at_ = now;
    last_segment_real = real_ms();
    wanted_.pop_front();
  }

  void end_of_playlist(int64_t now) {
    retried_ = false;
    playlists++;
    const size_t found = parse();
    // RFC 8216 6.3.4: half a target duration when nothing is new, else a whole one.
    next_poll_ = now + (found == 0 ? target_ms_ / 2 : target_ms_);
  }

  /** Queues the segments that are new; returns how many. */
  size_t parse() {
    int64_t sequence = 0;
    bool discontinuity = false;
    std::deque<Segment> listed;
    std::string_view rest(playlist_);
    while (!rest.empty()) {
      const size_t end = std::min(rest.find('\n'), rest.size());
      std::string line(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
      if (line.rfind("#EXT-X-MEDIA-SEQUENCE:", 0) == 0) sequence = std::atoll(line.c_str() + 22);
      if (line.rfind("#EXT-X-TARGETDURATION:", 0) == 0)
        target_ms_ = std::max<int64_t>(500, std::atoll(line.c_str() + 22) * 1'000);
      if (line == "#EXT-X-DISCONTINUITY") discontinuity = true;
      if (line.empty() || line[0] == '#') continue;
      listed.push_back({sequence++, absolute(line), discontinuity});
      discontinuity = false;
    }
    return queue(listed);
  }

  size_t queue(std::deque<Segment>& listed) {
    if (listed.empty()) return 0;
    if (last_listed_ < 0) {
      while (listed.size() > kStartFromEnd) listed.pop_front();
      last_segment_at_ = monotonic_ms();
    } else if (listed.front().sequence > last_listed_ + 1) {
      missed += static_cast<uint64_t>(listed.front().sequence - last_listed_ - 1);
      check_.restart();
    }
    size_t fresh = 0;
    for (auto& segment : listed) {
      if (segment.sequence <= last_listed_) continue;
      last_listed_ = segment.sequence;
      wanted_.push_back(std::move(segment));
      fresh++;
    }
    return fresh;
  }

  [[nodiscard]] std::string absolute(const std::string& reference) const {
    const size_t scheme = reference.find("://");
    if (scheme != std::string::npos) {
      const size_t slash = reference.find('/', scheme + 3);
      return slash == std::string::npos ? "/" : reference.substr(slash);
    }
    if (reference[0] == '/') return reference;
    return path_.substr(0, path_.rfind('/') + 1) + reference;
  }

  std::string path_;
  std::string playlist_;
  std::deque<Segment> wanted_;
  TsCheck check_;
  TsCounters before_;
  bool busy_ = false;
  bool in_segment_ = false;
  bool retried_ = false;
  int64_t next_poll_;
  int64_t asked_at_ = 0;
  int64_t target_ms_ = 2'000;
  int64_t last_listed_ = -1;
  int64_t last_segment_at_ = 0;
};

}  // namespace sluice::lab
