#include "http/rtp_range.h"

#include <strings.h>

#include <charconv>

namespace sluice::http {

namespace {

constexpr std::string_view kUnit = "rtp=";

std::string_view trimmed(std::string_view text) noexcept {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::optional<RtpRange> parse_one(std::string_view text) noexcept {
  const char* const end = text.data() + text.size();
  RtpRange range;
  const auto [dash, error] = std::from_chars(text.data(), end, range.first);
  if (error != std::errc{} || dash == end || *dash != '-') return std::nullopt;
  const auto [stop, error2] = std::from_chars(dash + 1, end, range.last);
  return error2 == std::errc{} && stop == end ? std::optional(range) : std::nullopt;
}

void append(std::string& text, std::int64_t first, std::int64_t last) {
  if (text.size() > kUnit.size()) text += ',';
  text += std::to_string(static_cast<std::uint16_t>(first));
  text += '-';
  text += std::to_string(static_cast<std::uint16_t>(last));
}

}  // namespace

std::optional<std::vector<RtpRange>> parse_rtp_ranges(std::string_view field) {
  // Names of units do not depend on case (section 14.1).
  if (field.size() < kUnit.size() || strncasecmp(field.data(), kUnit.data(), kUnit.size()) != 0)
    return std::nullopt;
  std::vector<RtpRange> ranges;
  for (field.remove_prefix(kUnit.size()); !field.empty();) {
    const auto comma = std::min(field.find(','), field.size());
    const std::string_view element = trimmed(field.substr(0, comma));
    field.remove_prefix(std::min(comma + 1, field.size()));
    // Empty elements of a list count for nothing (section 5.6.1).
    if (element.empty()) continue;
    const auto range = parse_one(element);
    if (!range) return std::nullopt;
    ranges.push_back(*range);
  }
  return ranges.empty() ? std::nullopt : std::optional(std::move(ranges));
}

std::string rtp_ranges(std::span<const std::int64_t> sequences) {
  std::string text(kUnit);
  std::int64_t first = sequences.front();
  for (std::size_t i = 1; i < sequences.size(); i++) {
    if (sequences[i] == sequences[i - 1] + 1) continue;
    append(text, first, sequences[i - 1]);
    first = sequences[i];
  }
  append(text, first, sequences.back());
  return text;
}

}  // namespace sluice::http
