// What a receiver knows of one RTP source: for receiver reports (RFC 3550 sections 6.4.1, A.1, A.3 and A.8).
#pragma once

#include "codec/rtcp.h"
#include "kernel/reactor.h"

namespace sluice::plane {

using kernel::Nanos;

/**
 * Statistics of one SSRC; time is an argument, nothing allocates. Two packets in sequence make a source
 * valid, a jump is believed when the packet after it continues it (A.1). Small, since there are thousands.
 */
class RtpStatistics {
 public:
  /** `clock_rate` is the RTP clock in Hz, 1,000 to 192,000. */
  RtpStatistics(std::uint32_t ssrc, std::uint32_t clock_rate) noexcept
      : ssrc_(ssrc), clock_rate_(clock_rate) {}

  /** Takes a packet that arrived at `arrival`; false while the source is on probation, and for a packet far
   * from those before. */
  bool update(std::uint16_t sequence, std::uint32_t timestamp, Nanos arrival) noexcept;
  /** An SR of the source came at `arrival`; `ntp` as it stands there. */
  void on_sender_report(std::uint64_t ntp, Nanos arrival) noexcept;

  /** For a report that leaves now; the fraction lost is that since the call before. */
  codec::ReportBlock report_block(Nanos now) noexcept;

  [[nodiscard]] std::uint32_t ssrc() const noexcept { return ssrc_; }
  [[nodiscard]] bool valid() const noexcept { return began_ && probation_ == 0; }
  /** Highest sequence number with its cycles. */
  [[nodiscard]] std::uint32_t highest_sequence() const noexcept { return cycles_ + highest_; }
  [[nodiscard]] std::uint32_t expected() const noexcept {
    return valid() ? highest_sequence() - base_ + 1 : 0;
  }
  [[nodiscard]] std::uint32_t received() const noexcept { return received_; }
  /** Expected less received, within 24 bits; negative where duplicates came. */
  [[nodiscard]] std::int32_t lost() const noexcept;
  /** In units of the RTP clock. */
  [[nodiscard]] std::uint32_t jitter() const noexcept { return jitter16_ >> 4; }

 private:
  void begin(std::uint16_t sequence) noexcept;
  bool follow(std::uint16_t sequence) noexcept;
  void measure_jitter(std::uint32_t timestamp, Nanos arrival) noexcept;

  std::uint32_t ssrc_;
  std::uint32_t clock_rate_;
  std::uint32_t cycles_ = 0;
  std::uint32_t base_ = 0;
  std::uint32_t received_ = 0;
  std::uint32_t expected_before_ = 0;
  std::uint32_t received_before_ = 0;
  /** The number that would continue a jump; out of range for none. */
  std::uint32_t after_jump_ = 0;
  std::uint32_t transit_ = 0;
  std::uint32_t jitter16_ = 0;
  std::uint32_t last_report_ = 0;
  std::uint16_t highest_ = 0;
  std::uint8_t probation_ = 0;
  bool began_ = false;
  bool timed_ = false;
  Nanos last_report_at_ = 0;
};

static_assert(sizeof(RtpStatistics) <= 64);

}  // namespace sluice::plane
