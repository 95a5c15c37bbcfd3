#include "codec/mpegts.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <initializer_list>
#include <vector>

#include "test/allocations.h"

using namespace sluice::codec;

namespace {

using Packet = std::vector<std::uint8_t>;

/** A packet that begins with these bytes; the rest is 0xff. */
Packet packet_of(std::initializer_list<std::uint8_t> head) {
  Packet packet(kTsPacketSize, 0xff);
  std::copy(head.begin(), head.end(), packet.begin());
  return packet;
}

TsPacket view(const Packet& packet) {
  auto parsed = TsPacket::parse(packet);
  REQUIRE(parsed.has_value());
  return *parsed;
}

/** A packet of PID 0x100 with this counter; payload, or adaptation field only. */
Packet counted(std::uint8_t counter, bool payload = true, bool discontinuity = false) {
  if (!payload) return packet_of({0x47, 0x01, 0x00, static_cast<std::uint8_t>(0x20 | counter), 183, 0x00});
  if (discontinuity) return packet_of({0x47, 0x01, 0x00, static_cast<std::uint8_t>(0x30 | counter), 1, 0x80});
  return packet_of({0x47, 0x01, 0x00, static_cast<std::uint8_t>(0x10 | counter)});
}

/** Appends the CRC_32. */
std::vector<std::uint8_t> with_crc(std::vector<std::uint8_t> section) {
  const std::uint32_t crc = crc32_mpeg(section);
  for (int shift = 24; shift >= 0; shift -= 8) section.push_back(static_cast<std::uint8_t>(crc >> shift));
  return section;
}

const std::vector<std::uint8_t> kPatSection = {
    0x00,        // table_id: program_association_section
    0xb0, 0x11,  // section_syntax_indicator, reserved, section_length 17
    0x12, 0x34,  // transport_stream_id
    0xc3,        // reserved, version 1, current_next_indicator
    0x00, 0x00,  // section_number, last_section_number
    0x00, 0x00,  // program 0: the network PID
    0xe0, 0x10,  // network PID 0x10
    0x00, 0x01,  // program 1
    0xf0, 0x00,  // PMT PID 0x1000
};

const std::vector<std::uint8_t> kPmtSection = {
    0x02,        // table_id: TS_program_map_section
    0xb0, 0x1b,  // section_syntax_indicator, reserved, section_length 27
    0x00, 0x01,  // program_number 1
    0xc1,        // reserved, version 0, current
    0x00, 0x00,  // section_number, last_section_number
    0xe1, 0x00,  // PCR PID 0x100
    0xf0, 0x02,  // program_info_length 2
    0x09, 0x00,  // an empty descriptor
    0x1b,        // stream_type H.264
    0xe1, 0x00,  // PID 0x100
    0xf0, 0x02,  // ES_info_length 2
    0x28, 0x00,  // an empty descriptor
    0x0f,        // stream_type AAC in ADTS
    0xe1, 0x01,  // PID 0x101
    0xf0, 0x00,  // ES_info_length 0
};

/** A packet that carries a section from its begin. */
Packet section_packet(const std::vector<std::uint8_t>& section, std::size_t pointer = 0) {
  Packet packet = packet_of({0x47, 0x40, 0x00, 0x10, static_cast<std::uint8_t>(pointer)});
  const std::size_t room = std::min(section.size(), kTsPacketSize - 5 - pointer);
  std::copy_n(section.begin(), room, packet.begin() + 5 + static_cast<std::ptrdiff_t>(pointer));
  return packet;
}

/** The packet after one that a section did not fit into. */
Packet section_rest(const std::vector<std::uint8_t>& section, std::size_t from) {
  Packet packet = packet_of({0x47, 0x00, 0x00, 0x11});
  const std::size_t room = std::min(section.size() - from, kTsPacketSize - 4);
  std::copy_n(section.begin() + static_cast<std::ptrdiff_t>(from), room, packet.begin() + 4);
  return packet;
}

/** A PMT section of exactly this size, filled with descriptors. */
std::vector<std::uint8_t> pmt_of(std::size_t size) {
  const std::size_t info = size - 12 - 4;
  std::vector<std::uint8_t> section = {0x02,
                                       static_cast<std::uint8_t>(0xb0 | ((size - 3) >> 8)),
                                       static_cast<std::uint8_t>(size - 3),
                                       0x00,
                                       0x01,
                                       0xc1,
                                       0x00,
                                       0x00,
                                       0xe1,
                                       0x00,
                                       static_cast<std::uint8_t>(0xf0 | (info >> 8)),
                                       static_cast<std::uint8_t>(info)};
  section.resize(12 + info, 0x5a);
  return with_crc(section);
}

}  // namespace

