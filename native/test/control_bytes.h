// Control messages for tests: addresses as text, damage, and what all their codecs must bear.
#pragma once

#include <arpa/inet.h>
#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "codec/checksum.h"

namespace sluice::test {

using Octets = std::vector<std::uint8_t>;

/** An address of either family; the test fails for what is none. */
inline codec::IpAddress ip(const char* text) {
  std::array<std::uint8_t, 16> bytes{};
  if (inet_pton(AF_INET, text, bytes.data()) == 1) return codec::IpAddress::v4(bytes.data());
  REQUIRE(inet_pton(AF_INET6, text, bytes.data()) == 1);
  return codec::IpAddress::v6(bytes.data());
}

inline Octets octets(codec::Bytes bytes) {
  return {bytes.begin(), bytes.end()};
}

/** A copy with one byte changed. */
inline Octets with(Octets bytes, std::size_t at, unsigned value) {
  bytes.at(at) = static_cast<std::uint8_t>(value);
  return bytes;
}

/** A copy whose checksum, in bytes 2 and 3, is right; `pseudo` is the sum of the pseudo header. */
inline Octets summed(Octets bytes, std::uint32_t pseudo = 0) {
  if (bytes.size() < 4) return bytes;
  codec::store16(bytes.data() + 2, 0);
  codec::store16(bytes.data() + 2, codec::folded(codec::add_words(pseudo, bytes)));
  return bytes;
}

/** Calls `visit` with the message cut at every length, with single bytes changed, and with many bytes
 * changed; each copy in a block of exactly its size, so that the address sanitizer sees what is read behind
 * it. */
template <class F>
void damaged(const Octets& message, F&& visit) {
  for (std::size_t size = 0; size < message.size(); size++)
    visit(Octets(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(size)));
  for (std::size_t at = 0; at < message.size(); at++)
    for (const unsigned value : {0U, 1U, 0x7fU, 0x80U, 0xffU}) visit(with(message, at, value));
  std::mt19937 random(20261121);
  for (int i = 0; i < 2000; i++) {
    Octets copy = message;
    for (std::size_t n = random() % 6 + 1; n > 0; n--)
      copy[random() % copy.size()] = static_cast<std::uint8_t>(random() % 3 == 0 ? random() : random() % 4);
    visit(copy);
  }
}

}  // namespace sluice::test
