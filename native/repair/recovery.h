// What makes a whole stream of what came: order, parity, retransmission, and a time at which each packet is
// due.
#pragma once

#include <vector>

#include "repair/block_code.h"
#include "repair/fetch_pace.h"
#include "repair/parity_decoder.h"
#include "repair/round_trip.h"

namespace sluice::repair {

struct RecoveryOptions {
  /** Packets that are kept, a power of two: those of the playout delay, and as many for what is repaired from
   * them. */
  std::size_t window = 4096;
  /** Longest datagram, RTP header included. */
  std::size_t most = 1500;
  /** From arrival to delivery. */
  Nanos playout = 200 * kMillisecond;
  /** The playout delay follows what repairs take, between this and `playout`; 0 keeps it as it is. */
  Nanos least_playout = 0;
  /** Payloads are TS packets: those that are not, or that say they are damaged (transport_error_indicator),
   * count as missing. */
  bool mpegts = true;
  /** Packets in disorder that are not missing yet. */
  unsigned disorder = 0;
  /** Whether missing packets are asked for. */
  bool asks = false;
  /** Before one was measured. */
  Nanos round_trip = 50 * kMillisecond;
  /** The first request waits so long at most, by chance: of a large audience others may have asked before. */
  Nanos dither = 0;
  /** Packets by which parity follows what it protects; until then nothing is asked for. 0: learnt from parity
   * that comes. */
  unsigned parity_span = 0;
  std::optional<BlockOptions> block;
  /** Whether what neither parity nor an answer brings is fetched from elsewhere. */
  bool fetches = false;
  /** How long a fetch takes, before one was measured. */
  Nanos fetch_time = 50 * kMillisecond;
};

/** Where it all goes. */
class RecoveryOutput {
 public:
  /** In order, each once. The datagram is there until this returns. */
  virtual void on_packet(std::int64_t sequence, codec::Bytes datagram, Origin origin) noexcept = 0;
  /** These are given up. */
  virtual void on_lost(std::int64_t first, std::int64_t count) noexcept = 0;
  /** To be asked for now; ascending. */
  virtual void on_request(std::span<const std::int64_t> sequences) noexcept = 0;
  /** To be fetched now from elsewhere, such as by HTTP; ascending, at most Recovery::kMostFetched. Nothing
   * else is until Recovery::on_fetch_end() has told its end, not from within this call; after `patience` that
   * it failed. */
  virtual void on_fetch(std::span<const std::int64_t> sequences, Nanos patience) noexcept {
    static_cast<void>(sequences);
    static_cast<void>(patience);
  }
  /** What comes next is of another source, or of the same one begun anew. */
  virtual void on_restart() noexcept = 0;

 protected:
  ~RecoveryOutput() = default;
};

struct RecoveryCounters {
  std::uint64_t received = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t late = 0;
  std::uint64_t damaged = 0;
  /** Found missing at first, whether repaired or not. */
  std::uint64_t missing = 0;
  std::uint64_t by_parity = 0;
  std::uint64_t by_block = 0;
  std::uint64_t by_retransmission = 0;
  std::uint64_t by_fetch = 0;
  std::uint64_t lost = 0;
  std::uint64_t requests = 0;
  std::uint64_t requested = 0;
  std::uint64_t restarts = 0;
};

/**
 * Packets are delivered `playout` after they came, in order; one that was repaired, between its neighbours.
 * Until then parity repairs first; what it has not repaired when all of it must have come is asked for, once
 * in a round trip, as long as an answer would be in time; more often when it is asked for the last time. The
 * last resort is to fetch it: when parity is not waited for any more, and two requests have had no answer, or
 * none would be in time, or the last moment for it has come. Time is an argument, nothing is allocated after
 * it was made.
 */
class Recovery final : private RepairOutput {
 public:
  /** Packets of one fetch. */
  static constexpr std::size_t kMostFetched = 256;

