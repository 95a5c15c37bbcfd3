// What exclusive or makes of the packets that a parity packet protects.
#pragma once

#include <algorithm>
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
  ParitySum() : bytes_(new std::uint8_t[kMostBody]()) {}

  void clear() noexcept {
    fields_ = {};
    std::fill_n(bytes_.get(), size_, std::uint8_t{0});
    size_ = 0;
  }
  void add(const ProtectedPacket& packet) noexcept {
    fields_.add(ParityFields::of(packet));
    exclusive_or(reach(packet.body.size()), packet.body);
  }
  /** To both, reading the packet once. */
  static void add(ParitySum& first, ParitySum& second, const ProtectedPacket& packet) noexcept {
    const ParityFields fields = ParityFields::of(packet);
    first.fields_.add(fields);
    second.fields_.add(fields);
    exclusive_or(first.reach(packet.body.size()), second.reach(packet.body.size()), packet.body);
  }
  void add(const ParityFields& fields, codec::Bytes bytes) noexcept {
    fields_.add(fields);
    exclusive_or(reach(bytes.size()), bytes);
  }

  [[nodiscard]] const ParityFields& fields() const noexcept { return fields_; }
  [[nodiscard]] codec::Bytes bytes() const noexcept { return {bytes_.get(), size_}; }

 private:
  codec::MutableBytes reach(std::size_t size) noexcept {
    size_ = std::max(size_, size);
    return {bytes_.get(), size};
  }

  ParityFields fields_;
  std::unique_ptr<std::uint8_t[]> bytes_;
  std::size_t size_ = 0;
};

}  // namespace sluice::repair
