// Finds the 188-byte packets in a byte stream.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include "codec/mpegts.h"

namespace sluice::codec {

/** Cuts arbitrary pieces of a byte stream into packets; two sync bytes 188 apart are taken for a packet
 * border. */
class TsAligner {
 public:
  /** Calls `on_packet(Bytes)` with every whole packet. The bytes are valid during the call only. */
  template <class F>
  void feed(Bytes in, F&& on_packet) {
    while (!in.empty()) {
      if (locked_ && held_ == 0) {
        while (in.size() >= kTsPacketSize && in[0] == kTsSync) {
          on_packet(in.first(kTsPacketSize));
          in = in.subspan(kTsPacketSize);
        }
        if (in.empty()) return;
        if (in[0] != kTsSync) lose();
      }
      const std::size_t want = (locked_ ? kTsPacketSize : kTsPacketSize + 1) - held_;
      const std::size_t n = std::min(want, in.size());
      std::memcpy(buffer_.data() + held_, in.data(), n);
      held_ += n;
      in = in.subspan(n);
      settle(on_packet);
    }
  }
  /** Drops a packet begun and looks for the border anew, without counting a loss. */
  void reset() noexcept {
    held_ = 0;
    locked_ = false;
    skipped_ = 0;
  }
  /** Times the border was lost. */
  [[nodiscard]] std::uint64_t losses() const noexcept { return losses_; }
  /** Bytes passed over since the border was last known. */
  [[nodiscard]] std::uint64_t skipped() const noexcept { return skipped_; }
  [[nodiscard]] bool locked() const noexcept { return locked_; }

 private:
  void lose() noexcept {
    locked_ = false;
    losses_++;
  }
  void drop_front() noexcept {
    std::size_t n = 1;
    while (n < held_ && buffer_[n] != kTsSync) n++;
    std::memmove(buffer_.data(), buffer_.data() + n, held_ - n);
    held_ -= n;
    skipped_ += n;
  }
  template <class F>
  void settle(F& on_packet) {
    if (locked_) {
      if (buffer_[0] != kTsSync) {
        lose();
      } else if (held_ == kTsPacketSize) {
        on_packet(Bytes(buffer_.data(), kTsPacketSize));
        held_ = 0;
        return;
      }
    }
    if (locked_) return;
    while (held_ > 0 && buffer_[0] != kTsSync) drop_front();
    if (held_ <= kTsPacketSize) return;
    if (buffer_[kTsPacketSize] != kTsSync) {
      drop_front();
      return;
    }
    locked_ = true;
    skipped_ = 0;
    on_packet(Bytes(buffer_.data(), kTsPacketSize));
    buffer_[0] = kTsSync;
    held_ = 1;
  }

  std::array<std::uint8_t, kTsPacketSize + 1> buffer_{};
  std::size_t held_ = 0;
  bool locked_ = false;
  std::uint64_t losses_ = 0;
  std::uint64_t skipped_ = 0;
};

}  // namespace sluice::codec
