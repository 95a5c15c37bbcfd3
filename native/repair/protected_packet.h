// A packet as FEC sees it.
#pragma once

#include <cstdint>

#include "codec/bytes.h"
#include "codec/rtp.h"

namespace sluice::repair {

/** Points into a ring or a datagram. */
struct ProtectedPacket {
  /** Extended RTP sequence number. */
  std::int64_t sequence = 0;
  /** The fixed header, 12 bytes. */
  const std::uint8_t* header = nullptr;
  /** All that is behind it. */
  codec::Bytes body;
};

/** Longest body that is protected: a jumbo frame's. */
constexpr std::size_t kMostBody = 9000;

}  // namespace sluice::repair
