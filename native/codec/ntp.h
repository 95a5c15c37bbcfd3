// NTP timestamps as RTCP has them (RFC 3550 section 4): 32.32 seconds since 1900, and the middle 32 bits of
// it.
#pragma once

#include <cstdint>

namespace sluice::codec {

/** Seconds from 1900 to 1970 (RFC 5905 section 6). */
constexpr std::uint64_t kNtpToUnix = 2'208'988'800;
constexpr std::int64_t kNanosPerSecond = 1'000'000'000;

/** Of a moment of CLOCK_REALTIME in nanoseconds, not negative; the seconds wrap in 2036. */
constexpr std::uint64_t ntp_from_unix(std::int64_t nanos) noexcept {
  const auto seconds = static_cast<std::uint64_t>(nanos / kNanosPerSecond);
  const auto part = static_cast<std::uint64_t>(nanos % kNanosPerSecond);
  return ((seconds + kNtpToUnix) << 32) + ((part << 32) / kNanosPerSecond);
}

/** What LSR names an SR by: 16.16 seconds. */
constexpr std::uint32_t ntp_middle(std::uint64_t ntp) noexcept {
  return static_cast<std::uint32_t>(ntp >> 16);
}

/** A length of time in 1/65536 s, as of DLSR; clamped to what 32 bits hold (18 hours). */
constexpr std::uint32_t short_from_nanos(std::int64_t nanos) noexcept {
  if (nanos <= 0) return 0;
  constexpr std::int64_t kMost = (std::int64_t{1} << 16) * kNanosPerSecond;
  if (nanos >= kMost) return 0xffffffffU;
  return static_cast<std::uint32_t>((static_cast<std::uint64_t>(nanos) << 16) / kNanosPerSecond);
}

/** The reverse, in nanoseconds. */
constexpr std::int64_t nanos_from_short(std::uint32_t value) noexcept {
  return static_cast<std::int64_t>((std::uint64_t{value} * kNanosPerSecond) >> 16);
}

}  // namespace sluice::codec
