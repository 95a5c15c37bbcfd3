#include "plane/rtp_statistics.h"

#include <algorithm>

#include "codec/ntp.h"

namespace sluice::plane {

namespace {

// RFC 3550 A.1.
constexpr std::uint32_t kCycle = 1U << 16;
constexpr std::uint16_t kMostDropout = 3000;
constexpr std::uint16_t kMostMisorder = 100;
constexpr std::uint8_t kInSequence = 2;
constexpr std::uint32_t kNoJump = kCycle + 1;

/** A moment on a clock of `rate` Hz, modulo 2^32; split, since nanoseconds times the rate are too many. */
std::uint32_t in_units(Nanos at, std::uint32_t rate) noexcept {
  const auto seconds = static_cast<std::uint64_t>(at / kernel::kSecond);
  const auto part = static_cast<std::uint64_t>(at % kernel::kSecond);
  return static_cast<std::uint32_t>(seconds * rate + part * rate / kernel::kSecond);
}

}  // namespace

void RtpStatistics::begin(std::uint16_t sequence) noexcept {
  base_ = sequence;
  highest_ = sequence;
  after_jump_ = kNoJump;
  cycles_ = 0;
  received_ = 0;
  expected_before_ = 0;
  received_before_ = 0;
  jitter16_ = 0;
  timed_ = false;
}

bool RtpStatistics::update(std::uint16_t sequence, std::uint32_t timestamp, Nanos arrival) noexcept {
  if (!began_) {
    began_ = true;
    begin(sequence);
    // As if the number before had come: this packet is the first in sequence.
    highest_ = static_cast<std::uint16_t>(sequence - 1);
    probation_ = kInSequence;
  }
  if (!follow(sequence)) return false;
  measure_jitter(timestamp, arrival);
  return true;
}

/** RFC 3550 A.1, update_seq(). */
bool RtpStatistics::follow(std::uint16_t sequence) noexcept {
  const auto ahead = static_cast<std::uint16_t>(sequence - highest_);
  if (probation_ > 0) {
    const bool continues = ahead == 1;
    highest_ = sequence;
    probation_ = continues ? static_cast<std::uint8_t>(probation_ - 1) : kInSequence - 1;
    if (probation_ > 0) return false;
    begin(sequence);
  } else if (ahead < kMostDropout) {
    if (sequence < highest_) cycles_ += kCycle;
    highest_ = sequence;
  } else if (ahead <= kCycle - kMostMisorder) {
    if (sequence != after_jump_) {
      after_jump_ = static_cast<std::uint16_t>(sequence + 1);
      return false;
    }
    // Two in sequence: the other side has started anew without telling.
    begin(sequence);
  }
  received_++;
  return true;
}

/** RFC 3550 A.8; the jitter is kept times 16, which keeps what rounding would lose. */
void RtpStatistics::measure_jitter(std::uint32_t timestamp, Nanos arrival) noexcept {
  const std::uint32_t transit = in_units(arrival, clock_rate_) - timestamp;
  if (timed_) {
    const auto difference = static_cast<std::int32_t>(transit - transit_);
    const auto size =
        difference < 0 ? 0U - static_cast<std::uint32_t>(difference) : static_cast<std::uint32_t>(difference);
    jitter16_ += size - ((jitter16_ + 8) >> 4);
  }
  transit_ = transit;
  timed_ = true;
}

void RtpStatistics::on_sender_report(std::uint64_t ntp, Nanos arrival) noexcept {
  last_report_ = codec::ntp_middle(ntp);
  last_report_at_ = arrival;
}

std::int32_t RtpStatistics::lost() const noexcept {
  const auto lost = static_cast<std::int32_t>(expected() - received_);
  return std::clamp(lost, -0x800000, 0x7fffff);
}

codec::ReportBlock RtpStatistics::report_block(Nanos now) noexcept {
  const std::uint32_t expected_now = expected() - expected_before_;
  const std::uint32_t received_now = received_ - received_before_;
  expected_before_ = expected();
  received_before_ = received_;
  const auto lost_now = static_cast<std::int32_t>(expected_now - received_now);
  // RFC 3550 A.3: of 256, 255 where all was lost, 0 where duplicates made up for it.
  const std::uint64_t fraction =
      expected_now == 0 || lost_now <= 0 ? 0 : (static_cast<std::uint64_t>(lost_now) << 8) / expected_now;
  codec::ReportBlock block;
  block.ssrc = ssrc_;
  block.fraction_lost = static_cast<std::uint8_t>(std::min<std::uint64_t>(fraction, 255));
  block.lost = lost();
  block.highest_sequence = highest_sequence();
  block.jitter = jitter();
  block.last_report = last_report_;
  block.delay = last_report_ == 0 ? 0 : codec::short_from_nanos(now - last_report_at_);
  return block;
}

}  // namespace sluice::plane
