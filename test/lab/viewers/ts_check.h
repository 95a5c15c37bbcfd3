// What a viewer can say about the MPEG-TS it gets: sync, continuity (ISO/IEC 13818-1 2.4.3.3), random access
// points of the video. Written apart from the daemon's own code, so that one does not inherit the other's
// mistakes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sluice::lab {

struct TsCounters {
  uint64_t packets = 0;
  uint64_t sync_errors = 0;
  uint64_t continuity_errors = 0;
  uint64_t transport_errors = 0;
  uint64_t announced_discontinuities = 0;
  uint64_t access_points = 0;
};

class TsCheck {
 public:
  static constexpr size_t kPacket = 188;

  /** What comes next does not continue what came. */
  void restart() {
    fill_ = 0;
    last_.fill(kUnknown);
  }

  /** Bytes of an incomplete packet at the end so far. */
  [[nodiscard]] size_t rest() const { return fill_; }

  /** Checks a piece of any size; returns true when a random access point of the video began in it. */
  bool feed(const uint8_t* bytes, size_t size) {
    const uint64_t before = counters.access_points;
    if (fill_ > 0) {
      const size_t take = size < kPacket - fill_ ? size : kPacket - fill_;
      std::memcpy(partial_.data() + fill_, bytes, take);
      fill_ += take;
      bytes += take;
      size -= take;
      if (fill_ < kPacket) return false;
      packet(partial_.data());
      fill_ = 0;
    }
    for (; size >= kPacket; bytes += kPacket, size -= kPacket) packet(bytes);
    std::memcpy(partial_.data(), bytes, size);
    fill_ = size;
    return counters.access_points != before;
  }

  TsCounters counters;

 private:
  static constexpr uint8_t kUnknown = 0xFF;
  static constexpr uint8_t kDuplicateSeen = 0x80;
  static constexpr uint16_t kNullPid = 0x1FFF;
  static constexpr uint16_t kNoPid = 0xFFFF;

  void packet(const uint8_t* p) {
    counters.packets++;
    if (p[0] != 0x47) {
      counters.sync_errors++;
      return;
    }
    if ((p[1] & 0x80) != 0) counters.transport_errors++;
    const uint16_t pid = static_cast<uint16_t>((p[1] & 0x1F) << 8 | p[2]);
    if (pid == kNullPid) return;
    const bool has_adaptation = (p[3] & 0x20) != 0 && p[4] > 0;
    const uint8_t flags = has_adaptation ? p[5] : 0;
    continuity(pid, p[3], (flags & 0x80) != 0);
    if (pid == video_pid_ && (flags & 0x40) != 0) counters.access_points++;
    if ((p[1] & 0x40) != 0) tables(pid, p);
  }

  void continuity(uint16_t pid, uint8_t control, bool announced) {
    const uint8_t counter = control & 0x0F;
    const bool payload = (control & 0x10) != 0;
    uint8_t& last = last_[pid];
    const uint8_t previous = last & 0x0F;
    if (announced) counters.announced_discontinuities++;
    if (last == kUnknown || announced) {
      last = counter;
      return;
    }
    if (!payload) {
      if (counter != previous) counters.continuity_errors++;
      last = counter;
      return;
    }
    if (counter == ((previous + 1) & 0x0F)) {
      last = counter;
    } else if (counter == previous && (last & kDuplicateSeen) == 0) {
      last = counter | kDuplicateSeen;  // one duplicate is allowed
    } else {
      counters.continuity_errors++;
      last = counter;
    }
  }

  /** PAT and PMT that fit into one packet, as every usual multiplexer sends them. */
  void tables(uint16_t pid, const uint8_t* p) {
    const size_t start = 4 + ((p[3] & 0x20) != 0 ? 1U + p[4] : 0U);
    if ((p[3] & 0x10) == 0 || start + 1 >= kPacket) return;
    const size_t section = start + 1 + p[start];
    if (section + 12 > kPacket) return;
    const size_t length = static_cast<size_t>((p[section + 1] & 0x0F) << 8 | p[section + 2]);
    const size_t end = section + 3 + length;
    if (end > kPacket || length < 13) return;
    if (pid == 0 && p[section] == 0x00) program_map_pid_ = first_program(p + section + 8, p + end - 4);
    if (pid == program_map_pid_ && p[section] == 0x02) video_pid_ = first_video(p + section + 8, p + end - 4);
  }

  static uint16_t first_program(const uint8_t* at, const uint8_t* end) {
    for (; at + 4 <= end; at += 4) {
      if ((at[0] << 8 | at[1]) != 0) return static_cast<uint16_t>((at[2] & 0x1F) << 8 | at[3]);
    }
    return kNoPid;
  }

  static uint16_t first_video(const uint8_t* at, const uint8_t* end) {
    at += 4 + ((at[2] & 0x0F) << 8 | at[3]);
    while (at + 5 <= end) {
      const uint8_t type = at[0];
      if (type == 0x01 || type == 0x02 || type == 0x1B || type == 0x24)
        return static_cast<uint16_t>((at[1] & 0x1F) << 8 | at[2]);
      at += 5 + ((at[3] & 0x0F) << 8 | at[4]);
    }
    return kNoPid;
  }

  std::array<uint8_t, 8192> last_ = [] {
    std::array<uint8_t, 8192> all{};
    all.fill(kUnknown);
    return all;
  }();
  std::array<uint8_t, kPacket> partial_{};
  size_t fill_ = 0;
  uint16_t program_map_pid_ = kNoPid;
  uint16_t video_pid_ = kNoPid;
};

}  // namespace sluice::lab
