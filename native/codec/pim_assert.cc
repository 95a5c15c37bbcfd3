#include "codec/pim_assert.h"

#include "codec/pim_address.h"

namespace sluice::codec::pim {

std::optional<Assert> parse_assert(const Message& message) noexcept {
  Bytes rest = message.body;
  const auto group = take_group(rest, message.v4);
  if (!group) return std::nullopt;
  const auto source = take_unicast(rest, message.v4);
  if (!source || source->is_multicast() || rest.size() < 8) return std::nullopt;
  const std::uint32_t preference = load32(rest.data());
  const bool rpt = preference >> 31 != 0;
  // Only a whole group's assert is about no source.
  if (source->is_any() && !rpt) return std::nullopt;
  return Assert{*group, *source, rpt, preference & kInfinitePreference, load32(rest.data() + 4)};
}

std::size_t write_assert(const Assert& assertion, const IpEnds& ends, MutableBytes room) noexcept {
  Output out(room);
  put_header(out, Type::assertion);
  put_single(out, assertion.group);
  put_unicast(out, assertion.source);
  out.word((assertion.rpt ? 0x80000000U : 0U) | (assertion.preference & kInfinitePreference));
  out.word(assertion.metric);
  return finish(out, ends);
}

}  // namespace sluice::codec::pim
