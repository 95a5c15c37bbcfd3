// PIM version 2 (RFC 7761 section 4.9): what all messages begin with, and their checksum.
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   |PIM Ver| Type  |     flags     |           Checksum            |
//
// The messages are in pim_hello.h, pim_register.h (Register-Stop, too), pim_join_prune.h, pim_assert.h and
// pim_bootstrap.h (candidate RPs, too). A reader gives none for what is malformed; a writer gives the
// message's length, or 0 when it does not fit or is more than the format holds.
#pragma once

#include "codec/checksum.h"

namespace sluice::codec::pim {

/** Protocol number in the IP header. */
constexpr std::uint8_t kProtocol = 103;
constexpr std::size_t kHeaderSize = 4;
/** Seconds that mean "for ever" in a hello's and a join's holdtime. */
constexpr std::uint16_t kForever = 0xffff;

enum class Type : std::uint8_t {
  hello = 0,
  data_register = 1,
  register_stop = 2,
  join_prune = 3,
  bootstrap = 4,
  assertion = 5,
  candidate_rp = 8
};

/** A message whose header has been read; `body` points into the packet. */
struct Message {
  Type type = Type::hello;
  /** The byte that most types leave at 0; of bootstrap 0x80 is "no forward" (RFC 5059 section 4.1). */
  std::uint8_t flags = 0;
  /** Family of the packet, of which all addresses in the message must be. */
  bool v4 = true;
  /** Behind the header. */
  Bytes body;
};

/** other: a version or type that is none of ours, such as PIM version 1 or dense mode. */
enum class Find : std::uint8_t { message, other, malformed, bad_checksum };

/**
 * Reads the header of an IP packet's payload, without bytes behind the packet's length. `out` is set for
 * Find::message only. A Register's checksum covers its first eight bytes, or all of it (section 4.9.3).
 */
Find parse(Bytes payload, const IpEnds& ends, Message& out) noexcept;

/** All PIM routers of a link: 224.0.0.13, ff02::d. */
constexpr IpAddress all_routers(bool v4) noexcept {
  constexpr std::array<std::uint8_t, 16> kIpv6{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13};
  return v4 ? IpAddress::v4(0xe000000d) : IpAddress::v6(kIpv6.data());
}

/** Whether a message may have come this way (the table of section 4.9): hellos, joins and asserts to all
 * routers of the link; registers and candidate RPs to one address; bootstrap messages either way (RFC 5059
 * section 3.5.2). */
bool is_rightly_addressed(Type type, const IpAddress& destination) noexcept;

/** Takes one of several messages, which is overwritten by the next. */
using Send = void (*)(void* context, Bytes message);
/** Sends to an `F` that stands at `context`. */
template <class F>
void send_to(void* context, Bytes message) {
  (*static_cast<std::remove_reference_t<F>*>(context))(message);
}

/** Puts the checksum into a message that is whole but for it. */
void seal(MutableBytes message, const IpEnds& ends) noexcept;

}  // namespace sluice::codec::pim
