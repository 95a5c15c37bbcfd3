// An MPEG-TS clip that plays endlessly: loop after loop with time stamps and continuity counters going on, so
// that a receiver cannot tell where one loop ends and the next begins.
//
// The clip is what lies between the first and the last random access point of the recording; one loop lasts
// as long as the decoding time between the two, so that the picture after the last one is the first one,
// exactly one picture later.
//
//   recording  ....|PAT PMT I....|I....|I....|PAT PMT I...
//   clip           [segment 0    |  1  |  2  )               loop k adds k times the duration to PCR, PTS and
//   DTS
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "codec/mpegts.h"

namespace sluice::codec {

/** Why bytes are no clip: `code` is CAPTURE_INVALID or CAPTURE_EMPTY, `message` one sentence. */
struct ClipError {
  const char* code = "CAPTURE_INVALID";
  std::string message;
};

/** A place in a segment and when it departs, for pacing; times between two marks lie on a straight line. */
struct ClipMark {
  /** Offset of a TS packet in the rendered segment. */
  std::size_t offset = 0;
  /** Since the begin of the loop, 27 MHz. */
  std::int64_t time = 0;
};

/** What plays from one random access point to a later one. Begins with PAT and PMT. */
struct ClipSegment {
  /** Decoding times since the begin of the loop, 90 kHz. */
  std::int64_t start = 0;
  std::int64_t duration = 0;
  /** Rendered size in bytes. */
  std::size_t size = 0;
  /** The first is at offset 0, the last at `size`. */
  std::vector<ClipMark> marks;
  /** Indices into TsClip's packets. */
  std::size_t first = 0;
  std::size_t end = 0;
};

/** One elementary stream of the clip. */
struct ClipStream {
  std::uint16_t pid = 0;
  std::uint8_t type = 0;
  /**
   * At the loop: begin of the next loop's first PES packet less what was due after the last one, 90 kHz;
   * below 0 it overlaps. 0 where it cannot be told.
   */
  std::int64_t joint = 0;
};

class TsClip {
 public:
  /**
   * Takes a recording. Segments are cut at the first random access point that comes `segment_ms` (less a
   * tenth, for rates such as 29.97) or more after the one before.
   */
  static std::variant<TsClip, ClipError> build(Bytes recording, std::int64_t segment_ms);

  [[nodiscard]] const std::vector<ClipSegment>& segments() const noexcept { return segments_; }
  [[nodiscard]] const std::vector<ClipStream>& streams() const noexcept { return streams_; }
  /** Of one loop, 90 kHz. */
  [[nodiscard]] std::int64_t duration() const noexcept { return duration_; }
  [[nodiscard]] std::size_t access_points() const noexcept { return access_points_; }
  /** Places where the recording itself lacks packets; they stay visible in the continuity counters. */
  [[nodiscard]] std::size_t continuity_errors() const noexcept { return continuity_errors_; }
  [[nodiscard]] std::uint16_t pcr_pid() const noexcept { return pcr_pid_; }

  /**
   * Writes segment `index` of loop `loop` (any, negative too). `out` has at least segments()[index].size
   * bytes; `index` is in range. Allocates nothing.
   */
  void render(std::size_t index, std::int64_t loop, std::uint8_t* out) const noexcept;

 private:
  friend class ClipBuilder;

  struct Packet {
    /** Offset in bytes_. */
    std::size_t offset = 0;
    /** Continuity counter in loop 0. */
    std::uint8_t counter = 0;
  };

  TsClip() = default;
  /** The recorded PCR as it is in loop 0: stretched so that the loop lasts `duration_` on the PCR's clock
   * too. */
  [[nodiscard]] std::int64_t warp(std::int64_t pcr) const noexcept;

  std::vector<std::uint8_t> bytes_;
  std::vector<Packet> packets_;
  std::vector<ClipSegment> segments_;
  std::vector<ClipStream> streams_;
  /** By how much the counter of a PID moves on in each loop. */
  std::map<std::uint16_t, std::uint8_t> advance_;
  std::int64_t duration_ = 0;
  std::int64_t pcr_start_ = 0;
  std::int64_t pcr_span_ = 0;
  std::size_t access_points_ = 0;
  std::size_t continuity_errors_ = 0;
  std::uint16_t pcr_pid_ = kPidNull;
};

}  // namespace sluice::codec
