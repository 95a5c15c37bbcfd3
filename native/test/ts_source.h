// A small MPEG-TS multiplex for tests: PAT, PMT, and pictures with PCR, PTS and random access points, at a
// constant rate.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <vector>

#include "codec/mpegts.h"

namespace sluice::test {

struct SourceOptions {
  std::uint16_t program = 1;
  std::uint16_t pmt_pid = 0x1000;
  std::uint16_t video_pid = 0x100;
  /** TS packets a second. */
  int packets_per_second = 2500;
  int pictures_per_second = 25;
  /** Every so many pictures one is an access point, with tables before it. */
  int group = 25;
  /** First PCR, 27 MHz. */
  std::int64_t clock = 0;
  /** Further programmes in the PAT, without packets of their own. */
  std::vector<codec::Pat::Program> others;
};

/** Makes one packet after the other; deterministic. */
class TsSource {
 public:
  explicit TsSource(SourceOptions options = {}) : options_(std::move(options)) {}

  /** Appends `count` packets. */
  void make(int count, std::vector<std::uint8_t>& out) {
    for (int i = 0; i < count; i++) {
      out.resize(out.size() + codec::kTsPacketSize);
      next(out.data() + out.size() - codec::kTsPacketSize);
    }
  }
  [[nodiscard]] std::vector<std::uint8_t> make(int count) {
    std::vector<std::uint8_t> out;
    make(count, out);
    return out;
  }
  /** PCR of the next packet, were it to carry one. */
  [[nodiscard]] std::int64_t clock() const {
    return options_.clock + made_ * codec::kSystemClock / options_.packets_per_second;
  }

  void next(std::uint8_t* out) {
    const int per_picture = options_.packets_per_second / options_.pictures_per_second;
    const auto phase = static_cast<int>(made_ % per_picture);
    const bool entry = (made_ / per_picture) % options_.group == 0;
    // An access point's picture begins in the third packet, behind the tables.
    const int begin = entry ? 2 : 0;
    if (entry && phase == 0) {
      table(0, pat(), out);
    } else if (entry && phase == 1) {
      table(options_.pmt_pid, pmt(), out);
    } else if (phase == begin) {
      picture(entry, out);
    } else {
      header(options_.video_pid, false, 0x10, out);
      std::memset(out + 4, 0x55, codec::kTsPacketSize - 4);
    }
    made_++;
  }

 private:
  void header(std::uint16_t pid, bool start, std::uint8_t control, std::uint8_t* out) {
    std::memset(out, 0xff, codec::kTsPacketSize);
    out[0] = codec::kTsSync;
    codec::store16(out + 1, static_cast<std::uint16_t>((start ? 0x4000 : 0) | pid));
    out[3] = static_cast<std::uint8_t>(control | (counters_[pid]++ & 0x0f));
  }

  void table(std::uint16_t pid, std::vector<std::uint8_t> section, std::uint8_t* out) {
    section[1] = 0xb0;
    section[2] = static_cast<std::uint8_t>(section.size() + 4 - 3);
    section.resize(section.size() + 4);
    codec::store32(section.data() + section.size() - 4,
                   codec::crc32_mpeg({section.data(), section.size() - 4}));
    header(pid, true, 0x10, out);
    out[4] = 0;
    std::copy(section.begin(), section.end(), out + 5);
  }

  [[nodiscard]] std::vector<std::uint8_t> pat() const {
    std::vector<std::uint8_t> s = {0x00, 0, 0, 0x00, 0x01, 0xc1, 0, 0};
    auto add = [&s](codec::Pat::Program p) {
      s.resize(s.size() + 4);
      codec::store16(s.data() + s.size() - 4, p.number);
      codec::store16(s.data() + s.size() - 2, static_cast<std::uint16_t>(0xe000 | p.pmt_pid));
    };
    add({options_.program, options_.pmt_pid});
    for (const auto& other : options_.others) add(other);
    return s;
  }

  [[nodiscard]] std::vector<std::uint8_t> pmt() const {
    const auto high = static_cast<std::uint8_t>(0xe0 | options_.video_pid >> 8);
    const auto low = static_cast<std::uint8_t>(options_.video_pid);
    return {0x02,
            0,
            0,
            static_cast<std::uint8_t>(options_.program >> 8),
            static_cast<std::uint8_t>(options_.program),
            0xc1,
            0,
            0,
            high,
            low,
            0xf0,
            0,
            0x1b,
            high,
            low,
            0xf0,
            0};
  }

  void picture(bool entry, std::uint8_t* out) {
    header(options_.video_pid, true, 0x30, out);
    out[4] = 7;
    out[5] = entry ? 0x50 : 0x10;
    codec::set_pcr(out, clock());
    const std::array<std::uint8_t, 14> pes = {0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1};
    std::copy(pes.begin(), pes.end(), out + 12);
    codec::set_pes_timestamp(out + 21, clock() / 300 + 9000);
    const std::array<std::uint8_t, 5> nal = {0, 0, 0, 1, static_cast<std::uint8_t>(entry ? 0x65 : 0x41)};
    std::copy(nal.begin(), nal.end(), out + 26);
  }

  SourceOptions options_;
  std::int64_t made_ = 0;
  std::map<std::uint16_t, std::uint8_t> counters_;
};

}  // namespace sluice::test
