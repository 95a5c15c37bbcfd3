// Range requests (RFC 9110 section 14).
#pragma once

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

namespace sluice::http {

/** One range of a `Range: bytes=` field: `first-last`, `first-`, or the last `suffix` bytes. */
struct ByteRange {
  static constexpr std::uint64_t kOpen = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t first = 0;
  /** Inclusive; kOpen for `first-`. */
  std::uint64_t last = kOpen;
  /** For `-suffix`, else 0; first and last mean nothing then. */
  std::uint64_t suffix = 0;
  bool is_suffix = false;
};

/**
 * The range asked for; none when the field is no single range of bytes. RFC 9110 section 14.2 lets a server
 * answer with the whole then, which is what several ranges at once get here: they are of no use to players,
 * but to attackers.
 */
inline std::optional<ByteRange> parse_range(std::string_view field) noexcept {
  constexpr std::string_view kUnit = "bytes=";
  if (!field.starts_with(kUnit)) return std::nullopt;
  field.remove_prefix(kUnit.size());
  const char* at = field.data();
  const char* const end = at + field.size();
  ByteRange range;
  if (at != end && *at == '-') {
    const auto [stop, error] = std::from_chars(at + 1, end, range.suffix);
    range.is_suffix = true;
    return error == std::errc{} && stop == end ? std::optional(range) : std::nullopt;
  }
  const auto [dash, error] = std::from_chars(at, end, range.first);
  if (error != std::errc{} || dash == end || *dash != '-') return std::nullopt;
  if (dash + 1 == end) return range;
  const auto [stop, error2] = std::from_chars(dash + 1, end, range.last);
  if (error2 != std::errc{} || stop != end || range.last < range.first) return std::nullopt;
  return range;
}

}  // namespace sluice::http
