// Fuzz target: bytes as a message of IGMP, with or without a right checksum; what is read is within bounds,
// and is written and read again.
#include "codec/igmp.h"

#include "fuzz/membership_check.h"

using namespace sluice;
using codec::MembershipMessage;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  fuzz::Block bytes = input.body();
  // Hardly one input in 65,536 would have it right else.
  if (input.choose(4) > 0 && bytes.size() >= 4) {
    codec::store16(bytes.data() + 2, 0);
    codec::store16(bytes.data() + 2, codec::folded(codec::add_words(0, bytes)));
  }
  const MembershipMessage message = codec::igmp::parse(bytes);
  fuzz::check_contents(message, true, bytes.size());
  fuzz::check_again(
      message, bytes.size(), input,
      [](const MembershipMessage& m, codec::MutableBytes out) {
        return m.kind == codec::MembershipKind::query ? codec::igmp::write_query(m.query, out)
                                                      : codec::igmp::write_report(m.report, out);
      },
      [](const fuzz::Block& out) { return codec::igmp::parse(out); });
  if (const auto packet = codec::parse_ipv4(bytes)) {
    SLUICE_HOLDS(packet->payload.size() + codec::kLeastIpv4Header <= bytes.size());
  }
  return 0;
}
