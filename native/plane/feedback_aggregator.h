// What thousands of receivers report, brought down to what a source's RTCP bandwidth has room for.
#pragma once

#include <array>

#include "codec/rtcp_writer.h"
#include "kernel/reactor.h"

namespace sluice::plane {

using kernel::Nanos;

/** A report about a source, in the source's own numbers, by one receiver. */
struct RelayedReport {
  std::uint32_t reporter = 0;
  codec::ReportBlock block;
};

/**
 * Keeps, of all reports of one interval, the kWorst with the greatest loss, and kTurns others in fair turns:
 * those that come next in the order of the receivers' numbers behind the last that had its turn. So the
 * source hears at once of the worst, and within (receivers / kTurns) intervals of everyone. A later report of
 * a receiver replaces its earlier one. Memory is bounded: nothing is kept of what does not fit.
 *
 * How often it is emptied is the business of RtcpSchedule: it knows how long these compounds are, and takes
 * longer intervals where they are more than the share of RTCP.
 *
 * The reports go out as RRs of their own, each with the SSRC of its receiver (RFC 3550 section 7.2), behind a
 * report of the relay, whose CNAME stands for all. The time that a report waited here is added to its DLSR,
 * so that the source's round trip stays right.
 */
class FeedbackAggregator {
 public:
  static constexpr std::size_t kWorst = 16;
  static constexpr std::size_t kTurns = 15;
  static constexpr std::size_t kMost = kWorst + kTurns;

  /** `position` is the receiver's number, the same in every call and another for each receiver. */
  void add(std::uint32_t position, const RelayedReport& report, Nanos now) noexcept;
  /** Writes what is kept, as much as fits, and forgets it; gives the number of reports written. */
  std::size_t take(codec::RtcpWriter& writer, Nanos now) noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return worst_.size + turns_.size; }

 private:
  struct Kept {
    RelayedReport report;
    std::uint32_t position = 0;
    Nanos at = 0;
  };
  template <std::size_t N>
  struct Some {
    std::array<Kept, N> items{};
    std::size_t size = 0;

    [[nodiscard]] std::span<Kept> all() noexcept { return {items.data(), size}; }
    Kept* find(std::uint32_t position) noexcept;
    void remove(Kept& item) noexcept { item = items[--size]; }
  };

  [[nodiscard]] std::uint32_t distance(std::uint32_t position) const noexcept { return position - turn_; }
  void forget(std::uint32_t position) noexcept;
  void add_in_turn(const Kept& kept) noexcept;

  Some<kWorst> worst_;
  Some<kTurns> turns_;
  /** Whose turn comes first. */
  std::uint32_t turn_ = 0;
};

}  // namespace sluice::plane
