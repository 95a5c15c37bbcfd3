// Puts the packets of one RTP source back into order, with a bounded wait and bounded memory.
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "codec/rtp.h"
#include "kernel/reactor.h"
#include "plane/input_counters.h"

namespace sluice::plane {

using kernel::Nanos;

/** Takes payloads in sequence. */
class RtpReorderOutput {
 public:
  virtual void on_payload(codec::Bytes payload, Nanos arrival) noexcept = 0;
  /** What comes next is of another source, or of the same one started anew. */
  virtual void on_restart() noexcept = 0;

 protected:
  ~RtpReorderOutput() = default;
};

/**
 * Window over the extended sequence numbers (RFC 3550 A.1) of the present source; time is an argument.
 *
 *        given up or delivered     expected     held and missing       highest
 *   ----------------------------------|------- H . . H H . H -----------|
 *                                      <------ at most kSlots ------>
 *
 * Packets in sequence pass without being copied. A packet after a gap is held; the gap is given up, and
 * counted as lost, `wait` after the first packet that showed it, or when the window is full. A packet of
 * another SSRC, or one far from the window, is put on probation: only when the next one continues it (and
 * none of the present source came between) does the source change. No packet allocates.
 */
class RtpReorder {
 public:
  static constexpr std::size_t kSlots = 1024;
  /** Payloads that fit a 1,500-byte link; longer ones are not held but end the gap before them. */
  static constexpr std::size_t kSlotBytes = 1472;

  /** `wait` 0 gives gaps up at once. `output` and `counters` must outlive the object. */
  RtpReorder(Nanos wait, RtpReorderOutput& output, InputCounters& counters);

  /** Takes a packet that arrived at `arrival`. */
  void push(const codec::RtpPacket& packet, Nanos arrival) noexcept;
  /** When expire() is due; none while nothing is missing. */
  [[nodiscard]] std::optional<Nanos> deadline() const noexcept {
    return held_ == 0 ? std::nullopt : std::optional<Nanos>(deadline_);
  }
  /** Gives up the gaps whose time has come. */
  void expire(Nanos now) noexcept;
  /** Gives up all gaps and delivers what is held. */
  void flush() noexcept;

 private:
  struct Slot {
    /** Extended number that used the slot last, held or delivered; -1 before. */
    std::int64_t sequence = -1;
    Nanos arrival = 0;
    std::uint16_t size = 0;
    bool held = false;
  };
  struct Probation {
    bool active = false;
    codec::RtpHeader header;
    Nanos arrival = 0;
    std::size_t size = 0;
    std::array<std::uint8_t, kSlotBytes> payload{};
  };

  [[nodiscard]] Slot& slot(std::int64_t sequence) noexcept {
    return slots_[static_cast<std::size_t>(sequence) % kSlots];
  }
  [[nodiscard]] std::uint8_t* bytes(std::int64_t sequence) noexcept {
    return memory_.get() + static_cast<std::size_t>(sequence) % kSlots * kSlotBytes;
  }
  void accept(const codec::RtpPacket& packet, std::int64_t sequence, Nanos arrival) noexcept;
  void accept_old(std::int64_t sequence) noexcept;
  void probe(const codec::RtpPacket& packet, Nanos arrival) noexcept;
  void take_over(const codec::RtpPacket& packet, Nanos arrival) noexcept;
  void begin(const codec::RtpHeader& header) noexcept;
  [[nodiscard]] bool continues(const codec::RtpHeader& header, Nanos arrival) const noexcept;
  void hold(codec::Bytes payload, std::int64_t sequence, Nanos arrival) noexcept;
  void deliver(codec::Bytes payload, std::int64_t sequence, Nanos arrival) noexcept;
  void give_up_until(std::int64_t sequence) noexcept;
  void drain() noexcept;
  void find_deadline() noexcept;
  void measure_jitter(const codec::RtpHeader& header, Nanos arrival) noexcept;

  const Nanos wait_;
  RtpReorderOutput& output_;
  InputCounters& counters_;
  bool started_ = false;
  std::uint32_t ssrc_ = 0;
  std::int64_t first_ = 0;
  std::int64_t expected_ = 0;
  std::int64_t highest_ = 0;
  std::size_t held_ = 0;
  Nanos deadline_ = 0;
  /** Packets in a row that brought nothing new. */
  unsigned old_in_row_ = 0;

  std::uint32_t last_timestamp_ = 0;
  Nanos last_arrival_ = 0;
  bool jitter_begun_ = false;
  Nanos jitter16_ = 0;

  Probation probation_;
  std::array<Slot, kSlots> slots_{};
  std::unique_ptr<std::uint8_t[]> memory_;
};

}  // namespace sluice::plane
