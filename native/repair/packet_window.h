// The last packets of a stream, by extended sequence number.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "repair/protected_packet.h"

namespace sluice::repair {

/** How a packet came. */
enum class Origin : std::uint8_t { none, received, parity, block, retransmitted, fetched };

/**
 * A slot for every number, found in O(1); a newer packet takes the slot of one a whole window older. Packets
 * stay after they were delivered: others are repaired from them. Nothing is allocated after it was made.
 */
class PacketWindow {
 public:
  /** `packets` is a power of two; no datagram is longer than `most` bytes, at most kRtpHeaderSize +
   * kMostBody. */
  PacketWindow(std::size_t packets, std::size_t most)
      : mask_(packets - 1),
        most_(most),
        slots_(new Slot[packets]),
        bytes_(new std::uint8_t[packets * most]) {}

  [[nodiscard]] std::size_t size() const noexcept { return mask_ + 1; }
  [[nodiscard]] std::size_t most() const noexcept { return most_; }
  [[nodiscard]] bool has(std::int64_t sequence) const noexcept {
    const Slot& slot = slots_[at(sequence)];
    return slot.sequence == sequence && slot.origin != Origin::none;
  }
  [[nodiscard]] Origin origin(std::int64_t sequence) const noexcept {
    return has(sequence) ? slots_[at(sequence)].origin : Origin::none;
  }
  /** The datagram with its RTP header; empty when it is not there. */
  [[nodiscard]] codec::Bytes datagram(std::int64_t sequence) const noexcept {
    return has(sequence) ? codec::Bytes(bytes(sequence), slots_[at(sequence)].size) : codec::Bytes();
  }
  /** has() is true. */
  [[nodiscard]] ProtectedPacket packet(std::int64_t sequence) const noexcept {
    const codec::Bytes all = datagram(sequence);
    return {sequence, all.data(), all.subspan(codec::kRtpHeaderSize)};
  }
  /** The body, followed by zeros up to `size` bytes, which the slot has room for; has() is true. */
  [[nodiscard]] const std::uint8_t* padded_body(std::int64_t sequence, std::size_t size) noexcept {
    std::uint8_t* const datagram = bytes_.get() + at(sequence) * most_;
    const std::size_t end = slots_[at(sequence)].size;
    if (end < codec::kRtpHeaderSize + size)
      std::memset(datagram + end, 0, codec::kRtpHeaderSize + size - end);
    return datagram + codec::kRtpHeaderSize;
  }

  /** Where a datagram is written before commit(): `most()` bytes. What was in the slot is gone. */
  [[nodiscard]] codec::MutableBytes open(std::int64_t sequence) noexcept {
    slots_[at(sequence)] = {sequence, 0, Origin::none};
    return {bytes_.get() + at(sequence) * most_, most_};
  }
  void commit(std::int64_t sequence, std::size_t size, Origin origin) noexcept {
    slots_[at(sequence)] = {sequence, static_cast<std::uint16_t>(size), origin};
  }
  /** False when it is longer than most(). */
  bool store(std::int64_t sequence, codec::Bytes datagram, Origin origin) noexcept {
    if (datagram.size() > most_) return false;
    std::memcpy(open(sequence).data(), datagram.data(), datagram.size());
    commit(sequence, datagram.size(), origin);
    return true;
  }
  /** What is there has been received after all; false when it was before. has() is true. */
  bool came(std::int64_t sequence) noexcept {
    return std::exchange(slots_[at(sequence)].origin, Origin::received) != Origin::received;
  }
  void forget(std::int64_t sequence) noexcept {
    if (slots_[at(sequence)].sequence == sequence) slots_[at(sequence)].origin = Origin::none;
  }
  void clear() noexcept { std::fill_n(slots_.get(), size(), Slot{}); }

 private:
  struct Slot {
    std::int64_t sequence = -1;
    std::uint16_t size = 0;
    Origin origin = Origin::none;
  };
  [[nodiscard]] std::size_t at(std::int64_t sequence) const noexcept {
    return static_cast<std::size_t>(sequence) & mask_;
  }
  [[nodiscard]] const std::uint8_t* bytes(std::int64_t sequence) const noexcept {
    return bytes_.get() + at(sequence) * most_;
  }

  std::size_t mask_;
  std::size_t most_;
  std::unique_ptr<Slot[]> slots_;
  std::unique_ptr<std::uint8_t[]> bytes_;
};

/** Told of packets that were repaired: they are in the window. */
class RepairOutput {
 public:
  virtual void on_repaired(std::int64_t sequence) noexcept = 0;

 protected:
  ~RepairOutput() = default;
};

}  // namespace sluice::repair
