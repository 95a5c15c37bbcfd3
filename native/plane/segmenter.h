// HLS segments as ranges of the ring, and the media playlist that lists them (RFC 8216).
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "plane/packetiser.h"

namespace sluice::plane {

/** One segment: the ring's bytes from an access point to the next one that was cut at. */
struct Segment {
  std::uint64_t number = 0;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  /** 27 MHz. */
  std::int64_t duration = 0;
  bool discontinuity = false;
  /** Given before the bytes where the tables do not stand at `begin`. */
  PsiPackets psi;

  [[nodiscard]] std::uint64_t size() const noexcept { return end - begin + psi.size; }
};

/** Cuts at access points and keeps the list of what can still be fetched. */
class Segmenter {
 public:
  /**
   * `target` (27 MHz): segments are cut at the first access point after it. `window`: most segments listed.
   * `first_number`: media sequence numbers begin here; must not go back when the daemon is started again.
   */
  Segmenter(std::int64_t target, std::size_t window, std::uint64_t first_number, StreamCounters& counters);

  /**
   * An access point whose place on the media timeline is known. In order of position. Where it begins a new
   * timeline, the segment before it ends at `end_before` (27 MHz).
   */
  void add(const AccessPoint& point, std::int64_t media_time, std::int64_t end_before);
  /** Forgets segments that begin before `position`. */
  void expire(std::uint64_t position);
  /** None when it is not there any more, or not yet. */
  [[nodiscard]] const Segment* find(std::uint64_t number) const noexcept;
  /** The media playlist; null while there is no segment. `prefix` stands before `N.ts`. */
  [[nodiscard]] std::shared_ptr<const std::string> playlist(const std::string& prefix);
  /** Seconds, as in EXT-X-TARGETDURATION: no listed segment is longer when rounded. */
  [[nodiscard]] int target_duration() const noexcept { return target_duration_; }

 private:
  void drop_oldest();
  void cut(const AccessPoint& point, std::int64_t media_time, std::int64_t duration);
  [[nodiscard]] std::int64_t duration_to(const AccessPoint& point, std::int64_t media_time) const noexcept;
  [[nodiscard]] std::string render(const std::string& prefix) const;

  const std::int64_t target_;
  const std::size_t window_;
  StreamCounters& counters_;
  std::deque<Segment> segments_;
  bool open_ = false;
  AccessPoint begin_;
  std::int64_t begin_time_ = 0;
  std::uint64_t next_number_;
  std::uint64_t discontinuity_sequence_ = 0;
  int target_duration_;
  std::string cached_prefix_;
  std::shared_ptr<const std::string> cached_;
};

}  // namespace sluice::plane
