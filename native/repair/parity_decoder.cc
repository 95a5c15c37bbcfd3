#include "repair/parity_decoder.h"

#include "repair/exclusive_or.h"
#include "repair/parity_sum.h"

namespace sluice::repair {

using codec::kRtpHeaderSize;

ParityDecoder::ParityDecoder(PacketWindow& window, RepairOutput& output, std::size_t waiting)
    : window_(window),
      output_(output),
      waiting_(waiting),
      bytes_(new std::uint8_t[waiting * window.most()]) {}

void ParityDecoder::clear() noexcept {
  for (Waiting& one : waiting_) one.used = false;
  count_ = 0;
}

bool ParityDecoder::protects(const Waiting& one, std::int64_t sequence) noexcept {
  const std::int64_t step = sequence - one.base;
  const codec::ParityScope& scope = one.packet.scope;
  return step >= 0 && step % scope.offset == 0 && step / scope.offset < scope.count;
}

unsigned ParityDecoder::missing(const Waiting& one, std::int64_t& which) const noexcept {
  unsigned count = 0;
  for (unsigned i = 0; i < one.packet.scope.count && count < 2; i++) {
    const std::int64_t sequence = one.base + static_cast<std::int64_t>(i) * one.packet.scope.offset;
    if (window_.has(sequence)) continue;
    which = sequence;
    count++;
  }
  return count;
}

void ParityDecoder::on_parity(const codec::ParityPacket& packet, std::int64_t highest,
                              std::int64_t oldest) noexcept {
  const Waiting one{codec::extend_sequence(highest, packet.scope.base), packet, true};
  const std::int64_t last = one.base + std::int64_t{packet.scope.count - 1} * packet.scope.offset;
  // All of it must find room in the window at once.
  if (one.base < oldest || last - one.base >= static_cast<std::int64_t>(window_.size()) / 2) return;
  if (packet.payload.size() + kRtpHeaderSize > window_.most()) return;
  std::int64_t which = 0;
  switch (missing(one, which)) {
    case 0:
      return;
    case 1:
      if (solve(one, which)) on_stored(oldest);
      return;
    default:
      return keep(one);
  }
}

void ParityDecoder::on_stored(std::int64_t oldest) noexcept {
  // What is found may be what another lacks: as deep as the parities that wait.
  for (bool found = true; found && count_ > 0;) {
    found = false;
    for (Waiting& one : waiting_) {
      if (!one.used) continue;
      // The slots of what is older are others' now.
      if (one.base < oldest) {
        drop(one);
        continue;
      }
      std::int64_t which = 0;
      const unsigned lacks = missing(one, which);
      if (lacks > 1) continue;
      drop(one);
      if (lacks == 1 && solve(one, which)) found = true;
    }
  }
}

/** The packet is the sum of the parity and of all the others. */
bool ParityDecoder::solve(const Waiting& one, std::int64_t sequence) noexcept {
  const codec::ParityPacket& parity = one.packet;
  const codec::MutableBytes out = window_.open(sequence);
  const codec::MutableBytes body = out.subspan(kRtpHeaderSize, parity.payload.size());
  std::memcpy(body.data(), parity.payload.data(), body.size());
  ParityFields fields{parity.flags, parity.type, parity.length, parity.timestamp};
  for (unsigned i = 0; i < parity.scope.count; i++) {
    const std::int64_t other = one.base + static_cast<std::int64_t>(i) * parity.scope.offset;
    if (other == sequence) continue;
    const ProtectedPacket packet = window_.packet(other);
    if (packet.body.size() > body.size()) return damaged_++, false;
    fields.add(ParityFields::of(packet));
    exclusive_or(body, packet.body);
  }
  const bool whole = fields.length <= body.size() && std::all_of(body.begin() + fields.length, body.end(),
                                                                 [](std::uint8_t byte) { return byte == 0; });
  if (!whole) return damaged_++, false;
  out[0] = static_cast<std::uint8_t>(0x80 | fields.flags);
  out[1] = fields.type;
  codec::store16(out.data() + 2, static_cast<std::uint16_t>(sequence));
  codec::store32(out.data() + 4, fields.timestamp);
  codec::store32(out.data() + 8, ssrc_);
  window_.commit(sequence, kRtpHeaderSize + fields.length, Origin::parity);
  output_.on_repaired(sequence);
  return true;
}

void ParityDecoder::keep(const Waiting& one) noexcept {
  Waiting& place = waiting_[next_];
  std::uint8_t* const bytes = bytes_.get() + next_ * window_.most();
  next_ = (next_ + 1) % waiting_.size();
  if (!place.used) count_++;
  place = one;
  std::memcpy(bytes, one.packet.payload.data(), one.packet.payload.size());
  place.packet.payload = {bytes, one.packet.payload.size()};
}

void ParityDecoder::drop(Waiting& one) noexcept {
  one.used = false;
  count_--;
}

}  // namespace sluice::repair
