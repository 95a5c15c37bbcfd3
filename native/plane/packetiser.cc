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
/** A PCR must come every 100 ms (13818-1 2.7.2); a step of more than this is a new timeline, not a sparse
 * one. */
constexpr std::int64_t kLongestPcrStep = 2 * codec::kSystemClock;
/** How much of a source is looked through before it is given up. */
constexpr std::uint64_t kNotTsLimit = 64 * 1024;
constexpr std::uint64_t kNoPcrLimit = 4 * 1024 * 1024;
/** Access points are waited for this long; then every PAT counts as one (scrambled or unknown coding). */
constexpr std::uint64_t kSeekLimit = 8 * 1024 * 1024;
/** Least distance of access points that are only tables. */
constexpr std::uint64_t kTablePointDistance = 128 * 1024;
constexpr std::size_t kMaxFormed = 8192;
/** One packet of the source may put in so many: its tables, each with a notice before it, its own notice, and
 * itself. */
constexpr std::size_t kMostAtOnce = 2 * PsiPackets::kMaxPackets + 2;
/** Media ticks for every byte where no PCR has told: 8 Mbit/s. */
constexpr double kUnknownTicksPerByte = 27.0;

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
      joined_(kPids, 0) {
  // Room for what waits and for what publish_until() has not cleared away yet.
  formed_.reserve(kMaxFormed + kMaxFormed / 2);
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
  if (!verdict.keep) return;
  const bool timed = verdict.pcr_pid && packet->pcr();
  bytes_without_pcr_ = timed ? 0 : bytes_without_pcr_ + kTsPacketSize;
  const bool entering = seeking_ && enters(*packet, verdict);
  if (seeking_ && !entering) {
    seek_bytes_ += kTsPacketSize;
    return;
  }
  if (continues_what_was_left_out(*packet)) return;
  if (!make_room()) {
    bump(counters_.ring_full_drops);
    return;
  }
  if (entering) begin_entry(verdict);
  append(*packet, raw, verdict);
}

bool Packetiser::enters(const TsPacket& packet, const ProgramTracker::Verdict& verdict) noexcept {
  if (seek_bytes_ > kSeekLimit) tables_as_points_ = true;
  const bool table_point = tables_as_points_ && packet.pid() == codec::kPidPat && packet.payload_unit_start();
  return (verdict.random_access || table_point) && tracker_.has_tables();
}

/** Nothing has gone in since the splice: the tables that a decoder needs first are put before the access
 * point. */
void Packetiser::begin_entry(const ProgramTracker::Verdict& verdict) noexcept {
  seeking_ = false;
  table_point_due_ = true;
  if (!verdict.random_access) return;
  const PsiPackets psi = tracker_.psi();
  for (std::size_t at = 0; at < psi.size; at += kTsPacketSize) {
    const Bytes raw(psi.bytes.data() + at, kTsPacketSize);
    const auto table = TsPacket::parse(raw);
    if (!table) continue;
    // The PID counts as joined only with its next packet from the source: packets of it may have been left
    // out.
    announce_discontinuity(*table);
    note_tables(table->pid());
    put(raw);
    counter_out_[table->pid()] = table->continuity_counter();
  }
}

/** The rest of a picture, audio frame or table whose beginning receivers did not get: it would damage what
 * they have. */
bool Packetiser::continues_what_was_left_out(const TsPacket& packet) const noexcept {
  const std::uint16_t pid = packet.pid();
  if (joined_[pid] != 0 || !packet.has_payload() || packet.payload_unit_start()) return false;
  return pid == codec::kPidPat || tracker_.is_pmt(pid) || tracker_.is_media(pid);
}

bool Packetiser::make_room() noexcept {
  const std::size_t waiting = formed_.size() - formed_begin_;
  if (waiting < kMaxFormed && ring_.has_room(kMostAtOnce * kTsPacketSize, waiting + kMostAtOnce)) return true;
  // What waits for a PCR does not depart by itself: without anything on its way the ring would stay full for
  // ever.
  if (ring_.released_sequence() == ring_.next_sequence()) publish_all(false);
  return false;
}

void Packetiser::check_continuity(const TsPacket& packet) noexcept {
  if (!continuity_in_[packet.pid()].accept(packet)) bump(counters_.continuity_errors);
}

bool Packetiser::announce_discontinuity(const TsPacket& packet) noexcept {
  const std::uint16_t pid = packet.pid();
  const std::uint8_t last = counter_out_[pid];
  if (pid == codec::kPidNull || last == kNoCounter) return false;
  const auto before =
      static_cast<std::uint8_t>((packet.continuity_counter() - (packet.has_payload() ? 1 : 0)) & 0x0f);
  if (last == before) return true;
  std::array<std::uint8_t, kTsPacketSize>
      notice;  // NOLINT(cppcoreguidelines-pro-type-member-init): written whole
  codec::write_discontinuity_packet(pid, before, notice.data());
  put(notice);
  return true;
}

void Packetiser::note_tables(std::uint16_t pid) noexcept {
  if (!in_tables_) {
    in_tables_ = true;
    pat_in_run_ = false;
    pmt_in_run_ = false;
    tables_position_ = ring_.write_position();
  }
  pat_in_run_ = pat_in_run_ || pid == codec::kPidPat;
  pmt_in_run_ = pmt_in_run_ || tracker_.is_pmt(pid);
  if (pid == codec::kPidPat) pat_position_ = ring_.write_position();
  if (tracker_.is_pmt(pid)) whole_tables_ = pat_position_;
  if (!tables_as_points_ || pid != codec::kPidPat) return;
  if (!table_point_due_ && ring_.write_position() - last_table_point_ < kTablePointDistance) return;
  last_table_point_ = ring_.write_position();
  table_point_due_ = false;
  AccessPoint point;
  point.position = point.tables_position = ring_.write_position();
  point.tables_in_place = true;
  tell(point);
}

