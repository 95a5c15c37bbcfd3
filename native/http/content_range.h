// Content-Range of partial answers (RFC 9110 section 14.4).
#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace sluice::http {

/** The first byte position of `bytes FIRST-LAST/LENGTH`; none when it is not one. */
inline std::optional<std::uint64_t> range_begin(std::string_view field) noexcept {
  constexpr std::string_view kUnit = "bytes ";
  if (field.substr(0, kUnit.size()) != kUnit) return std::nullopt;
  field.remove_prefix(kUnit.size());
  std::uint64_t first = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), first);
  if (error != std::errc{} || end == field.data() + field.size() || *end != '-') return std::nullopt;
  return first;
}

}  // namespace sluice::http
