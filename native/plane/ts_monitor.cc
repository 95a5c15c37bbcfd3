#include "plane/ts_monitor.h"

#include <functional>

#include "kernel/counter.h"

namespace sluice::plane {

using codec::TsPacket;
using kernel::bump;
using kernel::gauge;
using kernel::Nanos;

void TsMonitor::write(codec::Bytes ts, Nanos arrival) noexcept {
  const std::uint8_t* const begin = ts.data();
  const std::uint8_t* const end = begin + ts.size();
  const std::less<const std::uint8_t*> before;
  const std::uint64_t losses = aligner_.losses();
  aligner_.feed(ts, [&](codec::Bytes packet) {
    // A packet put together from two writes began in the one before.
    const bool within = !before(packet.data(), begin) && before(packet.data(), end);
    take(packet, within ? static_cast<std::size_t>(packet.data() - begin) : 0, arrival);
  });
  if (aligner_.losses() != losses) bump(counters_.sync_errors, aligner_.losses() - losses);
}

void TsMonitor::splice() noexcept {
  aligner_.reset();
  for (codec::ContinuityCheck& check : continuity_) check.reset();
  jitter_.reset();
  pcr_pid_ = codec::kPidNull;
}

void TsMonitor::take(codec::Bytes bytes, std::size_t offset, Nanos arrival) noexcept {
  position_ += codec::kTsPacketSize;
  bump(counters_.ts_packets);
  const std::uint16_t pid = codec::load16(bytes.data() + 1) & 0x1fff;
  // 2.4.3.3: nothing in such a packet is to be trusted, its counter included.
  if ((bytes[1] & 0x80) != 0) {
    bump(counters_.transport_errors);
    continuity_[pid].reset();
    return;
  }
  const auto packet = TsPacket::parse(bytes);
  if (!packet) return bump(counters_.malformed);
  if (pid == codec::kPidNull) return;
  if (!continuity_[pid].accept(*packet)) bump(counters_.continuity_errors);
  if (const auto pcr = packet->pcr()) take_pcr(*packet, *pcr, offset, arrival);
}

void TsMonitor::take_pcr(const TsPacket& packet, std::int64_t pcr, std::size_t offset,
                         Nanos arrival) noexcept {
  bump(counters_.pcr_count);
  const bool stale = arrival - last_pcr_arrival_ > kernel::kSecond;
  if (packet.pid() != pcr_pid_) {
    if (pcr_pid_ != codec::kPidNull && !stale) return;
    pcr_pid_ = packet.pid();
    jitter_.reset();
  }
  last_pcr_arrival_ = arrival;
  if (!jitter_.push({pcr, arrival, position_, offset, packet.discontinuity()}))
    bump(counters_.pcr_discontinuities);
  gauge(counters_.pcr_jitter_ns, static_cast<std::uint64_t>(jitter_.deviation()));
}

}  // namespace sluice::plane
