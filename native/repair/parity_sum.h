// What exclusive or makes of the packets that a parity packet protects.
#pragma once

#include <algorithm>
#include <array>
#include <memory>

#include "codec/parity.h"
#include "repair/exclusive_or.h"
#include "repair/protected_packet.h"

namespace sluice::repair {

/** The fields of packets, summed up. */
struct ParityFields {
  std::uint8_t flags = 0;
  std::uint8_t type = 0;
  std::uint16_t length = 0;
  std::uint32_t timestamp = 0;

  void add(const ParityFields& other) noexcept {
    flags ^= other.flags;
    type ^= other.type;
    length ^= other.length;
    timestamp ^= other.timestamp;
  }
  static ParityFields of(const ProtectedPacket& packet) noexcept {
    return {static_cast<std::uint8_t>(packet.header[0] & 0x3f), packet.header[1],
            static_cast<std::uint16_t>(packet.body.size()), codec::load32(packet.header + 4)};
  }
};

/** Grows with the longest body it has seen, up to kMostBody; the memory is its own. */
class ParitySum {
 public:
  ParitySum() : lines_(new Line[(kMostBody + sizeof(Line) - 1) / sizeof(Line)]) {}

  void clear() noexcept {
    fields_ = {};
    size_ = 0;
  }
  void add(const ProtectedPacket& packet) noexcept { add(ParityFields::of(packet), packet.body); }
  /** To both, reading the packet once. */
  static void add(ParitySum& first, ParitySum& second, const ProtectedPacket& packet) noexcept {
    const ParityFields fields = ParityFields::of(packet);
    const std::size_t size = packet.body.size();
    if (first.size_ < size || second.size_ < size) {
      first.add(fields, packet.body);
      second.add(fields, packet.body);
      return;
    }
    first.fields_.add(fields);
    second.fields_.add(fields);
    exclusive_or({first.at(), size}, {second.at(), size}, packet.body);
  }
  /** What is longer than all before was added to zeros so far. */
  void add(const ParityFields& fields, codec::Bytes bytes) noexcept {
    fields_.add(fields);
    const std::size_t common = std::min(size_, bytes.size());
    exclusive_or({at(), common}, bytes.first(common));
    std::copy(bytes.begin() + static_cast<std::ptrdiff_t>(common), bytes.end(), at() + common);
    size_ = std::max(size_, bytes.size());
  }

  [[nodiscard]] const ParityFields& fields() const noexcept { return fields_; }
  [[nodiscard]] codec::Bytes bytes() const noexcept { return {at(), size_}; }

 private:
  /** Of the cache: vectors that cross two cost twice. */
  struct alignas(64) Line {
    std::array<std::uint8_t, 64> bytes;
  };
  [[nodiscard]] std::uint8_t* at() const noexcept { return lines_[0].bytes.data(); }

  ParityFields fields_;
  std::unique_ptr<Line[]> lines_;
  std::size_t size_ = 0;
};

}  // namespace sluice::repair