  /** `output` outlives it. `seed` is of the dither. */
  Recovery(const RecoveryOptions& options, RecoveryOutput& output, std::uint32_t seed = 1);

  /** A datagram of the source. */
  void on_packet(codec::Bytes datagram, Nanos now) noexcept;
  /** A parity packet of ST 2022-1, of columns or rows. */
  void on_parity(codec::Bytes datagram, Nanos now) noexcept;
  /** A repair packet of the block code. */
  void on_block_parity(codec::Bytes datagram, Nanos now) noexcept;
  /** A retransmission: the original's header with the rest of it (RFC 4588 has been undone). */
  void on_retransmission(codec::Bytes datagram, Nanos now) noexcept;
  /** The same, but sent to all: it answers no question of ours, and most have no need of it. */
  void on_resent_to_all(codec::Bytes datagram, Nanos now) noexcept;
  /** From elsewhere, such as by HTTP. */
  void on_fetched(codec::Bytes datagram, Nanos now) noexcept;
  /** What RecoveryOutput::on_fetch() began has ended. `answered`: all has come that was to be had; else what
   * has not come is fetched once more if there is time. */
  void on_fetch_end(bool answered, Nanos now) noexcept;

  /** The source and its first packet are known beforehand, so that it is missed. Nothing once one came. */
  void expect(std::uint32_t ssrc, std::uint16_t first) noexcept;
  /** A packet of a burst from the past (RFC 6285): in order, up to those that come by themselves. */
  void on_burst(codec::Bytes datagram, Nanos now) noexcept;
  /** Whether a burst is expected to bring what is missing after its newest packet: that is not asked for, and
   * waited for, however late. What it has not brought in the end is asked for. */
  void expect_burst(bool expected, Nanos now) noexcept;

  /** Delivers what is due and asks for what is missing. */
  void advance(Nanos now) noexcept;
  /** When advance() is to be called next; none while nothing is there. */
  [[nodiscard]] std::optional<Nanos> deadline() const noexcept;
  /** Delivers all there is, and gives up the rest. */
  void flush() noexcept;

  [[nodiscard]] const RecoveryCounters& counters() const noexcept { return counters_; }
  [[nodiscard]] Nanos round_trip() const noexcept { return round_trip_.smoothed(); }
  /** How long a fetch takes. */
  [[nodiscard]] Nanos fetch_time() const noexcept { return pace_.smoothed(); }
  [[nodiscard]] Nanos playout() const noexcept { return playout_; }
  /** The highest extended number so far; none before the first packet. */
  [[nodiscard]] std::optional<std::int64_t> highest() const noexcept {
    return begun_ ? std::optional(highest_) : std::nullopt;
  }
  /** What is taken off an extended number to count cycles from the first packet on. */
  [[nodiscard]] static constexpr std::int64_t base() noexcept { return kFirstCycle; }
  /** SSRC of the source that is followed; 0 before the first packet. */
  [[nodiscard]] std::uint32_t source() const noexcept { return ssrc_; }
  /** When the packet that was delivered last was due: to RecoveryOutput::on_packet(), the one that it is told
   * of. */
  [[nodiscard]] Nanos delivered_due() const noexcept { return delivered_due_; }

 private:
  /** Numbers begin so high that those before the first are none below zero. */
  static constexpr std::int64_t kFirstCycle = 1 << 20;
  /** A packet that is missing. */
  struct Missing {
    std::int64_t sequence = 0;
    Nanos found = 0;
    /** When it is to be delivered, as far as its neighbours tell. */
    Nanos due = 0;
    Nanos asked = 0;
    Nanos next = 0;
    unsigned asks = 0;
    unsigned fetches = 0;
    /** Part of the fetch that is under way. */
    bool fetching = false;
    /** Not given up before, where that is after it is due. */
    Nanos patience = 0;
  };
  struct Candidate {
    std::uint32_t ssrc = 0;
    std::uint16_t next = 0;
    bool present = false;
  };

