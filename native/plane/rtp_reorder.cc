#include "plane/rtp_reorder.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "kernel/counter.h"

namespace sluice::plane {

using kernel::bump;
using kernel::gauge;

namespace {

/** RFC 3550 A.1, MAX_DROPOUT: forward jumps from here on need a second packet to be believed. */
constexpr std::int64_t kMaxDropout = 3000;
/** A source that was set back by less than the window shows in so many packets in a row that are all old. */
constexpr unsigned kMaxOldInRow = 64;
/** Extended numbers begin one cycle up, so that packets from before the first one have a number too. */
constexpr std::int64_t kFirstCycle = 1 << 16;
/** RTP and arrival clock may differ by this much over a gap of one and the same stream. */
constexpr Nanos kTimestampSlack = kernel::kSecond;

/** Ticks of the 90 kHz clock in ns. */
constexpr Nanos ticks(std::uint32_t later, std::uint32_t earlier) noexcept {
  return Nanos{static_cast<std::int32_t>(later - earlier)} * 100'000 / 9;
}

}  // namespace

RtpReorder::RtpReorder(Nanos wait, RtpReorderOutput& output, InputCounters& counters)
    : wait_(wait), output_(output), counters_(counters), memory_(new std::uint8_t[kSlots * kSlotBytes]) {}

void RtpReorder::push(const codec::RtpPacket& packet, Nanos arrival) noexcept {
  if (!started_) begin(packet.header);
  const std::int64_t sequence = codec::extend_sequence(highest_, packet.header.sequence);
  const std::int64_t jump = sequence - highest_;
  const bool near =
      jump < kMaxDropout && jump > -static_cast<std::int64_t>(kSlots) && old_in_row_ < kMaxOldInRow;
  if (packet.header.ssrc != ssrc_ || !near) return probe(packet, arrival);
  if (probation_.active) {
    probation_.active = false;
    bump(counters_.malformed);
  }
  accept(packet, sequence, arrival);
}

void RtpReorder::begin(const codec::RtpHeader& header) noexcept {
  started_ = true;
  ssrc_ = header.ssrc;
  first_ = expected_ = kFirstCycle + header.sequence;
  highest_ = expected_ - 1;
  old_in_row_ = 0;
  jitter_begun_ = false;
  jitter16_ = 0;
  for (Slot& s : slots_) s = {};
  gauge(counters_.ssrc, ssrc_);
}

void RtpReorder::accept(const codec::RtpPacket& packet, std::int64_t sequence, Nanos arrival) noexcept {
  if (sequence < expected_ || slot(sequence).sequence == sequence) return accept_old(sequence);
  old_in_row_ = 0;
  measure_jitter(packet.header, arrival);
  if (sequence < highest_) bump(counters_.rtp_reordered);
  highest_ = std::max(highest_, sequence);
  gauge(counters_.last_sequence, static_cast<std::uint64_t>(highest_));
  const auto oldest = highest_ - static_cast<std::int64_t>(kSlots) + 1;
  if (expected_ < oldest) {
    give_up_until(oldest);
    drain();
  }
  if (sequence != expected_) {
    if (wait_ > 0 && packet.payload.size() <= kSlotBytes) return hold(packet.payload, sequence, arrival);
    give_up_until(sequence);
  }
  deliver(packet.payload, sequence, arrival);
  drain();
}

void RtpReorder::accept_old(std::int64_t sequence) noexcept {
  old_in_row_++;
  if (slot(sequence).sequence == sequence) {
    bump(counters_.rtp_duplicates);
  } else if (sequence >= first_) {
    bump(counters_.rtp_late);
  }
}

/** RFC 3550 A.1: two packets in sequence make a source; one stray packet does not. */
void RtpReorder::probe(const codec::RtpPacket& packet, Nanos arrival) noexcept {
  const codec::RtpHeader& first = probation_.header;
  const bool next = probation_.active && packet.header.ssrc == first.ssrc &&
                    packet.header.sequence == static_cast<std::uint16_t>(first.sequence + 1);
  if (next) return take_over(packet, arrival);
  if (probation_.active) bump(counters_.malformed);
  probation_.active = packet.payload.size() <= kSlotBytes;
  if (!probation_.active) return;
  probation_.header = packet.header;
  probation_.arrival = arrival;
  probation_.size = packet.payload.size();
  std::copy(packet.payload.begin(), packet.payload.end(), probation_.payload.begin());
}

void RtpReorder::take_over(const codec::RtpPacket& packet, Nanos arrival) noexcept {
  flush();
  probation_.active = false;
  const codec::RtpHeader first = probation_.header;
  if (continues(first, probation_.arrival)) {
    // One and the same stream after an outage: everything in between is lost, further back than slots can
    // tell.
    const std::int64_t sequence = codec::extend_sequence(highest_, first.sequence);
    bump(counters_.rtp_lost, static_cast<std::uint64_t>(sequence - expected_));
    expected_ = sequence;
    highest_ = sequence - 1;
    old_in_row_ = 0;
    jitter_begun_ = false;
  } else {
    begin(first);
    output_.on_restart();
  }
  const codec::Bytes payload(probation_.payload.data(), probation_.size);
  accept({first, payload}, expected_, probation_.arrival);
  accept(packet, expected_, arrival);
}

bool RtpReorder::continues(const codec::RtpHeader& header, Nanos arrival) const noexcept {
  if (header.ssrc != ssrc_ || !jitter_begun_) return false;
  if (codec::extend_sequence(highest_, header.sequence) <= highest_) return false;
  const Nanos drift = ticks(header.timestamp, last_timestamp_) - (arrival - last_arrival_);
  return std::abs(drift) < kTimestampSlack;
}

void RtpReorder::hold(codec::Bytes payload, std::int64_t sequence, Nanos arrival) noexcept {
  slot(sequence) = {sequence, arrival, static_cast<std::uint16_t>(payload.size()), true};
  std::memcpy(bytes(sequence), payload.data(), payload.size());
  if (held_++ == 0) deadline_ = arrival + wait_;
}

void RtpReorder::deliver(codec::Bytes payload, std::int64_t sequence, Nanos arrival) noexcept {
  slot(sequence) = {sequence, arrival, 0, false};
  expected_ = sequence + 1;
  output_.on_payload(payload, arrival);
}

void RtpReorder::give_up_until(std::int64_t sequence) noexcept {
  for (; expected_ < sequence; expected_++) {
    Slot& s = slot(expected_);
    if (s.held && s.sequence == expected_) {
      s.held = false;
      held_--;
      output_.on_payload({bytes(expected_), s.size}, s.arrival);
    } else {
      bump(counters_.rtp_lost);
    }
  }
}

/** Delivers what is held from the expected packet on, up to the next gap. */
void RtpReorder::drain() noexcept {
  if (held_ == 0) return;
  while (held_ > 0) {
    Slot& s = slot(expected_);
    if (!s.held || s.sequence != expected_) break;
    s.held = false;
    held_--;
    expected_++;
    output_.on_payload({bytes(s.sequence), s.size}, s.arrival);
  }
  find_deadline();
}

/** The packet missing now has been known to be missing since the oldest of those held came. */
void RtpReorder::find_deadline() noexcept {
  if (held_ == 0) return;
  std::size_t left = held_;
  Nanos oldest = INT64_MAX;
  for (std::int64_t i = expected_; i <= highest_ && left > 0; i++) {
    if (!slot(i).held) continue;
    oldest = std::min(oldest, slot(i).arrival);
    left--;
  }
  deadline_ = oldest + wait_;
}

void RtpReorder::expire(Nanos now) noexcept {
  while (held_ > 0 && deadline_ <= now) {
    std::int64_t next = expected_;
    while (!slot(next).held) next++;
    give_up_until(next);
    drain();
  }
}

void RtpReorder::flush() noexcept {
  while (held_ > 0) expire(deadline_);
}

/** RFC 3550 A.8, in ns, scaled by 16 so that the filter does not lose its rest. */
void RtpReorder::measure_jitter(const codec::RtpHeader& header, Nanos arrival) noexcept {
  if (jitter_begun_) {
    const Nanos d = std::abs((arrival - last_arrival_) - ticks(header.timestamp, last_timestamp_));
    jitter16_ += d - ((jitter16_ + 8) >> 4);
    gauge(counters_.jitter_ns, static_cast<std::uint64_t>(jitter16_ >> 4));
  }
  jitter_begun_ = true;
  last_timestamp_ = header.timestamp;
  last_arrival_ = arrival;
}

}  // namespace sluice::plane
