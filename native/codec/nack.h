// Generic NACK (RFC 4585 section 6.2.1): pairs of a packet number (PID) and a bit for each of the 16 that
// follow it (BLP).
#pragma once

#include "codec/bytes.h"

namespace sluice::codec {

/** Calls `visit` with each 16-bit sequence number that the feedback control information of a NACK names, in
 * its order. */
template <typename F>
void each_nacked(Bytes control, F&& visit) {
  for (std::size_t at = 0; at + 4 <= control.size(); at += 4) {
    const std::uint16_t first = load16(control.data() + at);
    const std::uint16_t bits = load16(control.data() + at + 2);
    visit(first);
    for (unsigned i = 0; i < 16; i++)
      if ((bits >> i & 1) != 0) visit(static_cast<std::uint16_t>(first + 1 + i));
  }
}

/** Packs sequence numbers into as few pairs as their order allows; the memory is the caller's. */
class NackWriter {
 public:
  explicit NackWriter(MutableBytes out) noexcept : out_(out) {}

  /** False when it does not fit. Ascending numbers need the fewest pairs. */
  bool add(std::uint16_t number) noexcept {
    const auto step = static_cast<std::uint16_t>(number - first_);
    if (size_ > 0 && step == 0) return true;
    if (size_ > 0 && step <= 16) {
      std::uint8_t* const bits = out_.data() + size_ - 2;
      store16(bits, static_cast<std::uint16_t>(load16(bits) | 1U << (step - 1)));
      return true;
    }
    if (size_ + 4 > out_.size()) return false;
    store16(out_.data() + size_, number);
    store16(out_.data() + size_ + 2, 0);
    first_ = number;
    size_ += 4;
    return true;
  }
  [[nodiscard]] Bytes written() const noexcept { return out_.first(size_); }

 private:
  MutableBytes out_;
  std::size_t size_ = 0;
  std::uint16_t first_ = 0;
};

}  // namespace sluice::codec
