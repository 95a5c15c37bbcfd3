#include "plane/loss_reports.h"

#include "kernel/counter.h"

namespace sluice::plane {

using kernel::gauge;

namespace {

constexpr std::uint32_t kClockRate = 90'000;

/** Of each class of codec::LossRuns. */
constexpr std::array<std::uint64_t SenderCounters::*, codec::kRunClasses> kRuns{
    &SenderCounters::runs1,  &SenderCounters::runs2,  &SenderCounters::runs3,  &SenderCounters::runs4,
    &SenderCounters::runs6,  &SenderCounters::runs8,  &SenderCounters::runs12, &SenderCounters::runs16,
    &SenderCounters::runs24, &SenderCounters::runs32, &SenderCounters::runs64, &SenderCounters::runs_longer};

/** Several receivers may be behind one address. */
std::uint64_t name_of(const kernel::Address& address, std::uint32_t ssrc) noexcept {
  constexpr std::uint64_t kSpread = 0xbf58476d1ce4e5b9U;
  std::uint64_t name = ssrc;
  for (const std::uint8_t byte : address.bytes()) name = (name ^ byte) * kSpread;
  return name ^ name >> 29;
}

}  // namespace

void LossReports::take(const codec::RtcpCompound& compound, const kernel::Address& sender, std::uint32_t ssrc,
                       Nanos now) noexcept {
  for (const codec::RtcpPacket& packet : compound) {
    const std::uint64_t receiver = name_of(sender, packet.ssrc());
    for (std::size_t i = 0; i < codec::report_block_count(packet); i++) {
      const codec::ReportBlock block = codec::report_block(packet, i);
      // Of numbers in a field before the payload there is no SSRC to be named.
      if (block.ssrc == ssrc || block.ssrc == 0) take_block(receiver, block, now);
    }
    const auto feedback = codec::feedback_packet(packet);
    if (const auto runs = codec::loss_runs(packet))
      audience_.report(receiver, *runs, now);
    else if (feedback && packet.type == codec::rtcp_type::kTransportFeedback &&
             feedback->format == codec::rtcp_feedback::kNack)
      audience_.nacked(receiver, feedback->control, now);
  }
  publish();
}

void LossReports::take_block(std::uint64_t receiver, const codec::ReportBlock& block, Nanos now) noexcept {
  audience_.report(receiver, block, now);
  if (sent_ == nullptr) return;
  const ReceiverReportView view = view_report(block, *sent_, kClockRate, now);
  if (view.round_trip) gauge(counters_.round_trip_us, static_cast<std::uint64_t>(*view.round_trip / 1000));
}

void LossReports::publish() noexcept {
  gauge(counters_.loss_reports, audience_.reports());
  gauge(counters_.audience, audience_.size());
  gauge(counters_.reported_expected, audience_.expected());
  gauge(counters_.reported_missing, audience_.lost());
  gauge(counters_.tail_loss_ppm, audience_.tail_loss_ppm());
  for (std::size_t i = 0; i < kRuns.size(); i++) gauge(counters_.*kRuns[i], audience_.runs()[i]);
}

}  // namespace sluice::plane
