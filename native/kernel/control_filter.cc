#include "kernel/control_filter.h"

#include <linux/if_ether.h>

#include <array>
#include <cstdint>

namespace sluice::kernel {

namespace {

/** From the network header on, whatever the link header is. */
constexpr std::uint32_t network(unsigned offset) noexcept {
  return static_cast<std::uint32_t>(SKF_NET_OFF) + offset;
}

constexpr std::uint32_t kIgmp = 2;
constexpr std::uint32_t kHopByHop = 0;
constexpr std::uint32_t kIcmpv6 = 58;
constexpr std::uint32_t kPim = 103;
constexpr unsigned kIpv4Protocol = 9;
constexpr unsigned kIpv6NextHeader = 6;
constexpr unsigned kIpv6Header = 40;
constexpr std::uint32_t kWhole = 0xffffffff;

constexpr sock_filter load(std::uint32_t at) noexcept {
  return BPF_STMT(BPF_LD | BPF_B | BPF_ABS, at);
}
/** The last two instructions. */
constexpr unsigned kDrop = 22;
constexpr unsigned kTake = 23;

/** The instruction at a place, and the places where it goes on. */
constexpr sock_filter compare(unsigned place, std::uint16_t how, std::uint32_t value, unsigned yes,
                              unsigned no) noexcept {
  return BPF_JUMP(static_cast<std::uint16_t>(BPF_JMP | BPF_K | how), value,
                  static_cast<std::uint8_t>(yes - place - 1), static_cast<std::uint8_t>(no - place - 1));
}
constexpr sock_filter equal(unsigned place, std::uint32_t value, unsigned yes, unsigned no) noexcept {
  return compare(place, BPF_JEQ, value, yes, no);
}
constexpr sock_filter at_least(unsigned place, std::uint32_t value, unsigned yes, unsigned no) noexcept {
  return compare(place, BPF_JGE, value, yes, no);
}

/** A load beyond the end of the frame drops it. */
constexpr std::array<sock_filter, kTake + 1> kProgram = {{
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_PROTOCOL)),
    equal(1, ETH_P_IP, 2, 5),
    load(network(kIpv4Protocol)),
    equal(3, kIgmp, kTake, 4),
    equal(4, kPim, kTake, kDrop),
    equal(5, ETH_P_IPV6, 6, kDrop),
    load(network(kIpv6NextHeader)),
    equal(7, kPim, kTake, 8),
    equal(8, kIcmpv6, 9, 11),
    load(network(kIpv6Header)),
    BPF_STMT(BPF_JMP | BPF_JA, 19 - 10 - 1),
    equal(11, kHopByHop, 12, kDrop),
    // Their length is in units of eight bytes, the first of which does not count (RFC 8200 section 4.3).
    load(network(kIpv6Header + 1)),
    BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 3),
    BPF_STMT(BPF_MISC | BPF_TAX, 0),
    load(network(kIpv6Header)),
    equal(16, kPim, kTake, 17),
    equal(17, kIcmpv6, 18, kDrop),
    BPF_STMT(BPF_LD | BPF_B | BPF_IND, network(kIpv6Header + 8)),
    // The type of ICMPv6 (RFC 2710 section 3.1, RFC 9777 section 5.2).
    equal(19, 143, kTake, 20),
    at_least(20, 133, kDrop, 21),
    at_least(21, 130, kTake, kDrop),
    BPF_STMT(BPF_RET | BPF_K, 0),
    BPF_STMT(BPF_RET | BPF_K, kWhole),
}};

}  // namespace

std::span<const sock_filter> control_filter() noexcept {
  return kProgram;
}

}  // namespace sluice::kernel