TEST_CASE("mpegts: header fields, byte by byte") {
  const Packet bytes = packet_of({
      0x47,  // sync_byte
      0xdf,  // transport_error, payload_unit_start, no priority, PID 0x1f..
      0xfe,  // PID 0x1ffe
      0xd7,  // scrambling 11, payload only, counter 7
  });
  const TsPacket packet = view(bytes);
  CHECK(packet.transport_error());
  CHECK(packet.payload_unit_start());
  CHECK(packet.pid() == 0x1ffe);
  CHECK(packet.scrambled());
  CHECK(packet.has_payload());
  CHECK(packet.continuity_counter() == 7);
  CHECK_FALSE(packet.discontinuity());
  CHECK_FALSE(packet.random_access());
  CHECK_FALSE(packet.pcr().has_value());
  CHECK(packet.payload().data() == bytes.data() + 4);
  CHECK(packet.payload().size() == 184);
}

TEST_CASE("mpegts: adaptation field with PCR, byte by byte") {
  const Packet bytes = packet_of({
      0x47, 0x01, 0x00,        // PID 0x100
      0x35,                    // adaptation field and payload, counter 5
      0x07,                    // adaptation_field_length 7
      0xd0,                    // discontinuity, random access, PCR
      0x00, 0x00, 0x00, 0x01,  // PCR base, bits 32 to 1
      0xff,                    // PCR base bit 0 = 1, reserved, extension bit 8 = 1
      0x2b,                    // extension 0x12b = 299
      0xab,                    // first payload byte
  });
  const TsPacket packet = view(bytes);
  CHECK(packet.discontinuity());
  CHECK(packet.random_access());
  REQUIRE(packet.pcr().has_value());
  CHECK(*packet.pcr() == 3 * 300 + 299);
  CHECK(packet.payload().size() == 176);
  CHECK(packet.payload()[0] == 0xab);
}

TEST_CASE("mpegts: what is not a packet is refused") {
  CHECK_FALSE(TsPacket::parse(Bytes{}).has_value());
  CHECK_FALSE(TsPacket::parse(packet_of({0x46})).has_value());
  const Packet whole = counted(0);
  for (std::size_t size = 0; size < kTsPacketSize; size++) {
    CHECK_FALSE(TsPacket::parse(Bytes(whole.data(), size)).has_value());
  }
  CHECK_FALSE(TsPacket::parse(Packet(204, 0x47)).has_value());
}

TEST_CASE("mpegts: every adaptation field length stays inside the packet") {
  for (const std::uint8_t control : {0x20, 0x30}) {
    for (int length = 0; length < 256; length++) {
      CAPTURE(length);
      const Packet bytes = packet_of({0x47, 0x01, 0x00, control, static_cast<std::uint8_t>(length), 0x10});
      const auto packet = TsPacket::parse(bytes);
      CHECK(packet.has_value() == (length <= (control == 0x30 ? 182 : 183)));
      if (!packet) continue;
      // 2.4.3.5: a PCR takes six bytes after the flags.
      CHECK(packet->pcr().has_value() == (length >= 7));
      const Bytes payload = packet->payload();
      CHECK(payload.size() == (control == 0x30 ? static_cast<std::size_t>(183 - length) : 0));
    }
  }
}

