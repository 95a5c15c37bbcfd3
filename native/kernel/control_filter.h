// Which frames are messages about groups and routes: a program for the kernel (bpf(4)), so that what a router
// forwards costs a capture of them nothing.
#pragma once

#include <linux/filter.h>

#include <span>

namespace sluice::kernel {

/** For PacketRxOptions::filter: IGMP, PIM over both families, and MLD (ICMPv6 types 130 to 132 and 143), also
 * behind hop-by-hop options. What has a VLAN tag in its bytes belongs to another device and is left out. */
[[nodiscard]] std::span<const sock_filter> control_filter() noexcept;

}  // namespace sluice::kernel
