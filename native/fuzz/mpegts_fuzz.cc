// Fuzz target: bytes as TS packets, as a section of PAT or PMT, and as the begin of a PES packet. The sync
// byte and the CRC are put right where they stand before what is looked for.
#include "codec/mpegts.h"

#include "fuzz/check.h"

using namespace sluice;
using codec::Bytes;
using codec::kTsPacketSize;

namespace {

bool within(Bytes inner, Bytes outer) {
  return inner.empty() ||
         (inner.data() >= outer.data() && inner.data() + inner.size() <= outer.data() + outer.size());
}

void check_pes(Bytes payload) {
  const auto pes = codec::parse_pes(payload);
  if (!pes) return;
  SLUICE_HOLDS(pes->header_size <= payload.size());
  fuzz::Block copy(payload.begin(), payload.end());
  if (pes->pts) {
    SLUICE_HOLDS(pes->pts_offset + 5 <= pes->header_size);
    codec::set_pes_timestamp(copy.data() + pes->pts_offset, *pes->pts + 1);
  }
  if (pes->dts) SLUICE_HOLDS(pes->dts_offset + 5 <= pes->header_size && pes->pts);
  const auto again = codec::parse_pes(copy);
  SLUICE_HOLDS(again && again->pts.has_value() == pes->pts.has_value() && again->dts == pes->dts);
  if (pes->pts) SLUICE_HOLDS(*again->pts == (*pes->pts + 1) % (std::int64_t{1} << 33));
}

void check_sections(Bytes section) {
  if (const auto pat = codec::parse_pat(section)) {
    SLUICE_HOLDS(pat->count <= codec::kMaxPrograms);
    for (std::size_t i = 0; i < pat->count; i++)
      SLUICE_HOLDS(pat->programs[i].number != 0 && pat->programs[i].pmt_pid <= codec::kPidNull);
  }
  if (const auto pmt = codec::parse_pmt(section)) {
    SLUICE_HOLDS(pmt->count <= codec::kMaxElementaryStreams && pmt->pcr_pid <= codec::kPidNull);
    for (std::size_t i = 0; i < pmt->count; i++) SLUICE_HOLDS(pmt->streams[i].pid <= codec::kPidNull);
  }
}

void check_packet(Bytes raw, codec::SectionAssembler& sections, codec::ContinuityCheck& continuity) {
  const auto packet = codec::TsPacket::parse(raw);
  if (!packet) return;
  SLUICE_HOLDS(within(packet->payload(), raw));
  continuity.accept(*packet);
  for (const std::uint8_t type : {0x02, 0x1b, 0x24, 0x0f})
    codec::is_random_access(*packet, codec::coding_of(type));
  check_pes(packet->payload());
  if (const auto section = sections.push(*packet)) {
    SLUICE_HOLDS(codec::crc32_mpeg(*section) == 0);
    check_sections(*section);
  }
  const auto pcr = packet->pcr();
  if (!pcr) return;
  fuzz::Block copy(raw.begin(), raw.end());
  codec::set_pcr(copy.data(), *pcr);
  const auto again = codec::TsPacket::parse(copy);
  SLUICE_HOLDS(again && again->pcr() && codec::pcr_difference(*again->pcr(), *pcr) == 0);
}

/** The body as one section with a good CRC, in as many packets as it takes: it must come out whole. */
void check_assembly(fuzz::Block section) {
  if (section.size() < 8 || section.size() > 1020) return;
  section[1] = static_cast<std::uint8_t>((section[1] & 0xf0) | ((section.size() + 1) >> 8));
  section[2] = static_cast<std::uint8_t>(section.size() + 1);
  section.resize(section.size() + 4);
  codec::store32(section.data() + section.size() - 4,
                 codec::crc32_mpeg(Bytes(section).first(section.size() - 4)));
  codec::SectionAssembler assembler;
  std::optional<Bytes> out;
  for (std::size_t at = 0; at < section.size();) {
    fuzz::Block packet(kTsPacketSize, 0xff);
    packet[0] = codec::kTsSync;
    codec::store16(packet.data() + 1, at == 0 ? 0x4000 : 0);
    packet[3] = 0x10;
    packet[4] = 0;
    const std::size_t begin = at == 0 ? 5 : 4;
    const std::size_t n = std::min(section.size() - at, kTsPacketSize - begin);
    std::copy_n(section.begin() + static_cast<std::ptrdiff_t>(at), n,
                packet.begin() + static_cast<std::ptrdiff_t>(begin));
    at += n;
    const auto view = codec::TsPacket::parse(packet);
    SLUICE_HOLDS(view);
    out = assembler.push(*view);
  }
  SLUICE_HOLDS(out && std::equal(out->begin(), out->end(), section.begin(), section.end()));
  check_sections(section);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes body(data, size);
  codec::SectionAssembler sections;
  codec::ContinuityCheck continuity;
  for (std::size_t at = 0; at + kTsPacketSize <= size; at += kTsPacketSize) {
    fuzz::Block packet(data + at, data + at + kTsPacketSize);
    packet[0] = codec::kTsSync;
    check_packet(packet, sections, continuity);
  }
  const fuzz::Block exact(body.begin(), body.end());
  check_sections(exact);
  check_pes(exact);
  check_assembly(exact);
  return 0;
}
