#include "plane/packet_ring.h"

#include <algorithm>

#include "codec/rtp.h"

namespace sluice::plane {

namespace {

constexpr std::size_t kBytesPerPacket = 128;

}  // namespace

kernel::Result<PacketRing> PacketRing::create(std::size_t bytes) {
  auto arena = kernel::MirrorMemory::create(bytes);
  if (!arena.ok()) return arena.error();
  PacketRing ring;
  ring.arena_ = std::move(arena.value());
  ring.packets_.resize(bytes / kBytesPerPacket);
  return ring;
}

bool PacketRing::fits(std::size_t size, std::int64_t keep) const noexcept {
  if (size > arena_.size()) return false;
  if (keep >= next_) return true;
  const bool descriptor = next_ - keep < static_cast<std::int64_t>(packets_.size());
  return descriptor && write_position_ + size - packet(keep).position <= arena_.size();
}

void PacketRing::append(const FlowPacket& from) noexcept {
  const std::size_t size = from.size();
  if (next_ - oldest_ == static_cast<std::int64_t>(packets_.size())) oldest_++;
  while (oldest_ < next_ && write_position_ + size - packet(oldest_).position > arena_.size()) oldest_++;
  std::uint8_t* at = arena_.at(write_position_);
  if (from.header != nullptr) at = std::copy_n(from.header, codec::kRtpHeaderSize, at);
  std::copy(from.body.begin(), from.body.end(), at);
  packets_[static_cast<std::size_t>(next_) & (packets_.size() - 1)] = {
      write_position_, from.sequence, from.arrival, static_cast<std::uint32_t>(size), from.restart};
  write_position_ += size;
  next_++;
}

FlowPacket PacketRing::read(std::int64_t index, bool headed) const noexcept {
  const StoredPacket& stored = packet(index);
  const codec::Bytes bytes(arena_.at(stored.position), stored.size);
  if (!headed) return {nullptr, bytes, stored.sequence, stored.arrival, stored.restart};
  return {bytes.data(), bytes.subspan(codec::kRtpHeaderSize), stored.sequence, stored.arrival,
          stored.restart};
}

std::int64_t PacketRing::find(Nanos since) const noexcept {
  std::int64_t low = oldest_;
  std::int64_t high = next_;
  while (low < high) {
    const std::int64_t middle = low + (high - low) / 2;
    if (packet(middle).arrival < since)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

}  // namespace sluice::plane
