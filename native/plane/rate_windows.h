// The rate of a stream in short windows, about its mean over some seconds.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "kernel/reactor.h"

namespace sluice::plane {

using kernel::Nanos;

/**
 * Bytes in windows of 100 ms, of which the last 40 are kept. Time is an argument and does not go back; a
 * window is closed by whatever comes after it, so gauges are renewed by calling step() now and then.
 */
class RateWindows {
 public:
  static constexpr Nanos kWindow = 100 * kernel::kMillisecond;
  static constexpr std::size_t kWindows = 40;
  /** So many are needed before a mean means anything. */
  static constexpr std::size_t kLeast = 10;

  /** Closes one window that is over at `at`; false when there is none. A silence of all windows begins anew.
   */
  bool step(Nanos at) noexcept {
    if (!begun_ || (at - begin_ >= kWindow && total_ == 0 && current_ == 0)) {
      begin(at);
      return false;
    }
    if (at - begin_ < kWindow) return false;
    close();
    return true;
  }
  /** A packet at `at`, for which step() has returned false. */
  void add(std::size_t bytes) noexcept {
    current_ += bytes;
    largest_ = std::max<std::uint64_t>(largest_, bytes);
  }
  /** Forgets the windows. */
  void restart() noexcept {
    begun_ = false;
    count_ = 0;
    next_ = 0;
    total_ = current_ = peak_ = least_ = 0;
  }

  [[nodiscard]] bool measured() const noexcept { return count_ >= kLeast && total_ > 0; }
  /** Bytes in a window, on average; 0 while nothing is known. */
  [[nodiscard]] double mean() const noexcept {
    return count_ == 0 ? 0 : static_cast<double>(total_) / static_cast<double>(count_);
  }
  /** Bytes in the fullest window. */
  [[nodiscard]] std::uint64_t peak() const noexcept { return peak_; }
  /**
   * Largest deviation of a window from the mean, as a share of the mean. Less one packet, because even a
   * constant rate puts one more or one less of them into a window.
   */
  [[nodiscard]] double variation() const noexcept {
    if (total_ == 0) return 0;
    const double off = std::max(static_cast<double>(peak_) - mean(), mean() - static_cast<double>(least_));
    return std::max(0.0, off - static_cast<double>(largest_)) / mean();
  }
  /** Bits a second of so many bytes in a window. */
  [[nodiscard]] static std::uint64_t bits_a_second(double bytes) noexcept {
    return static_cast<std::uint64_t>(bytes * 8 * static_cast<double>(kernel::kSecond) /
                                      static_cast<double>(kWindow));
  }

 private:
  void begin(Nanos at) noexcept {
    restart();
    begun_ = true;
    begin_ = at;
  }
  void close() noexcept {
    if (count_ == kWindows) total_ -= bytes_[next_];
    bytes_[next_] = current_;
    total_ += current_;
    current_ = 0;
    begin_ += kWindow;
    next_ = (next_ + 1) % kWindows;
    count_ = std::min(count_ + 1, kWindows);
    const auto [least, peak] =
        std::minmax_element(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(count_));
    least_ = *least;
    peak_ = *peak;
  }

  // What every packet touches is first.
  std::uint64_t current_ = 0;
  std::uint64_t largest_ = 0;
  Nanos begin_ = 0;
  std::uint64_t total_ = 0;
  bool begun_ = false;
  std::size_t count_ = 0;
  std::size_t next_ = 0;
  std::uint64_t peak_ = 0;
  std::uint64_t least_ = 0;
  std::array<std::uint64_t, kWindows> bytes_{};
};

}  // namespace sluice::plane
