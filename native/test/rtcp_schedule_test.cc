#include "plane/rtcp_schedule.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <vector>

using namespace sluice;
using kernel::kSecond;
using kernel::Nanos;
using plane::RtcpMembership;
using plane::RtcpSchedule;
using plane::RtcpScheduleOptions;

namespace {

constexpr double kHalf = 0.5;
constexpr double kCompensation = 1.21828;

double seconds(Nanos nanos) {
  return static_cast<double>(nanos) / static_cast<double>(kSecond);
}

/** The interval in the middle of its range, after the first report. */
double interval(const RtcpScheduleOptions& options, const RtcpMembership& who) {
  RtcpSchedule schedule(options, who, 0, kHalf);
  const Nanos at = schedule.due();
  schedule.sent(options.first_size, at, kHalf);
  return seconds(schedule.due() - at) * kCompensation;
}

}  // namespace

TEST_CASE("rtcp schedule: the intervals of RFC 3550 section 6.3.1") {
  // Few members: the minimum. Sizes stay at 100 bytes.
  CHECK(interval({1e6, false, 100}, {2, 1, true}) == doctest::Approx(5));
  // The reduced minimum: 360 s by 1,000 kbit/s.
  CHECK(interval({1e6, true, 100}, {2, 1, true}) == doctest::Approx(0.36));
  // Not longer than the ordinary one where the bandwidth is low.
  CHECK(interval({64e3, true, 100}, {2, 1, true}) == doctest::Approx(5));
  // 64 kbit/s: 400 bytes a second for RTCP, 300 of them for 999 receivers, 100 for the sender.
  CHECK(interval({64e3, false, 100}, {1000, 1, false}) == doctest::Approx(100.0 * 999 / 300));
  CHECK(interval({64e3, false, 100}, {1000, 1, true}) == doctest::Approx(5));
  CHECK(interval({64e3, false, 100}, {1000, 250, true}) == doctest::Approx(100.0 * 250 / 100));
  // More than a quarter are senders: all share all.
  CHECK(interval({64e3, false, 100}, {1000, 251, true}) == doctest::Approx(100.0 * 1000 / 400));
  CHECK(interval({64e3, false, 100}, {1000, 251, false}) == doctest::Approx(100.0 * 1000 / 400));
  // Unknown bandwidth.
  CHECK(interval({0, true, 100}, {1000, 1, false}) == doctest::Approx(5));
}

TEST_CASE("rtcp schedule: the first report after half the minimum, each within a half and one and a half") {
  for (const double random : {0.0, 0.25, 0.5, 0.999999}) {
    RtcpSchedule schedule({1e6, false, 100}, {2, 1, true}, 7 * kSecond, random);
    CHECK(seconds(schedule.due() - 7 * kSecond) == doctest::Approx(2.5 * (random + 0.5) / kCompensation));
    const Nanos at = schedule.due();
    REQUIRE(schedule.expire(at, 0));
    schedule.sent(100, at, random);
    CHECK(seconds(schedule.due() - at) == doctest::Approx(5 * (random + 0.5) / kCompensation));
  }
}

TEST_CASE("rtcp schedule: a timer that comes due is reconsidered when many have come") {
  RtcpSchedule schedule({64e3, false, 100}, {2, 1, false}, 0, kHalf);
  const Nanos first = schedule.due();
  schedule.set_membership({10'000, 1, false}, first / 2);
  CHECK_FALSE(schedule.expire(first, kHalf));
  // 9,999 receivers share 300 bytes a second.
  CHECK(seconds(schedule.due()) * kCompensation == doctest::Approx(100.0 * 9999 / 300));
  CHECK(schedule.expire(schedule.due(), kHalf));
}

TEST_CASE("rtcp schedule: when many leave the next report comes as much sooner") {
  RtcpSchedule schedule({64e3, false, 100}, {10'000, 1, false}, 0, kHalf);
  const Nanos at = schedule.due();
  schedule.sent(100, at, kHalf);
  const Nanos before = schedule.due() - at;
  const Nanos now = at + before / 2;
  schedule.set_membership({1000, 1, false}, now);
  CHECK(seconds(schedule.due() - now) == doctest::Approx(seconds(before) / 2 / 10));
  // That the last was sent a tenth as long ago keeps reconsideration from putting it off again.
  CHECK(schedule.expire(schedule.due(), kHalf));
  // More members change nothing until the timer is due.
  const Nanos due = schedule.due();
  schedule.set_membership({1500, 1, false}, now);
  CHECK(schedule.due() == due);
}

TEST_CASE("rtcp schedule: longer reports come less often, and members are forgotten after five intervals") {
  RtcpSchedule schedule({64e3, false, 100}, {1000, 1, false}, 0, kHalf);
  CHECK(seconds(schedule.member_timeout()) == doctest::Approx(5 * 100.0 * 999 / 300));
  for (int i = 0; i < 400; i++) schedule.received(300);
  CHECK(seconds(schedule.member_timeout()) == doctest::Approx(5 * 300.0 * 999 / 300));
  RtcpSchedule small({8e6, true, 100}, {2, 1, true}, 0, kHalf);
  CHECK(seconds(small.member_timeout()) == doctest::Approx(25));
  CHECK(small.bye_at_once());
  CHECK_FALSE(schedule.bye_at_once());
}

TEST_CASE(
    "rtcp schedule: a thousand receivers together keep the share of RTCP, also when they begin at once") {
  constexpr double kBandwidth = 64e3;
  constexpr double kBytes = 100;
  constexpr std::uint32_t kReceivers = 1000;
  constexpr Nanos kRun = 2000 * kSecond;
  std::mt19937 engine(1);
  std::uniform_real_distribution<double> random(0, 1);
  std::vector<RtcpSchedule> receivers;
  for (std::uint32_t i = 0; i < kReceivers; i++)
    receivers.emplace_back(RtcpScheduleOptions{kBandwidth, false, kBytes}, RtcpMembership{2, 1, false}, 0,
                           random(engine));
  for (RtcpSchedule& receiver : receivers) receiver.set_membership({kReceivers + 1, 1, false}, kSecond);
  double bytes = 0;
  for (RtcpSchedule& receiver : receivers) {
    while (receiver.due() < kRun) {
      const Nanos at = receiver.due();
      if (!receiver.expire(at, random(engine))) continue;
      bytes += kBytes;
      receiver.sent(kBytes, at, random(engine));
    }
  }
  // Three quarters of 5 % of the session.
  const double share = bytes * 8 / seconds(kRun) / (kBandwidth * 0.05 * 0.75);
  CHECK(share > 0.9);
  CHECK(share < 1.1);
}
