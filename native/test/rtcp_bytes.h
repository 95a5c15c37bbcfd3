// Datagrams of RTCP written as hexadecimal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "codec/bytes.h"

namespace sluice::test {

using Datagram = std::vector<std::uint8_t>;

/** Hexadecimal digits; blanks are for reading. */
inline Datagram bytes_of(std::string_view hex) {
  Datagram bytes;
  std::string digits;
  for (const char c : hex) {
    if (c != ' ') digits += c;
    if (digits.size() < 2) continue;
    bytes.push_back(static_cast<std::uint8_t>(std::stoul(digits, nullptr, 16)));
    digits.clear();
  }
  return bytes;
}

inline std::string text_of(codec::Bytes bytes) {
  return {bytes.begin(), bytes.end()};
}

}  // namespace sluice::test
