// Fuzz target: datagrams of RTCP as receivers' reports of their losses; whatever they claim, the totals are
// possible ones.
#include "codec/rtcp.h"
#include "fuzz/check.h"
#include "repair/audience.h"

using namespace sluice;

namespace {

void take(repair::Audience& audience, const codec::RtcpPacket& packet, repair::Nanos now) {
  for (std::size_t i = 0; i < codec::report_block_count(packet); i++)
    audience.report(packet.ssrc(), codec::report_block(packet, i), now);
  if (const auto feedback = codec::feedback_packet(packet))
    audience.nacked(packet.ssrc(), feedback->control, now);
  const auto runs = codec::loss_runs(packet);
  if (!runs) return;
  audience.report(packet.ssrc(), *runs, now);
  std::array<std::uint8_t, codec::kLossRunsSize> again;
  codec::RtcpWriter writer(again);
  SLUICE_HOLDS(codec::write(writer, packet.ssrc(), *runs));
  SLUICE_HOLDS(std::equal(packet.body.begin(), packet.body.end(), again.begin() + codec::kRtcpHeaderSize));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  repair::Audience audience;
  repair::Nanos now = 0;
  input.in_pieces(200, [&](codec::Bytes datagram) {
    const auto compound = codec::RtcpCompound::parse(datagram, codec::RtcpForm::reduced_too);
    if (compound)
      for (const codec::RtcpPacket& packet : *compound) take(audience, packet, now);
    now += 700 * repair::kMillisecond;
    SLUICE_HOLDS(audience.lost() <= audience.expected());
    SLUICE_HOLDS(audience.tail_loss_ppm() <= 1'000'000);
    return true;
  });
  return 0;
}
