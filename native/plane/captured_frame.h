// A frame as it goes into a capture file: what the kernel keeps beside it is put back in front.
#pragma once

#include <array>

#include "codec/packet.h"
#include "kernel/packet_socket.h"

namespace sluice::plane {

/** LINKTYPE_ value of the frames of a socket. */
[[nodiscard]] std::uint32_t link_type_of(kernel::LinkLayer layer) noexcept;

/** A view: valid as long as the frame. */
class CapturedFrame {
 public:
  CapturedFrame(const kernel::Frame& frame, kernel::LinkLayer layer) noexcept;

  /** What is in the file is this, and then rest(). */
  [[nodiscard]] codec::Bytes head() const noexcept { return codec::Bytes(head_).first(head_size_); }
  [[nodiscard]] codec::Bytes rest() const noexcept { return rest_; }
  [[nodiscard]] std::uint32_t original_length() const noexcept { return original_length_; }
  [[nodiscard]] const codec::LinkView& link() const noexcept { return link_; }

 private:
  void restore_ethernet(const kernel::Frame& frame) noexcept;
  void restore_cooked(const kernel::Frame& frame) noexcept;
  void add_tag(const kernel::Frame& frame) noexcept;

  static constexpr std::size_t kTag = 4;
  std::array<std::uint8_t, codec::kCooked2Header + kTag> head_;
  std::size_t head_size_ = 0;
  codec::Bytes rest_;
  std::uint32_t original_length_ = 0;
  codec::LinkView link_;
};

}  // namespace sluice::plane
