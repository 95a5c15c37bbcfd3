#include "codec/mpegts.h"

#include <algorithm>
#include <cstring>

namespace sluice::codec {

std::optional<TsPacket> TsPacket::parse(Bytes packet) noexcept {
  if (packet.size() != kTsPacketSize || packet[0] != kTsSync) return std::nullopt;
  const TsPacket view(packet.data());
  // 2.4.3.5: at most 183 bytes of adaptation field, 182 where a payload follows.
  const std::size_t limit = view.has_payload() ? 182 : 183;
  if (view.has_adaptation() && packet[4] > limit) return std::nullopt;
  return view;
}

std::optional<std::int64_t> TsPacket::pcr() const noexcept {
  if ((flags() & 0x10) == 0 || p_[4] < 7) return std::nullopt;
  const std::int64_t base = (std::int64_t{load32(p_ + 6)} << 1) | (p_[10] >> 7);
  const std::int64_t extension = ((p_[10] & 1) << 8) | p_[11];
  return base * 300 + extension;
}

Bytes TsPacket::payload() const noexcept {
  if (!has_payload()) return {};
  const std::size_t begin = has_adaptation() ? 5U + p_[4] : 4U;
  return {p_ + begin, kTsPacketSize - begin};
}

void set_continuity_counter(std::uint8_t* packet, std::uint8_t counter) noexcept {
  packet[3] = static_cast<std::uint8_t>((packet[3] & 0xf0) | (counter & 0x0f));
}

void set_pcr(std::uint8_t* packet, std::int64_t pcr) noexcept {
  std::int64_t value = pcr % kPcrModulus;
  if (value < 0) value += kPcrModulus;
  const auto base = static_cast<std::uint64_t>(value / 300);
  const auto extension = static_cast<std::uint32_t>(value % 300);
  store32(packet + 6, static_cast<std::uint32_t>(base >> 1));
  packet[10] = static_cast<std::uint8_t>(((base & 1) << 7) | 0x7e | (extension >> 8));
  packet[11] = static_cast<std::uint8_t>(extension);
}

void write_discontinuity_packet(std::uint16_t pid, std::uint8_t counter, std::uint8_t* out) noexcept {
  std::memset(out, 0xff, kTsPacketSize);
  out[0] = kTsSync;
  store16(out + 1, pid & 0x1fff);
  out[3] = static_cast<std::uint8_t>(0x20 | (counter & 0x0f));
  out[4] = 183;
  out[5] = 0x80;
}

bool ContinuityCheck::accept(const TsPacket& packet) noexcept {
  const std::uint8_t counter = packet.continuity_counter();
  const std::uint8_t last = last_;
  last_ = counter;
  if (packet.pid() == kPidNull || last == kNone || packet.discontinuity()) {
    duplicate_seen_ = false;
    return true;
  }
  // The counter does not move on packets without payload; a packet with payload may come twice, not three
  // times.
  if (!packet.has_payload()) return counter == last;
  if (counter == last) {
    const bool first_duplicate = !duplicate_seen_;
    duplicate_seen_ = true;
    return first_duplicate;
  }
  duplicate_seen_ = false;
  return counter == ((last + 1) & 0x0f);
}

namespace {

constexpr std::array<std::uint32_t, 256> make_crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; i++) {
    std::uint32_t crc = i << 24;
    for (int bit = 0; bit < 8; bit++) crc = (crc << 1) ^ ((crc & 0x80000000U) != 0 ? 0x04c11db7U : 0U);
    table[i] = crc;
  }
  return table;
}
constexpr auto kCrcTable = make_crc_table();

}  // namespace

std::uint32_t crc32_mpeg(Bytes bytes) noexcept {
  std::uint32_t crc = 0xffffffffU;
  for (const std::uint8_t byte : bytes) crc = (crc << 8) ^ kCrcTable[((crc >> 24) ^ byte) & 0xff];
  return crc;
}