TEST_CASE("mpegts: a PCR that was written is read back, reserved bits set") {
  const Packet base = packet_of({0x47, 0x01, 0x00, 0x30, 0x07, 0x10});
  for (const std::int64_t pcr : {std::int64_t{0}, std::int64_t{299}, std::int64_t{300}, kSystemClock,
                                 kPcrModulus - 1, kPcrModulus / 2}) {
    Packet bytes = base;
    set_pcr(bytes.data(), pcr);
    CHECK(*view(bytes).pcr() == pcr);
    CHECK((bytes[10] & 0x7e) == 0x7e);
    CHECK(bytes[12] == 0xff);
  }
  Packet bytes = base;
  set_pcr(bytes.data(), kPcrModulus + 5);
  CHECK(*view(bytes).pcr() == 5);
  set_pcr(bytes.data(), -1);
  CHECK(*view(bytes).pcr() == kPcrModulus - 1);
}

TEST_CASE("mpegts: differences of PCRs go over the wrap") {
  for (const std::int64_t start : {std::int64_t{0}, std::int64_t{1}, kPcrModulus / 2, kPcrModulus - 1}) {
    for (const std::int64_t step :
         {-kSystemClock, std::int64_t{-1}, std::int64_t{0}, std::int64_t{1}, kSystemClock}) {
      const std::int64_t later = ((start + step) % kPcrModulus + kPcrModulus) % kPcrModulus;
      CHECK(pcr_difference(later, start) == step);
    }
  }
}

TEST_CASE("mpegts: set_continuity_counter keeps the rest of the byte") {
  Packet bytes = packet_of({0x47, 0x01, 0x00, 0xf5});
  set_continuity_counter(bytes.data(), 0x1a);
  CHECK(bytes[3] == 0xfa);
}

TEST_CASE("mpegts: a discontinuity packet says so and has no payload") {
  Packet bytes(kTsPacketSize);
  write_discontinuity_packet(0x100, 9, bytes.data());
  const TsPacket packet = view(bytes);
  CHECK(packet.pid() == 0x100);
  CHECK(packet.discontinuity());
  CHECK_FALSE(packet.has_payload());
  CHECK(packet.continuity_counter() == 9);
}

TEST_CASE("mpegts: continuity counters are followed from every start value") {
  for (std::uint8_t start = 0; start < 16; start++) {
    ContinuityCheck check;
    CHECK(check.last() == 0xff);
    for (int i = 0; i < 40; i++) CHECK(check.accept(view(counted((start + i) & 15))));
    for (int gap = 2; gap < 16; gap++) {
      ContinuityCheck jump;
      CHECK(jump.accept(view(counted(start))));
      CHECK_FALSE(jump.accept(view(counted((start + gap) & 15))));
      CHECK(jump.accept(view(counted((start + gap + 1) & 15))));
    }
  }
}

TEST_CASE("mpegts: a packet may come twice, not three times; without payload the counter stands still") {
  ContinuityCheck check;
  CHECK(check.accept(view(counted(3))));
  CHECK(check.accept(view(counted(3))));
  CHECK_FALSE(check.accept(view(counted(3))));
  CHECK(check.accept(view(counted(4))));
  CHECK(check.accept(view(counted(4, false))));
  CHECK(check.accept(view(counted(4, false))));
  CHECK(check.accept(view(counted(5))));
  CHECK_FALSE(check.accept(view(counted(7, false))));
}

TEST_CASE("mpegts: an announced jump is none; null packets are not counted") {
  ContinuityCheck check;
  CHECK(check.accept(view(counted(3))));
  CHECK(check.accept(view(counted(9, true, true))));
  CHECK(check.accept(view(counted(10))));
  ContinuityCheck null_check;
  for (const std::uint8_t counter : {0, 7, 7, 7, 2}) {
    CHECK(null_check.accept(view(packet_of({0x47, 0x1f, 0xff, static_cast<std::uint8_t>(0x10 | counter)}))));
  }
}

TEST_CASE("mpegts: CRC_32 of the check string and of a section with its CRC") {
  const std::vector<std::uint8_t> digits = {'1', '2', '3', '4', '5', '6', '7', '8', '9'};
  CHECK(crc32_mpeg(digits) == 0x0376e6e7);  // CRC-32/MPEG-2 check value of the CRC catalogue
  CHECK(crc32_mpeg({}) == 0xffffffff);
  CHECK(crc32_mpeg(with_crc(kPatSection)) == 0);
}

