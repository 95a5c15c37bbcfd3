// Fuzz target: bytes as a message of MLD; what is read is within bounds, and is written and read again.
#include "codec/mld.h"

#include "fuzz/membership_check.h"

using namespace sluice;
using codec::IpAddress;
using codec::MembershipMessage;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const fuzz::Block& bytes = input.body();
  const codec::IpEnds ends{codec::mld::kAllNodes, codec::mld::kReports};
  const MembershipMessage message = codec::mld::parse(bytes);
  fuzz::check_contents(message, false, bytes.size());
  (void)codec::mld::checksum_fits(bytes, ends);
  fuzz::check_again(
      message, bytes.size(), input,
      [&ends](const MembershipMessage& m, codec::MutableBytes out) {
        const std::size_t written = m.kind == codec::MembershipKind::query
                                        ? codec::mld::write_query(m.query, ends, out)
                                        : codec::mld::write_report(m.report, ends, out);
        SLUICE_HOLDS(written == 0 || codec::mld::checksum_fits(codec::Bytes(out).first(written), ends));
        return written;
      },
      [](const fuzz::Block& out) { return codec::mld::parse(out); });
  (void)codec::has_router_alert6(bytes);
  return 0;
}