std::optional<Bytes> SectionAssembler::append(Bytes bytes) noexcept {
  const std::size_t room = std::min(bytes.size(), buffer_.size() - size_);
  std::memcpy(buffer_.data() + size_, bytes.data(), room);
  size_ += room;
  if (size_ < 3) return std::nullopt;
  const std::size_t length = 3U + (load16(buffer_.data() + 1) & 0x0fffU);
  if (length > buffer_.size() || length < 12) {
    size_ = 0;
    return std::nullopt;
  }
  if (size_ < length) return std::nullopt;
  size_ = 0;
  const Bytes section(buffer_.data(), length);
  if (crc32_mpeg(section) != 0) return std::nullopt;
  return section;
}

std::optional<Bytes> SectionAssembler::push(const TsPacket& packet) noexcept {
  const Bytes payload = packet.payload();
  if (payload.empty()) return std::nullopt;
  if (!packet.payload_unit_start()) return size_ > 0 ? append(payload) : std::nullopt;
  const std::size_t pointer = payload[0];
  if (pointer + 1 > payload.size()) {
    size_ = 0;
    return std::nullopt;
  }
  // Bytes before the pointer end a section begun earlier; it is dropped in favour of the one that begins here
  // only if it is not complete by then.
  if (pointer > 0 && size_ > 0) {
    if (const auto done = append(payload.subspan(1, pointer))) return done;
  }
  size_ = 0;
  return append(payload.subspan(1 + pointer));
}

namespace {

// table_id(8) syntax(1) 0(1) reserved(2) length(12) id(16) reserved(2) version(5) current(1) number(8)
// last(8)
bool is_current(Bytes section, std::uint8_t table_id) noexcept {
  return section.size() >= 12 && section[0] == table_id && (section[5] & 1) != 0;
}

}  // namespace

std::optional<Pat> parse_pat(Bytes section) noexcept {
  if (!is_current(section, 0x00)) return std::nullopt;
  Pat pat;
  pat.transport_stream_id = load16(section.data() + 3);
  for (std::size_t at = 8; at + 8 <= section.size() && pat.count < kMaxPrograms; at += 4) {
    const std::uint16_t number = load16(section.data() + at);
    const std::uint16_t pid = load16(section.data() + at + 2) & 0x1fff;
    if (number != 0) pat.programs[pat.count++] = {number, pid};
  }
  return pat;
}

std::optional<Pmt> parse_pmt(Bytes section) noexcept {
  if (!is_current(section, 0x02) || section.size() < 16) return std::nullopt;
  Pmt pmt;
  pmt.program = load16(section.data() + 3);
  pmt.pcr_pid = load16(section.data() + 8) & 0x1fff;
  const std::size_t end = section.size() - 4;
  std::size_t at = 12U + (load16(section.data() + 10) & 0x0fffU);
  if (at > end) return std::nullopt;
  while (at + 5 <= end && pmt.count < kMaxElementaryStreams) {
    const std::size_t next = at + 5 + (load16(section.data() + at + 3) & 0x0fffU);
    if (next > end) return std::nullopt;
    pmt.streams[pmt.count++] = {section[at],
                                static_cast<std::uint16_t>(load16(section.data() + at + 1) & 0x1fff)};
    at = next;
  }
  return pmt;
}

void write_pat_packet(std::uint16_t transport_stream_id, Pat::Program program, std::uint8_t counter,
                      std::uint8_t* out) noexcept {
  std::memset(out, 0xff, kTsPacketSize);
  out[0] = kTsSync;
  store16(out + 1, 0x4000 | kPidPat);
  out[3] = static_cast<std::uint8_t>(0x10 | (counter & 0x0f));
  out[4] = 0;
  std::uint8_t* const s = out + 5;
  s[0] = 0x00;
  store16(s + 1, 0xb000 | 13);
  store16(s + 3, transport_stream_id);
  s[5] = 0xc1;
  s[6] = 0;
  s[7] = 0;
  store16(s + 8, program.number);
  store16(s + 10, static_cast<std::uint16_t>(0xe000 | program.pmt_pid));
  store32(s + 12, crc32_mpeg({s, 12}));
}