TEST_CASE("mpegts: PAT and PMT, byte by byte") {
  const auto pat = parse_pat(with_crc(kPatSection));
  REQUIRE(pat.has_value());
  CHECK(pat->transport_stream_id == 0x1234);
  REQUIRE(pat->count == 1);
  CHECK(pat->programs[0].number == 1);
  CHECK(pat->programs[0].pmt_pid == 0x1000);

  const auto pmt = parse_pmt(with_crc(kPmtSection));
  REQUIRE(pmt.has_value());
  CHECK(pmt->program == 1);
  CHECK(pmt->pcr_pid == 0x100);
  REQUIRE(pmt->count == 2);
  CHECK(pmt->streams[0].type == 0x1b);
  CHECK(pmt->streams[0].pid == 0x100);
  CHECK(pmt->streams[1].type == 0x0f);
  CHECK(pmt->streams[1].pid == 0x101);
}

TEST_CASE("mpegts: a section of the other table, or one that is not current yet, is refused") {
  CHECK_FALSE(parse_pat(with_crc(kPmtSection)).has_value());
  CHECK_FALSE(parse_pmt(with_crc(kPatSection)).has_value());
  for (auto section : {kPatSection, kPmtSection}) {
    section[5] = 0xc2;  // current_next_indicator 0
    CHECK_FALSE(parse_pat(with_crc(section)).has_value());
    CHECK_FALSE(parse_pmt(with_crc(section)).has_value());
  }
}

TEST_CASE("mpegts: lengths inside a PMT that reach past its end are refused") {
  auto section = kPmtSection;
  section[11] = 0x80;  // program_info_length 128
  CHECK_FALSE(parse_pmt(with_crc(section)).has_value());
  section = kPmtSection;
  section[25] = 0x01;  // ES_info_length 1 of the last stream, into the CRC
  CHECK_FALSE(parse_pmt(with_crc(section)).has_value());
}

TEST_CASE("mpegts: PAT and PMT survive truncation at every length") {
  for (const auto& whole : {with_crc(kPatSection), with_crc(kPmtSection)}) {
    for (std::size_t size = 0; size < whole.size(); size++) {
      const std::vector<std::uint8_t> cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
      if (const auto pat = parse_pat(cut)) CHECK(pat->count <= 2);
      if (const auto pmt = parse_pmt(cut)) CHECK(pmt->count <= 2);
    }
  }
}

TEST_CASE("mpegts: sections are put together from one or several packets") {
  SectionAssembler assembler;
  SUBCASE("one packet") {
    const auto section = with_crc(kPatSection);
    const auto got = assembler.push(view(section_packet(section)));
    REQUIRE(got.has_value());
    CHECK(std::equal(got->begin(), got->end(), section.begin(), section.end()));
  }
  SUBCASE("behind a pointer") {
    CHECK(assembler.push(view(section_packet(with_crc(kPatSection), 30))).has_value());
  }
  SUBCASE("every size up to the largest") {
    for (std::size_t size = 16; size <= 1024; size++) {
      const auto section = pmt_of(size);
      auto got = assembler.push(view(section_packet(section)));
      for (std::size_t at = 183; at < size; at += 184) {
        REQUIRE_FALSE(got.has_value());
        got = assembler.push(view(section_rest(section, at)));
      }
      CAPTURE(size);
      REQUIRE(got.has_value());
      CHECK(got->size() == size);
    }
  }
  SUBCASE("a wrong CRC is refused, and the next section taken") {
    auto section = with_crc(kPatSection);
    section[9] ^= 1;
    CHECK_FALSE(assembler.push(view(section_packet(section))).has_value());
    CHECK(assembler.push(view(section_packet(with_crc(kPatSection)))).has_value());
  }
  SUBCASE("a section cut by the begin of the next is dropped") {
    CHECK_FALSE(assembler.push(view(section_packet(pmt_of(600)))).has_value());
    CHECK(assembler.push(view(section_packet(with_crc(kPatSection)))).has_value());
  }
  SUBCASE("a rest without a begin is ignored") {
    CHECK_FALSE(assembler.push(view(section_rest(pmt_of(600), 183))).has_value());
  }
  SUBCASE("a pointer past the packet is ignored") {
    Packet bytes = section_packet(with_crc(kPatSection));
    bytes[4] = 184;
    CHECK_FALSE(assembler.push(view(bytes)).has_value());
  }
  SUBCASE("the end of one section and the begin of the next in one packet") {
    const auto first = pmt_of(200);
    const auto second = with_crc(kPatSection);
    CHECK_FALSE(assembler.push(view(section_packet(first))).has_value());
    Packet both = packet_of({0x47, 0x40, 0x00, 0x11, 17});
    std::copy(first.begin() + 183, first.end(), both.begin() + 5);
    std::copy(second.begin(), second.end(), both.begin() + 22);
    const auto got = assembler.push(view(both));
    REQUIRE(got.has_value());
    CHECK(got->size() == 200);
  }
}

