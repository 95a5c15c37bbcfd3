// What a receiver's report says about what it was sent (RFC 3550 section 6.4.1).
#pragma once

#include <array>
#include <optional>

#include "codec/rtcp.h"
#include "kernel/reactor.h"

namespace sluice::plane {

using kernel::Nanos;

/**
 * When the last SRs left: a report names the SR that it came after, and where an SR was relayed its NTP
 * timestamp is of another clock than ours.
 */
class SentReports {
 public:
  /** An SR with this NTP timestamp leaves at `now`. */
  void note(std::uint64_t ntp, Nanos now) noexcept;
  /** When the SR left that LSR names; none where it is not known any more. */
  [[nodiscard]] std::optional<Nanos> sent_at(std::uint32_t last_report) const noexcept;

 private:
  struct Sent {
    std::uint32_t name = 0;
    Nanos at = 0;
  };
  std::array<Sent, 4> sent_{};
  std::size_t next_ = 0;
};

/** A report block in units for people. */
struct ReceiverReportView {
  /** 0 to 1, since the report before. */
  double fraction_lost = 0;
  /** Packets since the receiver began; negative where duplicates came. */
  std::int32_t lost = 0;
  Nanos jitter = 0;
  /** None where it names no SR that is known. */
  std::optional<Nanos> round_trip;
};

/** Reads a block that arrived at `arrival`; `clock_rate` of the RTP clock in Hz, not 0. */
ReceiverReportView view_report(const codec::ReportBlock& block, const SentReports& sent,
                               std::uint32_t clock_rate, Nanos arrival) noexcept;

}  // namespace sluice::plane
