#include "codec/pim_hello.h"

#include "codec/pim_address.h"

namespace sluice::codec::pim {

namespace {

/** Types of options. */
constexpr std::uint16_t kHoldtime = 1;
constexpr std::uint16_t kLanPruneDelay = 2;
constexpr std::uint16_t kDrPriority = 19;
constexpr std::uint16_t kGenerationId = 20;
constexpr std::uint16_t kAddressList = 24;

std::optional<IpAddress> take_secondary(Bytes& rest, bool v4) {
  const auto encoded = take_encoded(rest, Encoding::unicast);
  if (!encoded) rest = rest.last(0);
  const bool counts = encoded && encoded->is_of(v4) && encoded->address.is_unicast();
  return counts ? std::optional(encoded->address) : std::nullopt;
}

bool all_whole(Bytes addresses) noexcept {
  while (!addresses.empty())
    if (!take_encoded(addresses, Encoding::unicast)) return false;
  return true;
}

/** False when the value is not what the type says. */
bool read_option(std::uint16_t type, Bytes value, bool v4, Hello& out) noexcept {
  switch (type) {
    case kHoldtime:
      if (value.size() != 2) return false;
      out.holdtime_s = load16(value.data());
      return true;
    case kLanPruneDelay:
      if (value.size() != 4) return false;
      out.lan_prune_delay = {(value[0] & 0x80U) != 0,
                             static_cast<std::uint16_t>(load16(value.data()) & 0x7fffU),
                             load16(value.data() + 2)};
      return true;
    case kDrPriority:
    case kGenerationId:
      if (value.size() != 4) return false;
      (type == kDrPriority ? out.dr_priority : out.generation_id) = load32(value.data());
      return true;
    case kAddressList:
      out.secondary = {value, v4, take_secondary};
      return all_whole(value);
    default:
      return true;
  }
}

void put_option(Output& out, std::uint16_t type, std::size_t size) noexcept {
  out.half(type);
  out.half(static_cast<unsigned>(size));
}

void put_secondary(Output& out, const Sequence<IpAddress>& addresses, bool v4) noexcept {
  if (addresses.empty()) return;
  put_option(out, kAddressList, addresses.count() * encoded_size(Encoding::unicast, v4));
  for (const IpAddress& address : addresses) put_unicast(out, address);
}

}  // namespace

std::optional<Hello> parse_hello(const Message& message) noexcept {
  Hello hello;
  for (Bytes rest = message.body; !rest.empty();) {
    if (rest.size() < 4) return std::nullopt;
    const std::size_t size = load16(rest.data() + 2);
    if (rest.size() - 4 < size) return std::nullopt;
    if (!read_option(load16(rest.data()), rest.subspan(4, size), message.v4, hello)) return std::nullopt;
    rest = rest.subspan(4 + size);
  }
  return hello;
}

std::size_t write_hello(const Hello& hello, const IpEnds& ends, MutableBytes room) noexcept {
  Output out(room);
  put_header(out, Type::hello);
  if (hello.holdtime_s) {
    put_option(out, kHoldtime, 2);
    out.half(*hello.holdtime_s);
  }
  if (const auto& delay = hello.lan_prune_delay) {
    put_option(out, kLanPruneDelay, 4);
    out.half((delay->tracking ? 0x8000U : 0U) | (delay->propagation_delay_ms & 0x7fffU));
    out.half(delay->override_interval_ms);
  }
  if (hello.dr_priority) {
    put_option(out, kDrPriority, 4);
    out.word(*hello.dr_priority);
  }
  if (hello.generation_id) {
    put_option(out, kGenerationId, 4);
    out.word(*hello.generation_id);
  }
  put_secondary(out, hello.secondary, ends.source.is_v4());
  return finish(out, ends);
}

}  // namespace sluice::codec::pim
