// Fields written one behind another into a caller's memory; what does not fit is noticed once, at the end.
#pragma once

#include "codec/ip_address.h"

namespace sluice::codec {

/** Big-endian. Nothing is written behind the end of `out`, which the caller keeps. */
class Output {
 public:
  explicit Output(MutableBytes out) noexcept : out_(out) {}

  void byte(unsigned value) noexcept {
    if (std::uint8_t* const at = room(1)) *at = static_cast<std::uint8_t>(value);
  }
  void half(unsigned value) noexcept {
    if (std::uint8_t* const at = room(2)) store16(at, static_cast<std::uint16_t>(value));
  }
  void word(std::uint32_t value) noexcept {
    if (std::uint8_t* const at = room(4)) store32(at, value);
  }
  void bytes(Bytes value) noexcept {
    std::uint8_t* const at = room(value.size());
    if (at != nullptr) std::copy(value.begin(), value.end(), at);
  }

  /** Bytes that were asked for, also those that did not fit. */
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool fits() const noexcept { return size_ <= out_.size(); }
  /** What has been written; nothing when not all fitted. */
  [[nodiscard]] MutableBytes written() const noexcept { return out_.first(fits() ? size_ : 0); }
  /** Goes back to what stood there when size() was `size`. */
  void cut(std::size_t size) noexcept { size_ = size; }

 private:
  /** Where so many bytes go; null where they do not fit. */
  std::uint8_t* room(std::size_t size) noexcept {
    const std::size_t at = size_;
    size_ += size;
    return fits() ? out_.data() + at : nullptr;
  }

  MutableBytes out_;
  std::size_t size_ = 0;
};

}  // namespace sluice::codec
