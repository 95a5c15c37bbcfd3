// ST 2022-1: repairs what columns and rows can repair.
#pragma once

#include <memory>
#include <vector>

#include "codec/parity.h"
#include "repair/packet_window.h"

namespace sluice::repair {

/**
 * Peeling: a parity packet of which one packet is missing gives it, and that may be the one that another
 * lacks. For parities by exclusive or over rows and columns this finds all that can be found: what is left
 * over contains a cycle of rows and columns with two missing packets each, which has a second solution.
 * Nothing is allocated after it was made.
 */
class ParityDecoder {
 public:
  /** Both outlive it. `waiting` parity packets at most wait for further packets; the oldest gives way. */
  ParityDecoder(PacketWindow& window, RepairOutput& output, std::size_t waiting = 256);

  /** Source packets of this SSRC; what is repaired bears it. */
  void set_source(std::uint32_t ssrc) noexcept { ssrc_ = ssrc; }
  /** `highest` is the highest extended number that came, by which 16 bits become one of ours; nothing before
   * `oldest` is wanted. */
  void on_parity(const codec::ParityPacket& packet, std::int64_t highest, std::int64_t oldest) noexcept;
  /** A packet was stored in the window while parity waits, such as one in disorder or retransmitted. */
  void on_stored(std::int64_t oldest) noexcept;
  [[nodiscard]] bool waits() const noexcept { return count_ > 0; }
  /** Repaired packets that cannot have been: a length that is none, or bytes behind their end. */
  [[nodiscard]] std::uint64_t damaged() const noexcept { return damaged_; }
  void clear() noexcept;

 private:
  struct Waiting {
    std::int64_t base = 0;
    codec::ParityPacket packet;
    bool used = false;
  };
  [[nodiscard]] static bool protects(const Waiting& one, std::int64_t sequence) noexcept;
  /** How many are missing, up to two, and the last of them. */
  unsigned missing(const Waiting& one, std::int64_t& which) const noexcept;
  bool solve(const Waiting& one, std::int64_t sequence) noexcept;
  void keep(const Waiting& one) noexcept;
  void drop(Waiting& one) noexcept;

  PacketWindow& window_;
  RepairOutput& output_;
  std::uint32_t ssrc_ = 0;
  std::vector<Waiting> waiting_;
  std::unique_ptr<std::uint8_t[]> bytes_;
  std::size_t next_ = 0;
  std::size_t count_ = 0;
  std::uint64_t damaged_ = 0;
};

}  // namespace sluice::repair