void Packetiser::enter(const TsPacket& packet) noexcept {
  if (!tracker_.has_tables()) return;
  AccessPoint point;
  point.tables_in_place = in_tables_ && pat_in_run_ && pmt_in_run_;
  point.position = point.tables_in_place ? tables_position_ : ring_.write_position();
  point.tables_position = point.tables_in_place ? tables_position_ : whole_tables_;
  if (!point.tables_in_place) point.psi = tracker_.psi();
  if (const auto pes = codec::parse_pes(packet.payload()); pes && pes->pts) point.pts = *pes->pts;
  tables_as_points_ = false;
  table_point_due_ = false;
  tell(point);
}

void Packetiser::tell(AccessPoint& point) noexcept {
  point.discontinuity = std::exchange(next_is_discontinuous_, false);
  bump(counters_.access_points);
  events_.on_access_point(point);
}

void Packetiser::append(const TsPacket& packet, Bytes raw, const ProgramTracker::Verdict& verdict) noexcept {
  const std::uint16_t pid = packet.pid();
  const Bytes out = pid == codec::kPidPat && tracker_.narrows() ? tracker_.rewritten_pat() : raw;
  const auto sent = TsPacket::parse(out);
  if (!sent) return;
  bool new_timeline = joined_[pid] == 0 && announce_discontinuity(*sent);
  joined_[pid] = 1;
  const auto pcr = verdict.pcr_pid ? sent->pcr() : std::nullopt;
  if (pcr) new_timeline = on_pcr(*pcr, sent->discontinuity()) || new_timeline;
  if (verdict.tables) note_tables(pid);
  if (verdict.random_access) enter(*sent);
  if (!verdict.tables) in_tables_ = false;
  if (pid != codec::kPidNull) counter_out_[pid] = sent->continuity_counter();
  const std::uint64_t position = ring_.write_position();
  put(out);
  // 2.4.3.5: the packet that carries the first PCR of a new timeline says so itself.
  if (pcr && new_timeline) ring_.at(position)[5] |= 0x80;
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

bool Packetiser::on_pcr(std::int64_t pcr, bool announced) noexcept {
  const std::uint64_t position = ring_.write_position();
  const bool jumped = anchored_;
  if (anchored_) {
    const std::int64_t step = codec::pcr_difference(pcr, last_pcr_);
    if (step >= 0 && step <= kLongestPcrStep && !announced) {
      last_pcr_ = pcr;
      newest_ = {position, newest_.media + step};
      if (newest_.media - first_.media < std::max<std::int64_t>(spread_, 1)) return false;
      const auto bytes = static_cast<double>(newest_.position - first_.position);
      ticks_per_byte_ =
          bytes > 0 ? static_cast<double>(newest_.media - first_.media) / bytes : ticks_per_byte_;
      publish_until(newest_.position);
      first_ = newest_;
      return false;
    }
    flush();
    bump(counters_.discontinuities);
    marker_ = true;
    next_is_discontinuous_ = true;
    // Tables before this packet have departed with the old timeline.
    in_tables_ = false;
  }
  anchored_ = true;
  last_pcr_ = pcr;
  // What was appended before this first PCR (tables, mostly) departs with it.
  first_ = {position, events_.timeline_origin()};
  newest_ = first_;
  return jumped;
}

std::int64_t Packetiser::media_time_of(std::uint64_t position) const noexcept {
  // The packet that straddles the anchor begins before it.
  const auto bytes =
      std::max(static_cast<std::int64_t>(position - first_.position), -std::int64_t{kFullPayload});
  return first_.media + static_cast<std::int64_t>(static_cast<double>(bytes) * ticks_per_byte_);
}

void Packetiser::publish_until(std::uint64_t position, bool tail) noexcept {
  bool any = false;
  while (formed_begin_ < formed_.size() && formed_[formed_begin_].position < position) {
    const Formed& formed = formed_[formed_begin_++];
    media_last_ = std::max(media_time_of(formed.position), media_last_);
    ring_.publish(formed.position, formed.size, media_last_,
                  static_cast<std::uint32_t>(media_last_ / kTicksPerRtp), std::exchange(marker_, false));
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
  bump(counters_.packets_in, static_cast<std::uint64_t>(ring_.next_sequence()) - counters_.rtp_sequence);
  kernel::gauge(counters_.rtp_sequence, static_cast<std::uint64_t>(ring_.next_sequence()));
  events_.on_published(tail);
}

void Packetiser::flush() noexcept {
  publish_all(true);
}

void Packetiser::publish_all(bool tail) noexcept {
  close_packet();
  if (formed_begin_ == formed_.size()) return;
  if (!anchored_) first_ = {formed_[formed_begin_].position, events_.timeline_origin()};
  if (ticks_per_byte_ <= 0) ticks_per_byte_ = kUnknownTicksPerByte;
  publish_until(ring_.write_position(), tail);
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
  std::fill(joined_.begin(), joined_.end(), std::uint8_t{0});
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
  } else if (bytes_without_pcr_ > kNoPcrLimit && !tracker_.has_tables()) {
    code = "SOURCE_PROGRAM_MISSING";
    detail = "no PAT with its PMT in " + std::to_string(bytes_without_pcr_) + " bytes";
  } else if (bytes_without_pcr_ > kNoPcrLimit) {
    code = "SOURCE_NO_PCR";
    detail = "no PCR in " + std::to_string(bytes_without_pcr_) + " bytes";
  }
  if (code == nullptr) return;
  fault_told_ = true;
  events_.on_fault(code, std::move(detail));
}

}  // namespace sluice::plane
