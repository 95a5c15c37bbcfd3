#include "codec/pim.h"

namespace sluice::codec::pim {

namespace {

/** What a Register's checksum covers (section 4.9.3). */
constexpr std::size_t kRegisterSummed = 8;

/** 0 where the checksum of the first bytes is right. IPv4 has no pseudo header here. */
std::uint16_t checksum(Bytes summed, const IpEnds& ends) noexcept {
  const std::uint32_t pseudo = ends.source.is_v4() ? 0 : pseudo_header_sum(ends, kProtocol, summed.size());
  return folded(add_words(pseudo, summed));
}

constexpr bool is_known(unsigned type) noexcept {
  return type <= static_cast<unsigned>(Type::assertion) || type == static_cast<unsigned>(Type::candidate_rp);
}

}  // namespace

Find parse(Bytes payload, const IpEnds& ends, Message& out) noexcept {
  if (payload.size() < kHeaderSize || payload.size() > 0xffff) return Find::malformed;
  if (payload[0] >> 4 != 2 || !is_known(payload[0] & 0x0fU)) return Find::other;
  const auto type = static_cast<Type>(payload[0] & 0x0fU);
  const bool is_register = type == Type::data_register;
  if (is_register && payload.size() < kRegisterSummed) return Find::malformed;
  const bool right =
      (is_register && checksum(payload.first(kRegisterSummed), ends) == 0) || checksum(payload, ends) == 0;
  if (!right) return Find::bad_checksum;
  out = {type, payload[1], ends.source.is_v4(), payload.subspan(kHeaderSize)};
  return Find::message;
}

bool is_rightly_addressed(Type type, const IpAddress& destination) noexcept {
  const bool to_all = destination == all_routers(destination.is_v4());
  switch (type) {
    case Type::hello:
    case Type::join_prune:
    case Type::assertion:
      return to_all;
    case Type::bootstrap:
      return to_all || destination.is_unicast();
    case Type::data_register:
    case Type::register_stop:
    case Type::candidate_rp:
      return destination.is_unicast();
  }
  return false;
}

void seal(MutableBytes message, const IpEnds& ends) noexcept {
  store16(message.data() + 2, 0);
  const bool is_register = (message[0] & 0x0fU) == static_cast<unsigned>(Type::data_register);
  store16(message.data() + 2,
          checksum(is_register ? Bytes(message).first(kRegisterSummed) : Bytes(message), ends));
}

}  // namespace sluice::codec::pim
