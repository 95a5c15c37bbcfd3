#include "plane/ring.h"

#include <bit>
#include <cstring>
#include <string>

namespace sluice::plane {

kernel::Result<Ring> Ring::create(std::size_t bytes, std::uint32_t ssrc, std::int64_t first_sequence) {
  if (!std::has_single_bit(bytes) || bytes < 4096)
    return kernel::Error{"SYSTEM_CALL", "a ring of " + std::to_string(bytes) +
                                            " bytes: expected a power of two of at least 4096"};
  auto arena = kernel::MirrorMemory::create(bytes);
  if (!arena.ok()) return arena.error();
  Ring ring;
  ring.arena_ = std::move(arena.value());
  // One descriptor a kilobyte: full packets are 1,316 bytes, and short ones are rare.
  const std::size_t slots = std::bit_ceil(bytes / 1024);
  ring.descriptors_.resize(slots);
  ring.headers_.resize(slots);
  ring.ssrc_ = ssrc;
  ring.first_sequence_ = first_sequence;
  ring.next_sequence_ = first_sequence;
  ring.released_sequence_ = first_sequence;
  return ring;
}

std::uint8_t* Ring::append(codec::Bytes bytes) noexcept {
  std::uint8_t* const to = arena_.at(write_position_);
  std::memcpy(to, bytes.data(), bytes.size());
  write_position_ += bytes.size();
  return to;
}

std::optional<std::int64_t> Ring::find_number(std::uint16_t number) const noexcept {
  const std::int64_t newest = released_sequence_ - 1;
  const std::int64_t sequence =
      newest - static_cast<std::uint16_t>(static_cast<std::uint16_t>(newest) - number);
  if (sequence < oldest_sequence() || !holds(sequence)) return std::nullopt;
  return sequence;
}

void Ring::publish(std::uint64_t position, std::uint16_t size, std::int64_t media_time,
                   std::uint32_t timestamp, bool marker) noexcept {
  const std::int64_t sequence = next_sequence_++;
  descriptors_[static_cast<std::size_t>(sequence) & (descriptors_.size() - 1)] = {position, sequence,
                                                                                  media_time, size};
  codec::write_rtp_header(
      {marker, codec::kPayloadTypeMp2t, static_cast<std::uint16_t>(sequence), timestamp, ssrc_},
      header(sequence));
}

std::int64_t Ring::find(std::uint64_t position) const noexcept {
  std::int64_t low = oldest_sequence();
  std::int64_t high = next_sequence_;
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    const Descriptor& d = descriptor(middle);
    if (d.position + d.size <= position)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

}  // namespace sluice::plane
