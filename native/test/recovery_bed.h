// A receiver that repairs, on a fake clock, and what came of it.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "repair/parity_encoder.h"
#include "repair/recovery.h"
#include "test/repair_bed.h"

namespace sluice::test {

using repair::kMillisecond;
using repair::Nanos;

inline constexpr Nanos kSpacing = kMillisecond;

/** RTP with `packets` TS packets; the bytes follow from the number. */
inline Datagram ts_packet(std::int64_t sequence, std::size_t packets = 7, std::uint32_t ssrc = 0xcafe) {
  Datagram made(codec::kRtpHeaderSize + 188 * packets, static_cast<std::uint8_t>(sequence));
  codec::write_rtp_header(
      {false, 33, static_cast<std::uint16_t>(sequence), static_cast<std::uint32_t>(sequence * 90), ssrc},
      made.data());
  for (std::size_t i = 0; i < packets; i++) {
    made[codec::kRtpHeaderSize + 188 * i] = 0x47;
    made[codec::kRtpHeaderSize + 188 * i + 1] = 0;
  }
  return made;
}

struct RecoveryOutcome final : repair::RecoveryOutput {
  void on_packet(std::int64_t, codec::Bytes datagram, repair::Origin from) noexcept override {
    const std::uint16_t number = codec::load16(datagram.data() + 2);
    numbers.push_back(number);
    origins[number] = from;
    times.push_back(now);
    if (!same(datagram, ts_packet(number, (datagram.size() - 12) / 188))) wrong++;
  }
  void on_lost(std::int64_t first, std::int64_t count) noexcept override {
    for (std::int64_t i = 0; i < count; i++) lost.insert(static_cast<std::uint16_t>(first + i));
  }
  void on_request(std::span<const std::int64_t> sequences) noexcept override {
    for (const std::int64_t one : sequences) requests.emplace_back(static_cast<std::uint16_t>(one), now);
  }
  void on_fetch(std::span<const std::int64_t> sequences, Nanos patience) noexcept override {
    for (const std::int64_t one : sequences) fetches.emplace_back(static_cast<std::uint16_t>(one), now);
    patiences.push_back(patience);
  }
  void on_restart() noexcept override { restarts++; }

  Nanos now = 0;
  std::vector<std::uint16_t> numbers;
  std::map<std::uint16_t, repair::Origin> origins;
  std::vector<Nanos> times;
  std::set<std::uint16_t> lost;
  std::vector<std::pair<std::uint16_t, Nanos>> requests;
  /** Packets to be fetched, with the time; and for how long each fetch may last. */
  std::vector<std::pair<std::uint16_t, Nanos>> fetches;
  std::vector<Nanos> patiences;
  int restarts = 0;
  int wrong = 0;
};

/** Parity packets as they would be sent. */
struct KeptParity final : repair::ParityOutput {
  void on_parity(const codec::ParityPacket& packet) noexcept override {
    Datagram written(codec::kParityHeadersSize);
    codec::write_parity({false, 96, 0, 0, 0}, packet, written.data());
    written.insert(written.end(), packet.payload.begin(), packet.payload.end());
    ready.push_back(std::move(written));
  }
  std::vector<Datagram> ready;
};

/** A receiver, and the time. */
struct RecoveryBed {
  explicit RecoveryBed(const repair::RecoveryOptions& options = {}) : recovery(options, out) {}
  void to(Nanos time) {
    for (;;) {
      const auto next = recovery.deadline();
      if (!next || *next > time) break;
      now = std::max(now, *next);
      out.now = now;
      recovery.advance(now);
      if (const auto again = recovery.deadline(); again && *again <= now && again == next) {
        FAIL("a deadline that stays");
      }
    }
    now = out.now = time;
    recovery.advance(now);
  }
  void packet(const Datagram& datagram) { recovery.on_packet(datagram, now); }

  RecoveryOutcome out;
  repair::Recovery recovery;
  Nanos now = 0;
};

inline std::vector<std::uint16_t> range(int first, int end) {
  std::vector<std::uint16_t> all;
  for (int i = first; i < end; i++) all.push_back(static_cast<std::uint16_t>(i));
  return all;
}

}  // namespace sluice::test