TEST_CASE("mpegts: a PAT that was written is read back") {
  Packet bytes(kTsPacketSize);
  write_pat_packet(0x4321, {7, 0x1fc8}, 3, bytes.data());
  const TsPacket packet = view(bytes);
  CHECK(packet.pid() == kPidPat);
  CHECK(packet.payload_unit_start());
  CHECK(packet.continuity_counter() == 3);
  SectionAssembler assembler;
  const auto section = assembler.push(packet);
  REQUIRE(section.has_value());
  const auto pat = parse_pat(*section);
  REQUIRE(pat.has_value());
  CHECK(pat->transport_stream_id == 0x4321);
  REQUIRE(pat->count == 1);
  CHECK(pat->programs[0].number == 7);
  CHECK(pat->programs[0].pmt_pid == 0x1fc8);
  CHECK(std::all_of(bytes.begin() + 21, bytes.end(), [](std::uint8_t b) { return b == 0xff; }));
}

TEST_CASE("mpegts: PES time stamps, byte by byte") {
  const std::vector<std::uint8_t> pes = {
      0x00, 0x00, 0x01,  // packet_start_code_prefix
      0xe0,              // stream_id: video 0
      0x00, 0x00,        // PES_packet_length: unbounded
      0x84,              // '10', data_alignment_indicator
      0xc0,              // PTS and DTS
      0x0a,              // PES_header_data_length 10
      0x3f,              // '0011', PTS 32..30 = 7, marker
      0xff, 0xff,        // PTS 29..15, marker
      0xff, 0xff,        // PTS 14..0, marker: 2^33 - 1
      0x11,              // '0001', DTS 32..30 = 0, marker
      0x00, 0x05,        // DTS 29..15 = 2, marker
      0x00, 0x03,        // DTS 14..0 = 1, marker
      0x00, 0x00, 0x01, 0x65,
  };
  const auto parsed = parse_pes(pes);
  REQUIRE(parsed.has_value());
  REQUIRE(parsed->pts.has_value());
  REQUIRE(parsed->dts.has_value());
  CHECK(*parsed->pts == 0x1ffffffff);
  CHECK(*parsed->dts == 2 * 32768 + 1);
  CHECK(parsed->pts_offset == 9);
  CHECK(parsed->dts_offset == 14);
  CHECK(parsed->header_size == 19);
  for (std::size_t size = 0; size < 19; size++) {
    const std::vector<std::uint8_t> cut(pes.begin(), pes.begin() + static_cast<std::ptrdiff_t>(size));
    CHECK_FALSE(parse_pes(cut).has_value());
  }
  auto other = pes;
  other[3] = 0xbe;  // padding_stream: no optional header
  CHECK_FALSE(parse_pes(other).has_value());
  other = pes;
  other[7] = 0x00;  // neither PTS nor DTS
  const auto bare = parse_pes(other);
  REQUIRE(bare.has_value());
  CHECK_FALSE(bare->pts.has_value());
  CHECK_FALSE(bare->dts.has_value());
}

