// When RTCP is sent (RFC 3550 sections 6.2, 6.3 and A.7): so that all of a session together keep its share.
#pragma once

#include "kernel/reactor.h"

namespace sluice::plane {

using kernel::Nanos;

/** RFC 3550 section 6.2: the share of a session's bandwidth that RTCP may take. */
constexpr double kRtcpShare = 0.05;

struct RtcpScheduleOptions {
  /** Of the session, bits a second with IP and UDP headers. */
  double session_bandwidth = 0;
  /** 360 s divided by the kilobits a second instead of 5 s, where that is less: for senders, and for unicast.
   */
  bool reduced_minimum = false;
  /** Size guessed for the first report, bytes with IP and UDP headers. */
  double first_size = 128;
};

/** Who is there, the participant itself included. */
struct RtcpMembership {
  std::uint32_t members = 1;
  /** Of them, those that have sent RTP of late. */
  std::uint32_t senders = 0;
  bool we_sent = false;
};

/**
 * The timer of one participant. `random` is a number of 0 up to 1, new in every call; time never runs
 * backwards between calls.
 */
class RtcpSchedule {
 public:
  RtcpSchedule(const RtcpScheduleOptions& options, const RtcpMembership& who, Nanos now,
               double random) noexcept;

  /** When expire() is to be called. */
  [[nodiscard]] Nanos due() const noexcept { return next_; }
  /**
   * At due(): true when a report is to be sent now, and then sent() is called. False moves due(): more have
   * come since it was set (timer reconsideration, 6.3.6).
   */
  bool expire(Nanos now, double random) noexcept;
  /** A report of `bytes`, with IP and UDP headers, has left. */
  void sent(double bytes, Nanos now, double random) noexcept;
  /** One of another participant came. */
  void received(double bytes) noexcept { average_size_ += (bytes - average_size_) / 16; }
  /** Who is there now; where there are less than before, due() comes nearer (reverse reconsideration, 6.3.4).
   */
  void set_membership(const RtcpMembership& who, Nanos now) noexcept;
  /** The session's bandwidth as it is now measured. */
  void set_bandwidth(double session_bandwidth) noexcept { options_.session_bandwidth = session_bandwidth; }

  /** Who has not been heard for so long is gone (6.3.5). */
  [[nodiscard]] Nanos member_timeout() const noexcept;
  /** In a session of 50 and more a BYE would have to wait (6.3.7), and may be left out: it is then. */
  [[nodiscard]] bool bye_at_once() const noexcept { return who_.members < 50; }

 private:
  [[nodiscard]] double least_seconds() const noexcept;
  /** Calculated interval of section 6.3.1, before randomisation, seconds. */
  [[nodiscard]] double calculated(double least) const noexcept;
  [[nodiscard]] Nanos interval(double random) const noexcept;

  RtcpScheduleOptions options_;
  RtcpMembership who_;
  double average_size_;
  Nanos last_;
  Nanos next_;
  std::uint32_t members_before_;
  bool initial_ = true;
};

}  // namespace sluice::plane
