#include "plane/receiver_report.h"

#include <algorithm>

#include "codec/ntp.h"

namespace sluice::plane {

namespace {

/** DLSR counts in 1/65536 s: on a short way the difference may fall below zero by so much and be none. */
constexpr Nanos kResolution = kernel::kSecond / 65536 + 1;

std::optional<Nanos> round_trip(const codec::ReportBlock& block, const SentReports& sent,
                                Nanos arrival) noexcept {
  const auto left = sent.sent_at(block.last_report);
  if (!left) return std::nullopt;
  const Nanos way = arrival - *left - codec::nanos_from_short(block.delay);
  if (way < -kResolution) return std::nullopt;
  return std::max<Nanos>(way, 0);
}

}  // namespace

void SentReports::note(std::uint64_t ntp, Nanos now) noexcept {
  sent_[next_] = {codec::ntp_middle(ntp), now};
  next_ = (next_ + 1) % sent_.size();
}

std::optional<Nanos> SentReports::sent_at(std::uint32_t last_report) const noexcept {
  if (last_report == 0) return std::nullopt;
  const auto found = std::ranges::find(sent_, last_report, &Sent::name);
  if (found == sent_.end()) return std::nullopt;
  return found->at;
}

ReceiverReportView view_report(const codec::ReportBlock& block, const SentReports& sent,
                               std::uint32_t clock_rate, Nanos arrival) noexcept {
  return {block.fraction_lost / 256.0, block.lost,
          static_cast<Nanos>(std::uint64_t{block.jitter} * kernel::kSecond / clock_rate),
          round_trip(block, sent, arrival)};
}

}  // namespace sluice::plane
