#include "plane/program_tracker.h"

#include <algorithm>
#include <cstring>

namespace sluice::plane {

using codec::Coding;

void PsiPackets::append(codec::Bytes packet) noexcept {
  if (size + packet.size() > bytes.size()) return;
  std::memcpy(bytes.data() + size, packet.data(), packet.size());
  size += packet.size();
}

void ProgramTracker::reset() noexcept {
  fault_ = Fault::none;
  narrows_ = false;
  pat_packet_seen_ = false;
  pat_.count = 0;
  program_ = {};
  pmt_ = {};
  entry_pid_ = codec::kPidNull;
  pat_section_.reset();
  pmt_section_.reset();
  pmt_packets_.size = 0;
  pmt_collecting_.size = 0;
}

ProgramTracker::Verdict ProgramTracker::see(const codec::TsPacket& packet, codec::Bytes raw) noexcept {
  const std::uint16_t pid = packet.pid();
  Verdict v;
  if (pid == codec::kPidPat) {
    see_pat(packet, raw);
    v.tables = true;
    v.keep = !narrows_ || packet.payload_unit_start();
    return v;
  }
  const bool is_pmt = program_.pmt_pid != 0 && pid == program_.pmt_pid;
  if (is_pmt) see_pmt(packet, raw);
  v.keep = !narrows_ || belongs(pid);
  v.tables = is_pmt || pid == codec::kPidNull || (pid >= 0x10 && pid <= 0x1f) || !packet.has_payload();
  v.pcr_pid = pid == pmt_.pcr_pid && pid != codec::kPidNull;
  v.random_access = pid == entry_pid_ && codec::is_random_access(packet, entry_coding_);
  return v;
}

void ProgramTracker::see_pat(const codec::TsPacket& packet, codec::Bytes raw) noexcept {
  const bool narrowed = narrows_;
  if (const auto section = pat_section_.push(packet)) {
    if (const auto pat = codec::parse_pat(*section)) {
      pat_ = *pat;
      select(pat_);
    }
  }
  // A PAT that takes several packets shows only with its last one that it must be narrowed.
  if (!packet.payload_unit_start() && (narrowed || !narrows_)) return;
  if (narrows_) {
    codec::write_pat_packet(pat_.transport_stream_id, program_, narrowed_counter_++ & 0x0f,
                            pat_packet_.data());
  } else {
    std::memcpy(pat_packet_.data(), raw.data(), pat_packet_.size());
  }
  pat_packet_seen_ = true;
}

void ProgramTracker::select(const codec::Pat& pat) noexcept {
  const auto* const end = pat.programs.data() + pat.count;
  const codec::Pat::Program* found = nullptr;
  if (wanted_) {
    found = std::find_if(pat.programs.data(), end, [&](const auto& p) { return p.number == *wanted_; });
    if (found == end) found = nullptr;
    fault_ = found != nullptr ? Fault::none : Fault::program_missing;
  } else if (pat.count == 1) {
    found = pat.programs.data();
    fault_ = Fault::none;
  } else if (pat.count > 1) {
    fault_ = Fault::program_required;
  }
  // A programme that has vanished from the PAT leaves things as they are, until the source is given up for
  // it.
  if (found == nullptr) return;
  narrows_ = pat.count > 1;
  if (found->number == program_.number && found->pmt_pid == program_.pmt_pid) return;
  program_ = *found;
  pmt_ = {};
  entry_pid_ = codec::kPidNull;
  pmt_section_.reset();
  pmt_packets_.size = 0;
}

void ProgramTracker::see_pmt(const codec::TsPacket& packet, codec::Bytes raw) noexcept {
  if (packet.payload_unit_start()) pmt_collecting_.size = 0;
  pmt_collecting_.append(raw);
  const auto section = pmt_section_.push(packet);
  if (!section) return;
  const auto pmt = codec::parse_pmt(*section);
  if (!pmt || pmt->program != program_.number) return;
  pmt_ = *pmt;
  pmt_packets_ = pmt_collecting_;
  entry_pid_ = codec::kPidNull;
  for (std::size_t i = 0; i < pmt_.count; i++) {
    const Coding coding = codec::coding_of(pmt_.streams[i].type);
    const bool video = coding != Coding::other && coding != Coding::audio;
    if (!video && !(coding == Coding::audio && entry_pid_ == codec::kPidNull)) continue;
    entry_pid_ = pmt_.streams[i].pid;
    entry_coding_ = coding;
    if (video) break;
  }
}

bool ProgramTracker::belongs(std::uint16_t pid) const noexcept {
  if (pid == program_.pmt_pid || pid == pmt_.pcr_pid) return pid != codec::kPidNull;
  const auto* const end = pmt_.streams.data() + pmt_.count;
  return std::any_of(pmt_.streams.data(), end, [&](const auto& s) { return s.pid == pid; });
}

bool ProgramTracker::is_media(std::uint16_t pid) const noexcept {
  const auto* const end = pmt_.streams.data() + pmt_.count;
  return std::any_of(pmt_.streams.data(), end, [&](const auto& s) {
    return s.pid == pid && codec::coding_of(s.type) != Coding::other;
  });
}

PsiPackets ProgramTracker::psi() const noexcept {
  PsiPackets out;
  out.append(rewritten_pat());
  out.append({pmt_packets_.bytes.data(), pmt_packets_.size});
  return out;
}

std::string ProgramTracker::programs() const {
  std::string text;
  for (std::size_t i = 0; i < pat_.count; i++)
    text += (i == 0 ? "" : ", ") + std::to_string(pat_.programs[i].number);
  return text;
}

}  // namespace sluice::plane