Coding coding_of(std::uint8_t stream_type) noexcept {
  switch (stream_type) {
    case 0x01:
    case 0x02:
      return Coding::mpeg2_video;
    case 0x1b:
      return Coding::h264;
    case 0x24:
      return Coding::h265;
    case 0x03:
    case 0x04:
    case 0x0f:
    case 0x11:
    case 0x81:
    case 0x87:
      return Coding::audio;
    default:
      return Coding::other;
  }
}

namespace {

bool starts_access_point(std::uint8_t nal_or_code, Coding coding) noexcept {
  switch (coding) {
    case Coding::mpeg2_video:
      return nal_or_code == 0xb3;  // sequence_header_code
    case Coding::h264:
      return (nal_or_code & 0x1f) == 5 || (nal_or_code & 0x1f) == 7;  // IDR slice, sequence parameter set
    case Coding::h265: {
      const int type = (nal_or_code >> 1) & 0x3f;
      return (type >= 16 && type <= 21) || type == 32 || type == 33;  // IRAP, VPS, SPS
    }
    default:
      return false;
  }
}

}  // namespace

bool is_random_access(const TsPacket& packet, Coding coding) noexcept {
  if (!packet.payload_unit_start() || coding == Coding::other) return false;
  if (coding == Coding::audio || packet.random_access()) return true;
  if (packet.scrambled()) return false;
  const Bytes payload = packet.payload();
  const auto pes = parse_pes(payload);
  if (!pes) return false;
  for (std::size_t i = pes->header_size; i + 4 <= payload.size(); i++) {
    if (payload[i] != 0 || payload[i + 1] != 0 || payload[i + 2] != 1) continue;
    if (starts_access_point(payload[i + 3], coding)) return true;
  }
  return false;
}

namespace {

std::int64_t load_timestamp(const std::uint8_t* p) noexcept {
  return (std::int64_t{p[0] & 0x0e} << 29) | (std::int64_t{load16(p + 1) >> 1} << 15) | (load16(p + 3) >> 1);
}

}  // namespace

std::optional<PesTimestamps> parse_pes(Bytes payload) noexcept {
  if (payload.size() < 9 || payload[0] != 0 || payload[1] != 0 || payload[2] != 1) return std::nullopt;
  // Stream ids without the optional header (2.4.3.7): program_stream_map, padding, private_stream_2, ECM,
  // EMM, …
  const std::uint8_t id = payload[3];
  if (id == 0xbc || id == 0xbe || id == 0xbf || (id >= 0xf0 && id <= 0xf2) || id == 0xf8 || id == 0xff)
    return std::nullopt;
  if ((payload[6] & 0xc0) != 0x80) return std::nullopt;
  PesTimestamps out;
  out.header_size = 9U + payload[8];
  if (out.header_size > payload.size()) return std::nullopt;
  const int flags = payload[7] >> 6;
  if (flags >= 2 && payload[8] >= 5) {
    out.pts_offset = 9;
    out.pts = load_timestamp(payload.data() + 9);
  }
  if (flags == 3 && payload[8] >= 10) {
    out.dts_offset = 14;
    out.dts = load_timestamp(payload.data() + 14);
  }
  return out;
}

void set_pes_timestamp(std::uint8_t* field, std::int64_t value) noexcept {
  const auto v = static_cast<std::uint64_t>(value) & 0x1ffffffffULL;
  field[0] = static_cast<std::uint8_t>((field[0] & 0xf0) | ((v >> 29) & 0x0e) | 1);
  store16(field + 1, static_cast<std::uint16_t>(((v >> 14) & 0xfffe) | 1));
  store16(field + 3, static_cast<std::uint16_t>(((v << 1) & 0xfffe) | 1));
}

}  // namespace sluice::codec
