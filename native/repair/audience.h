// What the receivers of a stream tell of their losses, all together.
#pragma once

#include <array>
#include <vector>

#include "codec/loss_runs.h"
#include "repair/round_trip.h"

namespace sluice::repair {

/**
 * Receivers are told apart by a number that their owner makes of address and SSRC. Each one's totals become a
 * part of those of all, so that whoever looks twice knows what was lost meanwhile; the first report of a
 * receiver is only what the next one is compared with. Fixed memory: of more than some thousand receivers the
 * others are not known. Time is an argument.
 */
class Audience {
 public:
  Audience();

  /** A report block about the stream. */
  void report(std::uint64_t receiver, const codec::ReportBlock& block, Nanos now) noexcept;
  /** Lengths of what it missed since its last. */
  void report(std::uint64_t receiver, const codec::LossRuns& runs, Nanos now) noexcept;
  /** What a NACK asks for: of receivers that do not tell lengths, the only sign of them. */
  void nacked(std::uint64_t receiver, codec::Bytes control, Nanos now) noexcept;

  /** Report blocks taken. */
  [[nodiscard]] std::uint64_t reports() const noexcept { return reports_; }
  /** Packets that the receivers should have had, and those of them that they missed at first; since the first
   * report of each. */
  [[nodiscard]] std::uint64_t expected() const noexcept { return expected_; }
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }
  [[nodiscard]] const std::array<std::uint64_t, codec::kRunClasses>& runs() const noexcept { return runs_; }
  /** Receivers heard within ten seconds, as of the last report. */
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  /** What nineteen of twenty receivers stay below: the share that they missed of late, of a million. */
  [[nodiscard]] std::uint32_t tail_loss_ppm() const noexcept { return tail_loss_ppm_; }

 private:
  struct Member {
    std::uint64_t receiver = 0;
    Nanos seen = 0;
    bool used = false;
    bool reported = false;
    bool tells_runs = false;
    std::uint32_t highest = 0;
    std::int32_t lost = 0;
    /** Of late: they fade. */
    double recent_expected = 0;
    double recent_lost = 0;
  };

  Member* member(std::uint64_t receiver, Nanos now) noexcept;
  void add(Member& member, const codec::ReportBlock& block) noexcept;
  void look(Nanos now) noexcept;

  std::vector<Member> members_;
  std::vector<std::uint32_t> shares_;
  std::uint64_t reports_ = 0;
  std::uint64_t expected_ = 0;
  std::uint64_t lost_ = 0;
  std::array<std::uint64_t, codec::kRunClasses> runs_{};
  std::size_t size_ = 0;
  std::uint32_t tail_loss_ppm_ = 0;
  Nanos looked_ = 0;
};

}  // namespace sluice::repair
