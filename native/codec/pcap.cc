#include "codec/pcap.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

namespace sluice::codec {

namespace {

constexpr std::size_t kFileHeader = 24;
constexpr std::size_t kRecordHeader = 16;
constexpr std::uint32_t kMagicMicroseconds = 0xa1b2c3d4;
constexpr std::uint32_t kMagicNanoseconds = 0xa1b23c4d;
constexpr std::uint32_t kMagicPcapng = 0x0a0d0d0a;

enum LinkType : std::uint32_t {
  kNull = 0,
  kEthernet = 1,
  kRawBsd = 12,
  kRawOpenBsd = 14,
  kRaw = 101,
  kLoop = 108,
  kLinuxCooked = 113,
  kIpv4 = 228,
  kIpv6 = 229,
  kLinuxCooked2 = 276,
};

constexpr std::uint16_t kEtherIpv4 = 0x0800;
constexpr std::uint16_t kEtherIpv6 = 0x86dd;
constexpr std::uint8_t kProtocolUdp = 17;

std::uint32_t swap(std::uint32_t v) noexcept {
  return __builtin_bswap32(v);
}

}  // namespace

PcapReader::PcapReader(Bytes file) noexcept : file_(file) {
  read_header();
}

std::uint32_t PcapReader::word(std::size_t at) const noexcept {
  const std::uint32_t v = load32(file_.data() + at);
  return big_endian_ ? v : swap(v);
}

void PcapReader::fail(std::size_t offset, const char* expected, const char* format, std::uint64_t a,
                      std::uint64_t b) noexcept {
  PcapError error;
  error.offset = offset;
  error.expected = expected;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  std::snprintf(error.got.data(), error.got.size(), format, a, b);
#pragma GCC diagnostic pop
  error_ = error;
}

void PcapReader::read_header() noexcept {
  if (file_.size() < kFileHeader) {
    return fail(file_.size(), "a file header of 24 bytes", "the end of the file after %" PRIu64 " bytes",
                file_.size());
  }
  const std::uint32_t magic = load32(file_.data());
  big_endian_ = magic == kMagicMicroseconds || magic == kMagicNanoseconds;
  nanoseconds_ = magic == kMagicNanoseconds || magic == swap(kMagicNanoseconds);
  if (!big_endian_ && !nanoseconds_ && magic != swap(kMagicMicroseconds)) {
    constexpr const char* kExpected =
        "the magic number of a classic pcap file (a1b2c3d4 or a1b23c4d in either byte order)";
    if (magic == kMagicPcapng)
      return fail(0, kExpected, "pcapng, which \"editcap -F pcap IN OUT\" converts", 0);
    return fail(0, kExpected, "%08" PRIx64, magic);
  }
  const std::uint32_t version = word(4);
  const std::uint32_t major = big_endian_ ? version >> 16 : version & 0xffff;
  const std::uint32_t minor = big_endian_ ? version & 0xffff : version >> 16;
  if (major != 2 || minor != 4) return fail(4, "format version 2.4", "%" PRIu64 ".%" PRIu64, major, minor);
  // The upper bits tell of a frame check sequence at the end of each packet; IP's own length makes it
  // harmless.
  link_type_ = word(20) & 0x03ffffff;
  if (!is_known_link_type(link_type_)) {
    return fail(20, "link type 1 (Ethernet), 113 or 276 (Linux cooked), 101 (raw IP) or 0 (loopback)",
                "%" PRIu64, link_type_);
  }
  at_ = kFileHeader;
}

std::optional<PcapRecord> PcapReader::next() noexcept {
  if (error_ || at_ == file_.size()) return std::nullopt;
  const std::size_t left = file_.size() - at_;
  if (left < kRecordHeader) {
    fail(at_, "a record header of 16 bytes", "the end of the file after %" PRIu64 " bytes", left);
    return std::nullopt;
  }
  const std::uint32_t fraction = word(at_ + 4);
  const std::uint32_t captured = word(at_ + 8);
  if (fraction >= (nanoseconds_ ? 1'000'000'000U : 1'000'000U)) {
    fail(at_ + 4, "a fraction of a second", "%" PRIu64, fraction);
    return std::nullopt;
  }
  if (captured > kPcapMaxCaptured) {
    fail(at_ + 8, "a captured length of at most 262144 bytes", "%" PRIu64, captured);
    return std::nullopt;
  }
  if (captured > left - kRecordHeader) {
    fail(at_ + 8, "a packet that ends before the file does", "%" PRIu64 " bytes announced, %" PRIu64 " left",
         captured, left - kRecordHeader);
    return std::nullopt;
  }
  PcapRecord record;
  record.time_ns =
      std::int64_t{word(at_)} * 1'000'000'000 + std::int64_t{fraction} * (nanoseconds_ ? 1 : 1000);
  record.offset = at_;
  record.original_length = word(at_ + 12);
  record.data = file_.subspan(at_ + kRecordHeader, captured);
  at_ += kRecordHeader + captured;
  return record;
}

bool is_known_link_type(std::uint32_t link_type) noexcept {
  switch (link_type) {
    case kNull:
    case kEthernet:
    case kRawBsd:
    case kRawOpenBsd:
    case kRaw:
    case kLoop:
    case kLinuxCooked:
    case kIpv4:
    case kIpv6:
    case kLinuxCooked2:
      return true;
    default:
      return false;
  }
}

namespace {

/** Takes a header of `size` bytes off; false when there are fewer. */
bool skip(Bytes& rest, std::size_t size) noexcept {
  if (rest.size() < size) return false;
  rest = rest.subspan(size);
  return true;
}

/** destination(48) source(48) [tag(32) …] EtherType(16); IEEE 802.1Q and 802.1ad tags. */
std::optional<std::uint16_t> skip_ethernet(Bytes& rest) noexcept {
  if (!skip(rest, 12)) return std::nullopt;
  for (int tags = 0; rest.size() >= 2; tags++) {
    const std::uint16_t type = load16(rest.data());
    rest = rest.subspan(2);
    if ((type != 0x8100 && type != 0x88a8 && type != 0x9100) || tags == 4) return type;
    if (!skip(rest, 2)) return std::nullopt;
  }
  return std::nullopt;
}

/** The address family before each packet; AF_INET6 has another number on every BSD and on Linux. */
std::optional<std::uint16_t> skip_loopback(Bytes& rest) noexcept {
  if (rest.size() < 4) return std::nullopt;
  // In the byte order of the machine that captured (LINKTYPE_NULL) or of the network (LINKTYPE_LOOP): small
  // either way.
  const std::uint32_t raw = load32(rest.data());
  const std::uint32_t family = raw < 0x10000 ? raw : swap(raw);
  rest = rest.subspan(4);
  if (family == 2) return kEtherIpv4;
  return family == 10 || family == 24 || family == 28 || family == 30 ? kEtherIpv6 : std::uint16_t{0};
}

/** Takes the link header off; the EtherType of what follows, none when the packet is too short. */
std::optional<std::uint16_t> skip_link(Bytes& rest, std::uint32_t link_type) noexcept {
  switch (link_type) {
    case kEthernet:
      return skip_ethernet(rest);
    case kLinuxCooked: {
      if (rest.size() < 16) return std::nullopt;
      const std::uint16_t type = load16(rest.data() + 14);
      rest = rest.subspan(16);
      return type;
    }
    case kLinuxCooked2: {
      if (rest.size() < 20) return std::nullopt;
      const std::uint16_t type = load16(rest.data());
      rest = rest.subspan(20);
      return type;
    }
    case kNull:
    case kLoop:
      return skip_loopback(rest);
    default:
      if (rest.empty()) return std::nullopt;
      return rest[0] >> 4 == 4 ? kEtherIpv4 : rest[0] >> 4 == 6 ? kEtherIpv6 : std::uint16_t{0};
  }
}

/** RFC 791 section 3.1. */
UdpFind skip_ipv4(Bytes& rest, UdpDatagram& out) noexcept {
  if (rest.size() < 20) return UdpFind::cut;
  const std::size_t header = (rest[0] & 0x0fU) * 4U;
  if (rest[0] >> 4 != 4 || header < 20) return UdpFind::other;
  // A total length of 0 is what a batch that the device cuts up later shows on the sending host.
  const std::size_t total = load16(rest.data() + 2) == 0 ? rest.size() : load16(rest.data() + 2);
  if (rest[9] != kProtocolUdp || total < header) return UdpFind::other;
  if ((load16(rest.data() + 6) & 0x3fff) != 0) return UdpFind::fragment;
  if (total > rest.size()) return UdpFind::cut;
  out.version = 4;
  std::copy_n(rest.data() + 12, 4, out.source.begin());
  std::copy_n(rest.data() + 16, 4, out.destination.begin());
  rest = rest.subspan(header, total - header);
  return UdpFind::udp;
}

/** RFC 8200 section 4: the chain of extension headers up to UDP. */
UdpFind skip_extensions(Bytes& rest, std::uint8_t next) noexcept {
  for (int headers = 0; headers < 8; headers++) {
    if (next == kProtocolUdp) return UdpFind::udp;
    if (next == 44) return UdpFind::fragment;
    if (next != 0 && next != 43 && next != 60) return UdpFind::other;
    if (rest.size() < 8) return UdpFind::cut;
    next = rest[0];
    if (!skip(rest, 8U + rest[1] * 8U)) return UdpFind::cut;
  }
  return UdpFind::other;
}

/** RFC 8200 section 3. */
UdpFind skip_ipv6(Bytes& rest, UdpDatagram& out) noexcept {
  if (rest.size() < 40) return UdpFind::cut;
  if (rest[0] >> 4 != 6) return UdpFind::other;
  const std::uint8_t next = rest[6];
  const std::size_t length = load16(rest.data() + 4) == 0 ? rest.size() - 40 : load16(rest.data() + 4);
  out.version = 6;
  std::copy_n(rest.data() + 8, 16, out.source.begin());
  std::copy_n(rest.data() + 24, 16, out.destination.begin());
  const bool cut = length > rest.size() - 40;
  rest = rest.subspan(40, std::min(length, rest.size() - 40));
  const UdpFind found = skip_extensions(rest, next);
  return found == UdpFind::udp && cut ? UdpFind::cut : found;
}

}  // namespace

UdpFind find_udp(Bytes packet, std::uint32_t link_type, UdpDatagram& out) noexcept {
  const auto type = skip_link(packet, link_type);
  if (!type) return UdpFind::cut;
  if (*type != kEtherIpv4 && *type != kEtherIpv6) return UdpFind::other;
  UdpDatagram datagram;
  const UdpFind found = *type == kEtherIpv4 ? skip_ipv4(packet, datagram) : skip_ipv6(packet, datagram);
  if (found != UdpFind::udp) return found;
  // RFC 768: source port(16) destination port(16) length(16) checksum(16)
  if (packet.size() < 8) return UdpFind::cut;
  const std::size_t length = load16(packet.data() + 4) == 0 ? packet.size() : load16(packet.data() + 4);
  if (length < 8) return UdpFind::other;
  if (length > packet.size()) return UdpFind::cut;
  datagram.source_port = load16(packet.data());
  datagram.destination_port = load16(packet.data() + 2);
  datagram.payload = packet.subspan(8, length - 8);
  out = datagram;
  return UdpFind::udp;
}

}  // namespace sluice::codec
