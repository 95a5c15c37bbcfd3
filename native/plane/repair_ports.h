// Where the repair of an RTP stream is sent: ports above that of its media, which is even.
#pragma once

#include <cstdint>

namespace sluice::plane {

/** RTCP of the sender (RFC 3550 section 11). */
constexpr std::uint16_t kControlPortStep = 1;
/** ST 2022-1 sections 7 and 8: FEC of the columns, and of the rows. */
constexpr std::uint16_t kColumnPortStep = 2;
constexpr std::uint16_t kRowPortStep = 4;
/** The block code. */
constexpr std::uint16_t kBlockPortStep = 6;
/** Of a group: retransmissions that many have asked for. */
constexpr std::uint16_t kResentPortStep = 8;

}  // namespace sluice::plane
