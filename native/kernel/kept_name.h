// Names of what a multicast router has kept.
#pragma once

#include <sys/socket.h>

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::kernel {

/**
 * `routing4-0`: what it is, the family, the routing table; and where there are several a number,
 * `joins6-5-12`. Daemons of different tables may have one keeper.
 */
struct KeptName {
  std::string what;
  /** AF_INET or AF_INET6. */
  int family = AF_INET;
  std::uint32_t table = 0;
  std::optional<std::uint32_t> number = {};

  [[nodiscard]] std::string text() const {
    const std::string out = what + (family == AF_INET ? "4-" : "6-") + std::to_string(table);
    return number ? out + "-" + std::to_string(*number) : out;
  }
  /** None for what no text() is. */
  static std::optional<KeptName> parse(std::string_view text) {
    const std::size_t dash = text.find('-');
    if (dash == text.npos || dash < 2) return std::nullopt;
    KeptName name;
    name.what = text.substr(0, dash - 1);
    name.family = text[dash - 1] == '4' ? AF_INET : AF_INET6;
    std::string_view rest = text.substr(dash);
    const auto table = take_number(rest);
    if (!table) return std::nullopt;
    name.table = *table;
    if (!rest.empty()) name.number = take_number(rest);
    if (!rest.empty() || name.text() != text) return std::nullopt;
    return name;
  }

 private:
  /** A dash and digits, off the front. */
  static std::optional<std::uint32_t> take_number(std::string_view& text) {
    std::uint32_t value = 0;
    const char* const end = text.data() + text.size();
    if (!text.starts_with('-')) return std::nullopt;
    const auto [at, error] = std::from_chars(text.data() + 1, end, value);
    if (error != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(at - text.data()));
    return value;
  }
};

}  // namespace sluice::kernel
