#include "codec/ts_clip_builder.h"

#include <algorithm>
#include <array>
#include <set>

#include "codec/ts_align.h"

namespace sluice::codec {

namespace {

/** More between two access points, or two PCRs, is taken for a jump of the clock. */
constexpr std::int64_t kMaxAccessPointGap = 60 * 90'000;
constexpr std::int64_t kMaxPcrGap = kSystemClock;

std::int64_t difference33(std::int64_t later, std::int64_t earlier) noexcept {
  const std::int64_t d = (later - earlier) & 0x1ffffffff;
  return d > 0xffffffff ? d - 0x200000000 : d;
}

/** The decoding time stamp of the PES packet that begins here (2.4.3.7: the PTS where there is no DTS of its
 * own). */
std::optional<std::int64_t> decoding_time(const TsPacket& packet) noexcept {
  if (!packet.payload_unit_start() || packet.scrambled()) return std::nullopt;
  const auto pes = parse_pes(packet.payload());
  if (!pes) return std::nullopt;
  return pes->dts ? pes->dts : pes->pts;
}

std::string at_packet(std::size_t packet) {
  return "at byte " + std::to_string(packet * kTsPacketSize) + " of the MPEG-TS: ";
}

bool is_video(Coding coding) noexcept {
  return coding == Coding::mpeg2_video || coding == Coding::h264 || coding == Coding::h265;
}

}  // namespace

TsPacket ClipBuilder::view(std::size_t packet) const noexcept {
  return *TsPacket::parse({clip_.bytes_.data() + packet * kTsPacketSize, kTsPacketSize});
}

void ClipBuilder::align(Bytes recording) {
  clip_.bytes_.reserve(recording.size());
  TsAligner aligner;
  aligner.feed(recording, [this](Bytes packet) {
    const auto parsed = TsPacket::parse(packet);
    if (!parsed || parsed->transport_error()) return;
    clip_.bytes_.insert(clip_.bytes_.end(), packet.begin(), packet.end());
  });
  count_ = clip_.bytes_.size() / kTsPacketSize;
}

ClipBuilder::Failure ClipBuilder::find_program() {
  SectionAssembler tables;
  SectionAssembler maps;
  std::optional<Pat> pat;
  for (std::size_t i = 0; i < count_ && reference_ == kPidNull; i++) {
    const TsPacket packet = view(i);
    if (packet.pid() == kPidPat && !pat) {
      if (const auto section = tables.push(packet)) pat = parse_pat(*section);
      if (pat && pat->count > 0) pmt_pid_ = pat->programs[0].pmt_pid;
    } else if (pat && packet.pid() == pmt_pid_) {
      const auto section = maps.push(packet);
      if (const auto pmt = section ? parse_pmt(*section) : std::nullopt) choose_reference(*pmt);
    }
  }
  if (!pat)
    return ClipError{"CAPTURE_INVALID",
                     "expected a PAT, got " + std::to_string(count_) + " packets without one"};
  if (reference_ != kPidNull) return std::nullopt;
  return ClipError{"CAPTURE_INVALID", "expected a PMT with a video or audio stream on PID " +
                                          std::to_string(pmt_pid_) + ", got none in " +
                                          std::to_string(count_) + " packets"};
}

void ClipBuilder::choose_reference(const Pmt& pmt) {
  clip_.pcr_pid_ = pmt.pcr_pid;
  clip_.streams_.clear();
  for (std::size_t i = 0; i < pmt.count; i++) {
    const Coding coding = coding_of(pmt.streams[i].type);
    clip_.streams_.push_back({pmt.streams[i].pid, pmt.streams[i].type, 0});
    if (coding == Coding::other || is_video(coding_)) continue;
    if (reference_ != kPidNull && !is_video(coding)) continue;
    reference_ = pmt.streams[i].pid;
    coding_ = coding;
  }
}

bool ClipBuilder::is_table(std::uint16_t pid) const noexcept {
  return pid == kPidPat || pid == pmt_pid_ || pid == kPidSdt;
}

/** The access point's tables belong to it: back to the PAT before it when only tables and fillers lie
 * between. */
std::size_t ClipBuilder::find_cut(std::size_t packet) const noexcept {
  std::size_t cut = packet;
  for (std::size_t i = packet; i > 0; i--) {
    const TsPacket before = view(i - 1);
    if (!is_table(before.pid()) && before.pid() != kPidNull && before.has_payload()) break;
    if (before.pid() == kPidPat) cut = i - 1;
  }
  return cut;
}

ClipBuilder::Failure ClipBuilder::find_access_points() {
  std::int64_t last = 0;
  for (std::size_t i = 0; i < count_; i++) {
    const TsPacket packet = view(i);
    if (packet.pid() != reference_ || !is_random_access(packet, coding_)) continue;
    const auto time = decoding_time(packet);
    if (!time) continue;
    const std::int64_t gap = points_.empty() ? 0 : difference33(*time, last);
    if (!points_.empty() && (gap <= 0 || gap > kMaxAccessPointGap)) {
      return ClipError{
          "CAPTURE_INVALID",
          at_packet(i) +
              "expected the next random access point within 60 s of decoding time, got a step of " +
              std::to_string(gap / 90) + " ms"};
    }
    points_.push_back({find_cut(i), i, points_.empty() ? 0 : points_.back().time + gap});
    last = *time;
  }
  if (points_.size() >= 2) {
    clip_.duration_ = points_.back().time;
    clip_.access_points_ = points_.size() - 1;
    return std::nullopt;
  }
  return ClipError{"CAPTURE_INVALID", "expected at least two random access points on PID " +
                                          std::to_string(reference_) + ", got " +
                                          std::to_string(points_.size()) + " in " + std::to_string(count_) +
                                          " packets"};
}

/** Extends the clip's PCRs to its first and its last packet, along the rate between neighbours. */
ClipBuilder::Failure ClipBuilder::measure_clock() {
  struct Sample {
    std::size_t packet = 0;
    std::int64_t pcr = 0;
  };
  std::vector<Sample> samples;
  for (std::size_t i = points_.front().cut; i < points_.back().cut; i++) {
    const TsPacket packet = view(i);
    const auto pcr = packet.pid() == clip_.pcr_pid_ ? packet.pcr() : std::nullopt;
    if (!pcr) continue;
    const std::int64_t step = samples.empty() ? 1 : pcr_difference(*pcr, samples.back().pcr);
    if (step <= 0 || step > kMaxPcrGap) {
      return ClipError{"CAPTURE_INVALID",
                       at_packet(i) + "expected a PCR at most 1 s after the one before, got a step of " +
                           std::to_string(step / 27'000) + " ms"};
    }
    samples.push_back({i, *pcr});
  }
  if (samples.size() < 2) {
    return ClipError{"CAPTURE_INVALID", "expected at least two PCRs on PID " +
                                            std::to_string(clip_.pcr_pid_) + ", got " +
                                            std::to_string(samples.size())};
  }
  const auto extend = [](const Sample& a, const Sample& b, std::int64_t packets) {
    return pcr_difference(b.pcr, a.pcr) * packets / static_cast<std::int64_t>(b.packet - a.packet);
  };
  const Sample& front = samples.front();
  const Sample& back = samples.back();
  clip_.pcr_start_ =
      front.pcr - extend(front, samples[1], static_cast<std::int64_t>(front.packet - points_.front().cut));
  const std::int64_t rest =
      extend(samples[samples.size() - 2], back, static_cast<std::int64_t>(points_.back().cut - back.packet));
  clip_.pcr_span_ = pcr_difference(back.pcr, clip_.pcr_start_) + rest;
  if (clip_.pcr_span_ > 0) return std::nullopt;
  return ClipError{"CAPTURE_INVALID", "expected less than 13 hours, got more"};
}

void ClipBuilder::drop(std::size_t packet) noexcept {
  std::uint8_t* const p = clip_.bytes_.data() + packet * kTsPacketSize;
  std::fill_n(p, kTsPacketSize, std::uint8_t{0xff});
  p[0] = kTsSync;
  store16(p + 1, kPidNull);
  p[3] = 0x10;
}

/** Units that began before the clip, or end after it, become fillers: half of one would meet half of another.
 */
void ClipBuilder::drop_halves() {
  const std::size_t begin = points_.front().cut;
  const std::size_t end = points_.back().cut;
  std::set<std::uint16_t> started;
  for (std::size_t i = begin; i < end; i++) {
    const TsPacket packet = view(i);
    if (packet.pid() == kPidNull || started.contains(packet.pid())) continue;
    if (packet.payload_unit_start() || packet.pid() == reference_) {
      started.insert(packet.pid());
    } else if (packet.has_payload()) {
      drop(i);
    }
  }
  std::set<std::uint16_t> settled = {kPidNull, reference_};
  std::set<std::uint16_t> unfinished;
  for (std::size_t i = end; i < count_; i++) {
    const TsPacket packet = view(i);
    if (!packet.has_payload() || !settled.insert(packet.pid()).second) continue;
    if (!packet.payload_unit_start()) unfinished.insert(packet.pid());
  }
  for (std::size_t i = end; i > begin && !unfinished.empty(); i--) {
    const TsPacket packet = view(i - 1);
    if (!unfinished.contains(packet.pid()) || !packet.has_payload()) continue;
    if (packet.payload_unit_start()) unfinished.erase(packet.pid());
    drop(i - 1);
  }
}

/** What the first access point's neighbours would repeat of the last ones' time is left out, so that time
 * never goes back. */
void ClipBuilder::drop_overlaps() {
  const std::size_t begin = points_.front().cut;
  const std::size_t end = points_.back().cut;
  const auto origin = *decoding_time(view(points_.front().packet));
  std::map<std::uint16_t, std::int64_t> last;
  for (std::size_t i = begin; i < end; i++) {
    const TsPacket packet = view(i);
    const auto time = packet.pid() == reference_ ? std::nullopt : decoding_time(packet);
    if (!time) continue;
    const auto [at, first] = last.try_emplace(packet.pid(), difference33(*time, origin));
    if (!first) at->second = std::max(at->second, difference33(*time, origin));
  }
  for (const auto& [pid, time] : last) {
    bool overlaps = false;
    for (std::size_t i = begin; i < end; i++) {
      const TsPacket packet = view(i);
      if (packet.pid() != pid || !packet.has_payload()) continue;
      if (packet.payload_unit_start()) {
        const auto own = decoding_time(packet);
        overlaps = own && difference33(*own, origin) + clip_.duration_ <= time;
        if (!overlaps) break;
      }
      if (overlaps) drop(i);
    }
  }
}

void ClipBuilder::measure_streams() {
  const auto origin = *decoding_time(view(points_.front().packet));
  std::map<std::uint16_t, StreamTimes> times;
  for (std::size_t i = points_.front().cut; i < points_.back().cut; i++) {
    const TsPacket packet = view(i);
    const auto time = decoding_time(packet);
    if (!time) continue;
    StreamTimes& t = times[packet.pid()];
    const std::int64_t since = difference33(*time, origin);
    if (t.count++ == 0) t.first = since;
    t.step = since - t.last;
    t.last = since;
  }
  for (ClipStream& stream : clip_.streams_) {
    const auto at = times.find(stream.pid);
    if (at == times.end() || at->second.count < 2) continue;
    const StreamTimes& t = at->second;
    stream.joint = t.first + clip_.duration_ - (t.last + t.step);
  }
}

void ClipBuilder::append(std::size_t offset) {
  clip_.packets_.push_back({offset, 0});
}

/** The table as it was sent last before the cut, or first after it; whole single packets only. */
void ClipBuilder::append_table(std::size_t before, std::uint16_t pid) {
  const auto fits = [&](std::size_t i) {
    const TsPacket packet = view(i);
    return packet.pid() == pid && packet.payload_unit_start() && !packet.pcr();
  };
  for (std::size_t i = before; i-- > 0;) {
    if (fits(i)) return append(i * kTsPacketSize);
  }
  for (std::size_t i = before; i < count_; i++) {
    if (fits(i)) return append(i * kTsPacketSize);
  }
}

void ClipBuilder::cut_segments() {
  const std::int64_t least = segment_ms_ * 90 * 9 / 10;
  for (std::size_t from = 0, to = 1; to < points_.size(); to++) {
    if (points_[to].time - points_[from].time < least && to + 1 < points_.size()) continue;
    ClipSegment& segment = clip_.segments_.emplace_back();
    segment.start = points_[from].time;
    segment.duration = points_[to].time - points_[from].time;
    segment.first = clip_.packets_.size();
    if (points_[from].cut == points_[from].packet) {
      append_table(points_[from].cut, kPidPat);
      append_table(points_[from].cut, pmt_pid_);
    }
    for (std::size_t i = points_[from].cut; i < points_[to].cut; i++) append(i * kTsPacketSize);
    segment.end = clip_.packets_.size();
    segment.size = (segment.end - segment.first) * kTsPacketSize;
    from = to;
  }
}

/** Counters of loop 0: as recorded, holes included, moved on where a table was put in. */
void ClipBuilder::number() {
  struct Chain {
    std::size_t offset = 0;
    std::uint8_t recorded = 0;
    std::uint8_t first = 0;
    std::uint8_t last = 0;
    bool first_has_payload = false;
    ContinuityCheck check;
  };
  std::map<std::uint16_t, Chain> chains;
  for (TsClip::Packet& packet : clip_.packets_) {
    const TsPacket v = view(packet.offset / kTsPacketSize);
    const std::uint8_t recorded = v.continuity_counter();
    if (v.pid() == kPidNull) continue;
    const auto [at, first] = chains.try_emplace(v.pid());
    Chain& chain = at->second;
    if (first) {
      chain.first = chain.last = recorded;
      chain.first_has_payload = v.has_payload();
    } else {
      const bool put_in = packet.offset <= chain.offset || is_table(v.pid());
      const unsigned step =
          put_in ? (v.has_payload() ? 1U : 0U) : static_cast<unsigned>(recorded - chain.recorded);
      chain.last = static_cast<std::uint8_t>((chain.last + step) & 15);
    }
    packet.counter = chain.last;
    chain.recorded = recorded;
    chain.offset = packet.offset;
    std::array<std::uint8_t, kTsPacketSize> copy{};
    std::copy_n(clip_.bytes_.data() + packet.offset, kTsPacketSize, copy.begin());
    set_continuity_counter(copy.data(), packet.counter);
    if (!chain.check.accept(*TsPacket::parse(copy))) clip_.continuity_errors_++;
  }
  for (const auto& [pid, chain] : chains) {
    clip_.advance_[pid] =
        static_cast<std::uint8_t>((chain.last + (chain.first_has_payload ? 1 : 0) - chain.first) & 15);
  }
}

/** Places the PCRs of each segment on the loop's time line; between segments it is interpolated. */
void ClipBuilder::mark_segments() {
  std::vector<ClipMark> all = {{0, 0}};
  for (std::size_t i = 0; i < clip_.packets_.size(); i++) {
    const TsPacket packet = view(clip_.packets_[i].offset / kTsPacketSize);
    const auto pcr = packet.pid() == clip_.pcr_pid_ ? packet.pcr() : std::nullopt;
    if (pcr && i > 0) all.push_back({i * kTsPacketSize, clip_.warp(*pcr) - clip_.pcr_start_});
  }
  all.push_back({clip_.packets_.size() * kTsPacketSize, clip_.duration_ * 300});
  const auto time_at = [&all](std::size_t offset) {
    const auto later = std::lower_bound(all.begin(), all.end(), offset,
                                        [](const ClipMark& mark, std::size_t o) { return mark.offset < o; });
    if (later->offset == offset) return later->time;
    const ClipMark& a = *(later - 1);
    const auto part = static_cast<std::int64_t>(offset - a.offset);
    return a.time + (later->time - a.time) * part / static_cast<std::int64_t>(later->offset - a.offset);
  };
  for (ClipSegment& segment : clip_.segments_) {
    const std::size_t begin = segment.first * kTsPacketSize;
    const std::size_t end = segment.end * kTsPacketSize;
    segment.marks.push_back({0, time_at(begin)});
    for (const ClipMark& mark : all) {
      if (mark.offset > begin && mark.offset < end) segment.marks.push_back({mark.offset - begin, mark.time});
    }
    segment.marks.push_back({segment.size, time_at(end)});
  }
}

std::variant<TsClip, ClipError> ClipBuilder::build(Bytes recording) {
  align(recording);
  if (count_ == 0) {
    return ClipError{"CAPTURE_EMPTY", "expected MPEG-TS packets of 188 bytes, got none in " +
                                          std::to_string(recording.size()) + " bytes"};
  }
  if (auto failure = find_program()) return *failure;
  if (auto failure = find_access_points()) return *failure;
  if (auto failure = measure_clock()) return *failure;
  drop_halves();
  drop_overlaps();
  measure_streams();
  cut_segments();
  number();
  mark_segments();
  return std::move(clip_);
}

}  // namespace sluice::codec