  void on_repaired(std::int64_t sequence) noexcept override;
  [[nodiscard]] bool whole(codec::Bytes datagram) const noexcept;
  [[nodiscard]] bool accept(const codec::RtpHeader& header) noexcept;
  void begin(const codec::RtpHeader& header) noexcept;
  void reach(std::int64_t sequence, Nanos now) noexcept;
  void insert(std::int64_t sequence, codec::Bytes datagram, Origin origin, Nanos now) noexcept;
  void count_repair(Origin origin) noexcept;
  [[nodiscard]] std::int64_t oldest() const noexcept;
  [[nodiscard]] Nanos& due_slot(std::int64_t sequence) noexcept {
    return due_[static_cast<std::size_t>(sequence) & (due_.size() - 1)];
  }
  [[nodiscard]] Nanos due_slot(std::int64_t sequence) const noexcept {
    return due_[static_cast<std::size_t>(sequence) & (due_.size() - 1)];
  }
  [[nodiscard]] Nanos due(std::int64_t sequence) const noexcept;
  void find_anchor() noexcept;
  void deliver(Nanos now, bool patient) noexcept;
  void ask(Nanos now) noexcept;
  void learn_span(std::uint16_t base) noexcept;
  [[nodiscard]] bool parity_is_due(const Missing& one) const noexcept;
  [[nodiscard]] bool parity_may_come(const Missing& one, Nanos now) const noexcept;
  [[nodiscard]] Nanos patience_end(const Missing& one) const noexcept;
  [[nodiscard]] bool hopeless(const Missing& one, Nanos now) const noexcept;
  [[nodiscard]] Nanos pause_after(const Missing& one, Nanos now) const noexcept;
  [[nodiscard]] Nanos ask_at(const Missing& one) const noexcept;
  [[nodiscard]] Nanos fetch_at(const Missing& one) const noexcept;
  void fetch(Nanos now) noexcept;
  void take_copy(codec::Bytes datagram, Origin origin, bool answers, Nanos now) noexcept;
  [[nodiscard]] Missing* find_missing(std::int64_t sequence) noexcept;
  [[nodiscard]] Nanos waits_until() const noexcept;
  void give_time(Missing& one, Nanos now) noexcept;
  [[nodiscard]] bool held(const Missing& one) const noexcept {
    return burst_expected_ && one.sequence >= burst_next_;
  }
  void give_up(std::int64_t& lost) noexcept;
  void adapt(Nanos now) noexcept;
  std::uint32_t chance() noexcept;

  const RecoveryOptions options_;
  RecoveryOutput& output_;
  RecoveryCounters counters_;
  PacketWindow window_;
  ParityDecoder parity_;
  std::optional<BlockDecoder> block_;
  RoundTrip round_trip_;
  FetchPace pace_;
  /** When packets that came are due; of a slot of the window. */
  std::vector<Nanos> due_;
  std::vector<Missing> missing_;
  std::vector<std::int64_t> asking_;
  std::vector<std::int64_t> fetching_;
  bool begun_ = false;
  std::uint32_t ssrc_ = 0;
  Candidate candidate_;
  std::int64_t highest_ = -1;
  /** As RecoveryOptions::parity_span, or as learnt. */
  std::int64_t span_;
  /** The longest since that highest number. */
  std::int64_t recent_span_ = 0;
  std::int64_t span_since_ = 0;
  /** What the highest number was when parity came last. */
  std::int64_t parity_heard_ = 0;
  /** The next to be delivered. */
  std::int64_t next_ = 0;
  std::int64_t first_ = 0;
  /** The first from next_ on that came, not repaired; highest_ + 1 where there is none. */
  std::int64_t anchor_ = 0;
  Nanos delivered_due_ = 0;
  Nanos playout_;
  /** What the slowest repair of late has taken. */
  Nanos slowest_ = 0;
  Nanos adapted_ = 0;
  Nanos now_ = 0;
  bool burst_expected_ = false;
  std::int64_t burst_next_ = 0;
  std::uint32_t random_;
};

}  // namespace sluice::repair
