// What the fuzz targets share: the input's two parts, properties that must hold, and bytes in pieces.
#pragma once

#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "codec/bytes.h"

/** Ends the program where a property does not hold; libFuzzer then keeps the input. */
#define SLUICE_HOLDS(property)                                                           \
  do {                                                                                   \
    if (!(property)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #property); \
      std::abort();                                                                      \
    }                                                                                    \
  } while (false)

namespace sluice::fuzz {

/** Bytes in a block of the heap of exactly their size, so that reading past the end is found. */
using Block = std::vector<std::uint8_t>;

/**
 * An input of libFuzzer: the bytes that are tested, and behind them eight bytes that choose how (cuts,
 * options). A seed is a document as it came from outside with eight bytes appended.
 */
class Input {
 public:
  static constexpr std::size_t kChoices = 8;

  Input(const std::uint8_t* data, std::size_t size)
      : body_(data, data + (size - std::min(size, kChoices))),
        choices_(data + body_.size(), size - body_.size()) {}

  [[nodiscard]] const Block& body() const noexcept { return body_; }
  /** A number of 0 up to, not including, `count`; 0 when the choices are used up. */
  std::size_t choose(std::size_t count) { return choices_.ConsumeIntegralInRange<std::size_t>(0, count - 1); }
  /** The body as a network would bring it: up to `most` bytes at a time while choices last, then the rest.
   * Ends when `take` gives false. */
  template <class F>
  void in_pieces(std::size_t most, F&& take) {
    codec::Bytes rest = body_;
    while (!rest.empty()) {
      const std::size_t wanted = choices_.remaining_bytes() > 0 ? 1 + choose(most) : rest.size();
      const Block piece(rest.begin(),
                        rest.begin() + static_cast<std::ptrdiff_t>(std::min(wanted, rest.size())));
      if (!take(codec::Bytes(piece))) return;
      rest = rest.subspan(piece.size());
    }
  }

 private:
  Block body_;
  FuzzedDataProvider choices_;
};

}  // namespace sluice::fuzz
