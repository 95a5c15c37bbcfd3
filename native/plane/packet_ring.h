// The store of a flow: packets as they came, the newest in place of the oldest.
#pragma once

#include <vector>

#include "kernel/mirror.h"
#include "plane/flow_receiver.h"

namespace sluice::plane {

/** A packet of a PacketRing. */
struct StoredPacket {
  std::uint64_t position = 0;
  /** Extended RTP sequence number; of anything else the index. */
  std::int64_t sequence = 0;
  Nanos arrival = 0;
  std::uint32_t size = 0;
  bool restart = false;
};

/**
 * One writer and its readers on one loop. Packets are known by index, which only grows; oldest() to next()
 * are there. Takes nothing from the heap after it was made.
 */
class PacketRing {
 public:
  /** `bytes` is a power of two of at least 64 KiB; for packets of 128 bytes or less descriptors run out
   * first. */
  static kernel::Result<PacketRing> create(std::size_t bytes);

  /** Whether a packet of so many bytes finds room without those from `keep` on being overwritten. */
  [[nodiscard]] bool fits(std::size_t size, std::int64_t keep) const noexcept;
  /** Appends a packet; fits() was true. */
  void append(const FlowPacket& packet) noexcept;
  /** As it was appended; `headed` tells whether it has an RTP header. */
  [[nodiscard]] FlowPacket read(std::int64_t index, bool headed) const noexcept;

  [[nodiscard]] std::int64_t oldest() const noexcept { return oldest_; }
  [[nodiscard]] std::int64_t next() const noexcept { return next_; }
  [[nodiscard]] const StoredPacket& packet(std::int64_t index) const noexcept {
    return packets_[static_cast<std::size_t>(index) & (packets_.size() - 1)];
  }
  /** The first packet that came at `since` or later, or next(). */
  [[nodiscard]] std::int64_t find(Nanos since) const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return arena_.size(); }

 private:
  kernel::MirrorMemory arena_;
  std::vector<StoredPacket> packets_;
  std::uint64_t write_position_ = 0;
  std::int64_t oldest_ = 0;
  std::int64_t next_ = 0;
};

}  // namespace sluice::plane
