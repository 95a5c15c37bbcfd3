// PIM Register and Register-Stop (RFC 7761 sections 4.9.3 and 4.9.4): a source's packets on their way to the
// RP.
//
//   |PIM Ver| Type  |   Reserved    |           Checksum            |
//   |B|N|                         Reserved                          |   border, null
//   | the source's packet, or for a null register what is like its header
#pragma once

#include <optional>

#include "codec/pim.h"

namespace sluice::codec::pim {

struct Register {
  /** Deprecated; to be ignored. */
  bool border = false;
  /** Asks only whether the RP wants packets. */
  bool null = false;
  /** Of the packet inside: unicast and multicast. */
  IpAddress source;
  IpAddress group;
  /** The packet inside, as long as its own header says; of a null register whatever is there. */
  Bytes packet;
};

/** What stands before the packet of a register. */
constexpr std::size_t kRegisterHeader = 8;

/** Of a message of Type::data_register. */
std::optional<Register> parse_register(const Message& message) noexcept;
/** What comes before a source's packet: kRegisterHeader bytes. */
std::size_t write_register_header(const IpEnds& ends, MutableBytes out) noexcept;
/** A null register; `ends` are those of the message, `source` and `group` those that it is about. */
std::size_t write_null_register(const IpAddress& source, const IpAddress& group, const IpEnds& ends,
                                MutableBytes out) noexcept;

struct RegisterStop {
  IpAddress group;
  /** any() for all sources. */
  IpAddress source;
};

/** Of a message of Type::register_stop. */
std::optional<RegisterStop> parse_register_stop(const Message& message) noexcept;
std::size_t write_register_stop(const RegisterStop& stop, const IpEnds& ends, MutableBytes out) noexcept;

}  // namespace sluice::codec::pim
