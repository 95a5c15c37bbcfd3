#include "plane/feedback_aggregator.h"

#include <algorithm>

#include "codec/ntp.h"

namespace sluice::plane {

namespace {

codec::ReportBlock waited(codec::ReportBlock block, Nanos time) noexcept {
  // Without an SR there is no delay since it (RFC 3550 section 6.4.1).
  if (block.last_report == 0) return block;
  const std::uint32_t more = codec::short_from_nanos(time);
  block.delay = block.delay > 0xffffffffU - more ? 0xffffffffU : block.delay + more;
  return block;
}

}  // namespace

template <std::size_t N>
FeedbackAggregator::Kept* FeedbackAggregator::Some<N>::find(std::uint32_t position) noexcept {
  for (Kept& kept : all()) {
    if (kept.position == position) return &kept;
  }
  return nullptr;
}

void FeedbackAggregator::forget(std::uint32_t position) noexcept {
  if (Kept* kept = worst_.find(position)) worst_.remove(*kept);
  if (Kept* kept = turns_.find(position)) turns_.remove(*kept);
}

void FeedbackAggregator::add(std::uint32_t position, const RelayedReport& report, Nanos now) noexcept {
  forget(position);
  Kept kept{report, position, now};
  if (worst_.size == kWorst) {
    const auto least = std::ranges::min_element(worst_.all(), {},
                                                [](const Kept& k) { return k.report.block.fraction_lost; });
    if (report.block.fraction_lost > least->report.block.fraction_lost) std::swap(*least, kept);
    add_in_turn(kept);
  } else {
    worst_.items[worst_.size++] = kept;
  }
}

void FeedbackAggregator::add_in_turn(const Kept& kept) noexcept {
  if (turns_.size < kTurns) {
    turns_.items[turns_.size++] = kept;
    return;
  }
  const auto last =
      std::ranges::max_element(turns_.all(), {}, [this](const Kept& k) { return distance(k.position); });
  if (distance(kept.position) < distance(last->position)) *last = kept;
}

std::size_t FeedbackAggregator::take(codec::RtcpWriter& writer, Nanos now) noexcept {
  std::size_t written = 0;
  const auto write = [&](const Kept& kept) {
    const codec::ReportBlock block = waited(kept.report.block, now - kept.at);
    const bool fits = writer.receiver_report(kept.report.reporter, {&block, 1});
    if (fits) written++;
    return fits;
  };
  std::ranges::sort(worst_.all(), std::greater{}, [](const Kept& k) { return k.report.block.fraction_lost; });
  std::ranges::sort(turns_.all(), {}, [this](const Kept& k) { return distance(k.position); });
  for (const Kept& kept : worst_.all()) write(kept);
  std::uint32_t next = turn_;
  for (const Kept& kept : turns_.all()) {
    if (write(kept)) next = kept.position + 1;
  }
  turn_ = next;
  worst_.size = 0;
  turns_.size = 0;
  return written;
}

}  // namespace sluice::plane
