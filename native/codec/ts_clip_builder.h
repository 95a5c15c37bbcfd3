// How a recording becomes a TsClip; used by ts_clip.cc only.
#pragma once

#include <optional>

#include "codec/ts_clip.h"

namespace sluice::codec {

class ClipBuilder {
 public:
  explicit ClipBuilder(std::int64_t segment_ms) noexcept : segment_ms_(segment_ms) {}
  std::variant<TsClip, ClipError> build(Bytes recording);

 private:
  using Failure = std::optional<ClipError>;
  /** A random access point of the reference stream. */
  struct AccessPoint {
    /** Where the tables before it begin, or its own packet. */
    std::size_t cut = 0;
    std::size_t packet = 0;
    /** Decoding time since the first one, 90 kHz. */
    std::int64_t time = 0;
  };
  /** Decoding times of one stream within the clip, since the first access point. */
  struct StreamTimes {
    std::size_t count = 0;
    std::int64_t first = 0;
    std::int64_t last = 0;
    /** Difference of the last two. */
    std::int64_t step = 0;
  };

  [[nodiscard]] TsPacket view(std::size_t packet) const noexcept;
  void align(Bytes recording);
  Failure find_program();
  void choose_reference(const Pmt& pmt);
  Failure find_access_points();
  [[nodiscard]] std::size_t find_cut(std::size_t packet) const noexcept;
  [[nodiscard]] bool is_table(std::uint16_t pid) const noexcept;
  Failure measure_clock();
  void drop_halves();
  void drop_overlaps();
  void drop(std::size_t packet) noexcept;
  void measure_streams();
  void cut_segments();
  void append_table(std::size_t before, std::uint16_t pid);
  void append(std::size_t offset);
  void number();
  void mark_segments();

  std::int64_t segment_ms_;
  TsClip clip_;
  /** Packets in the recording; their bytes are the first of clip_.bytes_. */
  std::size_t count_ = 0;
  std::uint16_t pmt_pid_ = kPidNull;
  std::uint16_t reference_ = kPidNull;
  Coding coding_ = Coding::other;
  std::vector<AccessPoint> points_;
};

}  // namespace sluice::codec
