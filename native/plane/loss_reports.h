// What comes to a feedback target of how a stream was received, as counters.
#pragma once

#include "codec/rtcp.h"
#include "kernel/address.h"
#include "plane/counters.h"
#include "plane/receiver_report.h"
#include "repair/audience.h"

namespace sluice::plane {

/** Reads what receivers report of a stream beside what they ask for. On the loop; allocates nothing after it
 * was made. */
class LossReports {
 public:
  explicit LossReports(SenderCounters& counters) noexcept : counters_(counters) {}

  /** The SRs that reports may name; they outlive this, or none is measured by. */
  void measure_by(const SentReports* sent) noexcept { sent_ = sent; }
  /** A compound of one who may ask; `ssrc` is the stream's. */
  void take(const codec::RtcpCompound& compound, const kernel::Address& sender, std::uint32_t ssrc,
            Nanos now) noexcept;

 private:
  void take_block(std::uint64_t receiver, const codec::ReportBlock& block, Nanos now) noexcept;
  void publish() noexcept;

  SenderCounters& counters_;
  const SentReports* sent_ = nullptr;
  repair::Audience audience_;
};

}  // namespace sluice::plane
