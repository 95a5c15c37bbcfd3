// Packets in a stream of bytes, each behind its length (RFC 4571 section 2).
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   |             LENGTH            |  RTP or RTCP packet …         |
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>

#include "codec/bytes.h"

namespace sluice::codec {

constexpr std::size_t kFrameHeadSize = 2;

/** Puts packets together from however many pieces. Nothing is allocated after it was made. */
class FrameReader {
 public:
  /** What one call took. */
  struct Step {
    std::size_t consumed = 0;
    /** A whole packet; empty where there is none yet. Valid until the next call. */
    Bytes packet;
    /** A length that is more than was allowed: what follows cannot be read. */
    bool error = false;
  };

  /** No packet is longer than `most` bytes. */
  explicit FrameReader(std::size_t most) : most_(most), room_(new std::uint8_t[kFrameHeadSize + most]) {}

  void reset() noexcept { filled_ = 0; }
  /** Takes bytes up to the end of one packet. Not after an error. */
  Step feed(Bytes input) noexcept {
    Step step;
    if (filled_ < kFrameHeadSize) step.consumed = take(input, kFrameHeadSize);
    if (filled_ < kFrameHeadSize) return step;
    const std::size_t size = load16(room_.get());
    step.error = size > most_;
    if (step.error) return step;
    step.consumed += take(input.subspan(step.consumed), kFrameHeadSize + size);
    if (filled_ < kFrameHeadSize + size) return step;
    step.packet = {room_.get() + kFrameHeadSize, size};
    filled_ = 0;
    return step;
  }
  /** No packet has been begun. */
  [[nodiscard]] bool at_border() const noexcept { return filled_ == 0; }

 private:
  /** Copies until `end` bytes are there. */
  std::size_t take(Bytes input, std::size_t end) noexcept {
    const std::size_t n = std::min(input.size(), end - filled_);
    if (n > 0) std::memcpy(room_.get() + filled_, input.data(), n);
    filled_ += n;
    return n;
  }

  std::size_t most_;
  std::unique_ptr<std::uint8_t[]> room_;
  std::size_t filled_ = 0;
};

}  // namespace sluice::codec
