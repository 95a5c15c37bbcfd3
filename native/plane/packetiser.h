// MPEG-TS in, timed RTP packets in the ring (RFC 2250 section 2).
#pragma once

#include <functional>
#include <vector>

#include "codec/ts_align.h"
#include "plane/counters.h"
#include "plane/program_tracker.h"
#include "plane/ring.h"

namespace sluice::plane {

/** Seven TS packets: 1,316 bytes, what fits beside RTP, UDP and IP headers into an Ethernet frame. */
constexpr std::size_t kPacketsPerRtp = 7;
/** RTP timestamps count at 90 kHz, media time at 27 MHz. */
constexpr std::int64_t kTicksPerRtp = 300;
constexpr std::uint16_t kFullPayload = kPacketsPerRtp * codec::kTsPacketSize;

/** A place where a decoder can begin. */
struct AccessPoint {
  /** Where to begin reading in the ring. */
  std::uint64_t position = 0;
  /** PTS of the picture, 90 kHz, or -1. */
  std::int64_t pts = -1;
  /** The tables stand in the ring at `position`; else `psi` must be given first. */
  bool tables_in_place = false;
  /** Where the newest whole tables before it begin in the ring, for who gets nothing but the ring. */
  std::uint64_t tables_position = 0;
  /** The first after a splice. */
  bool discontinuity = false;
  PsiPackets psi;
};

/** What the packetiser finds, told on the loop thread. */
class PacketiserEvents {
 public:
  virtual void on_access_point(const AccessPoint& point) noexcept = 0;
  /**
   * Packets up to Ring::next_sequence() have their time. `tail`: they end a timeline, and may come long after
   * their time because nothing came after them.
   */
  virtual void on_published(bool tail) noexcept = 0;
  /** Where on the media timeline (27 MHz) the first packet after a start or splice stands. */
  virtual std::int64_t timeline_origin() noexcept = 0;
  virtual void on_fault(const char* code, std::string detail) = 0;

 protected:
  ~PacketiserEvents() = default;
};

/**
 * Aligns, checks, keeps the programme's packets, appends them to the ring and gives every seventh an RTP
 * header. A packet's time is interpolated between the PCRs around it (13818-1 2.4.2.2), so it is published
 * only when a later PCR has come; with a spread, only PCRs at least so far apart are used, which evens out
 * what lies between. After a splice everything before the next access point is left out, so that receivers
 * see whole pictures only.
 */
class Packetiser {
 public:
  Packetiser(Ring& ring, StreamCounters& counters, PacketiserEvents& events,
             std::optional<std::uint16_t> program, std::int64_t spread);

  void write(codec::Bytes ts) noexcept;
  void splice() noexcept;
  /** Publishes what waits for a PCR that will not come, as a tail: times go on at the last known rate. */
  void flush() noexcept;
  /** Media time (27 MHz) at which the newest published packet ends. */
  [[nodiscard]] std::int64_t media_end() const noexcept { return media_end_; }

 private:
  struct Formed {
    std::uint64_t position;
    std::uint16_t size;
  };
  struct Anchor {
    std::uint64_t position = 0;
    std::int64_t media = 0;
  };

  void take(codec::Bytes raw) noexcept;
  bool enters(const codec::TsPacket& packet, const ProgramTracker::Verdict& verdict) noexcept;
  void begin_entry(const ProgramTracker::Verdict& verdict) noexcept;
  [[nodiscard]] bool continues_what_was_left_out(const codec::TsPacket& packet) const noexcept;
  /** False when a packet with all that may go before it does not fit. */
  bool make_room() noexcept;
  void check_continuity(const codec::TsPacket& packet) noexcept;
  void append(const codec::TsPacket& packet, codec::Bytes raw,
              const ProgramTracker::Verdict& verdict) noexcept;
  /** Says so where the counter of `packet` does not follow; false when receivers know nothing of its PID yet.
   */
  bool announce_discontinuity(const codec::TsPacket& packet) noexcept;
  void note_tables(std::uint16_t pid) noexcept;
  void enter(const codec::TsPacket& packet) noexcept;
  void tell(AccessPoint& point) noexcept;
  /** True when it does not continue the timeline of those before. */
  bool on_pcr(std::int64_t pcr, bool announced) noexcept;
  void put(codec::Bytes raw) noexcept;
  void close_packet() noexcept;
  void publish_until(std::uint64_t position, bool tail = false) noexcept;
  void publish_all(bool tail) noexcept;
  [[nodiscard]] std::int64_t media_time_of(std::uint64_t position) const noexcept;
  void check_faults() noexcept;

  Ring& ring_;
  StreamCounters& counters_;
  PacketiserEvents& events_;
  ProgramTracker tracker_;
  const std::int64_t spread_;
  codec::TsAligner aligner_;
  std::vector<codec::ContinuityCheck> continuity_in_;
  /** Last counter put into the ring, for every PID; and whether a packet of it went in since the splice. */
  std::vector<std::uint8_t> counter_out_;
  std::vector<std::uint8_t> joined_;
  bool seeking_ = true;
  bool tables_as_points_ = false;
  bool fault_told_ = false;
  bool next_is_discontinuous_ = false;
  bool marker_ = false;
  std::uint64_t seek_bytes_ = 0;
  std::uint64_t bytes_without_pcr_ = 0;

  // Run of table packets before an access point.
  bool in_tables_ = false;
  bool pat_in_run_ = false;
  bool pmt_in_run_ = false;
  std::uint64_t tables_position_ = 0;
  /** The last PAT in the ring, and the last that a PMT followed. */
  std::uint64_t pat_position_ = 0;
  std::uint64_t whole_tables_ = 0;
  std::uint64_t last_table_point_ = 0;
  bool table_point_due_ = false;

  std::vector<Formed> formed_;
  std::size_t formed_begin_ = 0;
  std::uint64_t packet_begin_ = 0;

  bool anchored_ = false;
  Anchor first_;   // the anchor from which times are counted
  Anchor newest_;  // the last PCR
  std::int64_t last_pcr_ = 0;
  /** Media ticks for every byte, of the last interval. */
  double ticks_per_byte_ = 0;
  std::int64_t media_last_ = 0;
  std::int64_t media_end_ = 0;
};

}  // namespace sluice::plane
