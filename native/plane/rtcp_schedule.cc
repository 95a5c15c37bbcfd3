#include "plane/rtcp_schedule.h"

#include <algorithm>

namespace sluice::plane {

namespace {

constexpr double kLeastSeconds = 5;
constexpr double kSenderShare = 0.25;
/** e - 3/2: reconsideration makes the interval longer than was meant by so much (RFC 3550 section 6.3.1). */
constexpr double kCompensation = 1.21828;
/** Where the bandwidth is not known the least interval decides. */
constexpr double kLeastBandwidth = 1;
constexpr double kBitsPerByte = 8;
constexpr int kTimeoutIntervals = 5;

Nanos nanos(double seconds) noexcept {
  return static_cast<Nanos>(seconds * static_cast<double>(kernel::kSecond));
}

}  // namespace

RtcpSchedule::RtcpSchedule(const RtcpScheduleOptions& options, const RtcpMembership& who, Nanos now,
                           double random) noexcept
    : options_(options),
      who_(who),
      average_size_(options.first_size),
      last_(now),
      next_(now),
      members_before_(who.members) {
  next_ = now + interval(random);
}

double RtcpSchedule::least_seconds() const noexcept {
  if (!options_.reduced_minimum || options_.session_bandwidth <= 0) return kLeastSeconds;
  return std::min(kLeastSeconds, 360'000 / options_.session_bandwidth);
}

double RtcpSchedule::calculated(double least) const noexcept {
  if (options_.session_bandwidth <= 0) return least;
  double bytes_a_second = std::max(options_.session_bandwidth * kRtcpShare / kBitsPerByte, kLeastBandwidth);
  double n = who_.members;
  if (who_.senders <= kSenderShare * who_.members) {
    bytes_a_second *= who_.we_sent ? kSenderShare : 1 - kSenderShare;
    n = who_.we_sent ? who_.senders : n - who_.senders;
  }
  return std::max(average_size_ * n / bytes_a_second, least);
}

Nanos RtcpSchedule::interval(double random) const noexcept {
  const double least = least_seconds() * (initial_ ? 0.5 : 1);
  return nanos(calculated(least) * (random + 0.5) / kCompensation);
}

bool RtcpSchedule::expire(Nanos now, double random) noexcept {
  const Nanos next = last_ + interval(random);
  members_before_ = who_.members;
  if (next <= now) return true;
  next_ = next;
  return false;
}

void RtcpSchedule::sent(double bytes, Nanos now, double random) noexcept {
  received(bytes);
  last_ = now;
  initial_ = false;
  members_before_ = who_.members;
  next_ = now + interval(random);
}

void RtcpSchedule::set_membership(const RtcpMembership& who, Nanos now) noexcept {
  who_ = who;
  if (who.members >= members_before_) return;
  const double left = static_cast<double>(who.members) / members_before_;
  next_ = now + static_cast<Nanos>(left * static_cast<double>(next_ - now));
  last_ = now - static_cast<Nanos>(left * static_cast<double>(now - last_));
  members_before_ = who.members;
}

Nanos RtcpSchedule::member_timeout() const noexcept {
  return kTimeoutIntervals * nanos(calculated(kLeastSeconds));
}

}  // namespace sluice::plane