TEST_CASE("mpegts: a time stamp that was written is read back, prefix and markers kept") {
  for (const std::int64_t value : {0LL, 1LL, 32767LL, 32768LL, 90000LL, 1LL << 30, (1LL << 33) - 1}) {
    std::vector<std::uint8_t> pes = {0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5, 0x21, 0x00, 0x01, 0x00, 0x01};
    set_pes_timestamp(pes.data() + 9, value);
    const auto parsed = parse_pes(pes);
    REQUIRE(parsed.has_value());
    CHECK(parsed->pts == value);
    CHECK((pes[9] & 0xf1) == 0x21);
    CHECK((pes[11] & 1) == 1);
    CHECK((pes[13] & 1) == 1);
  }
}

TEST_CASE("mpegts: random access points of each coding") {
  struct Row {
    const char* what;
    Coding coding;
    std::uint8_t start_code;
    bool expected;
  };
  const Row rows[] = {
      {"H.264 IDR slice", Coding::h264, 0x65, true},
      {"H.264 sequence parameter set", Coding::h264, 0x67, true},
      {"H.264 non-IDR slice", Coding::h264, 0x41, false},
      {"H.264 access unit delimiter", Coding::h264, 0x09, false},
      {"H.265 IDR_W_RADL", Coding::h265, 19 << 1, true},
      {"H.265 CRA_NUT", Coding::h265, 21 << 1, true},
      {"H.265 VPS", Coding::h265, 32 << 1, true},
      {"H.265 TRAIL_R", Coding::h265, 1 << 1, false},
      {"MPEG-2 sequence header", Coding::mpeg2_video, 0xb3, true},
      {"MPEG-2 picture", Coding::mpeg2_video, 0x00, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    const Packet bytes =
        packet_of({0x47, 0x41, 0x00, 0x10, 0, 0, 1, 0xe0, 0, 0, 0x80, 0x00, 0, 0, 0, 1, row.start_code});
    CHECK(is_random_access(view(bytes), row.coding) == row.expected);
    Packet continued = bytes;
    continued[1] = 0x01;  // payload_unit_start 0
    CHECK_FALSE(is_random_access(view(continued), row.coding));
  }
  // random_access_indicator (2.4.3.5) alone is enough.
  const Packet indicated = packet_of({0x47, 0x41, 0x00, 0x30, 1, 0x40, 0, 0, 1, 0xe0});
  CHECK(is_random_access(view(indicated), Coding::h264));
  CHECK_FALSE(is_random_access(view(indicated), Coding::other));
}

TEST_CASE("mpegts: stream types (table 2-34)") {
  CHECK(coding_of(0x02) == Coding::mpeg2_video);
  CHECK(coding_of(0x1b) == Coding::h264);
  CHECK(coding_of(0x24) == Coding::h265);
  CHECK(coding_of(0x0f) == Coding::audio);
  CHECK(coding_of(0x03) == Coding::audio);
  CHECK(coding_of(0x06) == Coding::other);
}

TEST_CASE("mpegts: random bytes behind the sync byte never reach outside the packet") {
  std::uint32_t state = 1;
  SectionAssembler assembler;
  ContinuityCheck continuity;
  for (int round = 0; round < 20'000; round++) {
    Packet bytes(kTsPacketSize);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>((state = state * 1664525U + 1013904223U) >> 24);
    bytes[0] = 0x47;
    const auto packet = TsPacket::parse(bytes);
    if (!packet) continue;
    continuity.accept(*packet);
    if (const auto section = assembler.push(*packet)) CHECK(section->size() <= 1024);
    const auto pes = parse_pes(packet->payload());
    if (pes) CHECK(pes->header_size <= packet->payload().size());
    (void)is_random_access(*packet, Coding::h264);
  }
}

TEST_CASE("mpegts: looking at packets allocates nothing") {
  const Packet bytes = section_packet(with_crc(kPatSection));
  SectionAssembler assembler;
  ContinuityCheck continuity;
  const auto before = sluice::test::allocations();
  for (int i = 0; i < 1000; i++) {
    const auto packet = TsPacket::parse(bytes);
    continuity.accept(*packet);
    if (const auto section = assembler.push(*packet)) (void)parse_pat(*section);
    (void)is_random_access(*packet, Coding::h264);
  }
  CHECK(sluice::test::allocations() == before);
}
