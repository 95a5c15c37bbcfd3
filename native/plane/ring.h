// The stream's ring: payload bytes, RTP headers apart from them, and one descriptor for every packet.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "codec/bytes.h"
#include "codec/rtp.h"
#include "kernel/mirror.h"
#include "kernel/reactor.h"

namespace sluice::plane {

/** What the ring knows of one RTP packet. */
struct Descriptor {
  /** Absolute position of the payload in the byte arena. */
  std::uint64_t position = 0;
  /** Extended sequence number (RFC 3550 A.1): tells a reader whether the slot still holds its packet. */
  std::int64_t sequence = -1;
  /** Departure on the media timeline, 27 MHz. */
  std::int64_t media_time = 0;
  std::uint16_t size = 0;
};

/**
 * Single writer, many readers, all on one loop thread. Positions and sequence numbers only grow; a reader
 * that kept a position compares it with oldest_position() before use.
 *
 *   oldest_position()          released_position()             write_position()
 *   |  history: viewers, HLS   |  ahead: waits for its time    |
 */
class Ring {
 public:
  /** `bytes` is a power of two of at least a page. */
  static kernel::Result<Ring> create(std::size_t bytes, std::uint32_t ssrc, std::int64_t first_sequence);

  /**
   * True when `size` more bytes fit without overwriting what has not departed yet, and when so many packets
   * (those that are appended but not published included) find descriptors.
   */
  [[nodiscard]] bool has_room(std::size_t size, std::size_t packets = 1) const noexcept {
    return write_position_ + size - released_position_ <= arena_.size() &&
           next_sequence_ - released_sequence_ + static_cast<std::int64_t>(packets) <=
               static_cast<std::int64_t>(descriptors_.size());
  }
  /** Appends payload bytes; the caller has checked has_room(). Returns where they went. */
  std::uint8_t* append(codec::Bytes bytes) noexcept;
  /** Makes a packet of the `size` bytes at `position` and gives it the next sequence number. */
  void publish(std::uint64_t position, std::uint16_t size, std::int64_t media_time, std::uint32_t timestamp,
               bool marker) noexcept;
  /** Everything before `sequence` has departed; `position` is the end of the last such packet. */
  void release(std::int64_t sequence, std::uint64_t position) noexcept {
    released_sequence_ = sequence;
    released_position_ = position;
  }

  [[nodiscard]] const Descriptor& descriptor(std::int64_t sequence) const noexcept {
    return descriptors_[static_cast<std::size_t>(sequence) & (descriptors_.size() - 1)];
  }
  [[nodiscard]] std::uint8_t* header(std::int64_t sequence) noexcept {
    return headers_[static_cast<std::size_t>(sequence) & (headers_.size() - 1)].data();
  }
  /** The packet that holds the byte at `position`, or the first after it that has a descriptor;
   * next_sequence() where none has been published there. */
  [[nodiscard]] std::int64_t find(std::uint64_t position) const noexcept;
  /** Contiguous bytes at a position, as many as the arena is large. */
  [[nodiscard]] std::uint8_t* at(std::uint64_t position) const noexcept { return arena_.at(position); }

  [[nodiscard]] std::size_t size() const noexcept { return arena_.size(); }
  [[nodiscard]] std::uint64_t write_position() const noexcept { return write_position_; }
  [[nodiscard]] std::uint64_t released_position() const noexcept { return released_position_; }
  [[nodiscard]] std::uint64_t oldest_position() const noexcept {
    return write_position_ > arena_.size() ? write_position_ - arena_.size() : 0;
  }
  [[nodiscard]] std::int64_t next_sequence() const noexcept { return next_sequence_; }
  [[nodiscard]] std::int64_t released_sequence() const noexcept { return released_sequence_; }
  /** Whether a packet is still there, header and payload. */
  [[nodiscard]] bool holds(std::int64_t sequence) const noexcept {
    const Descriptor& d = descriptor(sequence);
    return d.sequence == sequence && d.position >= oldest_position();
  }
  /** The newest that has departed and whose number has these low bits; none where it is not there any more.
   */
  [[nodiscard]] std::optional<std::int64_t> find_number(std::uint16_t number) const noexcept;
  /** The first whose descriptor is still there. */
  [[nodiscard]] std::int64_t oldest_sequence() const noexcept {
    return std::max(first_sequence_, next_sequence_ - static_cast<std::int64_t>(descriptors_.size()));
  }

 private:
  kernel::MirrorMemory arena_;
  std::vector<Descriptor> descriptors_;
  std::vector<std::array<std::uint8_t, codec::kRtpHeaderSize>> headers_;
  std::uint32_t ssrc_ = 0;
  std::uint64_t write_position_ = 0;
  std::uint64_t released_position_ = 0;
  std::int64_t first_sequence_ = 0;
  std::int64_t next_sequence_ = 0;
  std::int64_t released_sequence_ = 0;
};

}  // namespace sluice::plane
