// Fuzz target: bytes as what stands behind /udp/ and /rtp/.
#include <string>

#include "fuzz/check.h"
#include "plane/relay_target.h"

using namespace sluice;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const fuzz::Block& body = input.body();
  const auto target = plane::parse_relay_target({reinterpret_cast<const char*>(body.data()), body.size()});
  if (!target) return 0;
  SLUICE_HOLDS(target->address.port() != 0);
  SLUICE_HOLDS(!target->source || target->address.is_multicast());
  // It is known by one name, which leads to it again.
  const std::string name = target->text();
  const auto again = plane::parse_relay_target(name);
  SLUICE_HOLDS(again && again->text() == name);
  SLUICE_HOLDS(again->address.bytes() == target->address.bytes());
  SLUICE_HOLDS(again->address.family() == target->address.family());
  // A list of groups of one family opens nothing else.
  const plane::RelayRule four{std::nullopt, *kernel::AddressPrefix::parse("224.0.0.0/4")};
  const plane::RelayRule six{std::nullopt, *kernel::AddressPrefix::parse("ff00::/8")};
  const bool group = target->address.is_multicast();
  SLUICE_HOLDS(four.allows(*target) == (group && target->address.family() == AF_INET));
  SLUICE_HOLDS(six.allows(*target) == (group && target->address.family() == AF_INET6));
  return 0;
}
