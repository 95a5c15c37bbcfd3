#include "plane/packetiser.h"

#include <algorithm>
#include <cstring>

namespace sluice::plane {

using codec::Bytes;
using codec::kTsPacketSize;
using codec::TsPacket;
using kernel::bump;

namespace {

constexpr std::size_t kPids = 8192;
constexpr std::uint8_t kNoCounter = 0xff;
/** A PCR must come every 100 ms (13818-1 2.7.2); a step of more than this is a new timeline, not a sparse one. */
constexpr std::int64_t kLongestPcrStep = 2 * codec::kSystemClock;
/** How much of a source is looked through before it is given up. */
constexpr std::uint64_t kNotTsLimit = 64 * 1024;
constexpr std::uint64_t kNoPcrLimit = 8 * 1024 * 1024;
/** Access points are waited for this long; then every PAT counts as one (scrambled or unknown coding). */
constexpr std::uint64_t kSeekLimit = 8 * 1024 * 1024;
/** Least distance of access points that are only tables. */
constexpr std::uint64_t kTablePointDistance = 128 * 1024;
constexpr std::size_t kMaxFormed = 8192;
/** 90 kHz from 27 MHz. */
constexpr std::int64_t kTicksPerRtp = 300;

}  // namespace

Packetiser::Packetiser(Ring& ring, StreamCounters& counters, PacketiserEvents& events,
                       std::optional<std::uint16_t> program, std::int64_t spread)
    : ring_(ring),
      counters_(counters),
      events_(events),
      tracker_(program),
      spread_(spread),
      continuity_in_(kPids),
      counter_out_(kPids, kNoCounter),
      spliced_in_(kPids, 0) {
  formed_.reserve(kMaxFormed);
}

void Packetiser::write(Bytes ts) noexcept {
  bump(counters_.bytes_in, ts.size());
  const std::uint64_t losses = aligner_.losses();
  aligner_.feed(ts, [this](Bytes raw) { take(raw); });
  bump(counters_.sync_errors, aligner_.losses() - losses);
  check_faults();
}

void Packetiser::take(Bytes raw) noexcept {
  bump(counters_.ts_packets_in);
  const auto packet = TsPacket::parse(raw);
  if (!packet || packet->transport_error()) {
    bump(counters_.transport_errors);
    return;
  }
  const auto verdict = tracker_.see(*packet, raw);
  check_continuity(*packet);
  if (!verdict.keep || !passes(*packet, verdict)) return;
  // Two more packets may go in with it: one that announces a discontinuity, and the rest of an RTP packet is counted whole.
  if (!ring_.has_room(2 * kTsPacketSize) || formed_.size() >= kMaxFormed) {
    bump(counters_.ring_full_drops);
    return;
  }
  announce_discontinuity(*packet);
  if (verdict.tables) note_tables(packet->pid(), verdict);
  if (verdict.random_access) enter(*packet);
  if (!verdict.tables) in_tables_ = false;
  const bool narrowed_pat = packet->pid() == codec::kPidPat && tracker_.narrows();
  append(*packet, narrowed_pat ? tracker_.rewritten_pat() : raw, verdict.pcr_pid);
}

bool Packetiser::passes(const TsPacket& packet, const ProgramTracker::Verdict& verdict) noexcept {
  if (!seeking_) return true;
  seek_bytes_ += kTsPacketSize;
  if (seek_bytes_ > kSeekLimit) tables_as_points_ = true;
  const bool entry = verdict.random_access || (tables_as_points_ && packet.pid() == codec::kPidPat);
  if (entry && tracker_.has_tables()) seeking_ = false;
  // Tables go on while the entry is looked for, so that they stand right before it.
  return !seeking_ || (verdict.tables && packet.has_payload() && packet.pid() != codec::kPidNull);
}

void Packetiser::check_continuity(const TsPacket& packet) noexcept {
  if (!continuity_in_[packet.pid()].accept(packet)) bump(counters_.continuity_errors);
}

void Packetiser::announce_discontinuity(const TsPacket& packet) noexcept {
  const std::uint16_t pid = packet.pid();
  mark_discontinuity_ = false;
  if (spliced_in_[pid] == splice_) return;
  spliced_in_[pid] = splice_;
  const std::uint8_t last = counter_out_[pid];
  if (pid == codec::kPidNull || last == kNoCounter) return;
  mark_discontinuity_ = true;
  const auto before = static_cast<std::uint8_t>((packet.continuity_counter() - (packet.has_payload() ? 1 : 0)) & 0x0f);
  if (last == before) return;
  std::array<std::uint8_t, kTsPacketSize> notice;  // NOLINT(cppcoreguidelines-pro-type-member-init): written whole
  codec::write_discontinuity_packet(pid, before, notice.data());
  put(notice);
}

void Packetiser::note_tables(std::uint16_t pid, const ProgramTracker::Verdict& verdict) noexcept {
  if (!in_tables_) {
    in_tables_ = true;
    pat_in_run_ = false;
    pmt_in_run_ = false;
    tables_position_ = ring_.write_position();
  }
  pat_in_run_ = pat_in_run_ || pid == codec::kPidPat;
  pmt_in_run_ = pmt_in_run_ || (verdict.tables && tracker_.is_pmt(pid));
  if (!tables_as_points_ || pid != codec::kPidPat || seeking_) return;
  if (ring_.write_position() - last_table_point_ < kTablePointDistance) return;
  last_table_point_ = ring_.write_position();
  AccessPoint point;
  point.position = ring_.write_position();
  point.tables_in_place = true;
  point.discontinuity = std::exchange(next_is_discontinuous_, false);
  bump(counters_.access_points);
  events_.on_access_point(point);
}

void Packetiser::enter(const TsPacket& packet) noexcept {
  if (!tracker_.has_tables() || seeking_) return;
  AccessPoint point;
  point.tables_in_place = in_tables_ && pat_in_run_ && pmt_in_run_;
  point.position = point.tables_in_place ? tables_position_ : ring_.write_position();
  if (!point.tables_in_place) point.psi = tracker_.psi();
  if (const auto pes = codec::parse_pes(packet.payload()); pes && pes->pts) point.pts = *pes->pts;
  point.discontinuity = std::exchange(next_is_discontinuous_, false);
  tables_as_points_ = false;
  bump(counters_.access_points);
  events_.on_access_point(point);
}

void Packetiser::append(const TsPacket& packet, Bytes raw, bool pcr_pid) noexcept {
  const auto pcr = pcr_pid ? packet.pcr() : std::nullopt;
  const std::uint64_t position = ring_.write_position();
  if (pcr) on_pcr(position, *pcr, packet.discontinuity());
  bytes_without_pcr_ = pcr ? 0 : bytes_without_pcr_ + kTsPacketSize;
  if (packet.pid() != codec::kPidNull) counter_out_[packet.pid()] = packet.continuity_counter();
  put(raw);
  // 2.4.3.5: the packet that carries the first PCR of a new timeline says so itself.
  if (pcr && mark_discontinuity_) ring_.at(position)[5] |= 0x80;
}

void Packetiser::put(Bytes raw) noexcept {
  ring_.append(raw);
  bump(counters_.bytes_ring, raw.size());
  if (ring_.write_position() - packet_begin_ >= kFullPayload) close_packet();
}

void Packetiser::close_packet() noexcept {
  const std::uint64_t size = ring_.write_position() - packet_begin_;
  if (size == 0) return;
  formed_.push_back({packet_begin_, static_cast<std::uint16_t>(size)});
  packet_begin_ = ring_.write_position();
}

void Packetiser::on_pcr(std::uint64_t position, std::int64_t pcr, bool announced) noexcept {
  if (anchored_) {
    const std::int64_t step = codec::pcr_difference(pcr, last_pcr_);
    if (step >= 0 && step <= kLongestPcrStep && !announced) {
      last_pcr_ = pcr;
      newest_ = {position, newest_.media + step};
      if (newest_.media - first_.media < std::max<std::int64_t>(spread_, 1)) return;
      const auto bytes = static_cast<double>(newest_.position - first_.position);
      ticks_per_byte_ = bytes > 0 ? static_cast<double>(newest_.media - first_.media) / bytes : ticks_per_byte_;
      publish_until(newest_.position);
      first_ = newest_;
      return;
    }
    flush();
    bump(counters_.discontinuities);
    marker_ = true;
  }
  anchored_ = true;
  last_pcr_ = pcr;
  // What was appended before this first PCR (tables, mostly) departs with it.
  first_ = {position, events_.timeline_origin()};
  newest_ = first_;
}

std::int64_t Packetiser::media_time_of(std::uint64_t position) const noexcept {
  // The packet that straddles the anchor begins before it.
  const auto bytes = std::max(static_cast<std::int64_t>(position - first_.position), -std::int64_t{kFullPayload});
  return first_.media + static_cast<std::int64_t>(static_cast<double>(bytes) * ticks_per_byte_);
}

void Packetiser::publish_until(std::uint64_t position) noexcept {
  bool any = false;
  while (formed_begin_ < formed_.size() && formed_[formed_begin_].position < position) {
    const Formed& formed = formed_[formed_begin_++];
    media_last_ = std::max(media_time_of(formed.position), media_last_);
    ring_.publish(formed.position, formed.size, media_last_, static_cast<std::uint32_t>(media_last_ / kTicksPerRtp),
                  std::exchange(marker_, false));
    media_end_ = std::max(media_last_, media_time_of(formed.position + formed.size));
    any = true;
  }
  if (formed_begin_ == formed_.size()) {
    formed_.clear();
    formed_begin_ = 0;
  } else if (formed_begin_ >= kMaxFormed / 2) {
    formed_.erase(formed_.begin(), formed_.begin() + static_cast<std::ptrdiff_t>(formed_begin_));
    formed_begin_ = 0;
  }
  if (!any) return;
  bump(counters_.packets_in, static_cast<std::uint64_t>(ring_.next_sequence()) -
                                 counters_.rtp_sequence);
  kernel::gauge(counters_.rtp_sequence, static_cast<std::uint64_t>(ring_.next_sequence()));
  events_.on_published();
}

void Packetiser::flush() noexcept {
  close_packet();
  if (!anchored_) return;
  publish_until(ring_.write_position());
}

void Packetiser::splice() noexcept {
  flush();
  aligner_.reset();
  tracker_.reset();
  anchored_ = false;
  seeking_ = true;
  tables_as_points_ = false;
  fault_told_ = false;
  next_is_discontinuous_ = true;
  marker_ = true;
  in_tables_ = false;
  seek_bytes_ = 0;
  bytes_without_pcr_ = 0;
  splice_++;
  for (auto& check : continuity_in_) check.reset();
  bump(counters_.discontinuities);
}

void Packetiser::check_faults() noexcept {
  if (fault_told_) return;
  const char* code = nullptr;
  std::string detail;
  if (aligner_.skipped() > kNotTsLimit) {
    code = "SOURCE_NOT_MPEGTS";
    detail = "no 0x47 every 188 bytes in " + std::to_string(aligner_.skipped()) + " bytes";
  } else if (tracker_.fault() == ProgramTracker::Fault::program_required) {
    code = "SOURCE_PROGRAM_REQUIRED";
    detail = "the stream carries the programmes " + tracker_.programs() + "; name one of them in `program`";
  } else if (tracker_.fault() == ProgramTracker::Fault::program_missing) {
    code = "SOURCE_PROGRAM_MISSING";
    detail = "the configured `program` is not among those that the stream carries: " + tracker_.programs();
  } else if (bytes_without_pcr_ > kNoPcrLimit) {
    code = "SOURCE_NO_PCR";
    detail = "no PCR in " + std::to_string(bytes_without_pcr_) + " bytes";
  }
  if (code == nullptr) return;
  fault_told_ = true;
  events_.on_fault(code, std::move(detail));
}

}  // namespace sluice::plane
